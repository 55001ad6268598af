// Curves: any logged metric of the runs, coloured by any setting.
// Covers: controls, which lines are drawn, the list of runs with the values under the cursor. Not: the plot (chart.js).

import { chart, emptyChart } from "./chart.js";
import { colourAxes, colourOf } from "./colours.js";
import { button, check, find, h, put, select } from "./dom.js";
import { duration, short } from "./format.js";
import { range, smooth, valueAt } from "./resample.js";
import { data, unpack } from "./store.js";
import { settings, title } from "./sweep.js";
import { change, listen, view } from "./view.js";

const root = find("curves");
let all = null;
let plot = null;
let values = [];
let lines = [];

const NAMES = { loss: "loss", average: "loss, the trainer's average" };
const metrics = () => [...new Set(all.flatMap((curves) => Object.keys(curves)))];
const key = (run) => data.runs[run].key.slice(0, 8);
const inWords = (run) => settings.map((axis, at) => title(axis, data.runs[run].at[at], true)).join(", ") || data.runs[run].name;

async function draw() {
  all ??= await unpack("curves");
  if (view.tab !== "curves") return;
  plot?.destroy();
  plot = null;
  const known = all ? metrics() : [];
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
      h("div", { class: "group end" }, button("All", () => change({ off: [] })), button("None", () => change({ off: data.runs.map((_, run) => key(run)) })))),
    h("div", { class: "split" }, box, h("div", { class: "legend" }, h("p", { id: "under", class: "quiet" }, "Move over the curves for values; drag to zoom, double-click to return."), list)));
  drawLines(metric, colour, box, list);
}

function drawLines(metric, colour, box, list) {
  const shownRuns = data.runs.map((_, run) => run).filter((run) => all[run]?.[metric]);
  const on = shownRuns.filter((run) => !view.off.includes(key(run)));
  const column = view.against === "time" ? 1 : 0;
  const weight = Number(view.smooth) || 0;
  const smoothed = weight > 0 && on.length <= 30;
  lines = on.map((run) => {
    const curve = all[run][metric];
    return { run, xs: curve[column], raw: curve[2], ys: smooth(curve[2], weight), colour: colourOf(run, colour) };
  });
  const drawn = [...(smoothed ? lines.map((line) => ({ ...line, ys: line.raw, width: 1, alpha: 0.28 })) : []), ...lines.map((line) => ({ ...line, width: 2, alpha: 1 }))];
  values = [];
  put(list, ...shownRuns.map((run) => {
    const value = h("output", {});
    values[run] = value;
    const toggle = (checked) => change({ off: checked ? view.off.filter((each) => each !== key(run)) : [...view.off, key(run)] });
    const state = data.runs[run].state === "succeeded" ? null : h("span", { class: `state ${data.runs[run].state}` }, data.runs[run].state);
    return h("li", {}, check([h("i", { class: "swatch", style: { background: colourOf(run, colour) } }), h("span", { class: "name" }, inWords(run)), state],
      on.includes(run), toggle, { "data-run": key(run) }), value);
  }));
  under(null);
  const ends = lines.filter((line) => line.ys.length).map((line) => [line.ys.at(-1), line.run]).sort((a, b) => a[0] - b[0]);
  const label = `${metric} of ${lines.length} runs against ${view.against}` + (ends.length ? `; lowest at the end: ${inWords(ends[0][1])} with ${short(ends[0][0])}` : "");
  plot = chart(box, drawn, range(lines.map((line) => [line.xs]), 0), {
    log: view.log === "1", height: Math.max(280, Math.min(460, innerHeight - 320)), label,
    xLabel: view.against === "time" ? "seconds since the start" : "step", onCursor: under,
  });
}

// The values under the cursor; without one, those at the end.
function under(x) {
  const place = find("under");
  if (place && x !== null) place.textContent = view.against === "time" ? duration(x) : `step ${Math.round(x)}`;
  for (const line of lines) {
    const value = x === null ? line.ys.at(-1) : valueAt(line.xs, line.ys, x);
    if (values[line.run]) values[line.run].textContent = value === null || value === undefined ? "" : short(value);
  }
}

let soon = 0;
export function startCurves() {
  const ours = ["tab", "metric", "smooth", "against", "colour", "log", "off"];
  listen((names) => {
    if (view.tab !== "curves" || !ours.some((name) => names.has(name))) return;
    const focus = document.activeElement?.id || document.activeElement?.dataset?.run;
    clearTimeout(soon);
    soon = setTimeout(async () => {
      await draw();
      if (focus) (find(focus) ?? root.querySelector(`[data-run="${CSS.escape(focus)}"]`))?.focus();
    }, names.has("smooth") && !names.has("tab") ? 60 : 0);
  });
  window.addEventListener("resize", () => view.tab === "curves" && plot?.resize());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.tab === "curves" && draw());
  if (view.tab === "curves") draw();
}
