// The grid: pictures by two axes.
// Covers: the table of cells, steps in place, focus within it, loading the neighbours of what is seen ahead of time.
// Not: one cell (cell.js), the controls above (controls.js), full size (viewer.js).

import { fillCell, makeCell, markCell, togglePin } from "./cell.js";
import { axisControls, followControls, freeControls } from "./controls.js";
import { button, find, h, put, say } from "./dom.js";
import { onKey } from "./keys.js";
import { onMarks, toggleStar } from "./marks.js";
import { data } from "./store.js";
import { axisOf, cellAt, settings, shown, title } from "./sweep.js";
import { byRun, change, choose, freeAxes, listen, placeOn, steppedAxes, view } from "./view.js";

const root = find("grid");
let cells = [];
let focused = [0, 0];

// The cell at a column and row; `moved`: places that differ from the view's.
function cellOf(column, row, moved = {}) {
  const places = { ...moved };
  for (const axis of freeAxes()) places[axis.id] ??= placeOn(axis);
  const first = { run: 0, ...Object.fromEntries(data.dims.map((dim) => [dim.id, 0])) };
  const cell = cellAt({ ...first, ...places, [view.x]: column, [view.y]: row }, byRun());
  // A run against a setting: each run stands in the column of its own value alone.
  const other = byRun() && settings.findIndex((axis) => axis.id === (view.x === "run" ? view.y : view.x));
  const place = view.x === "run" ? row : column;
  return byRun() && other >= 0 && data.runs[cell.run].at[other] !== place ? { ...cell, run: -1 } : cell;
}

function cellSize() {
  const [columns, rows] = [axisOf(view.x).values.length, axisOf(view.y).values.length];
  const width = document.documentElement.clientWidth;
  const wide = width - (width > 640 ? 200 : 92);
  const high = Math.max(150, (innerHeight - 240) / rows - 8) * data.ratio;
  return view.size || Math.round(Math.min(256 * Math.min(1, data.ratio), Math.max(84, Math.min(wide / columns - 8, high))));
}

function draw() {
  const [x, y] = [axisOf(view.x), axisOf(view.y)];
  const size = h("input", { type: "range", min: 48, max: 400, step: 4, id: "size", oninput: (event) => change({ size: Number(event.target.value) }) });
  size.value = cellSize();
  const tools = h("div", { class: "controls" }, axisControls(), freeControls(),
    h("div", { class: "group end" }, h("label", { class: "field" }, h("span", {}, "Size"), size), h("span", { id: "pins", class: "group" })));
  cells = y.values.map(() => x.values.map(makeCell));
  const heads = x.values.map((_, column) => h("th", { scope: "col", title: title(x, column, true) }, h("span", {}, title(x, column))));
  const lines = y.values.map((_, row) => h("tr", {},
    h("th", { scope: "row", title: title(y, row, true) }, h("span", {}, title(y, row))), cells[row].map((cell) => h("td", {}, cell))));
  const wordy = ["prompt", "run"].includes(y.kind);
  const table = h("table", { class: `pictures${wordy ? " wordy" : ""}` },
    h("caption", { class: "offscreen" }, `Samples: columns ${x.label}, rows ${y.label}`),
    h("thead", {}, h("tr", {}, h("td", { class: "corner" }, h("span", {}, `${y.label} ↓`), h("span", {}, `${x.label} →`)), heads)),
    h("tbody", {}, lines));
  table.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell?.dataset.id) change({ open: cell.dataset.id });
  });
  table.addEventListener("focusin", (event) => follow(event.target.closest(".cell")));
  const hasPictures = data.moments.length > 0;
  put(root, tools, hasPictures ? h("div", { class: "scroll" }, table)
    : h("p", { class: "empty" }, "No sample pictures yet. They appear here when the runs have saved checkpoints: set prompt_path, and sample_opt or a WebUI, in the config."));
  focused = [Math.min(focused[0], y.values.length - 1), Math.min(focused[1], x.values.length - 1)];
  resize();
  fill();
  drawPins();
}

function resize() {
  root.style.setProperty("--cell", `${cellSize()}px`);
  root.style.setProperty("--ratio", data.ratio);
}

function fill() {
  cells.forEach((line, row) => line.forEach((cell, column) => fillCell(cell, cellOf(column, row))));
  cells[focused[0]]?.[focused[1]]?.setAttribute("tabindex", "0");
}

function follow(cell) {
  cells.forEach((line, row) => line.forEach((each, column) => {
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

// The pictures one step away, for the cells in sight: a flip must not wait for a file.
const ahead = new Map();
function preload() {
  const low = root.getBoundingClientRect();
  if (view.tab !== "grid" || !low.width) return;
  for (const axis of steppedAxes().filter(Boolean)) {
    for (const place of [placeOn(axis) - 1, placeOn(axis) + 1]) {
      if (place < 0 || place >= axis.values.length) continue;
      cells.forEach((line, row) => {
        const box = line[0].getBoundingClientRect();
        if (box.bottom < 0 || box.top > innerHeight) return;
        line.forEach((_, column) => {
          const { url } = shown(cellOf(column, row, { [axis.id]: place }));
          if (!url || ahead.has(url) || ahead.size > 600) return;
          const image = new Image();
          image.src = url;
          ahead.set(url, image);
        });
      });
    }
  }
}
let soon = 0;
function preloadSoon() {
  clearTimeout(soon);
  ahead.size > 500 && ahead.clear();
  soon = setTimeout(preload, 150);
}

export function stepBy(axis, by) {
  const place = Math.min(axis.values.length - 1, Math.max(0, placeOn(axis) + by));
  choose(axis, place);
  say(title(axis, place));
}

function move(down, right) {
  const row = Math.min(cells.length - 1, Math.max(0, focused[0] + down));
  const column = Math.min(cells[0].length - 1, Math.max(0, focused[1] + right));
  cells[row][column].focus();
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

onKey((event) => {
  if (view.tab !== "grid" || view.open || view.compare || document.querySelector("dialog[open]") || !cells.length) return false;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) {
    move(...arrow);
    return true;
  }
  if (arrow) {
    const axis = steppedAxes()[arrow[1] ? 0 : 1];
    if (axis) stepBy(axis, arrow[0] + arrow[1]);
    return Boolean(axis);
  }
  const cell = document.activeElement?.closest?.(".cell");
  const id = cell?.dataset.id;
  const key = event.key.toLowerCase();
  if (key === "c" && view.pins.length === 2) change({ compare: "1" });
  else if (id && key === "p") change({ pins: togglePin(view.pins, id) });
  else if (id && key === "s") toggleStar(id);
  else return false;
  return true;
});

listen((names) => {
  if (view.tab !== "grid") return;
  if (["x", "y", "flip", "tab"].some((name) => names.has(name))) draw();
  else if (names.has("at")) {
    fill();
    followControls(root);
  } else if (names.has("pins")) cells.flat().forEach(markCell);
  if (names.has("size")) resize();
  if (names.has("pins")) drawPins();
  preloadSoon();
});
onMarks((id) => cells.flat().forEach((cell) => cell.dataset.id === id && markCell(cell)));
window.addEventListener("scroll", preloadSoon, { passive: true });
window.addEventListener("resize", resize);

export function startGrid() {
  if (view.tab === "grid") draw();
  preloadSoon();
}
