// What looks wrong in pictures and weights: one line for each run and kind, with the picture.
// Covers: the list, above all tabs but the one where people vote. Not: finding alarms (judging/alarms.py).

import { fillCell, makeCell } from "./cell.js";
import { data } from "./data.js";
import { find, h, put } from "./dom.js";
import { change, listen, view } from "./view.js";
import { cellId } from "./sweep.js";

const MOST = 60; // lines
const root = find("alarms");
const NAMES = { copy: "Copy", "same pictures": "No variety", "nothing changed": "No effect", exploded: "Exploded", "one direction": "One direction", "not looked at": "Not looked at" };

// Run and kind -> its alarms, those of the earliest checkpoint first.
function grouped() {
  const groups = new Map();
  const when = (alarm) => alarm.checkpoint ?? Infinity;
  [...data.alarms].sort((one, other) => when(one) - when(other)).forEach((alarm) => {
    const key = `${alarm.run}/${alarm.kind}`;
    groups.set(key, [...(groups.get(key) ?? []), alarm]);
  });
  return [...groups.values()];
}

function pictureOf({ run, picture }) {
  const { detail, checkpoint, prompt, weight } = data.runs[run].pictures;
  const at = picture === null ? -1 : detail.indexOf(picture);
  if (at < 0) return null;
  const cell = { run, checkpoint: checkpoint[at], prompt: prompt[at], weight: weight[at] };
  const element = makeCell();
  fillCell(element, cell);
  element.tabIndex = 0;
  element.addEventListener("click", () => change({ open: cellId(cell) }));
  return element;
}

function line(alarms) {
  const [first] = alarms;
  const run = data.runs[first.run];
  const more = new Set(alarms.map(({ checkpoint }) => checkpoint)).size - 1;
  const when = first.checkpoint === null ? "the finished LoRA" : `${data.unit} ${first.checkpoint}`;
  return h("li", {}, pictureOf(first), h("div", {}, h("b", {}, NAMES[first.kind] ?? first.kind), ` · run ${run.label}, ${run.setting || run.name}, ${when}: ${first.text}`,
    more > 0 && `; so ${more === 1 ? "does one later checkpoint" : `do ${more} later checkpoints`}`,
    first.link && [" · ", h("a", { href: first.link }, "the training picture")]));
}

function draw() {
  const groups = grouped();
  root.hidden = !groups.length || view.tab === "vote";
  if (root.hidden || root.childElementCount) return;
  put(root, h("summary", {}, `${groups.length} alarm${groups.length === 1 ? "" : "s"}`),
    h("ul", { class: "alarms" }, groups.slice(0, MOST).map(line), groups.length > MOST && h("li", {}, `and ${groups.length - MOST} more`)),
    data.alarms_left > 0 && h("p", { class: "quiet" }, `${data.alarms_left} checkpoints were not looked at yet: the next report goes on.`));
}

export function startAlarms() {
  listen((names) => names.has("tab") && draw());
  draw();
}
