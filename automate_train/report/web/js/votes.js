// Votes: which of two pictures a person preferred. Kept in this browser and, where `automate-train vote` shows the page, sent
// to it; votes.jsonl and the exported file hold the same lines (store/votes.py).
// Covers: the votes, where they are kept. Not: asking for them (vote_tab.js), what they say (vote_model.js).

import { data, loadLocally, saveLocally } from "./data.js";
import { download } from "./dom.js";

const STORAGE = `automate-train votes ${data.sweep}`;
const server = document.querySelector("meta[name=votes]")?.content;
const votes = new Map();
const listeners = [];
let unsent = new Set();

const settings = new Map(data.runs.map((run) => [run.key.slice(0, 8), run.setting]));
const settingOf = (cellId) => settings.get(cellId.split("/")[0]);

export const onVoteChange = (callback) => listeners.push(callback);
export const isServed = Boolean(server);
// How many votes the server does not have yet.
export const unsentCount = () => unsent.size;

// Those that count, oldest first.
export const allVotes = () => [...votes.values()].filter(({ choice }) => choice !== "undone").sort((a, b) => a.at - b.at);

// The votes on two different settings of this sweep, for vote_model.js.
export function results() {
  const named = allVotes().map(({ left, right, choice }) => ({ a: settingOf(left), b: settingOf(right), choice }));
  return named.filter(({ a, b }) => a !== undefined && b !== undefined && a !== b)
    .map(({ a, b, choice }) => ({ a, b, preferred: { left: a, right: b }[choice] ?? "" }));
}

// Of two votes with one id, the one that was taken back counts.
function take(others) {
  for (const vote of Array.isArray(others) ? others : []) {
    if (typeof vote?.id === "string" && typeof vote.left === "string" && typeof vote.right === "string" && votes.get(vote.id)?.choice !== "undone") votes.set(vote.id, vote);
  }
}

function keep(vote) {
  take([vote]);
  take(loadLocally(STORAGE)); // another tab may have voted meanwhile
  saveLocally(STORAGE, [...votes.values()]);
  if (server) unsent.add(vote.id);
  send();
  listeners.forEach((callback) => callback());
}

const newId = () => [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// `choice`: left, right or same.
export const cast = (left, right, choice) => keep({ id: newId(), at: Date.now() / 1000, left, right, choice });
export const takeBack = (vote) => keep({ ...vote, choice: "undone" });

async function send() {
  for (const id of [...unsent]) {
    const vote = votes.get(id);
    try {
      const answer = await fetch(server, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(vote) });
      if (!answer.ok && answer.status !== 400) break; // 400: it is no vote, and never will be
    } catch {
      break; // the server has ended; the votes stay here, and the next vote or page sends them
    }
    if (votes.get(id) === vote) unsent.delete(id); // else it was taken back meanwhile
  }
  listeners.forEach((callback) => callback());
}

async function meet() {
  try {
    const answer = await fetch(server);
    if (!answer.ok) return;
    const known = await answer.json();
    take(known);
    unsent = new Set([...votes.values()].filter((vote) => !known.some(({ id, choice }) => id === vote.id && choice === vote.choice)).map(({ id }) => id));
  } catch {
    return;
  }
  await send();
}

export function exportVotes() {
  const lines = [...votes.values()].map((vote) => `${JSON.stringify(vote)}\n`);
  download("votes.jsonl", lines.join(""), "application/jsonl");
}

take(data.votes);
take(loadLocally(STORAGE));
window.addEventListener("storage", ({ key }) => {
  if (key !== STORAGE) return;
  take(loadLocally(STORAGE));
  listeners.forEach((callback) => callback());
});
if (server) meet();
