// CPU profiles where V8's frames cannot be read from outside: V8's own profiler takes the stacks,
// by a private session of the inspector in each isolate, and they are handed over.
//
// V8 walks the whole heap each time that a profiler starts: 100 ms for a large program, seconds
// where there are hundreds of megabytes. So it is started once. From then on each profile begins
// before the last one ends, which `console.profile` of the inspector can and the protocol cannot.
'use strict';

const { performance } = require('node:perf_hooks');
const { isMainThread } = require('node:worker_threads');
const addon = require('./addon.cjs');
const { stacksOf } = require('./cpu-profile.cjs');
const { ask, connect, disconnect } = require('./inspection.cjs');
const { threadName } = require('./thread-name.cjs');

// Handing over uses at most this part of a thread: it is done again after as many times its cost.
const SHARE = 100;

// A rate that differs less is the same: changing it costs a start.
const TOLERANCE = 0.1;

let reason;
let recording;
let failed = false;
let told = false;

/** Says why V8's frames cannot be read: profilers that start from now on take stacks this way. */
function run(why) {
  reason = why;
}

/** Why, or undefined. */
function degraded() {
  return reason;
}

/** Does what is wanted now: begins, hands over, or ends. */
function beat({ handedHz, wall }) {
  if (failed) return;
  guarded(() => {
    if (recording && changes(recording.hz, handedHz)) end();
    if (handedHz === 0) return;
    if (!recording) {
      tell();
      recording = new Recording(handedHz);
    } else if (recording.isDue()) {
      recording.handOver(wall);
    }
  });
}

/** Hands over what there is, before a profile is finished. */
function handOver({ wall }) {
  if (recording) guarded(() => recording.handOver(wall));
}

function end() {
  recording?.end();
  recording = undefined;
}

function changes(hz, wanted) {
  return Math.abs(wanted / hz - 1) > TOLERANCE;
}

/** Whatever fails here, the program goes on, without these stacks. */
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
    warn(`no stacks of this thread: ${error.message}`);
  }
}

function tell() {
  if (told || !isMainThread) return;
  told = true;
  const why = reason === undefined ? '' : `: ${reason}`;
  warn(`V8's own profiler takes the stacks, without native code and labels${why}`);
}

function warn(message) {
  process.emitWarning(message, 'SondageWarning');
}

/** V8's profiler in this isolate. */
class Recording {
  #session = connect();
  #cpu = 0;
  #next = 0;
  #count = 0;
  #current;
  #finished = new Map();

  constructor(hz) {
    this.hz = hz;
    try {
      this.#session.on('Profiler.consoleProfileFinished', ({ params }) => {
        // A program's own `console.profile` is told to every session.
        if (params.title?.startsWith(TITLE)) this.#finished.set(params.title, params.profile);
      });
      ask(this.#session, 'Profiler.enable');
      const interval = Math.max(100, Math.round(1e6 / hz));
      ask(this.#session, 'Profiler.setSamplingInterval', { interval });
      this.#cpu = addon.threadCpu();
      this.#current = this.#begin(undefined);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  isDue() {
    return performance.now() >= this.#next;
  }

  handOver(wall) {
    const start = performance.now();
    const cpu = addon.threadCpu();
    const before = this.#current;
    let profile;
    if (before.title === undefined && isHeard()) {
      profile = this.#finish(before);
      this.#current = this.#begin();
    } else {
      this.#current = this.#begin();
      profile = this.#finish(before);
    }
    const used = cpu - this.#cpu;
    this.#cpu = cpu;
    // A program may have ended it by a `console.profileEnd()` of no name; then it is lost.
    if (profile) {
      const { tree, leaves, times } = stacksOf(profile, used, wall);
      addon.addStacks(tree, threadName(), leaves, times);
    }
    const end = performance.now();
    this.#next = end + (end - start) * (SHARE - 1);
  }

  /**
   * Begins a profile. Where others would hear of it by `console.profile`, by the protocol: then
   * each costs a start.
   */
  #begin() {
    if (isHeard()) {
      ask(this.#session, 'Profiler.start');
      return {};
    }
    const title = `${TITLE}${this.#count++}`;
    require('node:inspector').console.profile(title);
    return { title };
  }

  #finish({ title }) {
    if (title === undefined) return ask(this.#session, 'Profiler.stop').profile;
    require('node:inspector').console.profileEnd(title);
    const profile = this.#finished.get(title);
    this.#finished.delete(title);
    return profile;
  }

  end() {
    try {
      ask(this.#session, 'Profiler.disable');
    } catch {
      // Disconnecting ends it too.
    }
    disconnect(this.#session);
  }
}

// What the profiles are called, in this process' sessions.
const TITLE = `sondage-${process.pid}-`;

// Whether Node.js was told to measure coverage or to write a profile, by its own session.
const NODE_PROFILES =
  Boolean(process.env.NODE_V8_COVERAGE) ||
  [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((given) =>
    /--(cpu-prof|experimental-test-coverage)\b/.test(given));

/**
 * Whether a debugger, or Node.js itself, may profile by the inspector too: `console.profile`
 * reaches every session that does. A debugger would show each profile as one of its own, and
 * Node.js would print it.
 */
function isHeard() {
  return NODE_PROFILES || require('node:inspector').url() !== undefined;
}

module.exports = { beat, degraded, end, handOver, run };
