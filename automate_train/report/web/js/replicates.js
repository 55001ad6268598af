// Replicates together: one row for each setting, with its seeds, mean and range; and whether losses can be compared at all.
// Covers: grouping the runs by their values without the seed. Not: whether a difference is more than chance.

import { data } from "./data.js";
import { h } from "./dom.js";
import { short } from "./format.js";
import { settingAxes } from "./sweep.js";

// The sentence that says why the losses of these runs cannot be compared; false where nothing speaks against it.
export const lossNote = () => data.loss_note !== "" && h("p", { class: "quiet", id: "loss-note" }, data.loss_note);

const kept = settingAxes.map((axis, at) => ({ axis, at })).filter(({ axis }) => axis.values.length > 1 && !axis.replicate);
const seedAt = settingAxes.findIndex((axis) => axis.replicate);

function groups() {
  const found = new Map();
  for (const run of data.runs) {
    const key = kept.map(({ at }) => run.positions[at]).join();
    found.set(key, [...(found.get(key) ?? []), run]);
  }
  return [...found.values()];
}

function row(runs) {
  const losses = runs.map((run) => run.epoch_loss).filter((loss) => typeof loss === "number");
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  const range = losses.length > 1 ? ` (${short(Math.min(...losses))} to ${short(Math.max(...losses))})` : "";
  return h("tr", {}, kept.map(({ axis, at }) => h("td", { class: "setting" }, axis.values[runs[0].positions[at]])),
    h("td", {}, runs.map((run) => settingAxes[seedAt].values[run.positions[seedAt]]).join(", ")),
    h("td", {}, losses.length ? short(mean) + range : ""));
}

// False where no setting has a second run.
export function settingsTable() {
  if (seedAt < 0 || settingAxes[seedAt].values.length < 2) return false;
  const heads = [...kept.map(({ axis }) => axis.label), settingAxes[seedAt].label, "epoch_loss, mean (range)"];
  return h("section", {}, h("h2", {}, "Settings"),
    h("div", { class: "scroll" }, h("table", { class: "rows", id: "settings" }, h("caption", { class: "offscreen" }, "Replicates of each setting"),
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, groups().map(row)))));
}
