// The package's API; lib/index.d.ts documents it.
'use strict';

const path = require('node:path');
const { isMainThread } = require('node:worker_threads');
const addon = require('./addon.cjs');
const fallback = require('./fallback.cjs');
const gauges = require('./gauges.cjs');
const isolate = require('./isolate.cjs');
const { currentLabels, setLabels, withLabels } = require('./labels.cjs');
const { settings } = require('./settings.cjs');

/** Starts profiling; does nothing where a profiler runs already. */
function start(options = {}) {
  return begin(options, false);
}

function begin(options, byDoor) {
  const { started, warnings } = addon.start(
    settings(options),
    program(),
    byDoor,
    fallback.degraded(),
  );
  warnings.forEach(warn);
  if (!started) return;
  deliverAtEnd();
  isolate.follow();
}

/** The program's name, where it has one that tells more than the interpreter's. */
function program() {
  const script = process.argv[1];
  if (!script) return undefined;
  const { dir, name } = path.parse(script);
  return name === 'index' || name === 'main' ? path.basename(dir) || name : name;
}

function warn(message) {
  process.emitWarning(message, 'SondageWarning');
}

let delivers = false;

function deliverAtEnd() {
  if (delivers) return;
  delivers = true;
  process.on('exit', () => {
    isolate.handOver();
    addon.finish();
  });
}

/** Stops profiling: the last profile goes to the targets. */
async function stop() {
  isolate.handOver();
  if (await addon.stop()) isolate.leave();
}

/** The profile since the last flush, as gzipped pprof; `null` where no profiler runs. */
async function flush() {
  isolate.handOver();
  return (await addon.flush()) ?? null;
}

/** What the profiler has done, lost and cost; empty where none runs. */
function stats() {
  return gauges.merged(JSON.parse(addon.stats() ?? '{}'));
}

/** Whether this process is profiled. */
function isRunning() {
  return addon.isRunning();
}

/** The profiler of a program that does not know of it. */
function startByDoor() {
  if (!addon.record(fallback.degraded())) return begin({}, true);
  deliverAtEnd();
  isolate.follow();
}

// A worker does what the profiler of the process wants, whenever that starts.
if (!isMainThread) isolate.follow();

module.exports = {
  currentLabels,
  flush,
  isRunning,
  setLabels,
  start,
  stats,
  stop,
  withLabels,
  // For this package's own entry points.
  startByDoor,
};
