// The package's API; lib/index.d.ts documents it.
'use strict';

const path = require('node:path');
const { isMainThread } = require('node:worker_threads');
const addon = require('./addon.cjs');
const fallback = require('./fallback.cjs');
const gauges = require('./gauges.cjs');
const hooks = require('./hooks.cjs');
const isolate = require('./isolate.cjs');
const { currentLabels, setLabels, withLabels } = require('./labels.cjs');
const { isOfEnvironment, refused, settings, wrongType } = require('./settings.cjs');
const { attachThread, joinProfiler } = require('./thread.cjs');

// Options that are this package's and not the core's.
const OWN = new Set(['asyncHooks', 'workers']);

/** Starts profiling; does nothing where a profiler runs already. */
function start(options = {}) {
  if (typeof options !== 'object' || options === null) {
    throw wrongType('options must be an object');
  }
  for (const name of OWN) {
    if (!['undefined', 'boolean'].includes(typeof options[name])) {
      throw wrongType(`${name} must be true or false`);
    }
  }
  begin(options, false);
}

// The stop that is under way, and what is to start after it.
let stopping;
let next;

function begin(options, byDoor) {
  const ofCore = Object.entries(options).filter(([name]) => !OWN.has(name));
  const given = settings(Object.fromEntries(ofCore));
  if (stopping) {
    next = () => run(given, options, byDoor);
    return;
  }
  run(given, options, byDoor);
}

function run(given, options, byDoor) {
  let answer;
  try {
    answer = addon.start(given, program(), byDoor, degraded());
  } catch (error) {
    if (error.code !== 'InvalidArg') throw error;
    if (!isOfEnvironment(error, options)) throw refused(error, options);
    // A wrong variable is no reason for the program to fail.
    warn(`not profiled: ${error.message}`);
    return;
  }
  answer.warnings.forEach(warn);
  if (answer.started) hooks.install(options);
}

/** Why V8's own profiler takes the stacks, if it does. */
function degraded() {
  attachThread();
  return fallback.degraded();
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

/** Stops profiling: the last profile goes to the targets. */
async function stop() {
  next = undefined;
  isolate.handOver();
  stopping ??= addon.stop().finally(stopped);
  await stopping;
}

function stopped() {
  stopping = undefined;
  if (!addon.isRunning()) hooks.remove();
  const begun = next;
  next = undefined;
  try {
    begun?.();
  } catch (error) {
    warn(`not profiled: ${error.message}`);
  }
}

/** The profile since the last flush, as gzipped pprof; `null` where no profiler runs. */
async function flush() {
  isolate.handOver();
  return (await addon.flush()) ?? null;
}

/** What the profiler has done, lost and cost; empty where none runs. */
function stats() {
  return inCamelCase(gauges.merged(JSON.parse(addon.stats() ?? '{}')));
}

function inCamelCase(value) {
  if (Array.isArray(value)) return value.map(inCamelCase);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const name = (text) => text.replace(/_(.)/g, (_whole, letter) => letter.toUpperCase());
  return Object.fromEntries(entries.map(([key, part]) => [name(key), inCamelCase(part)]));
}

/** Whether this process is profiled. */
function isRunning() {
  return addon.isRunning();
}

/** The profiler of a program that does not know of it. */
function startByDoor() {
  if (addon.isRunning()) return;
  if (addon.record(degraded())) hooks.install({});
  else begin({}, true);
}

// A worker that was made before its parent had the profiler started joins when it loads the package.
if (!isMainThread) joinProfiler();

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
