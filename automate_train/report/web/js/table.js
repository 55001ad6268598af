// The tab with the table: one row for each run, sorted, filtered, exported.
// Covers: columns, sorting, filter, CSV. Not: replicates together (replicates.js).

import { data } from "./data.js";
import { button, download, find, h, put } from "./dom.js";
import { bytes, csvCell, dateTime, duration, short } from "./format.js";
import { markOf, onMarkChange, runMarkId, toggleStar } from "./marks.js";
import { lossNote, settingsTable } from "./replicates.js";
import { settingAxes } from "./sweep.js";
import { change, listen, view } from "./view.js";

const root = find("table");

// The mean over the newest whole epoch; steps whose loss was NaN are left out, and said.
function epochLoss(run) {
  const left = run.epoch_nan_steps;
  return left ? h("span", { title: `without ${left} step${left === 1 ? "" : "s"} whose loss was NaN` }, `${short(run.epoch_loss)}*`) : short(run.epoch_loss);
}

// `value` sorts and is exported; `text` is exported instead; `show` is what the cell shows.
const COLUMNS = [
  { id: "index", name: "#", value: (run) => run.index, show: (run) => run.index ?? "", number: true },
  { id: "id", name: "Id", value: (run) => run.id },
  { id: "state", name: "State", value: (run) => run.state, show: (run) => h("span", { class: `state ${run.state}`, title: run.reason }, run.state) },
  ...settingAxes.map((axis, at) => ({
    id: `set.${axis.id}`, name: axis.label, value: (run) => axis.numbers[run.positions[at]] ?? axis.values[run.positions[at]],
    show: (run) => axis.values[run.positions[at]], text: (run) => axis.values[run.positions[at]],
  })),
  { id: "score", name: data.answer.score, value: (run) => data.answer.runs[run.key], show: (run) => short(data.answer.runs[run.key]), number: true },
  { id: "loss", name: "Final loss", value: (run) => run.loss, show: (run) => short(run.loss), number: true },
  { id: "epoch_loss", name: "epoch_loss", value: (run) => run.epoch_loss, show: epochLoss, number: true },
  { id: "nan_steps", name: "NaN steps", value: (run) => run.nan_steps || null, number: true },
  { id: "steps", name: "Steps", value: (run) => run.steps ?? run.step, show: (run) => run.steps ?? (run.total ? `${run.step ?? 0} of ${run.total}` : run.step), number: true },
  { id: "seconds", name: "Time", value: (run) => run.seconds, show: (run) => duration(run.seconds), number: true },
  { id: "devices", name: "Device", value: (run) => run.devices.join(","), show: (run) => run.devices.join(", ") || (run.folder ? "CPU" : "") },
  { id: "memory", name: "Peak memory", value: (run) => run.memory, show: (run) => bytes(run.memory), number: true },
  { id: "started", name: "Started", value: (run) => run.started, show: (run) => dateTime(run.started) },
];
const columns = COLUMNS.filter((column) => ["index", "state", "loss"].includes(column.id)
  || data.runs.some((run) => ![null, undefined, ""].includes(column.value(run))));

// Numbers come before words, and missing values last, in both directions.
const rank = (value) => (typeof value === "number" ? 0 : [null, undefined, ""].includes(value) ? 2 : 1);
const order = (a, b, sign) => rank(a) - rank(b) || sign * (typeof a === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? "")));

function chosenRuns() {
  const words = view.find.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (run) => [run.name, run.state, run.reason, ...settingAxes.map((axis, at) => `${axis.label}=${axis.values[run.positions[at]]}`)].join(" ").toLowerCase();
  const found = data.runs.filter((run) => words.every((word) => text(run).includes(word)) && (!view.states || run.state === view.states));
  const [, down, id] = /^(-?)(.*)$/.exec(view.sort);
  const column = columns.find((each) => each.id === id);
  if (column) found.sort((a, b) => order(column.value(a), column.value(b), down ? -1 : 1));
  return found;
}

