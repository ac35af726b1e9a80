// Memory in use by stack: V8 samples its heap in each isolate, and the last snapshot of each is
// what the next profile of memory shows.
'use strict';

const { performance } = require('node:perf_hooks');
const { threadId } = require('node:worker_threads');
const addon = require('./addon.cjs');
const { ask, connect, disconnect } = require('./inspection.cjs');
const { threadName } = require('./thread-name.cjs');
const { Tree } = require('./tree.cjs');

// Snapshots use at most this part of a thread: each is taken after as many times the last one's
// cost.
const SHARE = 100;

// Snapshots are taken so many times for each profile, but not more often than each second.
const PER_PROFILE = 4;

let sampling;
let failed = false;

/** Does what is wanted now: begins, takes a snapshot, or ends. */
function beat({ memory, interval }) {
  guarded(() => {
    if (sampling && sampling.rate !== memory) end();
    if (memory === 0 || failed) return;
    sampling ??= new Sampling(memory);
    if (sampling.isDue()) sampling.takeSnapshot(interval);
  });
}

/** Takes a snapshot for the profile that is finished now, unless that would stop the program. */
function handOver({ memory, interval }) {
  if (memory === 0 || !sampling) return;
  guarded(() => {
    if (sampling.isCheap || sampling.isDue()) sampling.takeSnapshot(interval);
  });
}

function end() {
  sampling?.end();
  sampling = undefined;
}

/** Whatever fails here, the program goes on, without its profile of memory. */
function guarded(work) {
  try {
    work();
  } catch (error) {
    failed = true;
    try {
      end();
    } catch {
      // There is nothing left to end.
    }
    const message = `no profile of this thread's memory: ${error.message}`;
    process.emitWarning(message, 'SondageWarning');
  }
}

/** V8's sampling of this isolate's heap. */
class Sampling {
  #session = connect();
  #next = 0;

  constructor(rate) {
    this.rate = rate;
    try {
      const started = addon.startHeapSampling(threadId, rate);
      if (started === false) throw new Error('somebody else samples it');
      // The inspector has V8 collect all garbage before each snapshot: the program stands still.
      this.isCheap = started === true;
      if (!started) ask(this.#session, 'HeapProfiler.startSampling', { samplingInterval: rate });
    } catch (error) {
      disconnect(this.#session);
      throw error;
    }
  }

  isDue() {
    return performance.now() >= this.#next;
  }

  takeSnapshot(interval) {
    const start = performance.now();
    const { profile } = ask(this.#session, 'HeapProfiler.getSamplingProfile');
    const { tree, bytes } = inUse(profile);
    const owner = { isolate: threadId, thread: threadName(), rate: this.rate };
    addon.replaceHeap(owner, tree, bytes);
    const end = performance.now();
    const wanted = (interval * 1000) / (this.isCheap ? PER_PROFILE : 1);
    this.#next = start + Math.max(wanted, (end - start) * SHARE);
  }

  end() {
    try {
      ask(this.#session, 'HeapProfiler.stopSampling');
    } catch {
      // Somebody else has ended it.
    }
    disconnect(this.#session);
    addon.removeHeap(threadId);
  }
}

/**
 * The tree of a `HeapProfiler.SamplingHeapProfile`, and the bytes that each node has in use. V8 has
 * scaled them up from its samples already.
 */
function inUse({ head }) {
  const tree = new Tree();
  const bytes = [];
  const rest = head.children.map((child) => [child, 0]);
  while (rest.length > 0) {
    const [node, parent] = rest.pop();
    const number = tree.add(parent, node.callFrame);
    bytes[number - 1] = node.selfSize;
    for (const child of node.children) rest.push([child, number]);
  }
  return { tree: tree.packed(), bytes: Float64Array.from(bytes) };
}

module.exports = { beat, end, handOver };
