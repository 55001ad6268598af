// Marks: stars and notes on cells and on runs. Kept in this browser, exported as JSON, put back by `report --marks`.
// Covers: the marks and where they are kept. Not: showing them (cell.js, marks_tab.js).
// A mark's id is that of a cell (`ec65ff37/2/0/-`) or of a run (`ec65ff37`).

import { data, loadLocally, saveLocally } from "./data.js";
import { download } from "./dom.js";
import { parseCell } from "./sweep.js";

const STORAGE = `automate-train marks ${data.sweep}`;
const marks = new Map();
const listeners = [];

// Of two marks with one id the newer one counts, also where it takes a star or a note away.
for (const mark of [...data.marks, ...(loadLocally(STORAGE) ?? [])]) {
  if (typeof mark?.id === "string" && !((marks.get(mark.id)?.at ?? -1) > (mark.at ?? 0))) marks.set(mark.id, mark);
}

export const onMarkChange = (callback) => listeners.push(callback);
export const markOf = (id) => marks.get(id) ?? { id, star: false, note: "" };
export const runMarkId = (run) => run.key.slice(0, 8);
export const allMarks = () => [...marks.values()].filter((mark) => mark.star || mark.note);

// The position of a mark's run; -1 when this sweep has no such run.
export const runOfMark = (mark) => data.runs.findIndex((run) => run.key.startsWith(mark.id.split("/")[0]));

function change(id, fields) {
  marks.set(id, { ...markOf(id), ...fields, at: Date.now() / 1000 });
  saveLocally(STORAGE, [...marks.values()]);
  listeners.forEach((callback) => callback(id));
}

export const toggleStar = (id) => change(id, { star: !markOf(id).star });
export const setNote = (id, note) => change(id, { note: note.slice(0, 10_000) });

function exported() {
  const described = allMarks().map((mark) => {
    const cell = parseCell(mark.id);
    const run = data.runs[runOfMark(mark)];
    const where = cell && { [data.unit]: data.checkpoints[cell.checkpoint], prompt: data.prompts[cell.prompt].id, weight: data.weights[cell.weight] };
    return { run: run?.key, index: run?.index, name: run?.name, ...where, ...mark };
  });
  return { kind: "automate-train marks", project: data.project, sweep: data.sweep, marks: described };
}

export function exportMarks() {
  download(`${data.project}-marks.json`, JSON.stringify(exported(), null, 1), "application/json");
}
