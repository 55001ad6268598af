// Curves of many runs on common columns: what a plot needs, whose lines share their x. Pure.
// Covers: smoothing, columns, the value at a place. A curve is [steps, seconds, values].

// Exponential moving average without its start's bias; `weight` 0 leaves the curve as it is.
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

// A line's values on `count` columns from `low` to `high`; null where it has none. Of several in one column the last stays.
export function onColumns(xs, ys, low, high, count) {
  const line = new Array(count).fill(null);
  const scale = high > low ? (count - 1) / (high - low) : 0;
  for (let at = 0; at < xs.length; at++) {
    const column = Math.round((xs[at] - low) * scale);
    // The nearest points outside stay at the edges, so that a line does not end before the frame does.
    if (column >= 0 && column < count) line[column] = ys[at];
  }
  return line;
}

// The value at or before x; null before the line begins and after its end.
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
