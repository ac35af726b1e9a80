// Every way out with live workers and a running profiler: a process ends as it would without one.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { conclude, options, sondage } from './recording.mjs';

const self = fileURLToPath(import.meta.url);
const { repeats, way, hz } = options({ repeats: 5, way: '', hz: 1000 });

const BUSY = 'for (let n = 0; ; n = (n * 31 + 1) | 0);';
const PATIENCE_MS = 30_000;

// How a child ends: what it does, and how it must look from outside.
const WAYS = {
  exit: { act: () => process.exit(3), ends: '3' },
  'exit while flushing': {
    act() {
      sondage.flush();
      process.exit(4);
    },
    ends: '4',
  },
  'exit while stopping': {
    act() {
      sondage.stop();
      process.exit(5);
    },
    ends: '5',
  },
  exception: { act() { throw new Error('on purpose'); }, ends: '1' },
  rejection: { act: () => { Promise.reject(new Error('on purpose')); }, ends: '1' },
  'end of work': { act: () => workers.forEach((worker) => worker.unref()), ends: '0' },
  'exit code': {
    act() {
      process.exitCode = 6;
      workers.forEach((worker) => worker.terminate());
    },
    ends: '6',
  },
  SIGTERM: { act: () => process.kill(process.pid, 'SIGTERM'), ends: 'SIGTERM' },
  abort: { act: () => process.abort(), ends: 'SIGABRT' },
};

let workers = [];

async function child() {
  sondage.start({ push: 'none', hz, wall: true, budget: 1 });
  workers = Array.from({ length: 4 }, () => new Worker(BUSY, { eval: true }));
  await Promise.all(workers.map((worker) => new Promise((resolve) => {
    worker.on('online', resolve);
  })));
  setTimeout(() => WAYS[way].act(), 100);
}

/** How a child of this way ended: its code, its signal, or that it did not. */
function ending(name) {
  const process_ = spawn(process.execPath, [...process.execArgv, self, `way=${name}`, `hz=${hz}`], {
    stdio: 'ignore',
  });
  return new Promise((resolve) => {
    let hangs = false;
    const timer = setTimeout(() => { hangs = true; process_.kill('SIGKILL'); }, PATIENCE_MS);
    process_.on('exit', (code, signal) => {
      clearTimeout(timer);
      resolve(hangs ? 'hangs' : signal ?? String(code));
    });
  });
}

async function parent() {
  const otherwise = [];
  let runs = 0;
  for (const [name, { ends }] of Object.entries(WAYS)) {
    for (let n = 0; n < repeats; n += 1) {
      const found = await ending(name);
      runs += 1;
      if (found !== ends) otherwise.push(`${name}: ${found}, not ${ends}`);
    }
  }
  conclude({ runs, otherwise }, { 'ended otherwise': otherwise.length > 0 });
}

await (way ? child() : parent());
