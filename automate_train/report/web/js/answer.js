// The page's first tab: the verdict, what it is based on, what to do next; each setting with its interval, and over epochs.
// Covers: drawing what answer_data.py has found. Not: the verdict, two keys at once (heat_map.js).

import { data } from "./data.js";
import { button, copy, find, h, put } from "./dom.js";
import { quoted, short } from "./format.js";
import { heatMap } from "./heat_map.js";
import { listen, view } from "./view.js";
import { agreement } from "./vote_model.js";
import { onVoteChange, results } from "./votes.js";

const root = find("answer");
const answer = data.answer;
const SHOWN = 12; // settings in the list before the rest is asked for
const SVG = "http://www.w3.org/2000/svg";
let all = false;
const tied = answer.settings.filter((each) => each.best).length > 1; // several that cannot be told apart

export function svg(tag, properties, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children.flat().filter(Boolean));
  return element;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const commandWith = (flags) => ["automate-train", ...(data.command ?? []), ...flags].map(quoted).join(" ");

function nextSteps() {
  if (!answer.next.length) return false;
  const step = ({ text, flags }) => h("li", {}, h("p", {}, text), flags.length > 0 && h("div", { class: "head" },
    h("pre", {}, commandWith(flags)), button("Copy", () => copy(commandWith(flags), "The command"), { "aria-label": `Copy the command: ${text}` })));
  return h("section", {}, h("h2", {}, "What to do next"), h("ol", { class: "steps" }, answer.next.map(step)));
}

// Round values from low to high, at most six.
export function ticks(low, high) {
  const step = [1, 2, 5, 10].map((each) => each * 10 ** Math.floor(Math.log10((high - low) / 4 || 1))).find((each) => (high - low) / each <= 6);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high; at++) found.push(Number((at * step).toPrecision(12)));
  return found;
}

function bounds(rows) {
  const values = rows.flatMap((each) => [each.mean, each.low ?? each.mean, each.high ?? each.mean]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - margin, high + margin];
}

const interval = (each) => (each.low === null ? "one seed" : `${short(each.low)} to ${short(each.high)}`);

// One row: name, dot and interval on a common scale, numbers. The scale begins where the values do, which dots may, bars not.
function settingRow(each, [low, high]) {
  const at = (value) => `${(100 * (value - low)) / (high - low)}%`;
  const line = each.low !== null && svg("line", { x1: at(each.low), x2: at(each.high), y1: "50%", y2: "50%" });
  const dot = svg("circle", { cx: at(each.mean), cy: "50%", r: 5 });
  return h("tr", { class: each.best ? "best" : null },
    h("th", { scope: "row" }, each.name, each.best && h("span", { class: "badge best" }, tied ? "tied" : "best")),
    h("td", { class: "plot" }, svg("svg", { role: "img", "aria-label": `${short(each.mean)}, ${interval(each)}`, height: 22, width: "100%" }, line, dot)),
    h("td", { class: "number" }, short(each.mean)), h("td", { class: "number quiet" }, interval(each)),
    h("td", { class: "number quiet" }, String(each.seeds)), h("td", { class: "quiet" }, each.best_epochs.length ? each.best_epochs.join(", ") : ""));
}

// How often the person who votes preferred the setting whose mean is lower; false before the first such vote.
function agreed() {
  const means = new Map();
  for (const setting of new Set(data.runs.map((run) => run.setting))) {
    const scores = data.runs.filter((run) => run.setting === setting && run.key in answer.runs).map((run) => answer.runs[run.key]);
    if (scores.length) means.set(setting, scores.reduce((sum, score) => sum + score, 0) / scores.length);
  }
  const [same, count] = agreement(results(), (setting) => means.get(setting));
  return count > 0 && h("p", { id: "agreed" }, `In ${same} of your ${count} vote${count === 1 ? "" : "s"} with a preference you chose the setting with the lower ${answer.score}.`);
}

