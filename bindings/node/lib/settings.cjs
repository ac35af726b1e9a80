// Options of `start` as text for the core's parser, which knows what is allowed.
'use strict';

const { fileURLToPath } = require('node:url');

// Options that are not called like their variable in upper case with underscores.
const VARIABLES = {
  serviceName: 'SERVICE',
  memory: 'HEAP',
  memoryLimit: 'MEMORY',
  symbolMemoryLimit: 'SYMBOL_MEMORY',
  spoolLimit: 'SPOOL_BYTES',
};

// Options that are times, in seconds where they are numbers.
const DURATIONS = new Set(['interval', 'exitTimeout', 'fileAge']);

/** The options as variable, name, text; again and again. `undefined` and `null` are not given. */
function settings(options) {
  return given(options).flatMap(([name, value]) => [variable(name), name, text(name, value)]);
}

function given(options) {
  return Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
}

function variable(name) {
  return VARIABLES[name] ?? name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function text(name, value) {
  if (name === 'labels') return pairs(value);
  if (Array.isArray(value)) {
    // An empty variable is one that is not set; no target has a word of its own.
    return value.length > 0 ? value.map((part) => text(name, part)).join(',') : 'none';
  }
  if (typeof value === 'number' && DURATIONS.has(name) && value >= 0 && value < Infinity) {
    return `${Math.round(value * 1000)}ms`;
  }
  if (value instanceof URL && value.protocol === 'file:') {
    return `${name === 'push' ? 'file:' : ''}${fileURLToPath(value)}`;
  }
  if (value instanceof URL) return value.href;
  if (['string', 'number', 'boolean', 'bigint'].includes(typeof value)) return String(value);
  throw wrongType(`${name} must be a string, a number, a boolean, a URL, or an array of those`);
}

/** `key=value,key=value`, with `%` for what may not stand there. */
function pairs(labels) {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) {
    throw wrongType('labels must be an object');
  }
  const texts = given(labels).map(([key, value]) => {
    if (!['string', 'number', 'boolean', 'bigint'].includes(typeof value)) {
      throw wrongType(`labels.${key} must be a string, a number or a boolean`);
    }
    return `${escaped(key)}=${escaped(String(value))}`;
  });
  return texts.join(',');
}

function escaped(value) {
  // Half a pair of surrogates has no UTF-8.
  const encoded = encodeURIComponent(value.toWellFormed());
  return encoded.replace(/[!'()*~]/g, hexadecimal).replaceAll('%2F', '/');
}

function hexadecimal(character) {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** What is thrown for an option of a type that is none of those allowed. */
function wrongType(message) {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' });
}

/** What is thrown where the core refuses an option; its message begins with the option's name. */
function refused({ message }, options) {
  const value = options[/^(\w+)(?= is "|:)/.exec(message)?.[1]];
  if (['number', 'bigint'].includes(typeof value)) {
    return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' });
  }
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** Whether a message of the core is about the environment and none of these options. */
function isOfEnvironment({ message }, options) {
  return /^(SONDAGE|OTEL)_/.test(message) || Object.keys(options).length === 0;
}

module.exports = { isOfEnvironment, refused, settings, wrongType };
