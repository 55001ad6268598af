// What each setting does to the final loss: the mean over all runs of a value, and how much two settings depend on each other.
// Covers: the sums (pure) and their tables. Not: single runs (table.js).

import { data } from "./data.js";
import { h, put, select } from "./dom.js";
import { short } from "./format.js";
import { settingAxes } from "./sweep.js";
import { change, view } from "./view.js";

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const counted = data.runs.filter((run) => run.state === "succeeded" && typeof run.loss === "number");

// For each value of a setting: {n, mean} of the runs with that value.
function marginal(runs, at, count) {
  return Array.from({ length: count }, (_, position) => {
    const losses = runs.filter((run) => run.positions[at] === position).map((run) => run.loss);
    return { n: losses.length, mean: losses.length ? mean(losses) : null };
  });
}

// For two settings: the mean loss of each pair of values, and the share of its differences that neither setting explains
// alone (0: the effects add up; 1: everything depends on the pair). null where a pair has no run.
function interaction(runs, a, b, [rows, columns]) {
  const cells = Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => {
    const losses = runs.filter((run) => run.positions[a] === row && run.positions[b] === column).map((run) => run.loss);
    return losses.length ? mean(losses) : null;
  }));
  if (cells.flat().includes(null)) return null;
  const whole = mean(cells.flat());
  const rowMeans = cells.map(mean);
  const columnMeans = cells[0].map((_, column) => mean(cells.map((row) => row[column])));
  const square = (number) => number * number;
  const total = cells.flat().reduce((sum, cell) => sum + square(cell - whole), 0);
  const alone = cells.flatMap((row, i) => row.map((cell, j) => square(cell - rowMeans[i] - columnMeans[j] + whole)));
  return { cells, share: total > 0 ? alone.reduce((sum, each) => sum + each, 0) / total : 0 };
}

const varied = () => settingAxes.map((axis, at) => ({ axis, at })).filter(({ axis }) => axis.values.length > 1);

export function drawEffects(root) {
  const parts = varied();
  if (counted.length < 2 || !parts.length) return put(root);
  put(root, h("h2", {}, "What each setting does"),
    h("p", { class: "quiet" }, `Mean final loss of the ${counted.length} runs that succeeded, by value. A lower loss is not always the better picture.`),
    h("div", { class: "effects" }, parts.map(drawMarginal)), drawPairs(parts));
}

function drawMarginal({ axis, at }) {
  const found = marginal(counted, at, axis.values.length);
  const means = found.map((each) => each.mean).filter((each) => each !== null);
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const width = (value) => (high > low ? 15 + (85 * (value - low)) / (high - low) : 50);
  return h("table", { class: "bars" }, h("caption", {}, axis.label),
    h("thead", { class: "offscreen" }, h("tr", {}, ["value", "mean final loss", "runs"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, found.map((each, position) => h("tr", {}, h("th", { scope: "row" }, axis.values[position]),
      h("td", {}, each.mean !== null && h("span", { class: `bar${each.mean === low && high > low ? " lowest" : ""}`, style: { width: `${width(each.mean)}%` } }, h("b", {}, short(each.mean)))),
      h("td", { class: "quiet" }, `${each.n} run${each.n === 1 ? "" : "s"}`)))));
}

function drawPairs(parts) {
  const pairs = [];
  parts.forEach((one, i) => parts.slice(i + 1).forEach((other) => {
    const found = interaction(counted, one.at, other.at, [one.axis.values.length, other.axis.values.length]);
    if (found) pairs.push({ one, other, ...found, id: `${one.axis.id}|${other.axis.id}` });
  }));
  if (!pairs.length) return parts.length > 1 && h("p", { class: "quiet" }, "Which pairs of settings depend on each other is shown when every combination has a finished run.");
  pairs.sort((a, b) => b.share - a.share);
  const pair = pairs.find((each) => each.id === view.pair) ?? pairs[0];
  const options = pairs.map((each) => [each.id, `${each.one.axis.label} × ${each.other.axis.label} (${Math.round(100 * each.share)} %)`]);
  return h("section", {}, h("h2", {}, "Which settings depend on each other"),
    h("p", { class: "quiet" }, "The share of the differences that neither setting explains alone: 0 % means that each has the same effect whatever the other is."),
    select("Pair", options, pair.id, (id) => change({ pair: id }), { id: "pair" }), h("div", { class: "scroll" }, heatMap(pair)));
}

function heatMap({ one, other, cells }) {
  const [low, high] = [Math.min(...cells.flat()), Math.max(...cells.flat())];
  const share = (value) => (high > low ? (value - low) / (high - low) : 0);
  const cell = (value) => h("td", { style: { "--heat": `${Math.round(6 + 40 * (1 - share(value)))}%` }, class: value === low ? "lowest" : null }, short(value));
  return h("table", { class: "heat" }, h("caption", {}, "Mean final loss; the darker the lower"),
    h("thead", {}, h("tr", {}, h("td", {}, `${one.axis.label} ↓ ${other.axis.label} →`), other.axis.values.map((value) => h("th", { scope: "col" }, value)))),
    h("tbody", {}, cells.map((row, at) => h("tr", {}, h("th", { scope: "row" }, one.axis.values[at]), row.map(cell)))));
}
