// Labels of samples taken in asynchronous work, where the stack says which label is right.
import { head, percent, row } from '../figures.mjs';
import { cells, good, takeTurns } from '../turns.mjs';

export async function table(context) {
  const hz = Number(context.options.hz ?? 250);
  const seconds = Number(context.options.seconds ?? 10);
  const major = Number(process.versions.node.split('.')[0]);
  // In Node.js 22 AsyncLocalStorage is V8's own only by this flag.
  for (const flags of major === 22 ? [[], ['--experimental-async-context-frame']] : [[]]) {
    const runs = await takeTurns(context, 'labels', { hz, seconds }, { flags });
    console.log(`\n${hz} Hz${flags.length ? `, ${flags}` : ''}; n is samples:\n`);
    head('right', 'wrong', 'missing', 'share right', 'kinds with errors: right, wrong, missing');
    for (const [engine, results] of runs) row(...rowOf(engine, results));
  }
}

function rowOf(engine, results) {
  const kinds = {};
  for (const result of good(results)) {
    for (const [kind, counts] of Object.entries(result.kinds)) {
      kinds[kind] ??= { right: 0, wrong: 0, missing: 0 };
      for (const verdict in counts) kinds[kind][verdict] += counts[verdict];
    }
  }
  const sum = (verdict) => (
    Math.round(Object.values(kinds).reduce((all, one) => all + one[verdict], 0))
  );
  const [right, wrong, missing] = ['right', 'wrong', 'missing'].map(sum);
  const n = right + wrong + missing;
  const errors = Object.entries(kinds).filter(([, one]) => one.wrong + one.missing > 0)
    .map(([kind, one]) => `${kind} ${one.right}, ${one.wrong}, ${one.missing}`);
  return [
    ...cells(engine, results, String(n)), right, wrong, missing, n ? percent(right / n) : '–',
    errors.join('; ') || '–',
  ];
}
