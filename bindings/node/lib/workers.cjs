// Workers: each loads worker.cjs before its program, although nobody has told it to.
//
// `--require sondage/auto` reaches a worker by itself, unless the program gives it options or an
// environment of its own. For those, and where the profiler was started otherwise, the class
// `Worker` is stood in for.
'use strict';

const module_ = require('node:module');
const path = require('node:path');
const threads = require('node:worker_threads');

const PRELOAD = path.join(__dirname, 'worker.cjs');

// In NODE_OPTIONS as in `sondage record`: blanks divide words outside of double quotes.
const QUOTED = /[ "]/.test(PRELOAD) ? `"${PRELOAD.replace(/["\\]/g, '\\$&')}"` : PRELOAD;
const OPTION = `--require ${QUOTED}`;

// Options of the process that no worker has of its own: Node.js says so when it is given them, and
// they are in effect all the same. The worker's `process.execArgv` shows them: it finds the whole
// list under this key.
const ofProcess = new Set();
const WHOLE = 'sondage:execArgv';

/** The options of this process that can be those of a worker. */
function inherited() {
  const options = [];
  for (let index = 0; index < process.execArgv.length; index += 1) {
    const option = process.execArgv[index];
    if (ofProcess.has(option)) {
      // Its value may be a word of its own.
      const next = process.execArgv[index + 1];
      if (!option.includes('=') && next !== undefined && !next.startsWith('-')) index += 1;
    } else {
      options.push(option);
    }
  }
  return options;
}

/** Options of a Worker with some more; the others are read as they would have been. */
function amended(options, name, value) {
  return Object.create(options, { [name]: { value, enumerable: true } });
}

/** The options by which a worker loads ours first; `undefined` where nothing is to be changed. */
function loading(options) {
  const { env, execArgv } = options;
  if (Array.isArray(execArgv)) {
    return amended(options, 'execArgv', ['--require', PRELOAD, ...execArgv]);
  }
  if (execArgv) return undefined;
  if (isObject(env)) {
    const others = env.NODE_OPTIONS ? `${env.NODE_OPTIONS} ` : '';
    return amended(options, 'env', { ...env, NODE_OPTIONS: others + OPTION });
  }
  // Options from a file would be lost, where others are given.
  if (process.execArgv.some((option) => option.includes('config-file'))) return undefined;
  threads.setEnvironmentData(WHOLE, process.execArgv);
  return amended(options, 'execArgv', ['--require', PRELOAD, ...inherited()]);
}

function isObject(value) {
  return typeof value === 'object' && value !== null;
}

// The door, as an option or in NODE_OPTIONS.
const REQUIRED = /(?:--require|-r)[ =](?:(?! -).)*?sondage\/(?:lib\/)?auto/;

/**
 * Whether workers of this thread load ours without help. What comes by `--import` may be late: code
 * that is given as text does not wait for it.
 */
function passesOn() {
  const given = [process.env.NODE_OPTIONS ?? '', ...process.execArgv].join(' ');
  return !threads.isMainThread || REQUIRED.test(given);
}

/** Makes a worker: as the program has asked for, where what we add is refused. */
function make(Worker, given, newTarget) {
  const [file, options = {}] = given;
  const needed = isObject(options) && (options.execArgv || isObject(options.env) || !passesOn());
  // Node.js is asked once more without what it says no worker can have.
  for (let attempt = 0; needed && attempt < 2; attempt += 1) {
    const more = loading(options);
    if (more === undefined) break;
    try {
      return Reflect.construct(Worker, [file, more], newTarget);
    } catch (error) {
      // Whatever else is wrong is so without us, and told below.
      if (error?.code !== 'ERR_WORKER_INVALID_EXEC_ARGV') break;
      const refused = error.message.slice(error.message.indexOf(': ') + 2);
      for (const option of refused.split(', ')) ofProcess.add(option);
    } finally {
      threads.setEnvironmentData(WHOLE, undefined);
    }
  }
  return Reflect.construct(Worker, given, newTarget);
}

let original;
let standIn;

/** Stands in for `Worker`; workers load ours as long as `isActive()`. */
function install(isActive) {
  if (standIn !== undefined && threads.Worker === standIn) return;
  const Worker = threads.Worker;
  const proxy = new Proxy(Worker, {
    construct(target, given, newTarget) {
      const own = newTarget === proxy ? target : newTarget;
      return isActive() ? make(target, given, own) : Reflect.construct(target, given, own);
    },
  });
  [original, standIn] = [Worker, proxy];
  threads.Worker = proxy;
  module_.syncBuiltinESMExports();
}

/** Gives `Worker` back, unless somebody else stands in for it now: then ours passes through. */
function remove() {
  if (standIn === undefined || threads.Worker !== standIn) return;
  threads.Worker = original;
  [original, standIn] = [undefined, undefined];
  module_.syncBuiltinESMExports();
}

/** In a worker: leaves its options as its program expects them, and so those of its children. */
function tidy() {
  const { execArgv, env } = process;
  const whole = threads.getEnvironmentData(WHOLE);
  if (whole !== undefined) {
    threads.setEnvironmentData(WHOLE, undefined);
    execArgv.splice(0, Infinity, ...whole);
  } else if (execArgv[0] === '--require' && execArgv[1] === PRELOAD) {
    execArgv.splice(0, 2);
  }
  const options = env.NODE_OPTIONS;
  if (options === OPTION) delete env.NODE_OPTIONS;
  else if (options?.endsWith(` ${OPTION}`)) env.NODE_OPTIONS = options.slice(0, -OPTION.length - 1);
}

module.exports = { install, remove, tidy };
