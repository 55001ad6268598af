// What the votes say together, and which two settings to ask about next. Pure.
// Covers: Bradley-Terry with ties, as judging/votes.py has it, where its source is named; a test compares the two. Not: votes
// as they are kept (votes.js), which pictures are shown (vote_tab.js).
// A result is {a, b, preferred}: a and b name settings, preferred is a, b or "" (no difference).

const SPREADS = [1, 2, 3, 5];
const TIES = [Math.log(0.5), 1];
const SIDES = 1.959963984540054;

const sum = (values) => values.reduce((total, value) => total + value, 0);
const range = (count) => Array.from({ length: count }, (_, at) => at);

// The lower triangle L of a positive definite matrix M = L L'.
function cholesky(matrix) {
  const lower = matrix.map((row) => row.map(() => 0));
  for (let row = 0; row < matrix.length; row++) {
    for (let column = 0; column <= row; column++) {
      let rest = matrix[row][column];
      for (let k = 0; k < column; k++) rest -= lower[row][k] * lower[column][k];
      lower[row][column] = row === column ? Math.sqrt(rest) : rest / lower[column][column];
    }
  }
  return lower;
}

function forward(lower, right) {
  const found = [...right];
  for (let row = 0; row < found.length; row++) {
    for (let k = 0; k < row; k++) found[row] -= lower[row][k] * found[k];
    found[row] /= lower[row][row];
  }
  return found;
}

function backward(lower, right) {
  const found = [...right];
  for (let row = found.length - 1; row >= 0; row--) {
    for (let k = row + 1; k < found.length; k++) found[row] -= lower[k][row] * found[k];
    found[row] /= lower[row][row];
  }
  return found;
}

// [preferred a, preferred b, tie]: their probabilities at a difference of log strengths.
function chances(difference, nu) {
  const [a, b] = [Math.exp(difference / 2), Math.exp(-difference / 2)];
  const total = a + b + nu;
  return [a / total, b / total, nu / total];
}

// The most likely log strengths by Newton's method. `lower`: of the Hessian; the last value is log nu where there are ties.
function fit(games, count, spread) {
  const some = games.some(([, , won]) => won === 2);
  const values = [...range(count).map(() => 0), ...(some ? [TIES[0]] : [])];
  const priors = values.map((_, at) => (at < count ? [0, 1 / spread ** 2] : [TIES[0], 1 / TIES[1] ** 2]));
  let lower = [];
  for (let round = 0; round < 100; round++) {
    const gradient = values.map((value, at) => -priors[at][1] * (value - priors[at][0]));
    const hessian = values.map((_, row) => values.map((__, column) => (row === column ? priors[row][1] : 0)));
    const nu = some ? Math.exp(values[count]) : 0;
    for (const [a, b, won] of games) {
      const [win, lose, tie] = chances(values[a] - values[b], nu);
      const pull = ((won === 0) - (won === 1) - (win - lose)) / 2;
      const curve = (win + lose - (win - lose) ** 2) / 4;
      gradient[a] += pull;
      gradient[b] -= pull;
      hessian[a][a] += curve;
      hessian[b][b] += curve;
      hessian[a][b] -= curve;
      hessian[b][a] -= curve;
      if (!some) continue;
      const mixed = (-tie * (win - lose)) / 2;
      gradient[count] += (won === 2) - tie;
      hessian[count][count] += tie * (1 - tie);
      for (const [at, sign] of [[a, 1], [b, -1]]) {
        hessian[count][at] += sign * mixed;
        hessian[at][count] += sign * mixed;
      }
    }
    lower = cholesky(hessian);
    const step = backward(lower, forward(lower, gradient));
    const longest = Math.max(...step.map(Math.abs));
    const share = Math.min(1, 2 / Math.max(longest, 1e-300));
    step.forEach((by, at) => (values[at] += by * share));
    if (longest < 1e-10) break;
  }
  const nu = some ? Math.exp(values[count]) : 0;
  const likelihood = sum(games.map(([a, b, won]) => Math.log(chances(values[a] - values[b], nu)[won])));
  const prior = sum(values.map((value, at) => priors[at][1] * (value - priors[at][0]) ** 2)) / 2;
  const evidence = likelihood - prior - count * Math.log(spread) - sum(lower.map((row, at) => Math.log(row[at])));
  return { spread, values, lower, evidence };
}

