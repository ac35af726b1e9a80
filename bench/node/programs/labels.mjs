// Asynchronous tasks that take turns, each under a label of its own. What a task computes runs in a
// function whose name is the label, so the stack of a sample says which label is right.
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { ENGINES } from '../engines.mjs';
import { count, samples } from '../profiles.mjs';
import { engine, name, settings, tell, turn } from './child.mjs';

const TASKS_PER_KIND = 3;
const self = fileURLToPath(import.meta.url);

/** A function that is busy for about a millisecond, called like the label. */
function busy(label) {
  return new Function(`return function ${label}(seed) {
    let total = seed;
    for (let n = 0; n < 600000; n += 1) total = (total * 31 + n) | 0;
    return total;
  }`)();
}

/** How a task goes on after each step: each of these must keep its labels. */
const KINDS = {
  // The easiest: labels are set around each step anew.
  async sync(work, open, { profiler, label }) {
    while (open()) {
      await turn();
      profiler.run({ task: label }, work);
    }
  },
  async await(work, open) {
    while (open()) {
      await nothing();
      work();
    }
  },
  async timeout(work, open) {
    while (open()) {
      await new Promise((resolve) => { setTimeout(() => resolve(work()), 1); });
    }
  },
  async immediate(work, open) {
    while (open()) {
      await new Promise((resolve) => { setImmediate(() => resolve(work())); });
    }
  },
  async tick(work, open) {
    while (open()) {
      await new Promise((resolve) => { process.nextTick(() => resolve(work())); });
      await turn();
    }
  },
  async microtask(work, open) {
    while (open()) {
      await new Promise((resolve) => { queueMicrotask(() => resolve(work())); });
      await turn();
    }
  },
  async stream(work, open) {
    while (open()) {
      const through = new Transform({
        transform(chunk, _, done) { work(); setImmediate(done, null, chunk); },
      });
      const from = Readable.from(['a', 'b', 'c'].map((text) => Buffer.from(text)));
      await pipeline(from, through, new Writable({ write: (chunk, _, done) => done() }));
    }
  },
  async emitter(work, open) {
    const emitter = new EventEmitter();
    emitter.on('step', () => work());
    while (open()) {
      await sleep(1);
      emitter.emit('step');
    }
  },
  async once(work, open) {
    while (open()) {
      const emitter = new EventEmitter();
      setImmediate(() => emitter.emit('step'));
      await once(emitter, 'step');
      work();
    }
  },
  async file(work, open) {
    while (open()) {
      await readFile(self);
      work();
    }
  },
  async worker(work, open, { label }) {
    const worker = new Worker(self, { argv: process.argv.slice(2), workerData: { label } });
    // Both from now on: the last message may come together with the end.
    const ended = Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    while (open()) await sleep(10);
    worker.postMessage('end');
    fromWorkers.push(...(await ended)[0][0]);
  },
};

const fromWorkers = [];

async function nothing() {
  await turn();
}

function labelled(profiler, kind, number, open) {
  const label = `busy_${kind}_${number}`;
  const step = busy(label);
  let seed = number;
  return new Promise((resolve, reject) => {
    profiler.run({ task: label }, () => {
      KINDS[kind](() => { seed = step(seed); }, open, { profiler, label }).then(resolve, reject);
    });
  });
}

async function main() {
  const profiler = engine({ collect: true, labels: true });
  await profiler.start();
  const end = performance.now() + settings.seconds * 1000;
  const open = () => performance.now() < end;
  const tasks = Object.keys(KINDS).flatMap((kind) => (
    Array.from({ length: kind === 'worker' ? 1 : TASKS_PER_KIND }, (_, n) => (
      labelled(profiler, kind, n, open)
    ))
  ));
  await Promise.all(tasks);
  await profiler.stop();
  tell(judge([...samples(profiler.profiles, ENGINES[name].clock), ...fromWorkers]));
}

/** The thread of a task of kind `worker`: it has the label from its own call. */
async function worker() {
  const profiler = engine({ collect: true, labels: true });
  let open = true;
  parentPort.once('message', () => { open = false; });
  await profiler.start();
  const step = busy(workerData.label);
  await new Promise((resolve) => {
    profiler.run({ task: workerData.label }, () => {
      KINDS.immediate(() => step(1), () => open).then(resolve);
    });
  });
  await profiler.stop();
  parentPort.postMessage(samples(profiler.profiles, ENGINES[name].clock));
}

/** Samples by kind of task: right, wrong (another task's label), missing (none). */
function judge(all) {
  const kinds = {};
  for (const sample of all) {
    const label = sample.frames.find((one) => /\bbusy_\w+_\d+/.test(one.name))
      ?.name.match(/busy_(\w+)_\d+/);
    if (!label) continue;
    const told = sample.labels.task;
    const verdict = told === undefined ? 'missing' : told === label[0] ? 'right' : 'wrong';
    kinds[label[1]] ??= { right: 0, wrong: 0, missing: 0 };
    kinds[label[1]][verdict] += count([sample]);
  }
  return { kinds };
}

await (isMainThread ? main() : worker());
