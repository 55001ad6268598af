// The tab with the grid: pictures by two axes.
// Covers: the table of cells, the pictures without the LoRA, steps in place, the focus, loading pictures ahead of time.
// Not: one cell (cell.js), the controls above (controls.js), full size (viewer.js), the grid as a file (save_table.js).

import { fillCell, makeCell, showBadges, togglePin } from "./cell.js";
import { axisControls, freeControls, updateControls } from "./controls.js";
import { data } from "./data.js";
import { button, check, find, h, put, say } from "./dom.js";
import { quoted } from "./format.js";
import { letterOf, onKey } from "./keyboard.js";
import { onMarkChange, toggleStar } from "./marks.js";
import { saveTable } from "./save_table.js";
import { axisOf, cellAt, contentOf, settingAxes, title, urlOf } from "./sweep.js";
import { byRun, change, choose, freeAxes, listen, positionOn, steppedAxes, view } from "./view.js";

const root = find("grid");
const MOST = 640; // pixels of a cell
const SMALL = 280; // above it the small pictures, of 256 pixels, would look blurred
let cells = [];
let bases = []; // {element, row, column}
let focused = [0, 0];

// The cell at a column and row; `moved`: positions on other axes that differ from the view's.
function cellIn(column, row, moved = {}) {
  const positions = { run: 0, ...Object.fromEntries(settingAxes.map((axis) => [axis.id, 0])) };
  for (const axis of freeAxes()) positions[axis.id] = moved[axis.id] ?? positionOn(axis);
  const cell = cellAt({ ...positions, [view.x]: column, [view.y]: row }, byRun());
  if (!byRun()) return cell;
  // Runs against a setting: a run has pictures only where the setting has its value.
  const at = settingAxes.findIndex((axis) => axis.id === (view.x === "run" ? view.y : view.x));
  const position = view.x === "run" ? row : column;
  return at >= 0 && data.runs[cell.run].positions[at] !== position ? { ...cell, run: -1 } : cell;
}

// The pictures without the LoRA: before the columns, or above the rows where each column has a prompt of its own.
const hasBase = data.prompts.some((prompt) => prompt.baseline);
const showsBase = () => hasBase && view.base === "1";
const baseIsRow = () => view.x === "prompt";
const WITHOUT = "without the LoRA";

function makeBase(row, column) {
  const element = h("td", { class: "base" }, h("span", { class: "frame" }));
  bases.push({ element, row, column });
  return element;
}

function fillBase({ element, row, column }) {
  const prompt = view.y === "prompt" ? row : view.x === "prompt" ? column : positionOn(axisOf("prompt"));
  const base = data.prompts[prompt]?.baseline;
  put(element.firstChild, base ? h("img", { src: urlOf(base.thumb), alt: `${title(axisOf("prompt"), prompt, true)}, ${WITHOUT}`, loading: "lazy" }) : h("span", { class: "why" }, "no picture"));
}

// As wide as the page has room for, so that a row still fits the window; narrow where there are many columns.
function cellSize() {
  if (view.size) return view.size;
  const columns = axisOf(view.x).values.length + (showsBase() && !baseIsRow());
  const box = root.querySelector(".scroll");
  const head = box?.querySelector("tbody th")?.offsetWidth ?? 0;
  const room = ((box?.clientWidth || document.documentElement.clientWidth - 40) - head - 16) / columns - 7;
  const words = Math.max(...axisOf(view.x).values.map((_, column) => title(axisOf(view.x), column).length));
  return Math.floor(Math.max(words > 24 ? 160 : 84, Math.min(room, MOST, (innerHeight - 220) * data.ratio)));
}

function draw() {
  const [x, y] = [axisOf(view.x), axisOf(view.y)];
  const size = h("input", { type: "range", min: 48, max: 400, step: 4, id: "size", oninput: (event) => change({ size: Number(event.target.value) }) });
  const tools = h("div", { class: "controls" }, axisControls(), freeControls(),
    hasBase && check(WITHOUT, view.base === "1", (on) => change({ base: on ? "1" : "" }), { id: "base" }),
    h("div", { class: "group end" }, button("Save as PNG", save, { id: "save" }), h("label", { class: "field" }, h("span", {}, "Size"), size), h("span", { id: "pins", class: "group" })));
  cells = y.values.map(() => x.values.map(makeCell));
  bases = [];
  const [baseColumn, baseRow] = [showsBase() && !baseIsRow(), showsBase() && baseIsRow()];
  const heads = x.values.map((_, column) => h("th", { scope: "col", title: title(x, column, true) }, h("span", {}, title(x, column))));
  const rows = y.values.map((_, row) => h("tr", {},
    h("th", { scope: "row", title: title(y, row, true) }, h("span", {}, title(y, row))), baseColumn && makeBase(row, 0), cells[row].map((cell) => h("td", {}, cell))));
  const longHeadings = ["prompt", "run"].includes(y.kind);
  const table = h("table", { class: `pictures${longHeadings ? " long-headings" : ""}` },
    h("caption", { class: "offscreen" }, `Samples: columns ${x.label}, rows ${y.label}`),
    h("thead", {}, h("tr", {}, h("td", { class: "corner" }, h("span", {}, `${y.label} ↓`), h("span", {}, `${x.label} →`)), baseColumn && h("th", { scope: "col" }, WITHOUT), heads)),
    h("tbody", {}, baseRow && h("tr", {}, h("th", { scope: "row" }, WITHOUT), x.values.map((_, column) => makeBase(0, column))), rows));
  table.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell?.dataset.id) change({ open: cell.dataset.id });
  });
  table.addEventListener("focusin", (event) => keepFocus(event.target.closest(".cell")));
  const hasPictures = data.checkpoints.length > 0;
  // Without a verdict the page opens here, and says why there is none.
  const why = !data.answer.settings.length && h("p", { class: "quiet", id: "why-no-answer" }, data.answer.sentences.join(" "));
  put(root, why, tools, h("div", { id: "unsaved", role: "status" }), hasPictures ? h("div", { class: "scroll" }, table)
    : h("p", { class: "empty" }, "No sample pictures yet. They appear here when the runs have saved checkpoints: set prompt_path, and sample_opt or a WebUI, in the config."));
  focused = [Math.min(focused[0], y.values.length - 1), Math.min(focused[1], x.values.length - 1)];
  resize();
  fill();
  drawPins();
  if (find("size")) find("size").value = cellSize();
}

