// What changed between two sets of samples, the base and the shown side, and what may be chance.
// The command `sondage diff` follows the same rule with the same constants.

/** Samples of a running program come in bunches: counts vary more than independent ones would. */
export const DISPERSION = 2;

/** How probable it may be, over a whole comparison, that chance alone is called a change. */
export const ALPHA = 0.05;

/** Smaller changes are not worth a name, however certain: half a point of the whole. */
export const SMALLEST_CHANGE = 0.005;

// Acklam's rational approximation of the normal quantile; its relative error is below 1.2e-9.
const CENTRE = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
const CENTRE_UNDER = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1];
const TAIL = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
const TAIL_UNDER = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661415907, 1];

const polynomial = (coefficients, x) => coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);

/** The z that a standard normal value exceeds with probability `q`: 1.96 for 0.025. */
export function upperQuantile(q) {
  if (q > 0.5) return -upperQuantile(1 - q);
  if (q < 0.02425) {
    const x = Math.sqrt(-2 * Math.log(q));
    return -polynomial(TAIL, x) / polynomial(TAIL_UNDER, x);
  }
  const x = 0.5 - q;
  return (polynomial(CENTRE, x * x) * x) / polynomial(CENTRE_UNDER, x * x);
}

/**
 * How many samples a set holds: what is counted as samples, else what the period tells. Null when
 * unknown. `sums` has the set's sum of each type.
 */
export function countSamples({ types, period }, type, sums) {
  const counted = types.findIndex((t) => t.type === "samples" && t.unit === "count");
  if (counted >= 0) return sums[counted];
  const compared = types[type];
  const told = period?.value > 0 && period.type === compared.type && period.unit === compared.unit;
  // Counts of objects and of waits are scaled up from what was sampled.
  return told ? sums[type] / period.value : null;
}

/**
 * Makes the test of one comparison. A side is {total, samples, seconds}, `tests` how many values
 * are tested by it; `measure` is "share" (of the side's total) or "rate" (per second).
 * The test takes a value of the base and of the shown side and gives {change, part, changed}:
 * `change` in the measure, `part` of the whole (signed), `changed` when chance does not explain it.
 */
export function makeTest({ measure, base, shown }, tests) {
  const rate = measure === "rate";
  const [perBase, perShown] = rate ? [base.seconds, shown.seconds] : [base.total, shown.total];
  const whole = rate ? Math.max(ratio(base.total, base.seconds), ratio(shown.total, shown.seconds)) : 1;
  const limit = tests > 0 ? upperQuantile(ALPHA / (2 * tests)) : Infinity;
  const known = base.samples > 0 && shown.samples > 0;
  const differ = rate ? differPerSecond : differInShare;
  return (before, after) => {
    const change = ratio(after, perShown) - ratio(before, perBase);
    const outcome = { change, part: ratio(change, whole), changed: false };
    if (!known) return outcome;
    const { difference, deviation, smallest } = differ(base, ratio(before, base.total), shown, ratio(after, shown.total));
    return { ...outcome, changed: Math.abs(difference) >= smallest && Math.abs(difference) > limit * deviation };
  };
}

const ratio = (value, by) => (by > 0 ? value / by : 0);

/** The difference of two shares, its standard deviation if there were none, and the smallest that counts. */
function differInShare(base, before, shown, after) {
  const pooled = (before * base.samples + after * shown.samples) / (base.samples + shown.samples);
  const deviation = Math.sqrt(DISPERSION * pooled * (1 - pooled) * (1 / base.samples + 1 / shown.samples));
  return { difference: after - before, deviation, smallest: SMALLEST_CHANGE };
}

/** The same for samples per second. */
function differPerSecond(base, before, shown, after) {
  const [perBase, perShown] = [base.samples / base.seconds, shown.samples / shown.seconds];
  const deviation = Math.sqrt(DISPERSION * ((before * perBase) / base.seconds + (after * perShown) / shown.seconds));
  return { difference: after * perShown - before * perBase, deviation, smallest: SMALLEST_CHANGE * Math.max(perBase, perShown) };
}

/** What a comparison's shares leave out: the weight of frames that stand for stacks there are none of. */
export function weighPlaceholders({ placeholder }, rows) {
  const sum = { shown: 0, base: 0 };
  for (const { fn, self, baseSelf } of rows) {
    if (!placeholder[fn]) continue;
    sum.shown += self;
    sum.base += baseSelf;
  }
  return sum;
}

const UNCHANGED = { change: 0, part: 0, changed: false };

/**
 * Tests every row of the top table, self and total each by itself: rows get `selfChange` and
 * `totalChange`. Returns how many functions there are, how many changed (in one or the other), and
 * which the shown side has no more, the certain ones first. Placeholders are no functions.
 */
export function compareRows(functions, sections, comparison) {
  const isFunction = ({ fn }) => !functions.placeholder[fn];
  // Each function's self and its total.
  const tests = 2 * sections.reduce((sum, { rows }) => sum + rows.filter(isFunction).length, 0);
  const changed = new Set();
  const all = new Map();
  for (const section of sections) {
    const test = makeTest(narrow(comparison, section, weighPlaceholders(functions, section.rows)), tests);
    for (const row of section.rows) {
      if (!isFunction(row)) {
        row.selfChange = row.totalChange = UNCHANGED;
        continue;
      }
      row.selfChange = test(row.baseSelf, row.self);
      row.totalChange = test(row.baseTotal, row.total);
      if (row.selfChange.changed || row.totalChange.changed) changed.add(row.fn);
      const sum = all.get(row.fn) ?? { fn: row.fn, total: 0, baseTotal: 0 };
      sum.total += row.total;
      sum.baseTotal += row.baseTotal;
      all.set(row.fn, sum);
    }
  }
  const vanished = [...all.values()].filter(({ total, baseTotal }) => total === 0 && baseTotal > 0);
  vanished.sort((a, b) => changed.has(b.fn) - changed.has(a.fn) || b.baseTotal - a.baseTotal);
  return { functions: all.size, changed, vanished: vanished.map(({ fn }) => fn) };
}

/** The test of a tree's nodes, one of `tests`: takes the tree and a node. */
export function makeNodeTest({ placeholder }, comparison, tests) {
  const test = makeTest(comparison, tests);
  return (tree, node) => {
    if (placeholder[tree.fn[node]]) return UNCHANGED;
    const lost = weighLost(placeholder, tree, node);
    return test(tree.baseTotal[node] - lost.base, tree.total[node] - lost.shown);
  };
}

/** What of the root or of a group has no stack: placeholders lie directly below them. */
function weighLost(placeholder, tree, node) {
  const sum = { shown: 0, base: 0 };
  if (tree.fn[node] >= 0) return sum;
  for (let at = tree.firstChild[node]; at < tree.firstChild[node + 1]; at += 1) {
    const child = tree.children[at];
    const lost = placeholder[tree.fn[child]] ? { shown: tree.total[child], base: tree.baseTotal[child] } : weighLost(placeholder, tree, child);
    sum.shown += lost.shown;
    sum.base += lost.base;
  }
  return sum;
}

/** The comparison within one section, which has its own totals and losses. */
function narrow({ measure, base, shown }, { total, baseTotal }, lost) {
  const part = (side, sum) => ({ ...side, total: sum, samples: side.samples === null ? null : side.samples * ratio(sum, side.total) });
  return { measure, base: part(base, baseTotal - lost.base), shown: part(shown, total - lost.shown) };
}
