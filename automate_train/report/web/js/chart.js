// One plot of many lines, drawn by uPlot.
// Covers: its options, the theme's colours, zoom, the cursor by mouse and keys. Not: which lines there are (curves.js).

import { h } from "./dom.js";
import { short } from "./format.js";
import { onColumns } from "./resample.js";

const COLUMNS = 1600;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// `lines`: [{xs, ys, colour, width, alpha}]; `onCursor` gets the x under the cursor, or null.
export function chart(box, lines, [low, high], { log, height, label, xLabel, onCursor }) {
  let [from, to] = [low, high];
  const xs = () => Array.from({ length: COLUMNS }, (_, at) => from + ((to - from) * at) / (COLUMNS - 1));
  const positive = (ys) => (log ? ys.map((y) => (y > 0 ? y : null)) : ys);
  const table = () => [xs(), ...lines.map((line) => onColumns(line.xs, positive(line.ys), from, to, COLUMNS))];
  const axis = (size) => ({
    stroke: ink("--quiet"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line"), width: 1 }, size,
    font: "12px system-ui, sans-serif", values: (_, values) => values.map((value) => (value === null ? "" : short(value, 3))),
  });
  const plot = new uPlot({
    width: Math.max(240, box.clientWidth), height, legend: { show: false },
    scales: { x: { time: false, range: () => [from, to] }, y: { distr: log ? 3 : 1 } },
    axes: [{ ...axis(44), label: xLabel, labelSize: 18, labelFont: "12px system-ui, sans-serif" }, axis(62)],
    series: [{}, ...lines.map((line) => ({ stroke: line.colour, width: line.width, alpha: line.alpha, spanGaps: true, points: { show: false } }))],
    cursor: { points: { show: false }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      setCursor: [(u) => onCursor(u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null)],
      setSelect: [(u) => u.select.width > 5 && zoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"))],
    },
  }, table(), box);

  function zoom(left, right) {
    [from, to] = [left, right];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    plot.setData(table());
  }

  plot.over.addEventListener("dblclick", () => zoom(low, high));
  box.tabIndex = 0;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
  box.onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return event.key === "Escape" && zoom(low, high);
    const width = plot.over.clientWidth;
    const at = plot.cursor.left >= 0 ? plot.cursor.left : width / 2;
    plot.setCursor({ left: Math.min(width - 1, Math.max(0, at + by * (event.shiftKey ? 20 : 4))), top: 10 });
    event.preventDefault();
    event.stopPropagation();
  };
  return { destroy: () => plot.destroy(), resize: () => plot.setSize({ width: Math.max(240, box.clientWidth), height }) };
}

export function emptyChart(text) {
  return h("p", { class: "empty" }, text);
}
