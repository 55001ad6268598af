// The tab where a person votes, without seeing which picture is of which setting.
// Covers: the question, its keys, undo, the result. Not: which settings come next (vote_model.js), the pictures
// (vote_pictures.js), keeping votes (votes.js).

import { data } from "./data.js";
import { button, find, h, put, say, select } from "./dom.js";
import { quoted } from "./format.js";
import { onKey } from "./keyboard.js";
import { cellId, firstShown, parseCell, pictureAt } from "./sweep.js";
import { listen, view } from "./view.js";
import { nextPair, taste } from "./vote_model.js";
import { checkpoints, load, paint, pairsOf, reject, sameSeed, settings } from "./vote_pictures.js";
import { allVotes, cast, exportVotes, isServed, onVoteChange, results, takeBack, unsentCount } from "./votes.js";

const ENOUGH = 20; // votes after which the result is shown unasked
const root = find("vote");
const canvases = ["Left", "Right"].map((side) => h("canvas", { role: "img", "aria-label": `${side} picture` }));
const parts = { question: h("div"), status: h("p", { class: "quiet" }), result: h("div") };
let checkpoint = firstShown;
let pair = null; // [left, right], each [run, number of its picture]; null while none is shown
let turn = 0; // of the pictures that are being loaded: newer ones replace them
let asked = false;

const cell = ([run, picture]) => {
  const { prompt, weight } = data.runs[run].pictures;
  return cellId({ run, checkpoint: data.runs[run].pictures.checkpoint[picture], prompt: prompt[picture], weight: weight[picture] });
};

function leastShown(pairs) {
  const seen = new Map();
  allVotes().forEach(({ left, right }) => seen.set([left, right].sort().join(), (seen.get([left, right].sort().join()) ?? 0) + 1));
  const counts = pairs.map((each) => seen.get(each.map(cell).sort().join()) ?? 0);
  const fewest = pairs.filter((_, at) => counts[at] === Math.min(...counts));
  return fewest[Math.floor(Math.random() * fewest.length)];
}

// Until the next pictures are there, no key is a vote.
function wait() {
  pair = null;
  parts.question.ariaBusy = "true";
}

async function ask() {
  wait();
  const mine = ++turn;
  for (;;) {
    const two = nextPair(settings, results(), (a, b) => pairsOf(checkpoint, a, b).length > 0);
    if (!two) return put(parts.question, h("p", { class: "empty" }, "No two settings have a picture of the same prompt and seed at this checkpoint."));
    const found = leastShown(pairsOf(checkpoint, ...two));
    const shown = await sameSeed(found) && await show(Math.random() < 0.5 ? found : [...found].reverse(), mine);
    if (shown || mine !== turn) return null;
    reject(found);
  }
}

// Whether both pictures could be shown; they appear at the same moment.
async function show(wanted, mine) {
  const images = await Promise.all(wanted.map(load));
  if (mine !== turn || !images.every(Boolean)) return false;
  canvases.forEach((canvas, at) => paint(canvas, images[at]));
  put(parts.question, h("div", { class: "pair" }, canvases),
    h("div", { class: "choices" },
      button([h("kbd", {}, "1"), " Left is better"], () => vote("left")), button([h("kbd", {}, "0"), " No difference"], () => vote("same")),
      button([h("kbd", {}, "2"), " Right is better"], () => vote("right")), button([h("kbd", {}, "U"), " Undo"], undo)));
  pair = wanted;
  parts.question.ariaBusy = "false";
  return true;
}

function vote(choice) {
  if (!pair) return;
  const [left, right] = pair.map(cell);
  wait();
  cast(left, right, choice);
  say(`${allVotes().length} votes`);
  ask();
}

// The newest vote is taken back, and its pictures are shown again.
async function undo() {
  const last = allVotes().at(-1);
  if (!last) return;
  wait();
  const mine = ++turn;
  takeBack(last);
  const cells = [last.left, last.right].map(parseCell);
  const back = cells.map((each) => each && [each.run, pictureAt(each)]);
  const shown = back.every((each) => each && each[1] >= 0) && await show(back, mine);
  if (!shown && mine === turn) ask();
}

