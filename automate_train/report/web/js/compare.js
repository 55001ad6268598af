// The dialog that compares two pinned pictures: one on top of the other with a slider, or side by side.
// Covers: the dialog. Not: pinning (cell.js, grid.js).

import { button, find, h, put } from "./dom.js";
import { onKey } from "./keyboard.js";
import { contentOf, describe, fullUrl, parseCell } from "./sweep.js";
import { change, listen, view } from "./view.js";

const dialog = find("compare");
const close = () => change({ compare: "" });

// What a cell's description has that the other's lacks.
function different(cell, other) {
  const words = describe(other).split(", ");
  const own = describe(cell).split(", ").filter((word) => !words.includes(word));
  return own.join(", ") || describe(cell);
}

function picture(cell, other, name) {
  const { url, state } = contentOf(cell);
  const label = h("span", { class: "label" }, h("b", {}, name), ` ${different(cell, other)}`);
  if (!url) return h("div", { class: "layer" }, h("span", { class: "why" }, `${name}: ${state}`), label);
  const image = h("img", { src: url, alt: `${name}: ${describe(cell)}` });
  image.addEventListener("error", () => image.getAttribute("src") !== url && (image.src = url));
  fullUrl(cell).then((full) => full !== url && (image.src = full));
  return h("div", { class: "layer" }, image, label);
}

function draw() {
  const cells = view.pins.map(parseCell);
  if (!view.compare || cells.length !== 2 || !cells.every(Boolean)) {
    if (dialog.open) dialog.close();
    return;
  }
  const [a, b] = cells;
  const sideBySide = view.compare === "2";
  const slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "Where A ends and B begins",
    oninput: (event) => stage.style.setProperty("--cut", `${event.target.value}%`) });
  slider.value = 50;
  const stage = h("div", { class: sideBySide ? "two" : "stack", style: { "--cut": "50%" } }, picture(a, b, "A"), picture(b, a, "B"),
    !sideBySide && h("span", { class: "cut", "aria-hidden": "true" }));
  stage.addEventListener("pointermove", (event) => {
    if (sideBySide || event.buttons === 0) return;
    const box = stage.getBoundingClientRect();
    slider.value = (100 * (event.clientX - box.left)) / box.width;
    stage.style.setProperty("--cut", `${slider.value}%`);
  });
  put(dialog,
    h("div", { class: "head" }, h("h2", {}, "A and B"),
      button(sideBySide ? "Slider" : "Side by side", () => change({ compare: sideBySide ? "1" : "2" })),
      button("Swap", () => change({ pins: [...view.pins].reverse() })),
      button("✕", close, { class: "icon", "aria-label": "Close" })),
    stage, !sideBySide && slider,
    h("p", {}, h("span", { class: "badge pin" }, "A"), ` ${describe(a)}`), h("p", {}, h("span", { class: "badge pin" }, "B"), ` ${describe(b)}`));
  if (!dialog.open) dialog.showModal();
  if (!sideBySide) slider.focus();
}

onKey((event) => {
  if (!dialog.open || event.target.matches("input") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return false;
  const slider = dialog.querySelector("input");
  if (!slider) return false;
  slider.value = Number(slider.value) + (event.key === "ArrowLeft" ? -5 : 5);
  slider.dispatchEvent(new Event("input"));
  return true;
});

export function startCompare() {
  dialog.addEventListener("close", close);
  listen((names) => (names.has("compare") || (view.compare && names.has("pins"))) && draw());
  if (view.compare) draw();
}
