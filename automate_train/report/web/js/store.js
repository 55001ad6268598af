// What the page holds: its data, and packed parts that are opened only when somebody asks.
// Covers: JSON, zlib in base64, the browser's own memory (which may be forbidden). Not: what is in them.

export const data = JSON.parse(document.getElementById("data").textContent);

const opened = new Map();

// The packed value of an element; null where the page has none.
export function unpack(id) {
  if (!opened.has(id)) opened.set(id, open(id).catch(() => null));
  return opened.get(id);
}

async function open(id) {
  if (document.readyState === "loading") {
    await new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));
  }
  const element = document.getElementById(`packed-${id}`);
  if (!element) return null;
  const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

export function remember(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}
