// How long the event loop stands still because of a profiler.
import { head, row, spread } from '../figures.mjs';
import { all, cells, good, takeTurns } from '../turns.mjs';

/** `seconds` of compiling come before each of the `flushes`. */
export async function table(context) {
  const seconds = Number(context.options.seconds ?? 10);
  const flushes = Number(context.options.flushes ?? 3);
  const engines = ['none', ...context.engines.filter((engine) => engine !== 'none')];
  const runs = await takeTurns({ ...context, engines }, 'stalls', { seconds, flushes });
  console.log('The longest stall in ms, by a ticker; and by monitorEventLoopDelay, which does not');
  console.log(`see the turn that it begins in. ${seconds} s of the TypeScript compiler before`);
  console.log('each flush; handlers in µs, mean:\n');
  head('start', 'each flush', 'stop', 'start, delay', 'flush, delay', 'stop, delay',
    `handler, first ${seconds} s`, 'handler, later');
  for (const [engine, results] of runs) {
    const column = (figure) => spread(all(results, figure).flat(), 1);
    row(...cells(engine, results),
      column((one) => one.start.longest), column((one) => one.flushes.map((each) => each.longest)),
      column((one) => one.stop.longest), column((one) => one.start.delay),
      column((one) => one.flushes.map((each) => each.delay)), column((one) => one.stop.delay),
      spread(good(results).flatMap((one) => handler(one.handlers.slice(0, 1))), 1),
      spread(good(results).flatMap((one) => handler(one.handlers, one.handlers[0])), 1));
  }
}

/** The mean time of handlers until the last reading, since the first. */
function handler(readings, since = { time: 0, samples: 0 }) {
  const last = readings.at(-1);
  if (!last || last.samples === since.samples) return [];
  return [(last.time - since.time) / (last.samples - since.samples) / 1000];
}
