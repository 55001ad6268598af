// The grid as a PNG: the table as it is shown, on a canvas, with every label whole.
// Covers: drawing and saving it. Not: the table (grid.js), the same from the command line (report/grid.py).

import { downloadBlob } from "./dom.js";

const LONGEST = 16_000; // pixels of a canvas's side that every browser can draw
const WIDTHS = 2; // of the page's pixels
const MARGIN = 12;
const LINE = 1.35; // height of a line, in heights of its letters

// Lines that are at most so wide, broken between words, or within a word that is wider.
export function linesOf(text, width, measure) {
  const lines = [];
  let line = "";
  for (const word of text.split(/(?<=[\s,/])/)) {
    if (measure((line + word).trimEnd()) <= width) {
      line += word;
      continue;
    }
    if (line) lines.push(line);
    line = "";
    for (const letter of word) {
      if (line && measure(line + letter) > width) {
        lines.push(line);
        line = "";
      }
      line += letter;
    }
  }
  return [...lines, line].map((each) => each.trim()).filter(Boolean);
}

function write(pen, text, style, { x, y, width, height }, left) {
  const size = parseFloat(style.fontSize);
  pen.font = `${style.fontWeight} ${size}px ${style.fontFamily}`;
  pen.fillStyle = style.color;
  [pen.textBaseline, pen.textAlign] = ["middle", left ? "left" : "center"];
  const lines = linesOf(text, width, (each) => pen.measureText(each).width);
  const top = y + (height - lines.length * size * LINE) / 2;
  lines.forEach((line, at) => pen.fillText(line, left ? x : x + width / 2, top + (at + 0.5) * size * LINE));
}

function draw(pen, image, { x, y, width, height }) {
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
  const [wide, high] = [image.naturalWidth * scale, image.naturalHeight * scale];
  pen.drawImage(image, x + (width - wide) / 2, y + (height - high) / 2, wide, high);
}

// Of a page from the disk only what is in the page itself may be drawn into a picture that is saved.
async function loadImage(shown) {
  const url = location.protocol === "file:" ? shown.getAttribute("src") : shown.currentSrc || shown.src;
  if (location.protocol === "file:" && !url.startsWith("data:")) return null;
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image, () => null);
}

// "" when the file was saved; else why not.
export async function saveTable(table, title, name) {
  if (!table) return "There are no pictures yet.";
  const images = new Map(await Promise.all([...table.querySelectorAll("img")].map(async (shown) => [shown, await loadImage(shown)])));
  if ([...images.values()].includes(null)) return "The browser lets this page save only the pictures that are inside it, and not all of these are. This command draws the same grid:";
  const box = table.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(table);
  const size = parseFloat(style.fontSize);
  pen.font = `${style.fontWeight} ${size}px ${style.fontFamily}`;
  const width = Math.max(box.width, 320);
  const head = MARGIN + linesOf(title, width - 2 * MARGIN, (each) => pen.measureText(each).width).length * size * LINE;
  const scale = Math.min(WIDTHS, LONGEST / Math.max(width, box.height + head));
  [canvas.width, canvas.height] = [Math.ceil(width * scale), Math.ceil((box.height + head + MARGIN) * scale)];
  pen.scale(scale, scale);
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--paper");
  pen.fillRect(0, 0, width, box.height + head + MARGIN);
  write(pen, title, style, { x: MARGIN, y: MARGIN / 2, width: width - 2 * MARGIN, height: head }, true);
  const scrolled = table.closest(".scroll"); // the headings stay in sight: where they are is not their place
  [scrolled.scrollTop, scrolled.scrollLeft] = [0, 0];
  const start = table.getBoundingClientRect();
  for (const cell of table.querySelectorAll("th, td:not(.corner)")) {
    const { x, y, width: wide, height } = cell.getBoundingClientRect();
    const padding = cell.tagName === "TH" ? 8 : 3;
    const place = { x: x - start.x + padding, y: y - start.y + head + padding, width: wide - 2 * padding, height: height - 2 * padding };
    const shown = cell.querySelector("img");
    if (shown && images.has(shown)) draw(pen, images.get(shown), place);
    else write(pen, cell.innerText.trim(), getComputedStyle(cell.querySelector(".why") ?? cell), place, cell.tagName === "TH" && cell.scope === "row");
  }
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  if (!blob) return "The grid is too large for the browser to draw. This command draws it:";
  downloadBlob(name, blob);
  return "";
}
