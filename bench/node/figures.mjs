// Figures and rows of the tables.

/** The middle one; NaN of none. */
export function median(values) {
  if (values.length === 0) return NaN;
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median, in brackets the lowest and the highest. */
export function spread(values, digits = 2, unit = '') {
  if (values.length === 0) return '–';
  const text = (value) => `${value.toFixed(digits)}${unit}`;
  if (values.length === 1) return text(values[0]);
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}

// Student's t of 95 % for 1 to 30 degrees of freedom.
const STUDENT = [
  12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
  2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048,
  2.045, 2.042,
];

/** The mean and its 95 % interval. */
export function interval(values, digits = 3) {
  if (values.length === 0) return '–';
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length === 1) return mean.toFixed(digits);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const student = STUDENT[values.length - 2] ?? 1.96;
  const half = student * Math.sqrt(squares / (values.length - 1) / values.length);
  const bounds = [mean, mean - half, mean + half];
  const [middle, low, high] = bounds.map((value) => value.toFixed(digits));
  return `${middle} (${low}…${high})`;
}

/** `own[i] / base[i]` of those rounds in which both were measured. */
export function ratios(own, base) {
  return own.flatMap((value, round) => (
    value === undefined || base[round] === undefined ? [] : [value / base[round]]
  ));
}

export function percent(share, digits = 1) {
  return Number.isNaN(share) ? '–' : `${(share * 100).toFixed(digits)} %`;
}

/** Half the sum of the differences of two distributions: the share that is in the wrong place. */
export function distance(told, truth) {
  const names = Object.keys(truth);
  const sum = (values) => names.reduce((total, name) => total + (values[name] ?? 0), 0);
  const [toldTotal, total] = [sum(told), sum(truth)];
  if (!toldTotal) return NaN;
  const share = (name) => (told[name] ?? 0) / toldTotal;
  const differences = names.map((name) => Math.abs(share(name) - truth[name] / total));
  return differences.reduce((one, other) => one + other, 0) / 2;
}

/** The median distance of this many samples drawn at random from the truth. */
export function noise(truth, samples) {
  const names = Object.keys(truth);
  const total = names.reduce((sum, name) => sum + truth[name], 0);
  const random = generator(1);
  return median(Array.from({ length: 200 }, () => {
    const drawn = {};
    for (let left = samples; left > 0; left -= 1) {
      let at = random() * total;
      const name = names.find((one) => (at -= truth[one]) < 0) ?? names.at(-1);
      drawn[name] = (drawn[name] ?? 0) + 1;
    }
    return distance(drawn, truth);
  }));
}

/** Random numbers from 0 to 1 that are the same in every run (mulberry32). */
export function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Adds the numbers of `more` to those of `sums`. */
export function add(sums, more) {
  for (const [name, value] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + value;
  return sums;
}

export function row(...cells) {
  console.log(`| ${cells.join(' | ')} |`);
}

/** The head of a table whose rows begin with the engine, the version of Node and n. */
export function head(...cells) {
  row('', 'Node', 'n', ...cells);
  row(...Array(cells.length + 3).fill('---'));
}
