// One cell of the grid: a button with a picture, or with words that say why there is none.
// Covers: making it; changing its content in place, so that a step through the epochs changes the picture and nothing moves.
// Not: its place in the table (grid.js), what opens when it is pressed (viewer.js).

import { h, put } from "./dom.js";
import { markOf } from "./marks.js";
import { cellId, contentOf, describe, fullUrl } from "./sweep.js";
import { view } from "./view.js";

const parts = new WeakMap();

export function makeCell() {
  const image = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  const why = h("span", { class: "why" });
  const badges = h("span", { class: "badges" });
  const element = h("button", { type: "button", class: "cell", tabindex: "-1" }, why, badges);
  image.addEventListener("error", () => {
    if (image.srcset) return image.removeAttribute("srcset"); // the full file is not there; the small one is
    image.remove();
    return (why.textContent = "the picture's file is not beside this page");
  });
  parts.set(element, { image, why, badges });
  return element;
}

// `sharp`: the cell is larger than the small picture, which stands there until the full one is loaded.
export function fillCell(element, cell, sharp = false) {
  const { image, why } = parts.get(element);
  const { url, state, reason } = contentOf(cell);
  element.dataset.id = cell.run < 0 ? "" : cellId(cell);
  if (!url) image.remove();
  else {
    if (image.getAttribute("src") !== url) {
      image.removeAttribute("srcset");
      image.src = url;
    }
    if (!image.parentNode) element.prepend(image);
    if (sharp && !image.srcset) fullUrl(cell).then((full) => full !== url && image.getAttribute("src") === url && (image.srcset = full));
  }
  why.textContent = url ? "" : state;
  element.dataset.state = state;
  element.title = url ? "" : reason;
  element.dataset.label = `${describe(cell)}${state === "done" ? "" : `: ${state}${reason ? `, ${reason}` : ""}`}`;
  showBadges(element);
}

// What changes with a star, a note or a pin: the badges and the cell's name.
export function showBadges(element) {
  const { image, badges } = parts.get(element);
  const { id, state } = element.dataset;
  const { star, note } = markOf(id);
  const pin = view.pins.indexOf(id);
  const pinned = Boolean(id) && pin >= 0;
  const shown = [
    star && ["star", "★"],
    note && ["note", "✎"],
    pinned && ["pin", "AB"[pin]],
    image.parentNode && state !== "done" && ["odd", state],
  ].filter(Boolean);
  put(badges, ...shown.map(([name, text]) => h("span", { class: `badge ${name}` }, text)));
  const words = [element.dataset.label, star && "starred", note && `note: ${note}`, pinned && `pinned as ${"AB"[pin]}`];
  element.setAttribute("aria-label", words.filter(Boolean).join("; "));
  element.classList.toggle("pinned", pinned);
}

export function togglePin(pins, id) {
  if (pins.includes(id)) return pins.filter((each) => each !== id);
  return [...pins, id].slice(-2);
}
