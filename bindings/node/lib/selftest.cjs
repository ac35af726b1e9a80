// The self-test: frames of JavaScript are read in signal handlers only if known ones are read as
// they are, in code of each compiler that this V8 uses.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const addon = require('./addon.cjs');

// What the functions below are in this file: the line where each begins and the one that calls.
// prettier-ignore
function outer(look, middle, times) {
  let sum = 0;
  for (let index = 0; index < times; index++) {
    sum += index & 3;
  }
  const seen =
    middle(look, sum);
  return seen;
}

// prettier-ignore
function middle(look, sum) {
  if (sum < 0) {
    return look(sum);
  }
  return inner(look, sum + 1);
}

// prettier-ignore
function inner(look, sum) {
  const kept = { sum };

  return look(kept.sum) ?? null;
}

const FILE = __filename;
const EXPECTED = [
  { name: 'inner', startLine: 29, line: 32 },
  { name: 'middle', startLine: 21, line: 25 },
  { name: 'outer', startLine: 10, line: 16 },
];

// Calls until the optimising compilers should have taken notice, and the time for them to be done,
// in milliseconds: they work on threads of their own.
const CALLS = 4000;
const ROUNDS = 8;

/** Why frames cannot be read; `undefined` if all were read rightly. */
function wrongly(changed, value) {
  const tiers = new Set();
  const look = () => undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const seen = outer(() => addon.lookHere(changed, value), middle, 1);
    const wrong = compare(seen);
    if (wrong !== undefined) return wrong;
    seen.tiers.forEach((tier) => tiers.add(tier));
    if (tiers.has('maglev') || tiers.has('turbofan')) break;
    for (let call = 0; call < CALLS; call++) outer(look, middle, 10);
  }
  return undefined;
}

// The leaf is the arrow function that looks.
function compare(seen) {
  if (seen === null || seen === undefined) return 'nothing is read';
  const frames = seen.frames.slice(1, 1 + EXPECTED.length);
  for (const [depth, expected] of EXPECTED.entries()) {
    const frame = frames[depth];
    if (frame === undefined) return `only ${depth} frames are read`;
    if (frame.name !== expected.name) return `${expected.name} is read as ${frame.name}`;
    if (frame.file !== FILE) return `the file of ${frame.name} is read as ${frame.file}`;
    if (frame.startLine !== expected.startLine) {
      return `${frame.name} is read as beginning at line ${frame.startLine}`;
    }
    // Lines of code that Sparkplug made need V8's file, which is read later.
    if (frame.line !== expected.line && frame.line !== 0) {
      return `${frame.name} is read as running line ${frame.line}`;
    }
  }
  return undefined;
}

const LABELS = 4711;

/** Whether labels that are the store of `storage` are found. */
function findsLabels(storage) {
  return (
    addon.findLabels(storage, {}) &&
    storage.run(LABELS, () => addon.lookHere()?.labels === LABELS) &&
    addon.lookHere()?.labels === 0
  );
}

module.exports = { findsLabels, wrongly };
