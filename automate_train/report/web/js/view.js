// What is shown now. All of it is in the URL's hash, so that a view can be sent to a colleague.
// Covers: the view's fields, hash <-> view, calling the listeners. Not: drawing.

import { data } from "./data.js";
import { axes, axisOf, cellAt, checkpointAxis, opensAt, settingAxes } from "./sweep.js";

export const TABS = ["answer", "grid", "curves", "table", "vote", "marks", "provenance"];

// `x`, `y`: ids of the axes of columns and rows. `at`: axis id -> value, where one was chosen on another axis.
// `upDown`: the axis of the up and down keys. `open`, `pins`: ids of cells.
function defaults() {
  const many = (axis) => axis.values.length > 1;
  const varied = settingAxes.filter((axis) => many(axis) && !axis.replicate);
  const seeds = settingAxes.filter((axis) => axis.replicate);
  const others = [checkpointAxis, axisOf("prompt"), axisOf("weight"), ...seeds].filter(many);
  const run = axisOf("run");
  let [y, x] = varied.length > 1 ? varied : varied.length ? [...varied, ...others, checkpointAxis] : [...others, run, checkpointAxis];
  // Two keys whose values mostly come one with one (a product with most of it excluded) would show a diagonal.
  if (varied.length > 1 && inSweep(x, y) < 0.5) [y, x] = [run, others[0] ?? checkpointAxis];
  return {
    tab: data.answer.settings.length ? "answer" : "grid", x: x.id, y: y.id, at: {}, upDown: "", size: 0, pins: [], open: "", compare: "", base: "1",
    metric: "", smooth: "0.6", against: "step", colour: "", log: "", off: [], sort: Object.keys(data.answer.runs).length ? "score" : "", find: "", states: "",
  };
}

// The share of the cells of two settings that the sweep has runs for.
function inSweep(x, y) {
  const there = x.values.flatMap((_, column) => y.values.map((__, row) => cellAt({ ...opensAt, [x.id]: column, [y.id]: row }, false).run >= 0));
  return there.filter(Boolean).length / there.length;
}

export const view = defaults();
const first = defaults();
const listeners = [];

// `callback` gets the set of the fields that were changed.
export const listen = (callback) => listeners.push(callback);

export function change(fields) {
  const changed = Object.keys(fields).filter((name) => JSON.stringify(view[name]) !== JSON.stringify(fields[name]));
  if (!changed.length) return;
  if (fields.x && fields.x === view.y && !fields.y) fields.y = view.x;
  if (fields.y && fields.y === view.x && !fields.x) fields.x = view.y;
  Object.assign(view, fields);
  writeHash();
  callListeners(Object.keys(fields));
}

const callListeners = (names) => listeners.forEach((callback) => callback(new Set(names)));

// The position on an axis that is neither rows nor columns: the chosen one, else the one of the picture that is shown first.
export function positionOn(axis) {
  const chosen = axis.values.indexOf(view.at[axis.id]);
  return chosen >= 0 ? chosen : (opensAt[axis.id] ?? 0);
}

export function choose(axis, position) {
  change({ at: { ...view.at, [axis.id]: axis.values[position] } });
}

export const byRun = () => view.x === "run" || view.y === "run";

// Axes that sliders and menus choose from: those that differ and are neither rows nor columns.
export function freeAxes() {
  return axes.filter((axis) => axis.values.length > 1 && axis.id !== view.x && axis.id !== view.y
    && axis.kind !== "run" && !(byRun() && axis.kind === "setting"));
}

// The axes that the arrow keys step through: [left and right, up and down].
export function steppedAxes() {
  const free = freeAxes();
  const leftRight = free.find((axis) => axis.kind === "checkpoint") ?? free[0];
  const others = free.filter((axis) => axis !== leftRight);
  return [leftRight, others.find((axis) => axis.id === view.upDown) ?? others[0]];
}

function writeHash() {
  const hash = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    if (name === "at") Object.entries(value).forEach(([id, text]) => hash.set(`at.${id}`, text));
    else if (JSON.stringify(value) !== JSON.stringify(first[name])) {
      hash.set(name, Array.isArray(value) ? value.join(" ") : value);
    }
  }
  const text = `#${hash}`;
  if (text !== location.hash) history.replaceState(null, "", text === "#" ? location.pathname + location.search : text);
}

function readHash() {
  const fields = defaults();
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (name.startsWith("at.")) fields.at[name.slice(3)] = text;
    else if (Array.isArray(fields[name])) fields[name] = text.split(" ").filter(Boolean);
    else if (name === "size") fields.size = Number(text) || 0;
    else if (Object.hasOwn(fields, name)) fields[name] = text;
  }
  if (!TABS.includes(fields.tab)) fields.tab = first.tab;
  if (!axisOf(fields.x)) fields.x = first.x;
  if (!axisOf(fields.y) || fields.x === fields.y) fields.y = fields.x === first.y ? first.x : first.y;
  Object.assign(view, fields);
}

readHash();
window.addEventListener("hashchange", () => {
  readHash();
  callListeners(Object.keys(view));
});
