// The native part, which comes in a package of its own for each platform.
'use strict';

const PLATFORM = `${process.platform}-${process.arch}`;

function load() {
  try {
    return require(`@sondage/${PLATFORM}-gnu`);
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') {
      const message = `sondage has no build for ${PLATFORM} here: install it without --omit=optional`;
      throw Object.assign(new Error(message, { cause: error }), { code: 'ERR_SONDAGE_NO_BUILD' });
    }
    throw error;
  }
}

module.exports = load();
