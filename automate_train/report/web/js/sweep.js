// The sweep: its axes, and which picture belongs in a cell of the grid.
// Covers: positions on the axes <-> runs, cells and their names in the URL, why a cell is empty. Pure but for the page's data.
// A cell is {run, checkpoint, prompt, weight}, each a position on its axis; run -1: the sweep has no such run.

import { data, unpack } from "./data.js";

const weightText = (weight) => (weight === null ? "as written" : String(weight));

export const axes = [
  ...data.settings.map((axis) => ({ ...axis, kind: "setting" })),
  { id: data.unit, label: data.unit, kind: "checkpoint", values: data.checkpoints.map(String) },
  { id: "prompt", label: "prompt", kind: "prompt", values: data.prompts.map((prompt) => prompt.id) },
  { id: "weight", label: "LoRA weight", kind: "weight", values: data.weights.map(weightText) },
  { id: "run", label: "run", kind: "run", values: data.runs.map((run) => run.name) },
];
export const settingAxes = axes.filter((axis) => axis.kind === "setting");
export const axisOf = (id) => axes.find((axis) => axis.id === id);
export const checkpointAxis = axes.find((axis) => axis.kind === "checkpoint");
const settingsText = (run) => settingAxes.map((axis, at) => `${axis.label}\u00a0${axis.values[run.positions[at]]}`).join(", ") || run.name;

// The text of a heading: `unet_lr = 1e-3`, `epoch 2`, the prompt's words.
export function title(axis, position, long = false) {
  const value = axis.values[position];
  if (axis.kind === "setting") return long ? `${axis.label}\u00a0=\u00a0${value}` : value;
  if (axis.kind === "prompt") return long ? `prompt ${value}: ${data.prompts[position].text}` : data.prompts[position].text || value;
  if (axis.kind === "run") return long ? value : settingsText(data.runs[position]);
  return `${axis.label} ${value}`;
}

// The checkpoint that is shown first: the last one that half of the runs have reached. A run that is ahead hides no other
// run, and a run that failed early does not hold the others back.
const counts = data.checkpoints.map(() => 0);
data.runs.forEach((run) => new Set(run.pictures.checkpoint).forEach((checkpoint) => counts[checkpoint]++));
export const firstShown = Math.max(0, counts.findLastIndex((count) => count >= Math.max(...counts) / 2));

// The picture that the grid opens with: the first one of that checkpoint, of the first prompt, weight and run that have at
// least half as many pictures as the others. {axis id: position}
function opening() {
  const found = data.runs.flatMap((run, at) => run.pictures.checkpoint.flatMap((checkpoint, picture) => (
    checkpoint === firstShown && run.pictures.thumb[picture] ? [{ at, prompt: run.pictures.prompt[picture], weight: run.pictures.weight[picture] }] : [])));
  const place = ({ prompt, weight }) => prompt * data.weights.length + weight;
  const counts = new Map();
  found.forEach((each) => counts.set(place(each), (counts.get(place(each)) ?? 0) + 1));
  const size = ({ at }) => data.runs[at].pictures.thumb.length;
  const most = [Math.max(...counts.values()), Math.max(...found.map(size))];
  const enough = found.filter((each) => counts.get(place(each)) >= most[0] / 2 && size(each) >= most[1] / 2);
  const [first] = (enough.length ? enough : found).sort((a, b) => place(a) - place(b) || a.at - b.at);
  const positions = data.runs[first?.at]?.positions ?? [];
  return { [checkpointAxis.id]: firstShown, prompt: first?.prompt ?? 0, weight: first?.weight ?? 0, ...Object.fromEntries(positions.map((position, at) => [settingAxes[at].id, position])) };
}
export const opensAt = opening();

const runBySettings = new Map();
data.runs.forEach((run, at) => {
  const key = run.positions.join();
  const known = runBySettings.get(key);
  if (known === undefined || run.state === "succeeded" || data.runs[known].state !== "succeeded") runBySettings.set(key, at);
});

// Positions {axis id: position} -> a cell. `byRun`: the positions name the run itself; else the settings do.
export function cellAt(positions, byRun) {
  const run = byRun ? positions.run : (runBySettings.get(settingAxes.map((axis) => positions[axis.id]).join()) ?? -1);
  return { run, checkpoint: positions[checkpointAxis.id] ?? 0, prompt: positions.prompt ?? 0, weight: positions.weight ?? 0 };
}

