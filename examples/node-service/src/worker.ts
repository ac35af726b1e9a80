// A thread of the pool: prices by simulation.
import { parentPort } from 'node:worker_threads';

import { withLabels } from 'sondage';

const STEPS = 40_000;

interface Question {
  id: number;
  product: number;
  labels: Record<string, string>;
}

parentPort!.on('message', ({ id, product, labels }: Question) => {
  const price = withLabels(labels, simulated, product);
  parentPort!.postMessage({ id, price });
});

/** What a price drifts to, on the average of some runs. */
function simulated(product: number): number {
  let sum = 0;
  let state = product + 1;
  for (let run = 0; run < 10; run++) {
    let price = 10 + (product % 40);
    for (let step = 0; step < STEPS / 10; step++) {
      state = random(state);
      price *= 1 + drift(state);
    }
    sum += price;
  }
  return sum / 10;
}

function random(state: number): number {
  return (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
}

function drift(state: number): number {
  return Math.log1p((state / 2 ** 32 - 0.5) / 100) / 10;
}
