// The page's frame: the sweep's name and states, the tabs. Starts everything.

import { startAlarms } from "./alarms.js";
import { startAnswer } from "./answer.js";
import { startCompare } from "./compare.js";
import { startCurves } from "./curves.js";
import { data } from "./data.js";
import { button, find, h, put } from "./dom.js";
import { dateTime } from "./format.js";
import { startGrid } from "./grid.js";
import { onKey, showHelp } from "./keyboard.js";
import { startMarksTab } from "./marks_tab.js";
import { startProvenance } from "./provenance.js";
import { startTable } from "./table.js";
import { change, listen, TABS, view } from "./view.js";
import { startViewer } from "./viewer.js";
import { startVoteTab } from "./vote_tab.js";

const NAMES = { answer: "Answer", grid: "Grid", curves: "Curves", table: "Table", vote: "Vote", marks: "Marks", provenance: "Provenance" };

function frame() {
  const counts = new Map();
  data.runs.forEach((run) => counts.set(run.state, (counts.get(run.state) ?? 0) + 1));
  const states = [...counts].map(([state, count]) => button([h("b", {}, String(count)), ` ${state}`], () => change({ tab: "table", states: state }), { class: `state ${state}`, title: "Show these runs in the table" }));
  const pictures = data.runs.reduce((sum, run) => sum + run.pictures.thumb.filter(Boolean).length, 0);
  put(find("top"),
    h("div", { class: "title" }, h("h1", {}, data.project), h("div", { class: "states" }, states),
      h("p", { class: "quiet" }, `${pictures} picture${pictures === 1 ? "" : "s"} · ${dateTime(data.at)}`)),
    h("nav", { "aria-label": "Parts of the report" }, TABS.map((tab) => button(NAMES[tab], () => change({ tab }), { id: `tab-${tab}`, class: "tab" })),
      button("?", showHelp, { class: "icon", "aria-label": "Keys", title: "Keys" })));
}

function showTab() {
  for (const tab of TABS) {
    find(tab).hidden = tab !== view.tab;
    find(`tab-${tab}`).setAttribute("aria-current", tab === view.tab ? "page" : "false");
  }
}

onKey((event) => {
  if (document.querySelector("dialog[open]")) return false;
  if (event.key === "?") showHelp();
  else if (/^(Digit|Numpad)[1-7]$/.test(event.code)) change({ tab: TABS[event.code.at(-1) - 1] });
  else return false;
  return true;
});

frame();
showTab();
listen((names) => names.has("tab") && showTab());
find("skip").addEventListener("click", () => find("main").focus());
startAnswer();
startAlarms();
startGrid();
startViewer();
startCompare();
startCurves();
startTable();
startVoteTab();
startMarksTab();
startProvenance();
document.documentElement.dataset.ready = "1";
