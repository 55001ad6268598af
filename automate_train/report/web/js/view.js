// What is being looked at. All of it is in the URL's hash, so that a view can be sent to a colleague.
// Covers: the view's fields, hash <-> view, telling who listens. Not: drawing.

import { axes, axisOf, firstShown, momentAxis, settings } from "./sweep.js";

export const TABS = ["grid", "curves", "table", "marks", "provenance"];

function defaults() {
  const many = (axis) => axis.values.length > 1;
  const varied = settings.filter(many);
  const others = [momentAxis, axisOf("prompt"), axisOf("weight"), axisOf("run")].filter(many);
  const [y, x] = varied.length > 1 ? varied : [...varied, ...others, axisOf("prompt"), momentAxis];
  return {
    tab: "grid", x: x.id, y: y.id, at: {}, flip: "", size: 0, pins: [], open: "", compare: "", base: "1",
    metric: "", smooth: "0.6", against: "step", colour: "", log: "", off: [], sort: "", find: "", states: "", pair: "",
  };
}

export const view = defaults();
const first = defaults();
const listeners = [];
export const listen = (callback) => listeners.push(callback);

// Change some fields; who listens is told their names.
export function change(fields) {
  const changed = Object.keys(fields).filter((name) => JSON.stringify(view[name]) !== JSON.stringify(fields[name]));
  if (!changed.length) return;
  if (fields.x && fields.x === view.y && !fields.y) fields.y = view.x;
  if (fields.y && fields.y === view.x && !fields.x) fields.x = view.y;
  Object.assign(view, fields);
  write();
  tell(Object.keys(fields));
}

const tell = (names) => listeners.forEach((callback) => callback(new Set(names)));

// The place on an axis that is neither rows nor columns: the moment that most have reached and the first of everything else, unless
// chosen.
export function placeOn(axis) {
  const chosen = axis.values.indexOf(view.at[axis.id]);
  return chosen >= 0 ? chosen : axis.kind === "moment" ? firstShown : 0;
}

export function choose(axis, place) {
  change({ at: { ...view.at, [axis.id]: axis.values[place] } });
}

export const byRun = () => view.x === "run" || view.y === "run";

// Axes that are chosen by sliders and menus: those that differ and are neither rows nor columns.
export function freeAxes() {
  return axes.filter((axis) => axis.values.length > 1 && axis.id !== view.x && axis.id !== view.y
    && axis.kind !== "run" && !(byRun() && axis.kind === "setting"));
}

// The axes that the arrow keys step through: [left and right, up and down].
export function steppedAxes() {
  const free = freeAxes();
  const across = free.find((axis) => axis.kind === "moment") ?? free[0];
  const others = free.filter((axis) => axis !== across);
  return [across, others.find((axis) => axis.id === view.flip) ?? others[0]];
}

function write() {
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

function read() {
  const found = defaults();
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (name.startsWith("at.")) found.at[name.slice(3)] = text;
    else if (Array.isArray(found[name])) found[name] = text.split(" ").filter(Boolean);
    else if (name === "size") found.size = Number(text) || 0;
    else if (Object.hasOwn(found, name)) found[name] = text;
  }
  if (!TABS.includes(found.tab)) found.tab = "grid";
  if (!axisOf(found.x)) found.x = first.x;
  if (!axisOf(found.y) || found.x === found.y) found.y = found.x === first.y ? first.x : first.y;
  Object.assign(view, found);
}

read();
window.addEventListener("hashchange", () => {
  read();
  tell(Object.keys(view));
});
