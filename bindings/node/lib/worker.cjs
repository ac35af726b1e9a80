// What a worker loads before its program: by the options of its parent, see workers.cjs.
'use strict';

try {
  require('./workers.cjs').tidy();
  require('./thread.cjs').joinProfiler();
  require('./workers.cjs').install(require('./addon.cjs').isRunning);
} catch {
  // The worker's program runs all the same; its thread shows as one without JavaScript.
}
