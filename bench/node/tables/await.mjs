// What an await and a change of labels cost.
import { ENGINES } from '../engines.mjs';
import { head, interval, ratios, row, spread } from '../figures.mjs';
import { all, cells, each, good, run, takeTurns } from '../turns.mjs';

export async function table(context) {
  const start = (program, engine) => (
    run(program, engine, { labels: ENGINES[engine].labels ?? false })
  );
  const engines = ['none', ...context.engines.filter((engine) => engine !== 'none')];
  const runs = await takeTurns({ ...context, engines }, 'await', {}, { start });
  console.log('CPU time in ns; a call runs an empty function under labels:\n');
  head('an await', 'ratio', 'an await under labels', 'ratio', 'a call under labels');
  for (const [engine, results] of runs) {
    const figure = (key, digits) => {
      const known = good(results).filter((one) => one[key] !== undefined);
      return spread(known.map((one) => one[key]), digits);
    };
    const ratio = (key) => interval(
      ratios(each(results, (one) => one[key]), each(runs.get('none'), (one) => one.plain)),
    );
    row(...cells(engine, results), spread(all(results, (one) => one.plain), 0), ratio('plain'),
      figure('labelled', 0), ratio('labelled'), figure('setting', 0));
  }
}
