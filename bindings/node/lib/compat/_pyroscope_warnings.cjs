// What to say of options that have no effect: once each, by their names.
'use strict';

const told = new Set();

function warnOnce(message) {
  if (told.has(message)) return;
  told.add(message);
  process.emitWarning(`sondage/compat/pyroscope: ${message}`, 'SondageWarning');
}

module.exports = { warnOnce };
