// Lines whose time is known. The table says by flags which compiler is to work.
//
// Lines of `hot` do 1, 2, 4 and 9 parts of the work: three in loops of their own, the last in a
// function that compilers put into it, where they may.
import { readFileSync } from 'node:fs';

import { found } from '../functions.mjs';
import { count, samples } from '../profiles.mjs';
import { ENGINES } from '../engines.mjs';
import { engine, name, settings, tell, turn } from './child.mjs';

const PART = 2000;

function leaf(seed) {
  let total = seed;
  for (let n = 0; n < PART * 9; n += 1) total = (total * 37 + n) | 0;
  return total;
}

const times = new Float64Array(5);

// The loops stand on one line each, since lines are what is measured.
function hot(x) {
  times[0] = performance.now();
  for (let n = 0; n < PART; n += 1) x = (x * 31 + n) | 0; // line A
  times[1] = performance.now();
  for (let n = 0; n < PART * 2; n += 1) x = (x * 33 + n) | 0; // line B
  times[2] = performance.now();
  for (let n = 0; n < PART * 4; n += 1) x = (x * 35 + n) | 0; // line C
  times[3] = performance.now();
  x += leaf(x); // line D
  times[4] = performance.now();
  return x;
}

const source = readFileSync(new URL(import.meta.url), 'utf8').split('\n');
const truth = { A: 0, B: 0, C: 0, D: 0 };

function step() {
  found.value ^= hot(found.value);
  Object.keys(truth).forEach((line, n) => { truth[line] += times[n + 1] - times[n]; });
}

const profiler = engine({ collect: true, lines: true });
await profiler.start();
const until = performance.now() + settings.seconds * 1000;
while (performance.now() < until) {
  const pause = performance.now() + 50;
  while (performance.now() < pause) step();
  await turn();
}
await profiler.stop();

// Where a profiler does not tell a caller's line, the work of the leaf is still told to be that.
const all = samples(profiler.profiles, ENGINES[name].clock)
  .filter(({ frames }) => frames.some((one) => one.name === 'hot'));
const told = { A: 0, B: 0, C: 0, D: 0, other: 0 };
let callers = 0;
for (const { frames, weight } of all) {
  const at = frames.findIndex((one) => one.name === 'hot');
  const inLeaf = frames.slice(0, at).some((one) => one.name === 'leaf');
  const line = lineOf(frames[at].line);
  if (inLeaf && line === 'D') callers += weight;
  told[inLeaf ? 'D' : line] += weight;
}
tell({ truth, told, callers, samples: count(all) });

function lineOf(line) {
  return source[line - 1]?.match(/line ([A-D])/)?.[1] ?? 'other';
}
