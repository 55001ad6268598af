// The sweep: its axes, and which picture lies at a place.
// Covers: places <-> runs, cells and their names in the URL, why a cell is empty. Pure but for the page's data.
// A cell is {run, m, p, w}: places of the run, its moment (epoch or step), the prompt and the weight; run -1: no such run.

import { data } from "./store.js";

const weightText = (weight) => (weight === null ? "as written" : String(weight));

export const axes = [
  ...data.dims.map((dim) => ({ ...dim, kind: "setting" })),
  { id: data.unit, label: data.unit, kind: "moment", values: data.moments.map(String) },
  { id: "prompt", label: "prompt", kind: "prompt", values: data.prompts.map((prompt) => prompt.id) },
  { id: "weight", label: "LoRA weight", kind: "weight", values: data.weights.map(weightText) },
  { id: "run", label: "run", kind: "run", values: data.runs.map((run) => run.name) },
];
const inSettings = (run) => data.dims.map((dim, at) => `${dim.label}\u00a0${dim.values[run.at[at]]}`).join(", ") || run.name;
export const settings = axes.filter((axis) => axis.kind === "setting");
export const axisOf = (id) => axes.find((axis) => axis.id === id);
export const momentAxis = axes.find((axis) => axis.kind === "moment");

// What stands in a heading: `unet_lr = 1e-3`, `epoch 2`, the prompt's words.
export function title(axis, place, long = false) {
  const value = axis.values[place];
  if (axis.kind === "setting") return long ? `${axis.label}\u00a0=\u00a0${value}` : value;
  if (axis.kind === "prompt") return long ? `prompt ${value}: ${data.prompts[place].text}` : data.prompts[place].text || value;
  if (axis.kind === "run") return long ? value : inSettings(data.runs[place]);
  return `${axis.label} ${value}`;
}

// The moment that is shown first: the last that half of the runs have reached. One that is ahead hides no others, and one
// that failed early holds none back.
const counts = data.moments.map(() => 0);
data.runs.forEach((run) => new Set(run.pictures.m).forEach((m) => counts[m]++));
export const firstShown = Math.max(0, counts.findLastIndex((count) => count >= Math.max(...counts) / 2));

const settingsKey = (places) => settings.map((axis) => places[axis.id]).join();
const runOf = new Map();
data.runs.forEach((run, at) => {
  const key = run.at.join();
  const known = runOf.get(key);
  if (known === undefined || run.state === "succeeded" || data.runs[known].state !== "succeeded") runOf.set(key, at);
});

// Places {axis id: place} -> a cell. `byRun`: the run is named itself and the settings follow it.
export function cellAt(places, byRun) {
  const run = byRun ? places.run : (runOf.get(settingsKey(places)) ?? -1);
  return { run, m: places[momentAxis.id] ?? 0, p: places.prompt ?? 0, w: places.weight ?? 0 };
}

export function placesOf(cell) {
  const places = { run: cell.run, [momentAxis.id]: cell.m, prompt: cell.p, weight: cell.w };
  settings.forEach((axis, at) => (places[axis.id] = data.runs[cell.run]?.at[at] ?? 0));
  return places;
}

const indexes = new Map();
const spot = (m, p, w) => (m * data.prompts.length + p) * data.weights.length + w;

// Where in the run's columns the cell's picture stands; -1: nowhere.
export function pictureAt(cell) {
  if (cell.run < 0) return -1;
  if (!indexes.has(cell.run)) {
    const { m, p, w } = data.runs[cell.run].pictures;
    indexes.set(cell.run, new Map(m.map((_, at) => [spot(m[at], p[at], w[at]), at])));
  }
  return indexes.get(cell.run).get(spot(cell.m, cell.p, cell.w)) ?? -1;
}

export function urlOf(thumb) {
  if (thumb.startsWith("#")) return document.getElementById(thumb.slice(1))?.textContent ?? "";
  return /^[0-9a-f]{14}\.jpg$/.test(thumb) ? data.thumbs + thumb : thumb;
}

// {url, state, reason}: url is "" where there is no picture.
export function shown(cell) {
  const run = data.runs[cell.run];
  if (!run) return { url: "", state: "not in the sweep", reason: "these settings were excluded, or are none of its runs" };
  const at = pictureAt(cell);
  if (at >= 0) return { url: urlOf(run.pictures.t[at]), state: data.states[run.pictures.s[at]], reason: "" };
  if (run.state === "succeeded") return { url: "", state: "no picture", reason: "the run has none at this place" };
  if (run.state === "running") return { url: "", state: "not yet", reason: "the run is training" };
  return { url: "", state: `run ${run.state}`, reason: run.reason };
}

export function cellId(cell) {
  const weight = data.weights[cell.w] ?? null;
  const parts = [data.moments[cell.m], data.prompts[cell.p]?.id, weight === null ? "-" : weight];
  return `${data.runs[cell.run]?.key.slice(0, 8)}/${parts.join("/")}`;
}

export function parseCell(id) {
  const [key, moment, prompt, weight] = String(id).split("/");
  const cell = {
    run: data.runs.findIndex((run) => run.key.startsWith(key) && key.length === 8),
    m: data.moments.indexOf(Number(moment)),
    p: data.prompts.findIndex((each) => each.id === prompt),
    w: data.weights.findIndex((each) => (each === null ? weight === "-" : String(each) === weight)),
  };
  return Object.values(cell).every((place) => place >= 0) ? cell : null;
}

// In words, for labels and screen readers.
export function describe(cell) {
  const run = data.runs[cell.run];
  if (!run) return "not in the sweep";
  const words = settings.map((axis, at) => title(axis, run.at[at], true));
  if (!words.length) words.push(run.name);
  if (data.moments.length) words.push(title(momentAxis, cell.m));
  if (data.prompts.length > 1) words.push(`prompt ${data.prompts[cell.p].id}`);
  if (data.weights.length > 1) words.push(`weight ${axisOf("weight").values[cell.w]}`);
  return words.join(", ");
}