export function positionsOf(cell) {
  const positions = { run: cell.run, [checkpointAxis.id]: cell.checkpoint, prompt: cell.prompt, weight: cell.weight };
  settingAxes.forEach((axis, at) => (positions[axis.id] = data.runs[cell.run]?.positions[at] ?? 0));
  return positions;
}

const pictureIndexes = new Map();
const cellNumber = (checkpoint, prompt, weight) => (checkpoint * data.prompts.length + prompt) * data.weights.length + weight;

// The number of the cell's picture in its run's columns; -1 when there is none.
export function pictureAt(cell) {
  if (cell.run < 0) return -1;
  if (!pictureIndexes.has(cell.run)) {
    const { checkpoint, prompt, weight } = data.runs[cell.run].pictures;
    pictureIndexes.set(cell.run, new Map(checkpoint.map((_, at) => [cellNumber(checkpoint[at], prompt[at], weight[at]), at])));
  }
  return pictureIndexes.get(cell.run).get(cellNumber(cell.checkpoint, cell.prompt, cell.weight)) ?? -1;
}

export function urlOf(thumb) {
  if (thumb.startsWith("#")) return document.getElementById(thumb.slice(1))?.textContent ?? "";
  return /^[0-9a-f]{14}\.jpg$/.test(thumb) ? data.thumbs + thumb : thumb;
}

// The URL of a file in the sweep's folder.
export const fileUrl = (file) => data.root + file.split("/").map(encodeURIComponent).join("/");

// A promise of the URL of the cell's picture in its full size; of the small one where the page has no other, and of "".
export async function fullUrl(cell) {
  const at = pictureAt(cell);
  if (at < 0 || data.alone) return contentOf(cell).url;
  const details = await unpack(`details-${cell.run}`);
  const file = details?.[data.runs[cell.run].pictures.detail[at]]?.file;
  return file ? fileUrl(file) : contentOf(cell).url;
}

// {url, state, reason}: url is "" where there is no picture, and state and reason say why.
export function contentOf(cell) {
  const run = data.runs[cell.run];
  if (!run) return { url: "", state: "not in the sweep", reason: "these settings were excluded, or no run has them" };
  const at = pictureAt(cell);
  if (at >= 0) return { url: urlOf(run.pictures.thumb[at]), state: data.states[run.pictures.state[at]], reason: "" };
  if (run.state === "succeeded") return { url: "", state: "no picture", reason: "the run has no picture of this cell" };
  if (run.state === "running") return { url: "", state: "not yet", reason: "the run is training" };
  return { url: "", state: `run ${run.state}`, reason: run.reason };
}

export function cellId(cell) {
  const weight = data.weights[cell.weight] ?? null;
  const parts = [data.checkpoints[cell.checkpoint], data.prompts[cell.prompt]?.id, weight === null ? "-" : weight];
  return `${data.runs[cell.run]?.key.slice(0, 8)}/${parts.join("/")}`;
}

export function parseCell(id) {
  const [key, checkpoint, prompt, weight] = String(id).split("/");
  const cell = {
    run: data.runs.findIndex((run) => run.key.startsWith(key) && key.length === 8),
    checkpoint: data.checkpoints.indexOf(Number(checkpoint)),
    prompt: data.prompts.findIndex((each) => each.id === prompt),
    weight: data.weights.findIndex((each) => (each === null ? weight === "-" : String(each) === weight)),
  };
  return Object.values(cell).every((position) => position >= 0) ? cell : null;
}

// A cell in words, for labels and screen readers.
export function describe(cell) {
  const run = data.runs[cell.run];
  if (!run) return "not in the sweep";
  const words = settingAxes.map((axis, at) => title(axis, run.positions[at], true));
  if (!words.length) words.push(run.name);
  if (data.checkpoints.length) words.push(title(checkpointAxis, cell.checkpoint));
  if (data.prompts.length > 1) words.push(`prompt ${data.prompts[cell.prompt].id}`);
  if (data.weights.length > 1) words.push(`weight ${axisOf("weight").values[cell.weight]}`);
  return words.join(", ");
}