const percent = (strength) => Math.round(100 / (1 + Math.exp(-strength)));

function verdict({ settings: ranked, best }) {
  if (best.length === 1) return `${best[0]} is the best by your votes.`;
  const few = `${best.slice(0, 4).join(", ")}${best.length > 4 ? ` and ${best.length - 4} more` : ""}`;
  return best.length === ranked.length ? "Your votes do not tell any setting from the best yet." : `Not told apart from the best: ${few}.`;
}

function drawResult() {
  const count = allVotes().length;
  const lost = unsentCount() ? ` ${unsentCount()} of them could not be saved in votes.jsonl: start automate-train vote again, and open the page that it names.` : "";
  parts.status.textContent = `${count} vote${count === 1 ? "" : "s"}${isServed ? ", saved in votes.jsonl." : ", kept in this browser."}${lost}`;
  const told = results();
  if (!told.length || !(asked || count >= ENOUGH)) {
    return put(parts.result, button("Show the result", () => { asked = true; drawResult(); }, { disabled: !told.length }),
      h("p", { class: "quiet" }, `It appears by itself after ${ENOUGH} votes. Which picture was whose is never shown here.`));
  }
  const found = taste(told);
  const rest = settings.length - found.settings.length;
  return put(parts.result, h("h2", {}, "By your votes"), h("p", {}, verdict(found)),
    h("table", { class: "strengths" }, h("thead", {}, h("tr", {}, ["Setting", "Preferred to an average one", "95 % interval", "Votes"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, found.settings.map((each) => h("tr", {}, h("th", { scope: "row" }, each.setting), h("td", {}, `${percent(each.strength)} %`),
        h("td", {}, h("span", { class: "interval", style: { "--low": `${percent(each.low)}%`, "--high": `${percent(each.high)}%`, "--at": `${percent(each.strength)}%` } }),
          `${percent(each.low)} to ${percent(each.high)} %`), h("td", {}, String(each.votes)))))),
    rest > 0 && h("p", { class: "quiet" }, `${rest} setting${rest === 1 ? " has" : "s have"} no votes yet.`));
}

function draw() {
  if (settings.length < 2 || !checkpoints.length) {
    const why = settings.length < 2 ? "all runs have the same setting" : "there are no pictures";
    return put(root, h("p", { class: "empty" }, `Nothing to vote on: ${why}.`));
  }
  const folder = quoted(data.folder);
  put(root,
    h("div", { class: "controls" }, h("p", { class: "group" }, "Which picture is better? Both have the same prompt and seed."),
      checkpoints.length > 1 && select(data.unit, checkpoints.map((at) => [String(at), String(data.checkpoints[at])]), String(checkpoint), (at) => { checkpoint = Number(at); ask(); }),
      h("div", { class: "group end" }, button("Export", exportVotes))),
    parts.question, parts.status, parts.result,
    h("details", {}, h("summary", {}, "Votes in a file"),
      h("pre", {}, isServed ? `automate-train report ${folder}` : `automate-train vote ${folder}\ncat votes.jsonl >> ${quoted(`${data.folder}/votes.jsonl`)}`),
      h("p", {}, isServed ? "This puts the votes into the page for others." : "The first command shows this page and saves each vote in the sweep's folder. The second one adds votes that Export has written.")));
  drawResult();
  return pair || ask();
}

const KEYS = { Digit1: "left", Numpad1: "left", Digit2: "right", Numpad2: "right", Digit0: "same", Numpad0: "same" };

onKey((event) => {
  if (view.tab !== "vote" || document.querySelector("dialog[open]") || !(event.code in KEYS || event.code === "KeyU")) return false;
  if (event.repeat) return true;
  if (event.code === "KeyU") undo();
  else vote(KEYS[event.code]);
  return true;
});

export function startVoteTab() {
  if (!checkpoints.includes(checkpoint)) checkpoint = checkpoints.at(-1);
  listen((names) => view.tab === "vote" && names.has("tab") && draw());
  onVoteChange(() => view.tab === "vote" && parts.status.isConnected && drawResult());
  if (view.tab === "vote") draw();
}
