// What an `await` costs, and what setting labels costs, in CPU time.
import { median } from '../figures.mjs';
import { found } from '../functions.mjs';
import { cpuTime, engine, settings, tell } from './child.mjs';

const PAIRS = 300_000;
const CALLS = 200_000;
const REPEATS = 7;

async function callee(n) {
  return n;
}

async function pairs() {
  const before = cpuTime();
  let total = 0;
  for (let n = 0; n < PAIRS; n += 1) total += await callee(n);
  found.value ^= total;
  return (cpuTime() - before) / PAIRS;
}

function calls(profiler) {
  const labels = [{ route: '/a' }, { route: '/b' }, { route: '/c' }, { route: '/d' }];
  const work = () => { found.value += 1; };
  const before = cpuTime();
  for (let n = 0; n < CALLS; n += 1) profiler.run(labels[n & 3], work);
  return (cpuTime() - before) / CALLS;
}

async function repeated(measure) {
  const results = [];
  for (let n = 0; n < REPEATS; n += 1) results.push(await measure());
  // The first is compiled on the way.
  return median(results.slice(1));
}

const profiler = engine({ labels: true, flushMs: 3_600_000 });
await profiler.start();
const plain = await repeated(pairs);
let labelled;
let setting;
if (settings.labels) {
  labelled = await new Promise((resolve, reject) => {
    profiler.run({ route: '/labelled' }, () => { repeated(pairs).then(resolve, reject); });
  });
  setting = await repeated(() => calls(profiler));
}
await profiler.stop();
tell({ plain, labelled, setting });
