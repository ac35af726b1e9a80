// Wrong names while code comes, moves and goes: each round makes new functions `fn_i`, each with
// an `inl_i` of its own that compilers put into it, and collects garbage. The caller of a frame of
// `inl_i` must be `fn_i`; any other name was read from memory that is something else by now.
//
// `gcstress.mjs seconds=20`, under --stress-compaction, --max-old-space-size=64, --gc-interval=500
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { conclude, count, options, recording } from './recording.mjs';

const { seconds, hz, least } = options({ seconds: 10, hz: 1000, least: 100 });
const FUNCTIONS = 40;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');

function pair(number) {
  return new Function(`
    function inl_${number}(x) {
      let total = x;
      for (let n = 0; n < 200; n += 1) total = (total * 31 + n) | 0;
      return total;
    }
    return function fn_${number}(x) {
      let total = 0;
      for (let n = 0; n < 300; n += 1) total ^= inl_${number}(x + n);
      return total;
    };`)();
}

let made = 0;
let found = 0;
let kept = [];

function round() {
  const functions = Array.from({ length: FUNCTIONS }, () => pair(made++));
  // Some live longer than their round, so that code moves and does not only die.
  kept = [...kept, ...functions.slice(0, 5)].slice(-50);
  for (let n = 0; n < 25; n += 1) for (const one of functions) found ^= one(n);
  for (const one of kept) found ^= one(1);
  gc();
}

/** Frames of `inl_i` by what stands under them: its `fn_i`, another function's, no such name. */
function judge(samples) {
  const counts = { right: 0, wrong: 0, unknown: 0 };
  const examples = [];
  for (const { frames, values } of samples) {
    frames.forEach(({ name }, at) => {
      const inlined = name.match(/\binl_(\d+)/);
      if (!inlined) return;
      const caller = frames[at + 1]?.name.match(/\b(?:fn|inl)_\d+/)?.[0];
      const verdict = !caller ? 'unknown' : caller === `fn_${inlined[1]}` ? 'right' : 'wrong';
      counts[verdict] += values.samples;
      if (verdict !== 'right') examples.push([name, frames[at + 1]?.name ?? null]);
    });
  }
  return { ...counts, examples: examples.slice(0, 5) };
}

const { result, samples, stats } = await recording({ hz, wall: true }, async (breathe) => {
  let rounds = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end; rounds += 1) {
    round();
    await breathe();
  }
  return rounds;
});
const verdict = judge(samples);
conclude(
  { rounds: result, functions: made, samples: count(samples), ...verdict, stats },
  {
    wrong: verdict.wrong > 0,
    'too few pairs': verdict.right < least,
    'too many unknown': verdict.unknown > verdict.right / 100 + 3,
  },
);
