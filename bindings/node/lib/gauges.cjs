// The event loop, the collector of garbage and the memory of each isolate, for `stats()`.
'use strict';

const { PerformanceObserver, constants, monitorEventLoopDelay, performance } =
  require('node:perf_hooks');
const { isMainThread, threadId } = require('node:worker_threads');
const addon = require('./addon.cjs');
const { threadName } = require('./thread-name.cjs');

// Milliseconds between two looks at how late the event loop is: the delay of a stall is told at
// most this much too short. Each costs microseconds and wakes a process up.
const RESOLUTION = 20;

// An event loop that is busy for less of the time sleeps, and is left alone.
const AWAKE = 0.01;

const KINDS = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'mark_sweep_compact',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'scavenge',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weak_callbacks',
};

let watching;

/** Does what is wanted now: begins, tells the other isolates, or ends. */
function beat({ on, flushes }) {
  if (!on) return end();
  watching ??= new Watching(flushes);
  watching.beat(flushes);
  if (!isMainThread) addon.postGauges(threadId, JSON.stringify(watching.values()));
}

function handOver() {
  // What was seen since the last profile is not part of one.
}

function end() {
  if (!watching) return;
  watching.end();
  watching = undefined;
  if (!isMainThread) addon.postGauges(threadId, null);
}

/**
 * The counters with the gauges of this isolate since the last flush, and those that the workers
 * have told, which are at most a second old.
 */
function merged(stats) {
  if (!watching) return stats;
  watching.beat(stats.flushes);
  const { thread, ...own } = watching.values();
  const workers = {};
  for (const json of addon.postedGauges()) {
    const { isolate, ...values } = JSON.parse(json);
    if (isolate !== threadId) workers[isolate] = values;
  }
  delete own.isolate;
  return { ...stats, ...own, workers };
}

/** What is seen of this isolate since the last flush. */
class Watching {
  #delays = new Delays();
  #collections = new Collections();
  #flushes;
  #since = performance.eventLoopUtilization();
  #last = this.#since;

  constructor(flushes) {
    this.#flushes = flushes;
  }

  beat(flushes) {
    const now = performance.eventLoopUtilization();
    if (flushes !== this.#flushes) {
      this.#flushes = flushes;
      this.#since = now;
      this.#delays.forget();
      this.#collections.forget();
    }
    const { utilization, idle, active } = performance.eventLoopUtilization(now, this.#last);
    // Two looks at once tell nothing.
    if (idle + active < RESOLUTION) return;
    this.#last = now;
    this.#delays.watch(utilization >= AWAKE);
  }

  values() {
    const { utilization } = performance.eventLoopUtilization(this.#since);
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
    return {
      isolate: threadId,
      thread: threadName(),
      event_loop: { ...this.#delays.values(), utilization },
      gc: this.#collections.values(),
      memory_usage: {
        rss,
        heap_total: heapTotal,
        heap_used: heapUsed,
        external,
        array_buffers: arrayBuffers,
      },
    };
  }

  end() {
    this.#delays.watch(false);
    this.#collections.end();
  }
}

/** How late the event loop was. */
class Delays {
  #histogram = monitorEventLoopDelay({ resolution: RESOLUTION });
  #watches = false;
  // Of the spells that are over: nanoseconds, and how often they were seen, again and again.
  #seen = [];

  constructor() {
    this.watch(true);
  }

  watch(watches) {
    if (watches === this.#watches) return;
    this.#watches = watches;
    if (watches) {
      // Forgets what it has seen.
      this.#histogram.enable();
    } else {
      this.#seen.push(...this.#current());
      this.#histogram.disable();
      this.#histogram.reset();
    }
  }

  forget() {
    this.#seen = [];
    this.#histogram.reset();
  }

  /** What the histogram has, as a list of steps. */
  #current() {
    const { count, percentiles } = this.#histogram;
    const steps = [];
    let below = 0;
    for (const [percentile, value] of percentiles) {
      const share = percentile - below;
      below = percentile;
      if (share > 0) steps.push([value, (Number(count) * share) / 100]);
    }
    return steps;
  }

  values() {
    const steps = [...this.#seen, ...this.#current()].sort(([one], [other]) => one - other);
    const total = steps.reduce((sum, [, count]) => sum + count, 0);
    const at = (percentile) => {
      let sum = 0;
      const found = steps.find(([, count]) => (sum += count) >= (total * percentile) / 100);
      return millis(found ?? steps.at(-1));
    };
    const max = millis(steps.at(-1));
    return { delay_p50_ms: at(50), delay_p99_ms: at(99), delay_max_ms: max };
  }
}

/** The delay in milliseconds: what is measured is the time between two looks. */
function millis(step) {
  return step === undefined ? 0 : Math.max(0, step[0] / 1e6 - RESOLUTION);
}

/** The pauses that collecting garbage made. */
class Collections {
  #count = 0;
  #max = 0;
  #pauses = {};
  #observer = new PerformanceObserver((list) => list.getEntries().forEach((it) => this.#add(it)));

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  #add({ detail, duration }) {
    const kind = KINDS[detail?.kind] ?? 'other';
    const nanos = Math.round(duration * 1e6);
    this.#count++;
    this.#max = Math.max(this.#max, nanos);
    this.#pauses[kind] = (this.#pauses[kind] ?? 0) + nanos;
  }

  forget() {
    this.#count = this.#max = 0;
    this.#pauses = {};
  }

  values() {
    return { count: this.#count, pause_ns: { ...this.#pauses }, max_pause_ns: this.#max };
  }

  end() {
    this.#observer.disconnect();
  }
}

module.exports = { beat, end, handOver, merged };
