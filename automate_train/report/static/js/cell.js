// One cell of the grid: a button with a picture, or with words why there is none.
// Covers: making it, and filling it anew in place, so that a step through epochs flips the picture under one's eyes.
// Not: where it stands (grid.js), what opens when it is pressed (viewer.js).

import { h, put } from "./dom.js";
import { markOf } from "./marks.js";
import { cellId, describe, shown } from "./sweep.js";
import { view } from "./view.js";

export function makeCell() {
  const image = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  const words = h("span", { class: "why" });
  const badges = h("span", { class: "badges" });
  image.addEventListener("error", () => {
    if (!image.getAttribute("src")) return;
    image.hidden = true;
    words.textContent = "the picture's file is not beside this page";
  });
  return h("button", { type: "button", class: "cell", tabindex: "-1" }, image, words, badges);
}

export function fillCell(element, cell) {
  const [image, words, badges] = element.children;
  const { url, state, reason } = shown(cell);
  const id = cell.run < 0 ? "" : cellId(cell);
  element.dataset.id = id;
  if (url) {
    if (image.getAttribute("src") !== url) image.src = url;
  } else image.removeAttribute("src");
  image.hidden = !url;
  words.textContent = url ? "" : state;
  element.dataset.state = state;
  element.title = url ? "" : reason;
  const label = `${describe(cell)}${state === "done" ? "" : `: ${state}${reason ? `, ${reason}` : ""}`}`;
  element.dataset.label = label;
  badge(element, badges, id, state, Boolean(url));
}

function badge(element, badges, id, state, drawn) {
  const { star, note } = markOf(id);
  const pin = view.pins.indexOf(id);
  const found = [
    star && ["star", "★"],
    note && ["note", "✎"],
    id && pin >= 0 && ["pin", "AB"[pin]],
    drawn && state !== "done" && ["odd", state],
  ].filter(Boolean);
  put(badges, ...found.map(([name, text]) => h("span", { class: `badge ${name}` }, text)));
  const said = [star && "starred", note && `note: ${note}`, id && pin >= 0 && `pinned as ${"AB"[pin]}`].filter(Boolean);
  element.setAttribute("aria-label", [element.dataset.label, ...said].join("; "));
  element.classList.toggle("pinned", Boolean(id) && pin >= 0);
}

export function markCell(element) {
  const [image, , badges] = element.children;
  badge(element, badges, element.dataset.id, element.dataset.state, !image.hidden);
}

export function togglePin(pins, id) {
  if (pins.includes(id)) return pins.filter((each) => each !== id);
  return [...pins, id].slice(-2);
}
