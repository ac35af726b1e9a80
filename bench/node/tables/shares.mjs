// Where CPU time is told to go, beside the truth.
import { add, distance, head, interval, noise, percent, row } from '../figures.mjs';
import { all, cells, good, takeTurns } from '../turns.mjs';

const SHAPES = {
  inlined: 'w1 to w4, inlined into req',
  mixed: 'Twelve functions of mixed kinds',
};

/** `hz` is the rate and `seconds` the length of a run: 250 times 12 is 3,000 samples. */
export async function table(context) {
  const hz = Number(context.options.hz ?? 250);
  const seconds = Number(context.options.seconds ?? 12);
  for (const [shape, title] of Object.entries(SHAPES)) {
    const runs = await takeTurns(context, 'shares', { shape, hz, seconds });
    console.log(`\n${title}, ${hz} Hz, ${seconds} s a run; n is samples of all runs:\n`);
    head('share in the wrong place', 'each run, %', 'noise of as many samples',
      'garbage collection without caller', 'neither', 'told / true, %');
    for (const [engine, results] of runs) {
      row(...cells(engine, results, n(results)), ...told(results));
    }
  }
}

function n(results) {
  return String(Math.round(all(results, (one) => one.samples).reduce((one, two) => one + two, 0)));
}

function told(results) {
  const sums = { told: {}, truth: {} };
  for (const one of good(results)) {
    add(sums.told, one.told);
    add(sums.truth, one.truth);
  }
  const [truth, whole] = [total(sums.truth), total(sums.told)];
  const named = total(Object.keys(sums.truth).map((name) => sums.told[name] ?? 0));
  const apart = [percent((sums.told['(gc)'] ?? 0) / whole), percent((sums.told[''] ?? 0) / whole)];
  if (named === 0) return ['–', '–', '–', ...apart, '–'];
  const shares = Object.entries(sums.truth).map(([name, value]) => {
    const own = percentOf(sums.told[name] ?? 0, named);
    return `${name.replace('load', '')} ${own}/${percentOf(value, truth)}`;
  });
  return [
    percent(distance(sums.told, sums.truth)),
    interval(all(results, (one) => distance(one.told, one.truth) * 100), 1),
    percent(noise(sums.truth, Math.round(Number(n(results)) * named / whole))),
    ...apart,
    shares.join(', '),
  ];
}

function total(values) {
  return Object.values(values).reduce((sum, value) => sum + value, 0);
}

function percentOf(part, whole) {
  return ((part / whole) * 100).toFixed(1);
}
