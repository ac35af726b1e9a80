// How the isolate of a thread, which runs its JavaScript, becomes known to the addon.
'use strict';

require('./addon.cjs');

/**
 * Introduces the calling thread's isolate to the addon; again, nothing happens. Called by the main
 * thread before a profiler starts, and by each worker before its program. Returns why its stacks
 * cannot be read, or `undefined`.
 */
function attachThread() {
  return undefined;
}

module.exports = { attachThread };
