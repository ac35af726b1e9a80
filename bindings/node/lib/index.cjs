// The package's API; lib/index.d.ts documents it.
'use strict';

const path = require('node:path');
const addon = require('./addon.cjs');
const { currentLabels, setLabels, withLabels } = require('./labels.cjs');
const { settings } = require('./settings.cjs');
const { attachThread } = require('./thread.cjs');

/** Starts profiling; does nothing where a profiler runs already. */
function start(options = {}) {
  return begin(options, false);
}

function begin(options, byDoor) {
  const reason = attachThread();
  const { started, warnings } = addon.start(settings(options), program(), byDoor, reason);
  warnings.forEach(warn);
  if (started) deliverAtEnd();
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
  process.on('exit', () => addon.finish());
}

/** Stops profiling: the last profile goes to the targets. */
async function stop() {
  await addon.stop();
}

/** The profile since the last flush, as gzipped pprof; `null` where no profiler runs. */
async function flush() {
  return (await addon.flush()) ?? null;
}

/** What the profiler has done, lost and cost; empty where none runs. */
function stats() {
  return JSON.parse(addon.stats() ?? '{}');
}

/** Whether this process is profiled. */
function isRunning() {
  return addon.isRunning();
}

/** The profiler of a program that does not know of it. */
function startByDoor() {
  if (!addon.record(attachThread())) begin({}, true);
}

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