// {names, fits, weights}: the strengths under each spread that is thought possible, and how likely that spread is.
export function fitVotes(results) {
  const names = [...new Set(results.flatMap(({ a, b }) => [a, b]))].sort();
  const place = new Map(names.map((name, at) => [name, at]));
  const games = results.map(({ a, b, preferred }) => [place.get(a), place.get(b), preferred ? (preferred === a ? 0 : 1) : 2]);
  const fits = SPREADS.map((spread) => fit(games, names.length, spread));
  const most = Math.max(...fits.map(({ evidence }) => evidence));
  const likely = fits.map(({ evidence }) => Math.exp(evidence - most));
  return { names, fits, weights: likely.map((each) => each / sum(likely)) };
}

// [mean, standard deviation] of a weighted sum of the strengths, over all spreads.
function mixed({ fits, weights }, row) {
  const full = ({ values }) => values.map((_, at) => row[at] ?? 0);
  const means = fits.map((each) => sum(full(each).map((part, at) => part * each.values[at])));
  const mean = sum(means.map((each, at) => weights[at] * each));
  const variances = fits.map((each, at) => sum(forward(each.lower, full(each)).map((part) => part ** 2)) + (means[at] - mean) ** 2);
  return [mean, Math.sqrt(sum(variances.map((each, at) => weights[at] * each)))];
}

// {settings: [{setting, strength, low, high, votes}], best: [names]}, the strongest first; see Taste in judging/votes.py.
export function taste(results) {
  const fitted = fitVotes(results);
  const { names } = fitted;
  const settings = names.map((setting, at) => {
    const [strength, deviation] = mixed(fitted, names.map((_, other) => (other === at) - 1 / names.length));
    const votes = results.filter(({ a, b }) => a === setting || b === setting).length;
    return { setting, strength, low: strength - SIDES * deviation, high: strength + SIDES * deviation, votes };
  });
  settings.sort((one, other) => other.strength - one.strength);
  const best = settings.filter(({ setting }) => {
    const [lead, ahead] = mixed(fitted, names.map((name) => (name === settings[0].setting) - (name === setting)));
    return lead - SIDES * ahead <= 0;
  });
  return { settings, best: best.map(({ setting }) => setting) };
}

// Two of these settings that teach most about which one is the best: each is the best one in a world drawn from what is known
// (D. Russo, "Simple Bayesian Algorithms for Best Arm Identification", COLT 2016: top-two Thompson sampling).
// `random` gives numbers from 0 to 1; `possible(a, b)`: whether the two can be compared. Null where none can be.
export function nextPair(settings, results, possible, random = Math.random) {
  const fitted = fitVotes(results);
  for (let tries = 0; tries < 60; tries++) {
    const [a, b] = [bestIn(settings, fitted, random), bestIn(settings, fitted, random)];
    if (a !== b && possible(a, b)) return [a, b];
  }
  const pairs = settings.flatMap((a, at) => settings.slice(at + 1).filter((b) => possible(a, b)).map((b) => [a, b]));
  return pairs.length ? pairs[Math.floor(random() * pairs.length)] : null;
}

const normal = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

function bestIn(settings, { names, fits, weights }, random) {
  let left = random();
  const { spread, values, lower } = fits.find((_, at) => (left -= weights[at]) < 0) ?? fits[0];
  const noise = backward(lower, values.map(() => normal(random)));
  const known = new Map(names.map((name, at) => [name, values[at] + noise[at]]));
  const drawn = settings.map((setting) => known.get(setting) ?? spread * normal(random));
  return settings[drawn.indexOf(Math.max(...drawn))];
}

// [in how many votes the better value belonged to the preferred setting, of how many]. `valueOf(setting)`: a number, or null;
// the lower one is the better one. Ties, and settings without a value or with equal ones, are not counted.
export function agreement(results, valueOf) {
  const told = results.filter(({ a, b, preferred }) => preferred && [a, b].every((each) => Number.isFinite(valueOf(each))) && valueOf(a) !== valueOf(b));
  return [told.filter(({ a, b, preferred }) => preferred === (valueOf(a) < valueOf(b) ? a : b)).length, told.length];
}
