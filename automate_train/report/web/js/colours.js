// Colours of runs by the position of their value on a setting's axis, on one scale; light and dark.
// Covers: choosing them. Pure but for the reader's colour scheme. Not: drawing.

import { data } from "./data.js";
import { settingAxes } from "./sweep.js";

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// `share` 0..1 of the way from blue over green to red. The lightness is the same, so all are readable on the background.
function scale(share) {
  const hue = 265 - 240 * share;
  return isDark() ? `oklch(0.78 0.13 ${hue})` : `oklch(0.52 0.15 ${hue})`;
}

export function colourAxes() {
  return [...settingAxes.filter((axis) => axis.values.length > 1).map((axis) => [axis.id, axis.label]), ["run", "each run"]];
}

export function colourOf(run, id) {
  const at = settingAxes.findIndex((axis) => axis.id === id);
  const [position, count] = at >= 0 ? [data.runs[run].positions[at], settingAxes[at].values.length] : [run, data.runs.length];
  return scale(count > 1 ? position / (count - 1) : 0.5);
}
