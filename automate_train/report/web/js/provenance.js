// The tab that says where the sweep comes from: commands, both config files, versions, machine.
// Covers: the tab. Not: collecting the facts (provenance.py).

import { data, unpack } from "./data.js";
import { button, copy, find, h, put } from "./dom.js";
import { dateTime, duration, quoted } from "./format.js";
import { listen, view } from "./view.js";

const root = find("provenance");

function block(name, text, note) {
  return h("section", {}, h("div", { class: "head" }, h("h2", {}, name), button("Copy", () => copy(text, name), { "aria-label": `Copy: ${name}` })),
    note && h("p", { class: "quiet" }, note), h("pre", {}, text));
}

async function draw() {
  const from = data.provenance ?? {};
  const began = data.runs.map((run) => run.started).filter(Boolean);
  const ended = data.runs.map((run) => run.ended).filter(Boolean);
  const busy = data.runs.reduce((sum, run) => sum + (run.seconds ?? 0), 0);
  const facts = [
    ["Folder", data.folder],
    ["Started", dateTime(Math.min(...began, Infinity) === Infinity ? 0 : Math.min(...began))],
    ["Last run ended", dateTime(Math.max(0, ...ended))],
    ["Training time of all runs", duration(busy)],
    ["Machine", [from.machine, from.platform, from.cores && `${from.cores} cores`].filter(Boolean).join(" · ")],
    ["GPUs", from.gpus?.join(", ")],
    ["Trainer", from.trainer && [from.trainer.path, from.trainer.commit && `commit ${from.trainer.commit}`].filter(Boolean).join(" · ")],
    ["automate-train", from.automate_train],
    ["Python", from.python],
    ["Packages", Object.entries(from.packages ?? {}).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["This page", dateTime(data.at)],
  ].filter(([, text]) => text);
  const command = from.command ?? data.command ?? [];
  const commands = (await unpack("commands")) ?? [];
  if (view.tab !== "provenance") return;
  put(root,
    h("dl", { class: "facts" }, facts.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    command.length ? block("The command", ["automate-train", ...command].map(quoted).join(" "), from.cwd && `typed in ${from.cwd}`) : null,
    ...(from.files ?? []).map((file) => block(`The ${file.label}`, file.text, file.path)),
    h("section", {}, h("h2", {}, "Each run's own command"), data.runs.map((run, at) => commands[at] && h("details", {}, h("summary", {}, `${run.label}: ${run.name}`), h("pre", {}, commands[at])))));
}

export function startProvenance() {
  listen((names) => view.tab === "provenance" && names.has("tab") && draw());
  if (view.tab === "provenance") draw();
}
