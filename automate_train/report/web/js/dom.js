// Making elements. Text becomes text nodes, never markup: prompts, names and logs are untrusted.
// Covers: elements, messages to screen readers, the clipboard, downloads. Not: what the elements mean.

// An element: properties are attributes; `on...` are listeners, `style` is {property: text}. A child that is null or false is left out.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, text]) => element.style.setProperty(key, text));
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...withoutGaps(children));
  return element;
}

const withoutGaps = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

// Replace all children of an element.
export const put = (element, ...children) => element.replaceChildren(...withoutGaps(children));

export const find = (id) => document.getElementById(id);

// Tell screen readers.
export function say(text) {
  find("announcement").textContent = text;
}

export function button(label, onclick, properties = {}) {
  return h("button", { type: "button", onclick, ...properties }, label);
}

export function select(label, options, value, onchange, properties = {}) {
  const box = h("select", { onchange: (event) => onchange(event.target.value), ...properties },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  box.value = value;
  return h("label", { class: "field" }, h("span", {}, label), box);
}

export function check(label, checked, onchange, properties = {}) {
  return h("label", { class: "check" },
    h("input", { type: "checkbox", checked, onchange: (event) => onchange(event.target.checked), ...properties }), label);
}

export async function copy(text, name) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { value: text, class: "offscreen" });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${name} copied`);
}

export const download = (name, text, type) => downloadBlob(name, new Blob([text], { type }));

export function downloadBlob(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
