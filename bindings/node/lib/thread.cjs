// Where an isolate introduces itself: the main thread's and each worker's, once.
'use strict';

const { getEnvironmentData } = require('node:worker_threads');
const addon = require('./addon.cjs');
const fallback = require('./fallback.cjs');
const isolate = require('./isolate.cjs');
const labels = require('./labels.cjs');
const { findsLabels, wrongly } = require('./selftest/index.cjs');

let introduced = false;

/**
 * Has samples of this thread read frames of JavaScript, and labels from where V8 keeps them. Where
 * frames cannot be read, V8's own profiler is told to take the stacks.
 */
function attachThread() {
  if (introduced) return;
  introduced = true;
  let reason = addon.attachIsolate() ?? undefined;
  if (reason === undefined && !addon.readsJavascript()) {
    reason = wrongly();
    if (reason === undefined) addon.announceLayout();
  }
  if (reason === undefined) labels.areFound(findsLabels(labels.storage));
  else fallback.run(reason);
}

/** Has a worker do what the profiler of its process wants, whenever that starts. */
function joinProfiler() {
  attachThread();
  isolate.follow();
  if (getEnvironmentData(labels.FOLLOWED)) labels.follow(true);
}

module.exports = { attachThread, joinProfiler };
