// One cell of the grid: a button with a picture, or with words why there is none.
// Covers: making it, and filling it anew in place, so that a step through epochs flips the picture under one's eyes.
// Not: where it stands (grid.js), what opens when it is pressed (viewer.js).

import { h, put } from "./dom.js";
import { markOf } from "./marks.js";
import { cellId, describe, shown } from "./sweep.js";
import { view } from "./view.js";

const parts = new WeakMap();

export function makeCell() {
  const image = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  const words = h("span", { class: "why" });
  const badges = h("span", { class: "badges" });
  const element = h("button", { type: "button", class: "cell", tabindex: "-1" }, words, badges);
  image.addEventListener("error", () => {
    image.remove();
    words.textContent = "the picture's file is not beside this page";
  });
  parts.set(element, { image, words, badges });
  return element;
}

export function fillCell(element, cell) {
  const { image, words } = parts.get(element);
  const { url, state, reason } = shown(cell);
  const id = cell.run < 0 ? "" : cellId(cell);
  element.dataset.id = id;
  if (!url) image.remove();
  else {
    if (image.getAttribute("src") !== url) image.src = url;
    if (!image.parentNode) element.prepend(image);
  }
  words.textContent = url ? "" : state;
  element.dataset.state = state;
  element.title = url ? "" : reason;
  const label = `${describe(cell)}${state === "done" ? "" : `: ${state}${reason ? `, ${reason}` : ""}`}`;
  element.dataset.label = label;
  markCell(element);
}

// Its badges and its name: what changes with a star, a note, a pin.
export function markCell(element) {
  const { image, badges } = parts.get(element);
  const { id, state } = element.dataset;
  const drawn = Boolean(image.parentNode);
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

export function togglePin(pins, id) {
  if (pins.includes(id)) return pins.filter((each) => each !== id);
  return [...pins, id].slice(-2);
}
