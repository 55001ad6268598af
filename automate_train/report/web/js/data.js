// What the page holds: its data, and packed parts that are unpacked only when they are needed.
// Covers: JSON, zlib in base64, the browser's own storage (which may be forbidden). Not: what is in them (page_data.py).

export const data = JSON.parse(document.getElementById("data").textContent);

const unpacked = new Map();

// A promise of the packed value of an element; of null where the page has none.
export function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, unpackElement(id).catch(() => null));
  return unpacked.get(id);
}

async function unpackElement(id) {
  if (document.readyState === "loading") {
    await new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));
  }
  const element = document.getElementById(`packed-${id}`);
  if (!element) return null;
  const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

export function saveLocally(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function loadLocally(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}