function settingsChart() {
  const rows = all ? answer.settings : answer.settings.slice(0, SHOWN);
  const scale = bounds(rows);
  const axis = svg("svg", { height: 20, width: "100%", "aria-hidden": "true" }, ticks(...scale).map((value) =>
    Object.assign(svg("text", { x: `${(100 * (value - scale[0])) / (scale[1] - scale[0])}%`, y: 14, "text-anchor": "middle" }), { textContent: short(value) })));
  const left = answer.settings.length - rows.length;
  const base = answer.base !== null && h("p", { class: "quiet" }, `The base model without a LoRA: ${short(answer.base)}.`);
  return h("section", {}, h("h2", {}, `${capital(answer.score)} of each setting, lower is better`), base, agreed(),
    h("div", { class: "scroll" }, h("table", { class: "rows dots", id: "dots" }, h("caption", { class: "offscreen" }, "Settings by score"),
      h("thead", {}, h("tr", {}, ["setting", axis, "mean", "95 % interval", "seeds", "best epochs"].map((name, at) => h("th", { scope: "col", class: at > 1 && at < 5 ? "number" : null }, name)))),
      h("tbody", {}, rows.map((each) => settingRow(each, scale))))),
    left > 0 && button(`Show ${left} more`, () => { all = true; draw(); }));
}

// The measure over epochs: one line a setting, the best ones in colour; a ring marks the epochs that cannot be told from the best.
function epochsChart() {
  const shown = answer.settings.filter((each) => each.epochs.length > 1).slice(0, SHOWN);
  if (!shown.length) return false;
  const points = shown.flatMap((each) => each.epochs);
  const [low, high] = bounds(points.map((each) => ({ mean: each.mean, low: null, high: null })));
  const [first, last] = [Math.min(...points.map((each) => each.epoch)), Math.max(...points.map((each) => each.epoch))];
  const [width, height] = [Math.min(640, document.documentElement.clientWidth - 40), 260];
  const x = (epoch) => 56 + ((width - 76) * (epoch - first)) / (last - first || 1);
  const y = (value) => 12 + ((height - 48) * (high - value)) / (high - low);
  const label = (text, at, properties = {}) => Object.assign(svg("text", { ...at, ...properties }), { textContent: text });
  const epochs = [...new Set(points.map((each) => each.epoch))].sort((a, b) => a - b);
  const every = Math.ceil(epochs.length / 12);
  const grid = [
    ...ticks(low, high).map((value) => [svg("line", { class: "grid", x1: 56, x2: width - 16, y1: y(value), y2: y(value) }), label(short(value), { x: 50, y: y(value) + 4 }, { "text-anchor": "end" })]),
    ...epochs.filter((_, at) => at % every === 0).map((epoch) => label(String(epoch), { x: x(epoch), y: height - 18 }, { "text-anchor": "middle" })),
    label("epoch", { x: width / 2, y: height - 2 }, { "text-anchor": "middle" }),
  ];
  const lines = [...shown].reverse().map((each) => svg("g", { class: each.best ? "line best" : "line" },
    Object.assign(svg("title", {}), { textContent: each.name }),
    svg("polyline", { points: each.epochs.map((at) => `${x(at.epoch)},${y(at.mean)}`).join(" ") }),
    each.epochs.map((at) => svg("circle", { class: each.best_epochs.includes(at.epoch) ? "ring" : "", cx: x(at.epoch), cy: y(at.mean), r: each.best_epochs.includes(at.epoch) ? 4.5 : 2.5 }))));
  const words = shown.slice(0, 6).map((each) => `${each.name}: best at epoch ${each.best_epochs.join(" or ")}`).join("; ");
  return h("section", {}, h("h2", {}, `${capital(answer.score)} over epochs`),
    h("p", { class: "quiet" }, "A large dot: an epoch that cannot be told from the setting's best. Point at a line to see its setting."),
    h("figure", { class: "epochs" }, svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, grid.flat(), lines)));
}

function draw() {
  const [first, ...others] = answer.sentences;
  put(root,
    h("div", { class: "verdict" }, h("h2", { id: "verdict" }, first), others.map((text) => h("p", {}, text)),
      answer.effects.length > 0 && h("ul", { class: "effects" }, answer.effects.map((text) => h("li", {}, text))),
      answer.based_on && h("p", { class: "quiet" }, `Based on ${answer.based_on}.`)),
    answer.settings.length > 1 && settingsChart(),
    h("div", { class: "sides" }, epochsChart(), heatMap(answer)),
    nextSteps());
}

export function startAnswer() {
  listen((names) => view.tab === "answer" && names.has("tab") && draw());
  onVoteChange(() => view.tab === "answer" && draw());
  if (view.tab === "answer") draw();
}
