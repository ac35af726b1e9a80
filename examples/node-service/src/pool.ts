// Threads that compute, and what they are asked for.
import { Worker } from 'node:worker_threads';

type Labels = Record<string, string>;

/** A fixed number of threads; each is asked in turn. */
export class Pool {
  readonly #workers: Worker[];
  readonly #waiting = new Map<number, (price: number) => void>();
  #asked = 0;

  constructor(size: number) {
    this.#workers = Array.from({ length: size }, () => {
      const worker = new Worker(new URL('./worker.js', import.meta.url));
      worker.on('message', ({ id, price }: { id: number; price: number }) => {
        this.#waiting.get(id)?.(price);
        this.#waiting.delete(id);
      });
      return worker;
    });
  }

  /** The price that a thread finds, under these labels. */
  run(product: number, labels: Labels): Promise<number> {
    const id = this.#asked++;
    const worker = this.#workers[id % this.#workers.length]!;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      worker.postMessage({ id, product, labels });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
