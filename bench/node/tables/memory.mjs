// How resident memory grows with time.
import { head, median, row, spread } from '../figures.mjs';
import { all, cells, good, takeTurns } from '../turns.mjs';

/** `seconds` is how long each run takes. */
export async function table(context) {
  const seconds = Number(context.options.seconds ?? 60);
  const engines = ['none', ...context.engines.filter((engine) => engine !== 'none')];
  const runs = await takeTurns({ ...context, engines }, 'memory', { seconds, flushMs: 10_000 });
  const times = [...new Set([5, 15, 30, 60, 120, 300, seconds])]
    .filter((time) => time <= seconds).sort((one, other) => one - other);
  console.log('3,000 functions, uploads every 10 s; growth since before the start, in MB:\n');
  head(...times.map((time) => `after ${time} s`), 'highest', 'highest, more than none');
  const none = median(all(runs.get('none'), (one) => one.highest));
  for (const [engine, results] of runs) {
    row(...cells(engine, results),
      ...times.map((time) => spread(good(results).map((one) => one.readings[time - 1]), 1)),
      spread(all(results, (one) => one.highest), 1),
      spread(all(results, (one) => one.highest - none), 1));
  }
}
