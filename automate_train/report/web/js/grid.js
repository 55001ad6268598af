// The tab with the grid: pictures by two axes.
// Covers: the table of cells, steps in place, the focus in it, loading the pictures one step away ahead of time.
// Not: one cell (cell.js), the controls above (controls.js), full size (viewer.js).

import { fillCell, makeCell, showBadges, togglePin } from "./cell.js";
import { axisControls, freeControls, updateControls } from "./controls.js";
import { data } from "./data.js";
import { button, find, h, put, say } from "./dom.js";
import { onKey } from "./keyboard.js";
import { onMarkChange, toggleStar } from "./marks.js";
import { axisOf, cellAt, contentOf, settingAxes, title } from "./sweep.js";
import { byRun, change, choose, freeAxes, listen, positionOn, steppedAxes, view } from "./view.js";

const root = find("grid");
let cells = [];
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
  const rows = y.values.map((_, row) => h("tr", {},
    h("th", { scope: "row", title: title(y, row, true) }, h("span", {}, title(y, row))), cells[row].map((cell) => h("td", {}, cell))));
  const longHeadings = ["prompt", "run"].includes(y.kind);
  const table = h("table", { class: `pictures${longHeadings ? " long-headings" : ""}` },
    h("caption", { class: "offscreen" }, `Samples: columns ${x.label}, rows ${y.label}`),
    h("thead", {}, h("tr", {}, h("td", { class: "corner" }, h("span", {}, `${y.label} ↓`), h("span", {}, `${x.label} →`)), heads)),
    h("tbody", {}, rows));
  table.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell?.dataset.id) change({ open: cell.dataset.id });
  });
  table.addEventListener("focusin", (event) => keepFocus(event.target.closest(".cell")));
  const hasPictures = data.checkpoints.length > 0;
  // Without a verdict the page opens here, and says why there is none.
  const why = !data.answer.settings.length && h("p", { class: "quiet", id: "why-no-answer" }, data.answer.sentences.join(" "));
  put(root, why, tools, hasPictures ? h("div", { class: "scroll" }, table)
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
  cells.forEach((cellsOfRow, row) => cellsOfRow.forEach((cell, column) => fillCell(cell, cellIn(column, row))));
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
  const key = event.key.toLowerCase();
  if (key === "c" && view.pins.length === 2) change({ compare: "1" });
  else if (id && key === "p") change({ pins: togglePin(view.pins, id) });
  else if (id && key === "s") toggleStar(id);
  else return false;
  return true;
});

listen((names) => {
  if (view.tab !== "grid") return;
  if (["x", "y", "upDown", "tab"].some((name) => names.has(name))) draw();
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
