// Keys of the whole page. Each place says what it does with a key; the first that does something ends it.
// Covers: when keys are ours (not in a text field, not with Ctrl), the list for the help. Not: what they do.

import { button, find, h, put } from "./dom.js";

const handlers = [];
export const onKey = (handler) => handlers.push(handler);

const HELP = [
  ["← →", "through the epochs, every picture in its place"],
  ["↑ ↓", "through the other free axis"],
  ["Shift + arrows", "from cell to cell (Tab enters the grid)"],
  ["Enter", "full size, with its prompt and settings"],
  ["P", "pin the picture; two pinned ones are compared"],
  ["C", "compare the two pinned pictures"],
  ["S", "star"],
  ["N", "note (in full size)"],
  ["B", "baseline beside it (in full size)"],
  ["1 – 5", "grid, curves, table, marks, provenance"],
  ["?", "this list"],
];

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const typing = target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (typing && event.key !== "Escape") return;
  if (handlers.some((handler) => handler(event))) event.preventDefault();
});

export function help() {
  const dialog = find("help");
  put(dialog, 
    h("h2", {}, "Keys"),
    h("dl", { class: "keys" }, HELP.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    button("Close", () => dialog.close(), { class: "primary" }));
  dialog.showModal();
}
