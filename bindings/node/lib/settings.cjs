// Options of `start` as text for the core's parser, which knows what is allowed.
'use strict';

// Options that are not called like their variable in upper case with underscores.
const VARIABLES = {
  serviceName: 'SERVICE',
  memory: 'HEAP',
  memoryLimit: 'MEMORY',
  symbolMemoryLimit: 'SYMBOL_MEMORY',
  spoolLimit: 'SPOOL_BYTES',
};

// Options that are times, in seconds where they are numbers.
const DURATIONS = new Set(['interval', 'exitTimeout']);

/** The options as variable, name, text; again and again. `undefined` and `null` are not given. */
function settings(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return given.flatMap(([name, value]) => [variable(name), name, text(name, value)]);
}

function variable(name) {
  return VARIABLES[name] ?? name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function text(name, value) {
  if (Array.isArray(value)) {
    // An empty variable is one that is not set; no target has a word of its own.
    return value.length > 0 ? value.map((part) => text(name, part)).join(',') : 'none';
  }
  if (typeof value === 'number' && DURATIONS.has(name) && value >= 0) {
    return `${Math.round(value * 1000)}ms`;
  }
  if (value instanceof URL) {
    return value.protocol === 'file:' ? require('node:url').fileURLToPath(value) : value.href;
  }
  if (typeof value === 'object') {
    const pairs = Object.entries(value).map(([key, label]) => `${escaped(key)}=${escaped(label)}`);
    return pairs.join(',');
  }
  return String(value);
}

function escaped(value) {
  return encodeURIComponent(value).replace(/[!'()*~]/g, hexadecimal).replaceAll('%2F', '/');
}

function hexadecimal(character) {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

module.exports = { settings };
