// What this thread is called in profiles and in the counters.
'use strict';

const threads = require('node:worker_threads');

// What Node.js calls workers that have no name.
const NAMELESS = 'WorkerThread';

/** `main`, or the worker's own name, or its number. */
function threadName() {
  if (threads.isMainThread) return 'main';
  // Not before Node.js 22.20 and 24.6.
  const name = threads.threadName;
  return name && name !== NAMELESS ? name : `worker ${threads.threadId}`;
}

module.exports = { threadName };
