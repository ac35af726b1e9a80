// The native part, which comes in a package of its own for each platform.
'use strict';

const PLATFORM = `${process.platform}-${process.arch}`;
const { version } = require('../package.json');

// There is one profiler in a process. A program may have this package beside the copy whose
// `sondage record` or `--import` has loaded it: they use the same addon.
const SHARED = Symbol.for(`sondage ${version}`);

function load() {
  try {
    return require(`@sondage/${PLATFORM}-gnu`);
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') {
      const message = `sondage has no build for ${PLATFORM} here: `
        + 'install it without --omit=optional';
      throw Object.assign(new Error(message, { cause: error }), { code: 'ERR_SONDAGE_NO_BUILD' });
    }
    throw error;
  }
}

function shared() {
  if (globalThis[SHARED] === undefined) {
    Object.defineProperty(globalThis, SHARED, { value: load(), configurable: true });
  }
  return globalThis[SHARED];
}

module.exports = shared();
