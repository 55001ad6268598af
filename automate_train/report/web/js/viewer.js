// One picture in full size, with everything about it; the keys step to its neighbours while it stays in its place.
// Covers: the dialog, the baseline beside it, infotext, prompt and commands to copy. Not: the grid (grid.js).

import { togglePin } from "./cell.js";
import { button, check, copy, find, h, put, say, select } from "./dom.js";
import { quoted } from "./format.js";
import { onKey } from "./keys.js";
import { markOf, onMarks, setNote, toggleStar } from "./marks.js";
import { data, unpack } from "./store.js";
import { axes, axisOf, cellAt, cellId, describe, momentAxis, parseCell, pictureAt, placesOf, settings, shown, urlOf } from "./sweep.js";
import { change, listen, view } from "./view.js";

const viewer = find("viewer");
let parts = null;

const many = (axis) => axis.values.length > 1;
const acrossAxis = () => (many(momentAxis) ? momentAxis : alongAxes()[0]);
const alongAxes = () => axes.filter((axis) => many(axis) && axis !== momentAxis && (axis.kind !== "run" || !settings.some(many)));
const alongAxis = () => {
  const free = alongAxes().filter((axis) => axis !== acrossAxis());
  return free.find((axis) => axis.id === view.flip) ?? free[0];
};

function build() {
  const picture = h("img", { class: "full", alt: "" });
  picture.addEventListener("click", () => viewer.classList.toggle("actual"));
  // A page that was sent without the sweep's folder has only its thumbnails.
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
  const { url, state, reason } = shown(cell);
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
  const [across, along] = [acrossAxis(), alongAxis()];
  if (document.activeElement !== parts.note) parts.note.value = note;
  const focus = document.activeElement?.dataset?.tool;
  put(parts.tools, 
    button(star ? "★ Starred" : "☆ Star", () => toggleStar(id), { "aria-pressed": String(star), "data-tool": "star" }),
    button(view.pins.includes(id) ? "Unpin" : "Pin", () => change({ pins: togglePin(view.pins, id) }), { "data-tool": "pin" }),
    view.pins.length === 2 && button("Compare A and B", () => change({ compare: "1", open: "" }), { class: "primary" }),
    data.prompts[cell.p].baseline && check("Baseline", view.base === "1", (on) => change({ base: on ? "1" : "" }), { "data-tool": "base" }));
  if (focus) parts.tools.querySelector(`[data-tool="${focus}"]`)?.focus();
  const places = placesOf(cell);
  const arrows = (axis, [back, on], name) => axis && h("div", { class: "stepper" },
    button(back, () => step(axis, -1), { class: "icon", "aria-label": `Previous ${axis.label}`, disabled: places[axis.id] === 0 }),
    h("span", {}, `${axis.label} ${axis.kind === "run" ? "" : axis.values[places[axis.id]]}`),
    button(on, () => step(axis, 1), { class: "icon", "aria-label": `Next ${axis.label}`, disabled: places[axis.id] === axis.values.length - 1 }), name);
  const choices = alongAxes().filter((axis) => axis !== across);
  put(parts.steps, ...[arrows(across, ["←", "→"]), arrows(along, ["↑", "↓"]),
    choices.length > 1 && select("↑ ↓ steps", choices.map((axis) => [axis.id, axis.label]), along.id, (flip) => change({ flip }))].filter(Boolean));
}

function drawBase(cell) {
  const base = data.prompts[cell.p].baseline;
  parts.base.hidden = !base || view.base !== "1";
  put(parts.base, ...(parts.base.hidden ? [] : [
    h("img", { class: "full", src: urlOf(base.t), alt: "The same prompt without the LoRA" }), h("figcaption", {}, "Baseline: without the LoRA")]));
}

// The full picture and its facts come when they are unpacked; until then the thumbnail stands in their place.
async function drawFacts(cell) {
  const id = view.open;
  const run = data.runs[cell.run];
  const at = pictureAt(cell);
  const [details, commands] = await Promise.all([unpack(`details-${cell.run}`), unpack("commands")]);
  if (view.open !== id) return;
  const about = at >= 0 ? details?.[run.pictures.d[at]] : null;
  if (about?.file && !parts.thumb.startsWith("data:")) parts.picture.src = data.root + about.file.split("/").map(encodeURIComponent).join("/");
  const again = `automate-train sample ${quoted(data.folder)} --only ${run.index}${data.unit === "epoch" ? ` --epochs ${data.moments[cell.m]}` : ""}`;
  const fact = (name, text, note) => text !== undefined && text !== null && text !== "" && h("section", {},
    h("div", { class: "head" }, h("h3", {}, name), button("Copy", () => copy(String(text), name), { "aria-label": `Copy: ${name}` })),
    note && h("p", { class: "quiet" }, note), h("pre", {}, String(text)));
  put(parts.facts, ...[
    about?.reason && h("p", { class: "trouble" }, about.reason),
    fact("Prompt", about?.text ?? data.prompts[cell.p].text),
    fact("Negative prompt", about?.negative),
    fact("Infotext", about?.infotext),
    about?.server === "the trainer" ? null : fact("Sample it again", again, "Draws what is missing of this checkpoint on the sweep's WebUIs."),
    fact("Train this run by hand", commands?.[cell.run]),
    about?.parameters && h("details", {}, h("summary", {}, "Everything that was sent"), h("pre", {}, JSON.stringify(about.parameters, null, 2))),
    h("p", { class: "quiet" }, [run.name, about?.checkpoint, about?.server, about?.seed !== undefined && about?.seed !== null && `seed ${about.seed}`].filter(Boolean).join(" · ")),
  ].filter(Boolean));
}

function step(axis, by) {
  const cell = parseCell(view.open);
  const places = placesOf(cell);
  const place = places[axis.id] + by;
  if (place < 0 || place >= axis.values.length) return;
  const moved = cellAt({ ...places, [axis.id]: place }, axis.kind === "run" || !settings.length);
  if (moved.run < 0) return say(`${axis.label} ${axis.values[place]}: not in the sweep`);
  change({ open: cellId(moved) });
  say(describe(moved));
}

const STEPS = { ArrowLeft: [acrossAxis, -1], ArrowRight: [acrossAxis, 1], ArrowUp: [alongAxis, -1], ArrowDown: [alongAxis, 1] };

onKey((event) => {
  if (!viewer.open) return false;
  const key = event.key.toLowerCase();
  const [axis, by] = STEPS[event.key] ?? [];
  if (axis?.()) step(axis(), by);
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
    if (!names.has("open") && !(viewer.open && ["pins", "base", "flip"].some((name) => names.has(name)))) return;
    if (view.open) show();
    else if (viewer.open) {
      const last = viewer.dataset.id;
      viewer.close();
      document.querySelector(`.cell[data-id="${CSS.escape(last ?? "")}"]`)?.focus();
    }
    if (view.open) viewer.dataset.id = view.open;
  });
  onMarks((id) => id === view.open && viewer.open && drawTools(parseCell(id)));
  if (view.open) show();
}
