// start, stop, flush, stats: what they take, what they leave behind.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test, { afterEach } from 'node:test';

import * as sondage from 'sondage';

import { read, total } from './pprof.mjs';
import { BURN, folder, node, profiles, write } from './programs.mjs';

// One failure is not the next test's.
afterEach(sondage.stop);

const burn = new Function(`${BURN}; return burn;`)();

test('a profile has the CPU time of what ran, and goes to the targets', async (t) => {
  const place = folder(t);
  sondage.start({ serviceName: 'burner', push: `file:${place}`, labels: { zone: 'a,b=c' } });
  assert.equal(sondage.isRunning(), true);
  burn(400);
  const samples = read(await sondage.flush());
  const seconds = total(samples, 'cpu') / 1e9;
  assert.ok(seconds > 0.1 && seconds < 3, `${seconds} s`);
  const stats = sondage.stats();
  assert.equal(stats.flushes, 1);
  assert.ok(stats.samples > 10 && stats.sampledCpu > 1e8, JSON.stringify(stats));
  assert.ok(stats.exports[0].sink.startsWith('file:'), JSON.stringify(stats.exports));
  await sondage.stop();
  const written = profiles(place).get(String(process.pid));
  assert.ok(total(written, 'cpu') / 1e9 > 0.1);
  assert.ok(readdirSync(place)[0].startsWith('burner-'));
});

test('calls without a profiler do nothing', async () => {
  assert.equal(sondage.isRunning(), false);
  assert.equal(await sondage.flush(), null);
  assert.deepEqual(sondage.stats(), {});
  assert.equal(await sondage.stop(), undefined);
  assert.equal(sondage.withLabels({ a: 'b' }, (x) => x + 1, 1), 2);
});

test('a wrong option is told by its name and with what is allowed', () => {
  for (const [options, type, code, message] of [
    [{ hz: 0 }, RangeError, 'ERR_OUT_OF_RANGE', /^hz is "?0"?; allowed: 1 to 5000$/],
    [{ hz: NaN }, RangeError, 'ERR_OUT_OF_RANGE', /^hz is "NaN"; allowed: a whole number/],
    [{ hz: 'fast' }, TypeError, 'ERR_INVALID_ARG_VALUE', /^hz is "fast"; allowed: a whole number/],
    [{ hz: {} }, TypeError, 'ERR_INVALID_ARG_TYPE', /^hz must be a string, a number/],
    [{ hz: Symbol('x') }, TypeError, 'ERR_INVALID_ARG_TYPE', /^hz must be/],
    [{ interval: 0.01 }, RangeError, 'ERR_OUT_OF_RANGE', /^interval is "?10ms"?; allowed: 100ms/],
    [{ interval: -1 }, RangeError, 'ERR_OUT_OF_RANGE', /^interval is "-1"; allowed: seconds/],
    [{ engine: 'quick' }, TypeError, 'ERR_INVALID_ARG_VALUE', /allowed: auto, timer, perf/],
    [{ push: 'ftp://x' }, TypeError, 'ERR_INVALID_ARG_VALUE', /^push: /],
    [{ push: ['file:a', () => 1] }, TypeError, 'ERR_INVALID_ARG_TYPE', /^push must be/],
    [{ labels: 'a=b' }, TypeError, 'ERR_INVALID_ARG_TYPE', /^labels must be an object/],
    [{ labels: { a: {} } }, TypeError, 'ERR_INVALID_ARG_TYPE', /^labels.a must be a string/],
    [{ sampleRate: 1 }, TypeError, 'ERR_INVALID_ARG_VALUE', /^sampleRate is not a setting/],
    [{ workers: 'no' }, TypeError, 'ERR_INVALID_ARG_TYPE', /^workers must be true or false/],
    ['push', TypeError, 'ERR_INVALID_ARG_TYPE', /^options must be an object/],
  ]) {
    assert.throws(() => sondage.start(options), (error) => {
      assert.ok(error instanceof type, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
    assert.equal(sondage.isRunning(), false);
  }
});

test('options are taken in their own units and types', async (t) => {
  const place = folder(t);
  sondage.start({
    push: [new URL(`file://${place}/a%20b`), `file:${place}/c`],
    hz: 50,
    interval: 0.5,
    memory: undefined,
    labels: { key: 'ü/%, x', count: 3, on: true, none: null, half: '\ud800' },
    exitTimeout: '1s',
    spoolLimit: 4n << 20n,
    fileAge: 3600,
    fileBytes: '2GiB',
    fileCount: 1,
  });
  burn(100);
  await sondage.flush();
  assert.equal(sondage.stats().intervalNanos, 20e6);
  const sinks = sondage.stats().exports.map(({ sink }) => sink);
  assert.deepEqual(sinks, [`file:${place}/a b`, `file:${place}/c`]);
  burn(100);
  await sondage.stop();
  // The second profile takes the place of the first.
  assert.equal(readdirSync(path.join(place, 'a b')).length, 1);
});

test('a wrong variable is a warning, and the program goes on', async () => {
  const code = 'require("sondage").start(); console.log(require("sondage").isRunning())';
  const wrong = await node(['-e', code], { env: { SONDAGE_HZ: 'fast', SONDAGE_PUSH: 'none' } });
  assert.equal(wrong.stdout, 'false\n');
  assert.match(wrong.stderr, /SondageWarning: not profiled: SONDAGE_HZ is "fast"; allowed: /);
  const unknown = await node(['-e', code], { env: { SONDAGE_HERZ: '9', SONDAGE_PUSH: 'none' } });
  assert.equal(unknown.stdout, 'true\n');
  assert.match(unknown.stderr, /SondageWarning: SONDAGE_HERZ is unknown/);
  const off = await node(['-e', code], { env: { SONDAGE_ENABLED: 'off' } });
  assert.deepEqual([off.stdout, off.stderr], ['false\n', '']);
});

test('starting twice, stopping twice, and each during the other, are fine', async () => {
  sondage.start({ push: [], hz: 50 });
  sondage.start({ push: [], hz: 99 });
  await sondage.flush();
  assert.equal(sondage.stats().intervalNanos, 20e6);
  burn(50);
  const flushing = [sondage.flush(), sondage.flush()];
  const stopping = [sondage.stop(), sondage.stop()];
  await Promise.all([...flushing, ...stopping]);
  assert.equal(sondage.isRunning(), false);
  assert.equal(await sondage.flush(), null);

  sondage.start({ push: [] });
  const stopped = sondage.stop();
  sondage.start({ push: [], hz: 25 });
  await stopped;
  assert.equal(sondage.isRunning(), true);
  await sondage.flush();
  assert.equal(sondage.stats().intervalNanos, 40e6);
  await sondage.stop();
});

test('many starts and stops leave nothing behind', async () => {
  const rounds = process.env.SONDAGE_STORM === 'full' ? 100 : 25;
  const before = (await settled(), left());
  for (let round = 0; round < rounds; round += 1) {
    sondage.start({ push: [] });
    burn(1);
    await sondage.stop();
  }
  await settled();
  assert.deepEqual(left(), before);
});

/** Lets the threads of the file system's pool start, which the reading below needs. */
async function settled() {
  await sondage.stop();
  await Promise.all(Array.from({ length: 8 }, () => sondage.flush()));
  await new Promise((resolve) => { setTimeout(resolve, 100); });
}

function left() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return {
    threads: readdirSync('/proc/self/task').length,
    files: readdirSync('/proc/self/fd').length,
    caught: /SigCgt:\s+(\w+)/.exec(status)[1],
    blocked: /SigBlk:\s+(\w+)/.exec(status)[1],
    listeners: process.listenerCount('exit'),
    most: process.getMaxListeners(),
  };
}

test('labels that have no text are left out, and the function runs', () => {
  const mute = { toString() { throw new Error('mute'); } };
  const labels = {
    mute,
    bare: Object.create(null),
    get hidden() { throw new Error('hidden'); },
    symbol: Symbol('s'),
    [Symbol('key')]: 1,
    number: 1.5,
    none: undefined,
  };
  sondage.withLabels(labels, () => {
    assert.deepEqual(sondage.currentLabels(), { number: '1.5', symbol: 'Symbol(s)' });
  });
  for (const odd of [null, undefined, 5, 'text', mute]) {
    assert.equal(sondage.withLabels(odd, () => 'ran'), 'ran');
  }
  assert.deepEqual(sondage.currentLabels(), {});
});

test('an exception, a promise and `this` pass through withLabels', async () => {
  assert.throws(() => sondage.withLabels({ a: 1 }, () => { throw new Error('own'); }), /own/);
  assert.deepEqual(sondage.currentLabels(), {});
  const kept = await sondage.withLabels({ a: 1 }, async () => {
    await null;
    return sondage.currentLabels();
  });
  assert.deepEqual(kept, { a: '1' });
});

test('a worker that starts the profiler may end, and the program goes on', async (t) => {
  const place = folder(t);
  const file = write(place, 'main.cjs', `const { Worker } = require('worker_threads');
new Worker('require("sondage").start({ push: [] });', { eval: true }).on('exit', (code) => {
  console.log(code, require('sondage').isRunning());
});`);
  const ended = await node([file]);
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, '0 true\n', '']);
});

