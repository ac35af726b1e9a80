// What a profiler adds to the start of a process: loading it, and starting it.
import { head, row, spread } from '../figures.mjs';
import { all, cells, takeTurns } from '../turns.mjs';

export async function table(context) {
  const runs = await takeTurns(context, 'start', {});
  console.log('Loading and starting it, in ms:\n');
  head('wall time', 'CPU time', 'CPU time of the process 0.3 s later');
  for (const [engine, results] of runs) {
    row(...cells(engine, results), ...['wall', 'cpu', 'later'].map((key) => (
      spread(all(results, (one) => one[key]), 1)
    )));
  }
}
