// Profiles of memory in use, by V8's own sampling.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { has, internal, pause, profiles, sondage, sum, withFolder } from './installed.mjs';

const RATE = 64 << 10;
const BYTES = 20e6;

/** Holds 20 MB in arrays of 1,000 elements, which have 8 bytes each. */
function retain() {
  const kept = [];
  for (let bytes = 0; bytes < BYTES; bytes += 8048) kept.push(new Array(1000).fill(bytes));
  return kept;
}

function collectGarbage() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

if (isMainThread) {
  /** The profile of memory that the next flush delivers. */
  const flushed = (options, run) => withFolder(async (folder) => {
    sondage.start({ push: `file:${folder}`, memory: RATE, ...options });
    const next = async () => {
      const known = profiles(folder, true).length;
      await sondage.flush();
      for (let patience = 100; patience > 0; patience--) {
        const all = profiles(folder, true);
        if (all.length > known) return all.at(-1);
        await pause(50);
      }
      throw new Error('no profile of memory');
    };
    try {
      await run(next);
    } finally {
      await sondage.stop();
    }
  });

  // One sample stands for 64 KB: 300 of them are right within 6 %.
  const isAbout = (bytes) => Math.abs(bytes / BYTES - 1) < 0.25;

  test('what is held is found where it was allocated, and is gone when it is', () =>
    flushed({}, async (next) => {
      let kept = retain();
      const held = await next();
      assert.deepEqual(Object.keys(held[0].values), ['inuse_space']);
      const bytes = sum(held, 'inuse_space', has('retain'));
      assert.ok(isAbout(bytes), `${bytes}`);
      const { frames, labels } = held.find(has('retain'));
      const frame = frames.find(({ name }) => name === 'retain');
      assert.equal(frame.file, fileURLToPath(import.meta.url));
      assert.equal(frame.startLine, 14);
      assert.equal(labels.thread, 'main');
      assert.equal(sondage.stats().memory.sampling, true);
      assert.equal(kept.length, 2486);
      kept = null;
      collectGarbage();
      const freed = sum(await next(), 'inuse_space', has('retain'));
      assert.ok(freed < BYTES / 10, `${freed}`);
    }));

  test('a look at the memory does not stop the program', () =>
    flushed({}, async (next) => {
      const kept = [];
      for (let number = 0; number < 1e6; number++) kept.push({ number });
      await next();
      const heap = internal('lib/heap.cjs');
      // CPU time: a busy machine stops the program too.
      const begin = process.cpuUsage();
      heap.handOver({ memory: RATE, interval: 1 });
      const { user, system } = process.cpuUsage(begin);
      assert.ok((user + system) / 1000 < 60, `${user + system} µs`);
      assert.equal(kept.length, 1e6);
    }));

  // A snapshot is taken four times for each profile.
  test('the memory of a worker is its own, and goes with it', () =>
    flushed({ interval: 6 }, async (next) => {
      const worker = new Worker(fileURLToPath(import.meta.url));
      try {
        await new Promise((resolve) => worker.once('message', resolve));
        const name = `worker ${worker.threadId}`;
        const isWorker = ({ labels }) => labels.thread === name;
        let held = 0;
        for (let round = 0; round < 20 && !isAbout(held); round += 1) {
          await pause(3500);
          held = sum(await next(), 'inuse_space', (it) => has('retain')(it) && isWorker(it));
        }
        assert.ok(isAbout(held), `${held} in ${name}`);
      } finally {
        await worker.terminate();
      }
      assert.equal((await next()).some(has('retain')), false);
    }));

  test('without the option nothing is sampled', () =>
    withFolder(async (folder) => {
      sondage.start({ push: `file:${folder}` });
      await sondage.stop();
      assert.deepEqual(profiles(folder, true), []);
    }));
} else {
  await import('./installed.mjs');
  const kept = retain();
  parentPort.postMessage('full');
  setInterval(() => kept.length, 1000);
}
