// Keys of the whole page. Each part adds a handler; the first one that returns true has used the key.
// Covers: when a key is the page's (not in a text field, not with Ctrl), the list of keys. Not: what the keys do.

import { button, find, h, put } from "./dom.js";

const handlers = [];
export const onKey = (handler) => handlers.push(handler);

// The letter of a key, also where the keyboard's own letters are not Latin: a Korean one types ㅔ with the key P.
export function letterOf(event) {
  if (/^[a-z]$/i.test(event.key)) return event.key.toLowerCase();
  return /^Key[A-Z]$/.test(event.code) ? event.code[3].toLowerCase() : "";
}

const HELP = [
  ["← →", "step through the epochs; every picture stays in its place"],
  ["↑ ↓", "step through another axis"],
  ["Shift + arrows", "move from cell to cell (Tab enters the grid)"],
  ["Enter", "open in full size, with prompt and settings"],
  ["P", "pin the picture; two pinned pictures can be compared"],
  ["C", "compare the two pinned pictures"],
  ["S", "star or unstar the picture"],
  ["N", "write a note (in full size)"],
  ["B", "show or hide the pictures without the LoRA"],
  ["1 2 0 U", "vote: left, right, no difference, undo (in the tab Vote)"],
  ["1 – 7", "answer, grid, curves, table, vote, marks, provenance"],
  ["?", "this list"],
];

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const typing = target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (typing && event.key !== "Escape") return;
  if (handlers.some((handler) => handler(event))) event.preventDefault();
});

export function showHelp() {
  const dialog = find("help");
  put(dialog,
    h("h2", {}, "Keys"),
    h("dl", { class: "keys" }, HELP.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    button("Close", () => dialog.close(), { class: "primary" }));
  dialog.showModal();
}
