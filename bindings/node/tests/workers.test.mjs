// Workers load the package by themselves, and are otherwise what they were.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';

import { LOADED, folder, node, write } from './programs.mjs';

const START = "require('sondage').start({ push: [] });";

/** Runs a program that starts the profiler, and without it; both must print the same. */
async function alike(place, code, options = []) {
  const body = (start) => `${start}
const { Worker, workerData } = require('node:worker_threads');
const path = require('node:path');
${code}`;
  const bare = await node([...options, write(place, 'main.cjs', body(''))]);
  const ended = await node([...options, write(place, 'main.cjs', body(START))]);
  // A stack has our frames too.
  const told = (stderr) => stderr.split('\n').filter((line) => !line.startsWith('    at '));
  assert.deepEqual([told(ended.stderr), ended.code], [told(bare.stderr), bare.code], code);
  assert.equal(ended.stdout, bare.stdout, code);
  return ended;
}

test('each worker loads the package: files, code, URLs, ESM, nested ones', async (t) => {
  const place = folder(t);
  write(place, 'w.cjs', `console.log('cjs', ${LOADED})`);
  write(place, 'w.mjs', `console.log('esm', ${LOADED})`);
  write(place, 'nest.cjs', `const { Worker } = require('worker_threads');
new Worker(__dirname + '/w.cjs', { execArgv: [] });`);
  const file = write(place, 'main.mjs', `import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import * as threads from 'worker_threads';
import { start, stop } from 'sondage';
const original = Worker;
start({ push: [] });
console.log(threads.Worker !== original, Worker === threads.Worker);
const here = (name) => new URL(name, import.meta.url);
for (const make of [
  () => new Worker(here('w.cjs')),
  () => new Worker(here('w.mjs')),
  () => new Worker(here('w.cjs').pathname, { argv: ['x'] }),
  () => new Worker(here('w.cjs'), { execArgv: [] }),
  () => new Worker(here('w.cjs'), { execArgv: ['--no-warnings'] }),
  () => new Worker(here('w.cjs'), { env: {} }),
  () => new Worker(here('w.cjs'), { env: { NODE_OPTIONS: '--no-warnings' } }),
  () => new Worker(here('w.cjs'), { env: threads.SHARE_ENV }),
  () => new Worker('console.log("eval", ${LOADED})', { eval: true }),
  () => new Worker(new URL('data:text/javascript,console.log("data", ${LOADED})')),
  () => new Worker(here('nest.cjs')),
]) {
  const [code] = await once(make(), 'exit');
  if (code !== 0) console.log('failed', code);
}
await stop();
console.log(threads.Worker === original, Worker === original);
`);
  const ended = await node([file]);
  assert.equal(ended.stderr, '');
  const lines = ended.stdout.trim().split('\n');
  assert.deepEqual(lines, [
    'true true', 'cjs true', 'esm true', 'cjs true', 'cjs true', 'cjs true', 'cjs true', 'cjs true',
    'cjs true', 'eval true', 'data true', 'cjs true', 'true true',
  ]);
});

