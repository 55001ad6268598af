// Stars and notes, of cells and of runs: kept in this browser, exported as JSON, put back by `report --marks`.
// Covers: the marks and where they are kept. Not: drawing them (cell.js, notes.js).
// An id is a cell's (`ec65ff37/2/0/-`) or a run's (`ec65ff37`).

import { download } from "./dom.js";
import { data, recall, remember } from "./store.js";
import { parseCell } from "./sweep.js";

const NAME = `automate-train marks ${data.sweep}`;
const marks = new Map();
const listeners = [];

// Of two marks of one thing the younger counts, also where it says that there is none any more.
for (const mark of [...data.marks, ...(recall(NAME) ?? [])]) {
  if (typeof mark?.id === "string" && !((marks.get(mark.id)?.at ?? -1) > (mark.at ?? 0))) marks.set(mark.id, mark);
}

export const onMarks = (callback) => listeners.push(callback);
export const markOf = (id) => marks.get(id) ?? { id, star: false, note: "" };
export const runMark = (run) => run.key.slice(0, 8);
export const allMarks = () => [...marks.values()].filter((mark) => mark.star || mark.note);

// The run of a mark: by its key, or by the start of it in the id.
export const runOfMark = (mark) => data.runs.findIndex((run) => run.key.startsWith(mark.id.split("/")[0]));

function set(id, fields) {
  marks.set(id, { ...markOf(id), ...fields, at: Date.now() / 1000 });
  remember(NAME, [...marks.values()]);
  listeners.forEach((callback) => callback(id));
}

export const toggleStar = (id) => set(id, { star: !markOf(id).star });
export const setNote = (id, note) => set(id, { note: note.slice(0, 10_000) });

export function exported() {
  const described = allMarks().map((mark) => {
    const cell = parseCell(mark.id);
    const run = data.runs[runOfMark(mark)];
    const where = cell && { [data.unit]: data.moments[cell.m], prompt: data.prompts[cell.p].id, weight: data.weights[cell.w] };
    return { run: run?.key, index: run?.index, name: run?.name, ...where, ...mark };
  });
  return { kind: "automate-train marks", project: data.project, sweep: data.sweep, marks: described };
}

export function exportMarks() {
  download(`${data.project}-marks.json`, JSON.stringify(exported(), null, 1), "application/json");
}
