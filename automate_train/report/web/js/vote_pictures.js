// Pairs of pictures for the votes: of two settings, with the same prompt, seed, checkpoint and LoRA weight.
// Covers: which pairs there are, drawing them on canvases, so that neither an address nor a file's name shows which is which.
// Not: which settings are asked about (vote_model.js).

import { data, unpack } from "./data.js";
import { fileUrl, urlOf } from "./sweep.js";

const DONE = data.states.indexOf("done");
const unusable = new Set(); // pairs whose seeds differ, or whose files are gone

// Settings, checkpoints (positions) that any setting has a picture of.
export const settings = [...new Set(data.runs.map((run) => run.setting))];
export const checkpoints = data.checkpoints.map((_, at) => at).filter((at) => data.runs.some((run) => run.pictures.checkpoint.includes(at)));

// Setting -> prompt and weight -> [[run, number of its picture]], for one checkpoint.
function index(checkpoint) {
  const found = new Map(settings.map((setting) => [setting, new Map()]));
  data.runs.forEach((run, at) => run.pictures.checkpoint.forEach((position, picture) => {
    if (position !== checkpoint || run.pictures.state[picture] !== DONE) return;
    const place = `${run.pictures.prompt[picture]}/${run.pictures.weight[picture]}`;
    const places = found.get(run.setting);
    places.set(place, [...(places.get(place) ?? []), [at, picture]]);
  }));
  return found;
}

let known = [-1, null];
const places = (checkpoint) => (known[0] === checkpoint ? known : (known = [checkpoint, index(checkpoint)]))[1];

// All pairs of pictures of two settings that may be shown: [[run, picture], [run, picture]].
export function pairsOf(checkpoint, a, b) {
  const [ofA, ofB] = [places(checkpoint).get(a), places(checkpoint).get(b)];
  return [...ofA].flatMap(([place, ones]) => ones.flatMap((one) => (ofB.get(place) ?? []).map((other) => [one, other])))
    .filter((pair) => !unusable.has(String(pair)) && !unusable.has(String([...pair].reverse())));
}

export const reject = (pair) => unusable.add(String(pair));

async function detailsOf([run, picture]) {
  const all = await unpack(`details-${run}`);
  return all?.[data.runs[run].pictures.detail[picture]] ?? {};
}

// Whether the two were drawn with one seed. A trainer that tells no seed is believed.
export async function sameSeed(pair) {
  const [one, other] = await Promise.all(pair.map(detailsOf));
  const known = [one.seed, other.seed].every((seed) => seed !== undefined && seed !== null);
  return !known || one.seed === other.seed;
}

// The picture, in its full size where its file is beside the page; else its small copy; null where there is neither.
export async function load([run, picture]) {
  const thumb = urlOf(data.runs[run].pictures.thumb[picture]);
  const { file } = await detailsOf([run, picture]);
  for (const url of [file && !data.alone && fileUrl(file), thumb].filter(Boolean)) {
    const image = new Image();
    image.src = url;
    try {
      await image.decode();
      return image;
    } catch {
      continue;
    }
  }
  return null;
}

export function paint(canvas, image) {
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
}
