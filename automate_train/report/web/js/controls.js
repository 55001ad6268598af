// The grid's controls: rows, columns, and a slider or menu for each other axis.
// Covers: making them from the view. Not: the grid itself.

import { button, h, select } from "./dom.js";
import { axes, title } from "./sweep.js";
import { change, choose, freeAxes, positionOn, steppedAxes, view } from "./view.js";

const usable = () => axes.filter((axis) => axis.values.length > 1 || axis.id === view.x || axis.id === view.y);

export function axisControls() {
  const options = usable().map((axis) => [axis.id, axis.label]);
  return h("div", { class: "group" },
    select("Columns", options, view.x, (id) => change({ x: id }), { id: "x" }),
    button("⇄", () => change({ x: view.y, y: view.x }), { class: "icon", "aria-label": "Swap rows and columns", title: "Swap rows and columns" }),
    select("Rows", options, view.y, (id) => change({ y: id }), { id: "y" }));
}

export function freeControls() {
  const [leftRight, upDown] = steppedAxes();
  return freeAxes().map((axis) => {
    const keys = axis === leftRight ? "← →" : axis === upDown ? "↑ ↓" : "";
    return h("div", { class: "group", "data-axis": axis.id },
      axis.kind === "checkpoint" ? slider(axis) : menu(axis),
      keys ? h("kbd", { title: "These keys step through it" }, keys)
        : button("↑ ↓", () => change({ upDown: axis.id }), { class: "icon", "aria-label": `Step through ${axis.label} with the up and down keys`, title: `Step through ${axis.label} with ↑ ↓` }));
  });
}

function slider(axis) {
  const output = h("b", { class: "value" }, axis.values[positionOn(axis)]);
  const input = h("input", {
    type: "range", min: 0, max: axis.values.length - 1, step: 1, id: `at-${axis.id}`,
    "aria-valuetext": title(axis, positionOn(axis)),
    oninput: (event) => choose(axis, Number(event.target.value)),
  });
  input.value = positionOn(axis);
  return h("label", { class: "field" }, h("span", {}, axis.label), input, output);
}

function menu(axis) {
  const options = axis.values.map((value, position) => [value, axis.kind === "prompt" ? `${value}: ${title(axis, position)}` : value]);
  return select(axis.label, options, axis.values[positionOn(axis)], (value) => choose(axis, axis.values.indexOf(value)),
    { id: `at-${axis.id}` });
}

// After a step: new values in the same elements, so that a finger or the focus stays on them.
export function updateControls(root) {
  for (const axis of freeAxes()) {
    const input = root.querySelector(`[id="at-${CSS.escape(axis.id)}"]`);
    if (!input) continue;
    const position = positionOn(axis);
    input.value = input.type === "range" ? position : axis.values[position];
    if (input.type === "range") {
      input.setAttribute("aria-valuetext", title(axis, position));
      input.nextElementSibling.textContent = axis.values[position];
    }
  }
}
