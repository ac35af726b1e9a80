// `node --import sondage/auto app.js`, or `--require`: profiles a program that does not know of it,
// as the SONDAGE_* variables say, or for `sondage record`.
//
// NODE_OPTIONS brings it into every Node.js that a program starts. It must run, and do no harm, in
// any version of it: nothing here is newer than Node.js 8, and nothing is thrown.
'use strict';

const OLDEST = [20, 6];

/** Why this process cannot be profiled, if it can't. */
function obstacle() {
  const versions = process.versions;
  if (versions.electron || versions.bun || versions.deno) return 'it is not Node.js';
  const version = versions.node.split('.').map(Number);
  const old = version[0] < OLDEST[0] || (version[0] === OLDEST[0] && version[1] < OLDEST[1]);
  return old ? `it needs Node.js ${OLDEST.join('.')} or later` : undefined;
}

/** Whether this process only writes an image of a heap, which can hold nothing native. */
function makesSnapshot() {
  const snapshot = require('v8').startupSnapshot;
  return Boolean(snapshot) && snapshot.isBuildingSnapshot();
}

function open() {
  const reason = obstacle();
  if (reason) throw new Error(reason);
  if (makesSnapshot()) return;
  if (require('worker_threads').isMainThread) require('./index.cjs').startByDoor();
  else require('./worker.cjs');
}

/**
 * Says why JavaScript will be missing: to `sondage record`, which says it at its end, or by a
 * warning of the process.
 */
function tell(error) {
  const directory = process.env.SONDAGE_RECORD_DIR;
  if (!directory) {
    process.emitWarning(`this program is not profiled: ${error.message}`, 'SondageWarning');
    return;
  }
  const line = `Node.js ${process.version.slice(1)}: its JavaScript is not recorded, only native `
    + `code: ${error.message}\n`;
  // One of each kind is enough.
  const file = require('path').join(directory, `node-${process.version}.failed`);
  require('fs').writeFileSync(file, line);
}

try {
  open();
} catch (error) {
  try {
    tell(error);
  } catch (untold) {
    // Where nothing can be written, the program goes on all the same.
  }
}
