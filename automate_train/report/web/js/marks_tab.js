// The tab that lists the marks: stars and notes on runs and pictures.
// Covers: the list, a star for a run, what to do with the exported file. Not: keeping the marks (marks.js).

import { fillCell, makeCell } from "./cell.js";
import { data } from "./data.js";
import { button, find, h, put } from "./dom.js";
import { quoted } from "./format.js";
import { allMarks, exportMarks, markOf, onMarkChange, runMarkId, runOfMark, setNote, toggleStar } from "./marks.js";
import { describe, parseCell } from "./sweep.js";
import { change, listen, view } from "./view.js";

const root = find("marks");

function item(mark) {
  const cell = parseCell(mark.id);
  const run = data.runs[runOfMark(mark)];
  const name = cell ? describe(cell) : run ? `run ${run.label}: ${run.name}` : `${mark.name ?? mark.id} (not in this sweep)`;
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
  const run = h("select", { "aria-label": "Run to star", id: "run-to-star" }, data.runs.map((each) => h("option", { value: runMarkId(each) }, `${each.label}: ${each.name}`)));
  const file = quoted(`${data.project}-marks.json`);
  put(root,
    h("div", { class: "controls" },
      h("div", { class: "group" }, h("label", { class: "field" }, h("span", {}, "Run"), run), button("Star it", () => markOf(run.value).star || toggleStar(run.value))),
      h("div", { class: "group end" }, button("Export", exportMarks, { class: "primary", disabled: !marks.length }))),
    marks.length ? h("ul", { class: "marks" }, marks.map(item))
      : h("p", { class: "empty" }, "No marks yet. Star a picture with S, or a run in the table. Write a note under a picture in full size."),
    h("section", {}, h("h2", {}, "From marks to the next sweep"),
      h("p", {}, "Marks are kept in this browser. Export writes them to a file:"),
      h("pre", {}, `automate-train report ${quoted(data.folder)} --marks ${file}\nautomate-train best ${quoted(data.folder)} --marks ${file} > next.json`),
      h("p", {}, "The first command puts them into the page for others. The second writes the starred run's settings as the default config of the next sweep.")));
}

export function startMarksTab() {
  listen((names) => view.tab === "marks" && names.has("tab") && draw());
  onMarkChange(() => view.tab === "marks" && !root.contains(document.querySelector("textarea:focus")) && draw());
  if (view.tab === "marks") draw();
}