test('workers see the options, the environment and the class that they would see', async (t) => {
  const place = folder(t);
  write(place, 'show.cjs', `const { workerData, threadId } = require('worker_threads');
console.log(JSON.stringify([process.execArgv, process.argv.slice(2), process.env.NODE_OPTIONS,
  process.env.GIVEN, workerData, require.main === module, threadId,
  Object.keys(process.env).length]));`);
  const show = "path.join(__dirname, 'show.cjs')";
  for (const given of [
    '', ', {}', ', undefined', ', null', ', { execArgv: [] }',
    ', { env: { GIVEN: "yes" }, argv: ["a"] }',
    ', { execArgv: ["--no-warnings"], workerData: { deep: [1] } }',
    ', Object.freeze({ env: process.env, name: "own" })',
    ', new (class { get workerData() { return 5; } })()',
    ', { env: { NODE_OPTIONS: "--no-warnings" } }',
    ', { env: require("worker_threads").SHARE_ENV }',
  ]) {
    await alike(place, `new Worker(${show}${given});`);
  }
  await alike(place, `new Worker(${show});`, ['--no-warnings', '--stack-trace-limit=20']);
  const ofProcess = ['--expose-gc', '--max-old-space-size=200', '--title', 'x'];
  await alike(place, `new Worker(${show});`, ofProcess);
  await alike(place, `new Worker(${show}, { execArgv: ['--expose-gc'] });`);
  await alike(place, 'new Worker();');
  await alike(place, 'new Worker("./none.cjs", { execArgv: "text" });');
  await alike(place, 'new Worker("./none.cjs", 5);');
  await alike(place, 'try { Worker("x") } catch (error) { console.log(error.message) }');
  await alike(place, 'new Worker("nothing here", { eval: true, env: 5 });');
  await alike(place, `
class Own extends Worker {
  constructor(file) { super(file, { argv: ['sub'] }); this.own = 1; }
  twice() { return 2; }
}
const own = new Own(${show});
console.log(own instanceof Own, own instanceof Worker, own.own, own.twice(), Worker.name,
  Worker.length, Object.getOwnPropertyNames(Worker).sort().join(),
  Object.getPrototypeOf(Worker) === require('events'),
  own.constructor === Own, Worker.prototype.postMessage === own.postMessage);`);
});

test('option `workers: false` leaves the class as it is', async (t) => {
  const place = folder(t);
  const file = write(place, 'main.cjs', `const threads = require('worker_threads');
const { Worker } = threads;
require('sondage').start({ push: [], workers: false });
console.log(threads.Worker === Worker);`);
  const ended = await node([file]);
  assert.deepEqual([ended.stdout, ended.stderr], ['true\n', '']);
});

test('the door reaches workers, also those with options of their own', async (t) => {
  const place = folder(t);
  const file = write(place, 'main.cjs', `const { Worker } = require('worker_threads');
const code = 'console.log(${LOADED}, process.execArgv.join(), process.env.NODE_OPTIONS)';
const make = (options) => new Promise((resolve) => {
  new Worker(code, { eval: true, ...options }).on('exit', resolve);
});
make().then(() => make({ execArgv: [] })).then(() => make({ env: {} }));`);
  const through = await node(['--import', 'sondage/auto', file], { env: { SONDAGE_PUSH: 'none' } });
  assert.equal(through.stderr, '');
  assert.deepEqual(through.stdout.split('\n'), [
    'true --import,sondage/auto undefined', 'true  undefined',
    'true --import,sondage/auto undefined', '',
  ]);
  const NODE_OPTIONS = '--require sondage/auto';
  const below = await node([file], { env: { SONDAGE_PUSH: 'none', NODE_OPTIONS } });
  assert.equal(below.stderr, '');
  assert.deepEqual(below.stdout.split('\n'), [
    `true  ${NODE_OPTIONS}`, `true  ${NODE_OPTIONS}`, 'true  undefined', '',
  ]);
});

test('workers that are terminated, throw or outlive the profiler end as ever', async (t) => {
  const place = folder(t);
  await alike(place, `
(async () => {
  const spin = new Worker('for (;;);', { eval: true });
  await new Promise((resolve) => spin.once('online', resolve));
  console.log(await spin.terminate());
  const fails = new Worker('throw new RangeError("own")', { eval: true });
  fails.on('error', (error) => console.log(error.name, error.message));
  await new Promise((resolve) => fails.on('exit', resolve));
  const late = new Worker('setTimeout(() => process.exit(4), 100)', { eval: true });
  late.on('exit', (code) => { console.log(code); process.exit(5); });
})();`);
  const file = write(place, 'many.mjs', `import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { start, stop } from 'sondage';
start({ push: [], hz: 1000 });
const code = 'for (const end = Date.now() + 20; Date.now() < end;);';
for (let round = 0; round < 10; round += 1) {
  const made = Array.from({ length: 4 }, () => new Worker(code, { eval: true }));
  if (round % 2) made.forEach((worker) => worker.terminate());
  await Promise.all(made.map((worker) => once(worker, 'exit')));
}
await stop();
console.log('done');`);
  const ended = await node([file]);
  assert.deepEqual([ended.stdout, ended.stderr, ended.code], ['done\n', '', 0]);
});
