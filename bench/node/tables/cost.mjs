// What profiling costs a CPU-bound program.
import { head, interval, ratios, row, spread } from '../figures.mjs';
import { all, cells, each, good, takeTurns } from '../turns.mjs';

// Twelve functions of a millisecond: some five seconds.
const WORK = 450;

/** `work` is how often the twelve functions run, `flush` the seconds between uploads. */
export async function table(context) {
  const rounds = Number(context.options.work ?? WORK);
  const flushMs = Number(context.options.flush ?? 2) * 1000;
  const engines = ['none', ...context.engines.filter((engine) => engine !== 'none')];
  const runs = await takeTurns({ ...context, engines }, 'cost', { rounds, flushMs });
  console.log(`100 Hz, uploads every ${flushMs / 1000} s:\n`);
  head('CPU ms', 'ratio', 'ratio, with start and stop', 'accounted for', 'highest RSS, MB');
  for (const [engine, results] of runs) {
    const ratio = (figure) => interval(
      ratios(each(results, figure), each(runs.get('none'), figure)),
    );
    row(...cells(engine, results), spread(all(results, (one) => one.cpu / 1e6), 0),
      ratio((one) => one.cpu), ratio((one) => one.whole), accounted(results),
      spread(all(results, (one) => one.rss), 0));
  }
}

/** What a profiler says of its own cost: its threads and its handlers, of all CPU time. */
export function accounted(results) {
  const stats = good(results).map((one) => one.stats);
  if (!stats.some((one) => one?.hostCpu)) return '–';
  const own = stats.map((one) => (
    (one.agentCpu + one.handlerTime) / (one.hostCpu + one.agentCpu)
  ));
  return spread(own.map((share) => share * 100), 2, ' %');
}
