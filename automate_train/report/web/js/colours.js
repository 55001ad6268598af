// Colours of runs by the value of a setting: a scale for numbers, distinct hues for names. Light and dark.
// Covers: choosing them. Pure but for the reader's colour scheme. Not: drawing.

import { data } from "./store.js";
import { settings } from "./sweep.js";

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// `share` 0..1 of the way from blue over green to red; even lightness keeps all of them readable on the background.
function scale(share) {
  const hue = 265 - 240 * share;
  return isDark() ? `oklch(0.78 0.13 ${hue})` : `oklch(0.52 0.15 ${hue})`;
}

export function colourAxes() {
  return [...settings.filter((axis) => axis.values.length > 1).map((axis) => [axis.id, axis.label]), ["run", "each run"]];
}

export function colourOf(run, id) {
  const at = settings.findIndex((axis) => axis.id === id);
  const [place, count] = at >= 0 ? [data.runs[run].at[at], settings[at].values.length] : [run, data.runs.length];
  return scale(count > 1 ? place / (count - 1) : 0.5);
}
