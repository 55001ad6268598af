// One picture in full size with everything that is known of it; the keys step to its neighbours in the same place.
// Covers: the dialog, the baseline, infotext, prompt and commands to copy. Not: the grid (grid.js).

import { togglePin } from "./cell.js";
import { data, unpack } from "./data.js";
import { button, check, copy, find, h, put, say, select } from "./dom.js";
import { quoted } from "./format.js";
import { letterOf, onKey } from "./keyboard.js";
import { markOf, onMarkChange, setNote, toggleStar } from "./marks.js";
import { axes, cellAt, cellId, checkpointAxis, contentOf, describe, fileUrl, parseCell, pictureAt, positionsOf, settingAxes, urlOf } from "./sweep.js";
import { change, listen, view } from "./view.js";

const viewer = find("viewer");
let parts = null;

const many = (axis) => axis.values.length > 1;
// The axes that the keys step through: all that differ; runs only where no setting tells them apart.
const otherAxes = axes.filter((axis) => many(axis) && axis !== checkpointAxis && (axis.kind !== "run" || !settingAxes.some(many)));
const leftRightAxis = many(checkpointAxis) ? checkpointAxis : otherAxes[0];
const upDownAxes = otherAxes.filter((axis) => axis !== leftRightAxis);
const upDownAxis = () => upDownAxes.find((axis) => axis.id === view.upDown) ?? upDownAxes[0];

function build() {
  const picture = h("img", { class: "full", alt: "" });
  picture.addEventListener("click", () => viewer.classList.toggle("actual"));
  // A page that was sent without the sweep's folder shows its thumbnails.
  picture.addEventListener("error", () => {
    if (parts.thumb && picture.getAttribute("src") !== parts.thumb) picture.src = parts.thumb;
  });
  parts = {
    picture, base: h("figure", { class: "base" }), why: h("p", { class: "why" }), title: h("h2", { tabindex: "-1", autofocus: true }), facts: h("div", { class: "facts" }),
    tools: h("div", { class: "tools" }), steps: h("div", { class: "tools" }), thumb: "",
    note: h("textarea", { rows: 2, placeholder: "A note on this picture", "aria-label": "Note on this picture", onchange: (event) => setNote(view.open, event.target.value) }),
  };
  put(viewer,
    h("div", { class: "stage" }, h("figure", {}, picture, parts.why), parts.base),
    h("div", { class: "side" }, h("div", { class: "head" }, parts.title, button("✕", close, { class: "icon", "aria-label": "Close" })),
      parts.steps, parts.tools, parts.note, parts.facts));
  viewer.addEventListener("close", close);
}

const close = () => change({ open: "" });

function show() {
  const cell = parseCell(view.open);
  if (!cell) {
    if (viewer.open) viewer.close();
    return;
  }
  if (!parts) build();
  const { url, state, reason } = contentOf(cell);
  parts.thumb = url;
  if (url) parts.picture.src = url;
  parts.picture.hidden = !url;
  parts.picture.alt = describe(cell);
  parts.why.textContent = state === "done" ? "" : `${state}${reason ? `: ${reason}` : ""}`;
  parts.title.textContent = describe(cell);
  drawTools(cell);
  drawBase(cell);
  drawFacts(cell);
  if (!viewer.open) viewer.showModal();
}

function drawTools(cell) {
  const id = view.open;
  const { star, note } = markOf(id);
  if (document.activeElement !== parts.note) parts.note.value = note;
  const focus = document.activeElement?.dataset?.tool;
  put(parts.tools,
    button(star ? "★ Starred" : "☆ Star", () => toggleStar(id), { "aria-pressed": String(star), "data-tool": "star" }),
    button(view.pins.includes(id) ? "Unpin" : "Pin", () => change({ pins: togglePin(view.pins, id) }), { "data-tool": "pin" }),
    view.pins.length === 2 && button("Compare A and B", () => change({ compare: "1", open: "" }), { class: "primary" }),
    data.prompts[cell.prompt].baseline && check("Baseline", view.base === "1", (on) => change({ base: on ? "1" : "" }), { "data-tool": "base" }));
  if (focus) parts.tools.querySelector(`[data-tool="${focus}"]`)?.focus();
  const positions = positionsOf(cell);
  const arrows = (axis, back, forward) => axis && h("div", { class: "stepper" },
    button(back, () => step(axis, -1), { class: "icon", "aria-label": `Previous ${axis.label}`, disabled: positions[axis.id] === 0 }),
    h("span", {}, `${axis.label} ${axis.kind === "run" ? "" : axis.values[positions[axis.id]]}`),
    button(forward, () => step(axis, 1), { class: "icon", "aria-label": `Next ${axis.label}`, disabled: positions[axis.id] === axis.values.length - 1 }));
  put(parts.steps, arrows(leftRightAxis, "←", "→"), arrows(upDownAxis(), "↑", "↓"),
    upDownAxes.length > 1 && select("↑ ↓ steps through", upDownAxes.map((axis) => [axis.id, axis.label]), upDownAxis().id, (upDown) => change({ upDown })));
}