// What the axes that are neither rows nor columns are set to.
const shownAt = () => freeAxes().map((axis) => [axis, positionOn(axis)]);

async function save() {
  const name = [data.project, ...shownAt().map(([axis, position]) => title(axis, position, true))].join(" · ");
  const at = shownAt().flatMap(([axis, position]) => ["--at", `${axis.id}=${axis.values[position]}`]);
  const command = ["automate-train", "grid", data.folder, "--x", view.x, "--y", view.y, ...at, "-o", "grid.png"].map(quoted).join(" ");
  const problem = await saveTable(root.querySelector("table"), name, `${data.project}-${view.y}-${view.x}.png`);
  put(find("unsaved"), problem && [h("p", {}, problem), h("pre", {}, command)]);
}

function resize() {
  root.style.setProperty("--cell", `${cellSize()}px`);
  root.style.setProperty("--ratio", data.ratio);
}

function fill() {
  cells.forEach((cellsOfRow, row) => cellsOfRow.forEach((cell, column) => fillCell(cell, cellIn(column, row), cellSize() > SMALL)));
  bases.forEach(fillBase);
  cells[focused[0]]?.[focused[1]]?.setAttribute("tabindex", "0");
}

// Remember the focused cell: Tab enters the grid there.
function keepFocus(cell) {
  cells.forEach((cellsOfRow, row) => cellsOfRow.forEach((each, column) => {
    if (each === cell) focused = [row, column];
    each.tabIndex = each === cell ? 0 : -1;
  }));
}

function drawPins() {
  const box = find("pins");
  if (!box) return;
  const [a, b] = view.pins;
  put(box, ...(a ? [
    button(b ? "Compare A and B" : "Pinned: A", () => b && change({ compare: "1" }), { class: "primary", disabled: !b, title: b ? "Side by side with a slider" : "Pin a second picture with P" }),
    button("Unpin", () => change({ pins: [] })),
  ] : []));
}

// The pictures one step away from the visible ones: a step must not wait for a file.
const preloaded = new Map();
function preload() {
  if (view.tab !== "grid" || !root.getBoundingClientRect().width) return;
  for (const axis of steppedAxes().filter(Boolean)) {
    for (const position of [positionOn(axis) - 1, positionOn(axis) + 1]) {
      if (position < 0 || position >= axis.values.length) continue;
      cells.forEach((cellsOfRow, row) => {
        const box = cellsOfRow[0].getBoundingClientRect();
        if (box.bottom < 0 || box.top > innerHeight) return;
        cellsOfRow.forEach((_, column) => {
          const { url } = contentOf(cellIn(column, row, { [axis.id]: position }));
          if (!url || preloaded.has(url) || preloaded.size > 600) return;
          const image = new Image();
          image.src = url;
          preloaded.set(url, image);
        });
      });
    }
  }
}
let timer = 0;
function preloadSoon() {
  clearTimeout(timer);
  if (preloaded.size > 500) preloaded.clear();
  timer = setTimeout(preload, 150);
}

function stepBy(axis, by) {
  const position = Math.min(axis.values.length - 1, Math.max(0, positionOn(axis) + by));
  choose(axis, position);
  say(title(axis, position));
}

function moveFocus(down, right) {
  const row = Math.min(cells.length - 1, Math.max(0, focused[0] + down));
  const column = Math.min(cells[0].length - 1, Math.max(0, focused[1] + right));
  cells[row][column].focus();
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

onKey((event) => {
  if (view.tab !== "grid" || view.open || view.compare || document.querySelector("dialog[open]") || !cells.length) return false;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) {
    moveFocus(...arrow);
    return true;
  }
  if (arrow) {
    const axis = steppedAxes()[arrow[1] ? 0 : 1];
    if (axis) stepBy(axis, arrow[0] + arrow[1]);
    return Boolean(axis);
  }
  const cell = document.activeElement?.closest?.(".cell");
  const id = cell?.dataset.id;
  const key = letterOf(event);
  if (key === "b" && hasBase) change({ base: view.base === "1" ? "" : "1" });
  else if (key === "c" && view.pins.length === 2) change({ compare: "1" });
  else if (id && key === "p") change({ pins: togglePin(view.pins, id) });
  else if (id && key === "s") toggleStar(id);
  else return false;
  return true;
});

listen((names) => {
  if (view.tab !== "grid") return;
  if (["x", "y", "upDown", "tab", "base"].some((name) => names.has(name))) draw();
  else if (names.has("at")) {
    fill();
    updateControls(root);
  } else if (names.has("pins")) cells.flat().forEach(showBadges);
  if (names.has("size")) resize();
  if (names.has("pins")) drawPins();
  preloadSoon();
});
onMarkChange((id) => cells.flat().forEach((cell) => cell.dataset.id === id && showBadges(cell)));
window.addEventListener("scroll", preloadSoon, { passive: true });
window.addEventListener("resize", resize);

export function startGrid() {
  if (view.tab === "grid") draw();
  preloadSoon();
}
