// The tab with the curves: any logged metric of the runs, coloured by any setting.
// Covers: controls, which lines are drawn, the list of runs with the values under the cursor. Not: the plot (chart.js).

import { chart, emptyChart } from "./chart.js";
import { colourAxes, colourOf } from "./colours.js";
import { data, unpack } from "./data.js";
import { button, check, find, h, put, select } from "./dom.js";
import { duration, short } from "./format.js";
import { range, smooth, valueAt } from "./resample.js";
import { lossNote } from "./replicates.js";
import { settingAxes, title } from "./sweep.js";
import { change, listen, view } from "./view.js";

const root = find("curves");
let curves = null; // of each run: metric -> [steps, seconds, values]
let plot = null;
let lines = []; // those that are drawn
let outputs = []; // of each run in the list: the element that shows its value

const NAMES = { loss: "loss", average: "loss, the trainer's average", epoch_loss: "epoch_loss, the mean of each whole epoch" };
const metrics = () => [...new Set(curves.flatMap((each) => Object.keys(each)))];
const idOf = (run) => data.runs[run].key.slice(0, 8);
const describeRun = (run) => settingAxes.map((axis, at) => title(axis, data.runs[run].positions[at], true)).join(", ") || data.runs[run].name;

async function draw() {
  curves ??= await unpack("curves");
  if (view.tab !== "curves") return;
  plot?.destroy();
  plot = null;
  const known = curves ? metrics() : [];
  if (!known.length) return put(root, emptyChart("No metric was logged yet."));
  const metric = known.includes(view.metric) ? view.metric : known[0];
  const colour = colourAxes().some(([id]) => id === view.colour) ? view.colour : colourAxes()[0][0];
  const weight = h("input", { type: "range", min: 0, max: 0.98, step: 0.02, id: "smooth", oninput: (event) => change({ smooth: event.target.value }) });
  weight.value = Number(view.smooth);
  const box = h("div", { class: "chart" });
  const list = h("ul", { class: "runs" });
  put(root,
    h("div", { class: "controls" },
      h("div", { class: "group" },
        select("Metric", known.map((name) => [name, NAMES[name] ?? name]), metric, (value) => change({ metric: value }), { id: "metric" }),
        select("Against", [["step", "step"], ["time", "time"]], view.against, (against) => change({ against }), { id: "against" }),
        select("Colour", colourAxes(), colour, (value) => change({ colour: value }), { id: "colour" })),
      h("div", { class: "group" }, h("label", { class: "field" }, h("span", {}, "Smoothing"), weight, h("b", { class: "value" }, Number(view.smooth).toFixed(2))),
        check("log scale", view.log === "1", (on) => change({ log: on ? "1" : "" }), { id: "log" })),
      h("div", { class: "group end" }, button("All", () => change({ off: [] })), button("None", () => change({ off: data.runs.map((_, run) => idOf(run)) })))),
    lossNote(),
    h("div", { class: "split" }, box, h("div", { class: "legend" }, h("p", { id: "under", class: "quiet" }, "Point at the curves to see values; drag to zoom, double-click to zoom out."), list)));
  drawLines(metric, colour, box, list);
}

function drawLines(metric, colour, box, list) {
  const shownRuns = data.runs.map((_, run) => run).filter((run) => curves[run]?.[metric]);
  const on = shownRuns.filter((run) => !view.off.includes(idOf(run)));
  const column = view.against === "time" ? 1 : 0;
  const weight = metric === "epoch_loss" ? 0 : Number(view.smooth) || 0; // it is a mean already
  const smoothed = weight > 0 && on.length <= 30;
  lines = on.map((run) => {
    const curve = curves[run][metric];
    return { run, xs: curve[column], raw: curve[2], ys: smooth(curve[2], weight), colour: colourOf(run, colour) };
  });
  const drawn = [...(smoothed ? lines.map((line) => ({ ...line, ys: line.raw, width: 1, alpha: 0.28 })) : []), ...lines.map((line) => ({ ...line, width: 2, alpha: 1 }))];
  outputs = [];
  put(list, ...shownRuns.map((run) => {
    const output = h("output", {});
    outputs[run] = output;
    const toggle = (checked) => change({ off: checked ? view.off.filter((each) => each !== idOf(run)) : [...view.off, idOf(run)] });
    const state = data.runs[run].state === "succeeded" ? null : h("span", { class: `state ${data.runs[run].state}` }, data.runs[run].state);
    return h("li", {}, check([h("i", { class: "swatch", style: { background: colourOf(run, colour) } }), h("span", { class: "name" }, describeRun(run)), state],
      on.includes(run), toggle, { "data-run": idOf(run) }), output);
  }));
  showValues(null);
  const ends = lines.filter((line) => line.ys.length).map((line) => line.ys.at(-1));
  const label = `${metric} of ${lines.length} runs against ${view.against}` + (ends.length ? `; at the end ${short(Math.min(...ends))} to ${short(Math.max(...ends))}` : "");
  plot = chart(box, drawn, range(lines.map((line) => [line.xs]), 0), {
    log: view.log === "1", height: Math.max(280, Math.min(460, innerHeight - 320)), label,
    xLabel: view.against === "time" ? "seconds since the start" : "step", onCursor: showValues,
  });
}

// The values at the cursor; without one, those at the end.
function showValues(x) {
  const where = find("under");
  if (where && x !== null) where.textContent = view.against === "time" ? duration(x) : `step ${Math.round(x)}`;
  for (const line of lines) {
    const value = x === null ? line.ys.at(-1) : valueAt(line.xs, line.ys, x);
    if (outputs[line.run]) outputs[line.run].textContent = value === null || value === undefined ? "" : short(value);
  }
}

let timer = 0;
export function startCurves() {
  const own = ["tab", "metric", "smooth", "against", "colour", "log", "off"];
  listen((names) => {
    if (view.tab !== "curves" || !own.some((name) => names.has(name))) return;
    const focus = document.activeElement?.id || document.activeElement?.dataset?.run;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      await draw();
      if (focus) (find(focus) ?? root.querySelector(`[data-run="${CSS.escape(focus)}"]`))?.focus();
    }, names.has("smooth") && !names.has("tab") ? 60 : 0);
  });
  window.addEventListener("resize", () => view.tab === "curves" && plot?.resize());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.tab === "curves" && draw());
  if (view.tab === "curves") draw();
}