function drawBase(cell) {
  const base = data.prompts[cell.prompt].baseline;
  parts.base.hidden = !base || view.base !== "1";
  put(parts.base, ...(parts.base.hidden ? [] : [
    h("img", { class: "full", src: urlOf(base.thumb), alt: "The same prompt without the LoRA" }), h("figcaption", {}, "Baseline: without the LoRA")]));
}

// The full picture and its facts appear when they are unpacked; until then the thumbnail is shown.
async function drawFacts(cell) {
  const id = view.open;
  const run = data.runs[cell.run];
  const at = pictureAt(cell);
  const [allDetails, commands] = await Promise.all([unpack(`details-${cell.run}`), unpack("commands")]);
  if (view.open !== id) return;
  const details = at >= 0 ? allDetails?.[run.pictures.detail[at]] : null;
  if (details?.file && !data.alone) parts.picture.src = fileUrl(details.file);
  const again = `automate-train sample ${quoted(data.folder)} --only ${run.id}${data.unit === "epoch" ? ` --epochs ${data.checkpoints[cell.checkpoint]}` : ""}`;
  const fact = (name, text, note) => text !== undefined && text !== null && text !== "" && h("section", {},
    h("div", { class: "head" }, h("h3", {}, name), button("Copy", () => copy(String(text), name), { "aria-label": `Copy: ${name}` })),
    note && h("p", { class: "quiet" }, note), h("pre", {}, String(text)));
  put(parts.facts, ...[
    details?.reason && h("p", { class: "trouble" }, details.reason),
    fact("Prompt", details?.text ?? data.prompts[cell.prompt].text),
    fact("Negative prompt", details?.negative),
    fact("Infotext", details?.infotext),
    details?.server === "the trainer" ? null : fact("Sample it again", again, "Makes the missing pictures of this checkpoint on the sweep's WebUIs."),
    fact("Train this run by hand", commands?.[cell.run]),
    details?.parameters && h("details", {}, h("summary", {}, "Everything that was sent"), h("pre", {}, JSON.stringify(details.parameters, null, 2))),
    h("p", { class: "quiet" }, [run.name, details?.checkpoint, details?.server, details?.seed !== undefined && details?.seed !== null && `seed ${details.seed}`].filter(Boolean).join(" · ")),
  ].filter(Boolean));
}

function step(axis, by) {
  const cell = parseCell(view.open);
  const positions = positionsOf(cell);
  const position = positions[axis.id] + by;
  if (position < 0 || position >= axis.values.length) return;
  const moved = cellAt({ ...positions, [axis.id]: position }, axis.kind === "run" || !settingAxes.length);
  if (moved.run < 0) return say(`${axis.label} ${axis.values[position]}: not in the sweep`);
  change({ open: cellId(moved) });
  say(describe(moved));
}

const BY = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };

onKey((event) => {
  if (!viewer.open) return false;
  const key = letterOf(event);
  const axis = event.key in BY && (/Left|Right/.test(event.key) ? leftRightAxis : upDownAxis());
  if (axis) step(axis, BY[event.key]);
  else if (key === "s") toggleStar(view.open);
  else if (key === "p") change({ pins: togglePin(view.pins, view.open) });
  else if (key === "b") change({ base: view.base === "1" ? "" : "1" });
  else if (key === "n") parts.note.focus();
  else if (key === "c" && view.pins.length === 2) change({ compare: "1", open: "" });
  else return false;
  return true;
});

export function startViewer() {
  listen((names) => {
    if (!names.has("open") && !(viewer.open && ["pins", "base", "upDown"].some((name) => names.has(name)))) return;
    if (view.open) show();
    else {
      const last = viewer.dataset.id;
      if (viewer.open) viewer.close();
      document.querySelector(`.cell[data-id="${CSS.escape(last ?? "")}"]`)?.focus();
    }
    if (view.open) viewer.dataset.id = view.open;
  });
  onMarkChange((id) => id === view.open && viewer.open && drawTools(parseCell(id)));
  if (view.open) show();
}
