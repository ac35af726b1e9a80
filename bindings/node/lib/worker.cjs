// What a worker loads before its program: by the options of its parent, see workers.cjs.
'use strict';

try {
  require('./workers.cjs').tidy();
  require('./thread.cjs').attachThread();
  const labels = require('./labels.cjs');
  if (require('node:worker_threads').getEnvironmentData(labels.FOLLOWED)) labels.follow(true);
  require('./workers.cjs').install(require('./addon.cjs').isRunning);
} catch {
  // The worker's program runs all the same; its thread shows as one without JavaScript.
}
