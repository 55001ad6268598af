// The marks in a list: stars and notes of runs and pictures.
// Covers: the tab. Not: keeping them (marks.js).

import { makeCell, fillCell } from "./cell.js";
import { button, find, h, put } from "./dom.js";
import { quoted } from "./format.js";
import { allMarks, exportMarks, onMarks, runMark, runOfMark, setNote, toggleStar } from "./marks.js";
import { data } from "./store.js";
import { describe, parseCell } from "./sweep.js";
import { change, listen, view } from "./view.js";

const root = find("marks");

function item(mark) {
  const cell = parseCell(mark.id);
  const run = data.runs[runOfMark(mark)];
  const name = cell ? describe(cell) : run ? `run ${run.index}: ${run.name}` : `${mark.name ?? mark.id} (not in this sweep)`;
  const picture = cell && makeCell();
  if (picture) {
    fillCell(picture, cell);
    picture.tabIndex = 0;
    picture.addEventListener("click", () => change({ open: mark.id }));
  }
  const note = h("textarea", { rows: 2, "aria-label": `Note on ${name}`, onchange: (event) => setNote(mark.id, event.target.value) });
  note.value = mark.note ?? "";
  return h("li", {}, picture, h("div", {}, h("div", { class: "head" },
    button(mark.star ? "★" : "☆", () => toggleStar(mark.id), { class: "icon star", "aria-pressed": String(mark.star), "aria-label": `Star ${name}` }), h("h3", {}, name)), note));
}

function draw() {
  const marks = allMarks().sort((a, b) => (b.star - a.star) || runOfMark(a) - runOfMark(b));
  const add = h("select", { "aria-label": "Run to mark", id: "add" }, data.runs.map((run) => h("option", { value: runMark(run) }, `${run.index}: ${run.name}`)));
  put(root, 
    h("div", { class: "controls" },
      h("div", { class: "group" }, h("label", { class: "field" }, h("span", {}, "Run"), add), button("Star it", () => allMarks().some((mark) => mark.id === add.value && mark.star) || toggleStar(add.value))),
      h("div", { class: "group end" }, button("Export", exportMarks, { class: "primary", disabled: !marks.length }))),
    marks.length ? h("ul", { class: "marks" }, marks.map(item))
      : h("p", { class: "empty" }, "No marks yet. Star a picture with S, or a run in the table; notes are written in full size."),
    h("section", {}, h("h2", {}, "From marks to the next sweep"),
      h("p", {}, "Marks are kept in this browser. Export writes them to a file, with which"),
      h("pre", {}, `automate-train report ${quoted(data.folder)} --marks ${quoted(`${data.project}-marks.json`)}\nautomate-train best ${quoted(data.folder)} --marks ${quoted(`${data.project}-marks.json`)} > next.json`),
      h("p", {}, "puts them into the page for others, and writes the starred run's settings as the next sweep's default config.")));
}

export function startNotes() {
  listen((names) => view.tab === "marks" && names.has("tab") && draw());
  onMarks(() => view.tab === "marks" && !root.contains(document.querySelector("textarea:focus")) && draw());
  if (view.tab === "marks") draw();
}
