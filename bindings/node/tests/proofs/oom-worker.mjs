// Workers that run out of memory: they end with an error, and their parent lives on, profiled.
import { Worker } from 'node:worker_threads';

import { conclude, count, options, recording } from './recording.mjs';

const { workers, hz, least } = options({ workers: 10, hz: 1000, least: 20 });

const WORK = `
  const kept = [];
  function fillMemory() {
    for (;;) kept.push({ text: 'x'.repeat(100) + kept.length, more: [kept.length, {}] });
  }
  fillMemory();
`;
const LIMITS = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 };

function fate() {
  const worker = new Worker(WORK, { eval: true, resourceLimits: LIMITS });
  return new Promise((resolve) => {
    let error;
    worker.on('error', (reason) => { error = reason.code; });
    worker.on('exit', (code) => resolve(error ?? `ended with ${code}`));
  });
}

function busyInParent() {
  let total = 0;
  for (const end = performance.now() + 20; performance.now() < end;) total += Math.sqrt(total + 1);
  return total;
}

const { result, samples, stats } = await recording({ hz }, async (breathe) => {
  const fates = {};
  for (let n = 0; n < workers; n += 1) {
    const ended = fate();
    busyInParent();
    const how = await ended;
    fates[how] = (fates[how] ?? 0) + 1;
    await breathe();
  }
  return fates;
});
conclude(
  { fates: result, samples: count(samples), stats },
  {
    'ended otherwise': result.ERR_WORKER_OUT_OF_MEMORY !== workers,
    'too few samples': count(samples) < least,
  },
);