test('the profiler keeps no program alive, and the last profile is delivered', async (t) => {
  const place = folder(t);
  const file = write(place, 'short.cjs', `${BURN}
require('sondage').start({ push: ${JSON.stringify(`file:${place}/out`)} });
burn(200);
`);
  const begun = Date.now();
  const ended = await node([file]);
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
  assert.ok(Date.now() - begun < 10_000);
  const [[, samples]] = profiles(path.join(place, 'out'));
  assert.ok(total(samples, 'cpu') > 1e8);
});

test('at a SIGTERM the last profile is delivered, and the signal ends the process', async (t) => {
  const place = folder(t);
  const file = write(place, 'service.cjs', `${BURN}
require('sondage').start({ push: ${JSON.stringify(`file:${place}/out`)}, interval: 600 });
burn(200);
process.kill(process.pid, 'SIGTERM');
setTimeout(() => {}, 20_000);
`);
  const ended = await node([file]);
  assert.deepEqual([ended.signal, ended.stderr], ['SIGTERM', '']);
  const [[, samples]] = profiles(path.join(place, 'out'));
  assert.ok(total(samples, 'cpu') > 1e8);
});

test('a handler of the program decides what a SIGTERM does, also one that comes later', async (t) => {
  const place = folder(t);
  for (const handler of ['process.on', 'process.once']) {
    for (const [before, after] of [['', 'add()'], ['add()', '']]) {
      const file = write(place, 'service.cjs', `
const add = () => ${handler}('SIGTERM', () => setTimeout(() => process.exit(5), 200));
${before};
require('sondage').start({ push: [] });
${after};
process.kill(process.pid, 'SIGTERM');
setTimeout(() => {}, 20_000);
`);
      const { code, stderr } = await node([file]);
      assert.deepEqual([code, stderr], [5, ''], `${handler} ${before}`);
    }
  }
});
