// The interface of the package @pyroscope/nodejs 0.6, by Sondage.
//
//     const Pyroscope = require('sondage/compat/pyroscope');
//
// Labels belong to an asynchronous context and follow it over `await`, where @pyroscope/nodejs has
// one set for the process. What has no meaning here is taken, with a warning where it was given.
'use strict';

const sondage = require('../index.cjs');
const { current, enter, replaced } = require('../labels.cjs');
const { settingsOf } = require('./_pyroscope_config.cjs');
const pull = require('./_pyroscope_pull.cjs');
const { warnOnce } = require('./_pyroscope_warnings.cjs');

// What `init` has made of its config; what is to run; and whether anything does.
let settings;
const wanted = { wall: false, heap: false };
let runs = false;

// Starts and stops follow one another. The promise is kept where one has to wait.
let pending = 0;
let last = Promise.resolve();

/** Takes the configuration, for the starts to come. */
function init(config = {}) {
  settings = settingsOf(config, process.env);
}

function configured() {
  if (settings === undefined) {
    throw new Error('Pyroscope is not configured. Please call init() first.');
  }
  return settings;
}

/** Lets what is wanted run; the promise says when it does. */
function change(wishes) {
  configured();
  const { wall, heap } = wanted;
  Object.assign(wanted, wishes);
  if (wall === wanted.wall && heap === wanted.heap) return last;
  if (!runs && pending === 0) {
    // At once: a program is profiled from its next line on.
    begin();
  } else {
    pending++;
    last = last.then(restart);
  }
  return last;
}

async function restart() {
  try {
    if (runs) await sondage.stop();
  } catch (error) {
    warnOnce(error.message);
  }
  runs = false;
  pending--;
  if (wanted.wall || wanted.heap) begin();
}

function begin() {
  const { memory, ...others } = settings;
  try {
    sondage.start({ ...others, wall: wanted.wall, memory: wanted.heap ? memory : undefined });
    runs = true;
  } catch (error) {
    warnOnce(`profiling is off: ${error.message}`);
  }
}

function start() {
  change({ wall: true, heap: true });
}

function stop() {
  return change({ wall: false, heap: false });
}

function startWallProfiling() {
  change({ wall: true });
}

function stopWallProfiling() {
  return change({ wall: false });
}

function startHeapProfiling() {
  change({ heap: true });
}

function stopHeapProfiling() {
  return change({ heap: false });
}

/** Runs `fn(...args)` under the current labels and these, and returns what it returns. */
function wrapWithLabels(labels, fn, ...args) {
  return sondage.withLabels(labels, fn, ...args);
}

/** Labels the rest of the current asynchronous context, in place of the labels that it has. */
function setLabels(labels) {
  enter(replaced(current(), labels));
}

/** The current labels. */
function getLabels() {
  return sondage.currentLabels();
}

/** For programs that make one; `init` says that it has no effect. */
class SourceMapper {
  constructor(debug = false) {
    this.debug = debug;
    this.infoMap = new Map();
  }

  static async create(searchDirs, debug = false) {
    return new SourceMapper(debug);
  }

  hasMappingInfo() {
    return false;
  }

  mappingInfo(location) {
    return location;
  }
}

function setLogger() {
  warnOnce('setLogger has no effect: warnings are those of process.emitWarning');
}

function expressMiddleware() {
  return pull.expressMiddleware(configured);
}

function fastifyMiddleware() {
  return pull.fastifyMiddleware(configured);
}

module.exports = {
  SourceMapper,
  expressMiddleware,
  fastifyMiddleware,
  getLabels,
  getWallLabels: getLabels,
  init,
  setLabels,
  setLogger,
  setWallLabels: setLabels,
  start,
  startCpuProfiling: startWallProfiling,
  startHeapProfiling,
  startWallProfiling,
  stop,
  stopCpuProfiling: stopWallProfiling,
  stopHeapProfiling,
  stopWallProfiling,
  wrapWithLabels,
};
// `import Pyroscope from`, as TypeScript and bundlers compile it to `require`.
module.exports.default = module.exports;
Object.defineProperty(module.exports, '__esModule', { value: true });