function head(column) {
  const [down, up] = [view.sort === `-${column.id}`, view.sort === column.id];
  return h("th", { scope: "col", "aria-sort": up ? "ascending" : down ? "descending" : null, class: column.number ? "number" : null },
    button([column.name, h("span", { "aria-hidden": "true" }, up ? " ▲" : down ? " ▼" : "")], () => change({ sort: up ? `-${column.id}` : column.id }), { "data-sort": column.id }));
}

function row(run) {
  const id = runMarkId(run);
  const star = button(markOf(id).star ? "★" : "☆", () => toggleStar(id), { class: "icon star", "aria-pressed": String(markOf(id).star), "aria-label": `Star run ${run.label}`, "data-star": id });
  const links = [["folder", run.folder], ["log", run.log], ["LoRA", run.lora]].filter(([, url]) => url).map(([name, url]) => h("a", { href: url }, name));
  const cells = columns.map((column, at) => h(at ? "td" : "th", { scope: at ? null : "row", class: column.number ? "number" : column.text ? "setting" : null }, (column.show ?? column.value)(run) ?? ""));
  return [h("tr", {}, h("td", {}, star), cells, h("td", { class: "links" }, links)),
    run.reason && h("tr", { class: "reason" }, h("td", {}), h("td", { colspan: columns.length + 1 }, run.reason))];
}

function draw() {
  const filter = h("input", { type: "search", id: "find", placeholder: "for example unet_lr=1e-3 failed", oninput: (event) => change({ find: event.target.value }) });
  filter.value = view.find;
  const states = [...new Set(data.runs.map((run) => run.state))];
  put(root,
    h("div", { class: "controls" },
      h("div", { class: "group" }, h("label", { class: "field" }, h("span", {}, "Filter"), filter),
        h("div", { class: "chips", role: "group", "aria-label": "State" }, ["", ...states].map((state) => button(state || "all", () => change({ states: state }), { "aria-pressed": String(view.states === state), class: "chip" })))),
      h("div", { class: "group end" }, h("span", { id: "count", class: "quiet" }), button("Export CSV", exportCsv))),
    lossNote(),
    h("div", { class: "scroll" }, h("table", { class: "rows", id: "runs" }, h("caption", { class: "offscreen" }, "Runs"), h("thead", {}), h("tbody", {}))),
    settingsTable());
  fill();
}

function fill() {
  const runs = chosenRuns();
  const focus = document.activeElement?.dataset?.sort;
  put(root.querySelector("#runs thead"), h("tr", {}, h("td", {}, h("span", { class: "offscreen" }, "Star")), columns.map(head), h("th", { scope: "col" }, "Links")));
  put(root.querySelector("#runs tbody"), ...runs.flatMap(row).filter(Boolean));
  for (const box of root.querySelectorAll(".scroll")) { // a table that fits has its headings stay in sight while the page scrolls
    box.classList.remove("wide");
    box.classList.toggle("wide", box.scrollWidth > box.clientWidth);
  }
  find("count").textContent = `${runs.length} of ${data.runs.length} runs`;
  if (focus) root.querySelector(`[data-sort="${CSS.escape(focus)}"]`)?.focus();
}

function csv(runs) {
  const heads = [...columns.map((column) => column.name), "name", "reason", "lora"];
  const rows = runs.map((run) => [...columns.map((column) => (column.text ?? column.value)(run)), run.name, run.reason, run.lora_path]);
  return [heads, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

const exportCsv = () => download(`${data.project}.csv`, csv(chosenRuns()), "text/csv");

export function startTable() {
  listen((names) => {
    if (view.tab !== "table") return;
    if (["tab", "states"].some((name) => names.has(name))) draw();
    else if (names.has("sort") || names.has("find")) fill();
  });
  window.addEventListener("resize", () => view.tab === "table" && fill());
  onMarkChange(() => {
    if (view.tab !== "table") return;
    const focus = document.activeElement?.dataset?.star;
    fill();
    if (focus) root.querySelector(`[data-star="${CSS.escape(focus)}"]`)?.focus();
  });
  if (view.tab === "table") draw();
}
