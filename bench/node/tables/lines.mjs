// The lines of one function that CPU time is told to be on, by each compiler of V8.
import { add, distance, head, noise, percent, row } from '../figures.mjs';
import { all, cells, good, takeTurns } from '../turns.mjs';

const OPTIMISERS = ['--no-maglev', '--no-turbofan'];
const TIERS = {
  Ignition: ['--no-sparkplug', ...OPTIMISERS],
  Sparkplug: ['--always-sparkplug', ...OPTIMISERS],
  Maglev: ['--maglev', '--no-turbofan'],
  TurboFan: ['--no-maglev'],
  'as Node.js comes': [],
};

export async function table(context) {
  const hz = Number(context.options.hz ?? 250);
  const seconds = Number(context.options.seconds ?? 8);
  for (const [tier, flags] of Object.entries(TIERS)) {
    const runs = await takeTurns(context, 'lines', { hz, seconds }, { flags });
    const shown = flags.length ? ` (${flags.join(' ')})` : '';
    console.log(`\n${tier}${shown}, ${hz} Hz; n is samples:\n`);
    head('share on the wrong line', 'noise of as many samples', 'told / true, %',
      "samples in the leaf with its caller's line");
    for (const [engine, results] of runs) {
      row(...cells(engine, results, n(results)), ...told(results));
    }
  }
}

function n(results) {
  return String(Math.round(all(results, (one) => one.samples).reduce((one, two) => one + two, 0)));
}

function told(results) {
  const sums = { told: {}, truth: { other: 0 } };
  let callers = 0;
  for (const one of good(results)) {
    add(sums.told, one.told);
    add(sums.truth, one.truth);
    callers += one.callers;
  }
  const whole = (values) => Object.values(values).reduce((sum, value) => sum + value, 0);
  if (!whole(sums.told)) return ['–', '–', '–', '–'];
  const lines = Object.keys(sums.truth).filter((name) => name !== 'other');
  const shares = [...lines, 'other'].map((line) => (
    `${line} ${(sums.told[line] / whole(sums.told) * 100).toFixed(1)}`
    + `/${(sums.truth[line] / whole(sums.truth) * 100).toFixed(1)}`
  ));
  return [
    percent(distance(sums.told, sums.truth)),
    percent(noise(sums.truth, Number(n(results)))),
    shares.join(', '),
    percent(callers / sums.told.D),
  ];
}
