// The self-test: a layout that fits is found right every time, and no other one passes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { PACKAGE } from './programs.mjs';

const MAIN_MAJOR = Number(process.versions.node.split('.')[0]);

// What no frame of a known function tells: which of many types of functions and of strings is the
// last one, and the kind of frame that regular expressions have, which call nothing.
const BOUNDS = new Set([
  'first_nonstring', 'frame_of_regexp', 'type_function_first', 'type_function_last',
]);

// In a process of its own each: what was compiled for one layout must not be there for the next.
const PROGRAM = `
const { AsyncLocalStorage } = require('node:async_hooks');
const path = require('node:path');
const [lib, name, value] = process.argv.slice(1);
const addon = require(path.join(lib, 'addon.cjs'));
const { findsLabels, wrongly } = require(path.join(lib, 'selftest', 'index.cjs'));
const changed = name === undefined ? [] : [name, Number(value)];
const unattached = addon.attachIsolate();
const storage = new AsyncLocalStorage();
console.log(JSON.stringify({
  unattached,
  numbers: addon.layoutNumbers(),
  wrong: wrongly(...changed) ?? null,
  labels: findsLabels(storage, ...changed),
}));
`;

const LIB = path.join(PACKAGE, 'lib');

async function check(...changed) {
  const args = ['-e', PROGRAM, LIB, ...changed.map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  return JSON.parse(stdout);
}

test('this V8 is read rightly, again and again', async () => {
  for (let round = 0; round < 5; round++) {
    const { unattached, wrong } = await check();
    assert.deepEqual([unattached ?? null, wrong], [null, null]);
  }
});

test('labels are found where V8 keeps them', { skip: MAIN_MAJOR < 24 }, async () => {
  assert.equal((await check()).labels, true);
});

test('a layout with any one number changed is refused', async () => {
  const { numbers, labels } = await check();
  const isUsed = ([name]) => !BOUNDS.has(name)
    && (name !== 'wrapper_shared' || numbers.some(([other, on]) => other === 'shared_is_wrapped' && on))
    && (labels || !name.includes('js_map'));
  const isFlag = (name) => /_is_|_has_|_are_/.test(name);
  const changes = numbers.filter(isUsed).flatMap(([name, value]) =>
    isFlag(name) ? [[name, 1 - value]] : [[name, value + 8], [name, value - 8]]);
  assert.ok(changes.length > 80, `${changes.length} changes`);
  const passed = [];
  const tryNext = async () => {
    for (let change = changes.pop(); change !== undefined; change = changes.pop()) {
      // A layout may be so wrong that reading by it ends the process? That must not be either.
      const found = await check(...change);
      if (found.wrong === null && found.labels === labels) passed.push(change);
    }
  };
  await Promise.all([tryNext(), tryNext()]);
  assert.deepEqual(passed, []);
});

test('the twin of the known functions is their exact copy', () => {
  const { readFileSync } = createRequire(import.meta.url)('node:fs');
  const [chain, twin] = ['chain', 'twin'].map((name) =>
    readFileSync(path.join(LIB, 'selftest', `${name}.cjs`), 'utf8'));
  assert.equal(chain, twin);
});
