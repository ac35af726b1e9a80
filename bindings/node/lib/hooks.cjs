// What is changed in a program while a profiler runs, and given back when it stops.
'use strict';

const threads = require('node:worker_threads');
const addon = require('./addon.cjs');
const isolate = require('./isolate.cjs');
const labels = require('./labels.cjs');
const workers = require('./workers.cjs');

let installed = false;

function finish() {
  isolate.handOver();
  addon.finish();
}

/** Installs everything. */
function install(options) {
  if (options.workers ?? true) workers.install(addon.isRunning);
  if (options.asyncHooks) {
    labels.follow(true);
    threads.setEnvironmentData(labels.FOLLOWED, true);
  }
  isolate.follow();
  // The end of a worker is not that of the process.
  if (installed || !threads.isMainThread) return;
  installed = true;
  // The program's own count of listeners stays what it is: none of its warnings is for ours.
  const most = process.getMaxListeners();
  if (most > 0) process.setMaxListeners(most + 1);
  process.on('exit', finish);
}

/** Takes everything back. */
function remove() {
  isolate.leave();
  workers.remove();
  labels.follow(false);
  threads.setEnvironmentData(labels.FOLLOWED);
  if (!installed) return;
  installed = false;
  process.off('exit', finish);
  const most = process.getMaxListeners();
  if (most > 1) process.setMaxListeners(most - 1);
}

module.exports = { install, remove };
