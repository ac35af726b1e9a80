// What runs in every isolate (the main thread, each worker) while a profiler does: once a second it
// is asked what is wanted, and V8's own profiles and the gauges are handed over.
'use strict';

const { AsyncResource } = require('node:async_hooks');
const timers = require('node:timers');
const { isMainThread } = require('node:worker_threads');
const addon = require('./addon.cjs');
const fallback = require('./fallback.cjs');
const gauges = require('./gauges.cjs');
const heap = require('./heap.cjs');

const PARTS = [fallback, heap, gauges];

const PERIOD = 1000;

// Taken at once: a program's tests may replace the global functions. What is started by it has the
// context of this module, not the labels of whoever starts the profiler.
const { setInterval, clearInterval } = timers;
const outside = new AsyncResource('SONDAGE');

let timer;
let endsWithExit = false;

/** Does what is wanted in this isolate, from now on. Keeps no program alive. */
function follow() {
  if (timer !== undefined) return;
  outside.runInAsyncScope(() => {
    timer = setInterval(beat, PERIOD);
    timer.unref();
  });
  if (!isMainThread && !endsWithExit) {
    endsWithExit = true;
    process.once('exit', handOver);
  }
  beat();
}

function beat() {
  each('beat', addon.pulse());
}

/** Has every part do something. What goes wrong in one is no reason to end the program. */
function each(what, pulse) {
  for (const part of PARTS) {
    try {
      part[what](pulse);
    } catch {
      // Its values are missing. What matters to people, the part has told itself.
    }
  }
}

/** Hands over what there is, before a profile is finished. */
function handOver() {
  if (timer === undefined) return;
  each('handOver', addon.pulse());
}

/** Leaves nothing behind: no timer, no session of the inspector, no observer. */
function leave() {
  if (timer === undefined) return;
  clearInterval(timer);
  timer = undefined;
  each('end');
}

module.exports = { follow, handOver, leave };
