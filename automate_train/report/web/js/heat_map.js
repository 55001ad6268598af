// Two keys at once: the mean score of the settings with each pair of values, as a small coloured table.
// Covers: choosing the keys, the means, the colours. Not: intervals (answer.js).

import { h, put, select } from "./dom.js";
import { short } from "./format.js";

const numeric = (values) => values.every((value) => value !== "" && Number.isFinite(Number(value)));

function valuesOf(answer, key) {
  const values = [...new Set(answer.settings.map((each) => each.values[key]))];
  return numeric(values) ? values.sort((a, b) => a - b) : values;
}

function cells(answer, x, y) {
  const found = new Map();
  for (const each of answer.settings) {
    const key = JSON.stringify([each.values[y], each.values[x]]);
    found.set(key, [...(found.get(key) ?? []), each.mean]);
  }
  const mean = (values) => values && values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = [...found.values()].map(mean);
  return { at: (row, column) => mean(found.get(JSON.stringify([row, column]))), low: Math.min(...means), high: Math.max(...means) };
}

// False where fewer than two keys vary.
export function heatMap(answer) {
  const keys = [...new Set(answer.settings.flatMap((each) => Object.keys(each.values)))].filter((key) => valuesOf(answer, key).length > 1);
  if (keys.length < 2) return false;
  let [y, x] = keys;
  const box = h("div", {});
  const options = keys.map((key) => [key, key]);

  function choose(name, key) {
    const other = name === "x" ? y : x;
    if (name === "x") [x, y] = [key, key === other ? x : y];
    else [y, x] = [key, key === other ? y : x];
    fill();
  }

  function fill() {
    const { at, low, high } = cells(answer, x, y);
    const cell = (row, column) => {
      const value = at(row, column);
      if (value === undefined) return h("td", { class: "none" }, "·");
      const share = high > low ? (value - low) / (high - low) : 0;
      return h("td", { class: "number", style: { "--share": `${Math.round(100 * (1 - share))}%` } }, short(value, 3));
    };
    put(box,
      h("div", { class: "controls" }, select("Columns", options, x, (key) => choose("x", key), { id: "heat-x" }), select("Rows", options, y, (key) => choose("y", key), { id: "heat-y" })),
      h("div", { class: "scroll" }, h("table", { class: "heat", id: "heat" }, h("caption", { class: "offscreen" }, `${answer.score}: columns ${x}, rows ${y}`),
        h("thead", {}, h("tr", {}, h("td", {}, `${y} ↓  ${x} →`), valuesOf(answer, x).map((value) => h("th", { scope: "col" }, value)))),
        h("tbody", {}, valuesOf(answer, y).map((row) => h("tr", {}, h("th", { scope: "row" }, row), valuesOf(answer, x).map((column) => cell(row, column))))))));
  }

  fill();
  const others = keys.length > 2 ? "; each cell is the mean over the other keys" : "";
  return h("section", {}, h("h2", {}, "Two keys at once"), h("p", { class: "quiet" }, `Mean ${answer.score}, darker is better${others}. A difference here may be noise: the verdict above says which is not.`), box);
}
