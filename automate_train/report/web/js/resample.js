// Curves of many runs on common columns, because the lines of a plot share their x values. Pure.
// Covers: smoothing, columns, the value at an x. A curve is [steps, seconds, values].

// Exponential moving average, corrected for its start at 0; `weight` 0 changes nothing.
export function smooth(values, weight) {
  if (!weight) return values;
  let [sum, bias] = [0, 1];
  return values.map((value) => {
    sum = sum * weight + (1 - weight) * value;
    bias *= weight;
    return sum / (1 - bias);
  });
}

export function range(curves, column) {
  let [low, high] = [Infinity, -Infinity];
  for (const curve of curves) {
    if (!curve?.[column].length) continue;
    low = Math.min(low, curve[column][0]);
    high = Math.max(high, curve[column].at(-1));
  }
  return low <= high ? [low, high] : [0, 1];
}

// A line's values on `count` columns from `low` to `high`; null where it has none. Of several in one column the last one.
export function onColumns(xs, ys, low, high, count) {
  const line = new Array(count).fill(null);
  const scale = high > low ? (count - 1) / (high - low) : 0;
  for (let at = 0; at < xs.length; at++) {
    const column = Math.round((xs[at] - low) * scale);
    if (column >= 0 && column < count) line[column] = ys[at];
  }
  return line;
}

// The value at x or at the last point before it; null outside the line.
export function valueAt(xs, ys, x) {
  if (!xs.length || x < xs[0] || x > xs.at(-1)) return null;
  let [low, high] = [0, xs.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle - 1;
  }
  return ys[low];
}
