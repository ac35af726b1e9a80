// Threads that come and go: workers that start and end while every thread is sampled at 1 kHz. A
// third is terminated in the midst of its work, a third calls process.exit, a third just ends.
import { Worker } from 'node:worker_threads';

import { conclude, count, options, recording } from './recording.mjs';

const { workers, batch, hz, least } = options({ workers: 1000, batch: 10, hz: 1000, least: 100 });

const WORK = `
  const { parentPort, workerData } = require('node:worker_threads');
  let total = 0;
  function busyInWorker(until) {
    while (performance.now() < until) {
      for (let n = 0; n < 1e4; n += 1) total = (total * 31 + n) | 0;
    }
  }
  parentPort.postMessage('begun');
  busyInWorker(performance.now() + (workerData.way === 'terminate' ? 1e9 : 5));
  if (workerData.way === 'exit') process.exit(7);
`;
const WAYS = ['terminate', 'exit', 'end'];
const CODES = { terminate: 1, exit: 7, end: 0 };

/** Whether one worker began and ended as it should. */
function one(number) {
  const way = WAYS[number % WAYS.length];
  const worker = new Worker(WORK, { eval: true, workerData: { way } });
  return new Promise((resolve, reject) => {
    worker.on('message', () => {
      if (way === 'terminate') setTimeout(() => worker.terminate(), number % 7);
    });
    worker.on('error', reject);
    worker.on('exit', (code) => resolve(code === CODES[way]));
  });
}

const { result, samples, stats } = await recording({ hz, wall: true }, async (breathe) => {
  let well = 0;
  for (let begun = 0; begun < workers; begun += batch) {
    const ended = await Promise.all(Array.from({ length: batch }, (_, n) => one(begun + n)));
    well += ended.filter(Boolean).length;
    await breathe();
  }
  return well;
});
const inWorkers = samples
  .filter(({ frames }) => frames.some((one) => /busyInWorker/.test(one.name)));
conclude(
  { workers, endedWell: result, samples: count(samples), inWorkers: count(inWorkers), stats },
  { 'ended otherwise': result !== workers, 'too few samples': count(inWorkers) < least },
);
