// Resident memory over time, of a program with many functions and deep stacks.
import { found } from '../functions.mjs';
import { engine, settings, tell, turn } from './child.mjs';

const FUNCTIONS = 3000;
const DEPTH = 30;
const STEP_MS = 2000;
const MOST_STEPS = 30;

/**
 * Chains of calls: each function calls the next of its chain and does some work of its own. It
 * finds it in a table, so that no compiler puts a chain into one function of unknown size.
 */
function chains() {
  const table = [];
  for (let n = 0; n < FUNCTIONS; n += 1) {
    const next = n % DEPTH === DEPTH - 1 ? 'x' : `table[${n + 1}](x)`;
    table.push(new Function('table', `return function f${n}(x) {
      let total = x + ${n};
      for (let i = 0; i < 300; i += 1) total = (total * ${31 + (n % 60)} + i) | 0;
      return total ^ ${next};
    }`)(table));
  }
  return table.filter((_, n) => n % DEPTH === 0);
}

const rss = () => process.memoryUsage.rss() / 2 ** 20;

const heads = chains();
// Everything is compiled before it counts: until memory grows no more.
let size = 0;
for (let steps = 0; steps < MOST_STEPS && Math.abs(rss() - size) > 1; steps += 1) {
  size = rss();
  for (const end = performance.now() + STEP_MS; performance.now() < end;) {
    for (const head of heads) found.value ^= head(1);
    await turn();
  }
}
const before = rss();
const profiler = engine();
await profiler.start();
const begun = performance.now();
const readings = [];
let highest = 0;
for (let second = 1; second <= settings.seconds; second += 1) {
  while (performance.now() < begun + second * 1000) {
    for (const head of heads) found.value ^= head(second);
    await turn();
  }
  const now = rss();
  highest = Math.max(highest, now);
  readings.push(now - before);
}
await profiler.stop();
tell({ before, readings, highest: highest - before, peak: process.resourceUsage().maxRSS / 1024 });
