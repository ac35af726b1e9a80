// The configuration of @pyroscope/nodejs as that of Sondage.
'use strict';

const { warnOnce } = require('./_pyroscope_warnings.cjs');

const DEFAULT_SERVER = 'http://localhost:4040';
const DEFAULT_FLUSH_MS = 60_000;
const DEFAULT_HEAP_BYTES = 512 * 1024;

// Options whose effect Sondage has anyway, or has not; by what to say of them.
const WITHOUT_EFFECT = {
  'heap.stackDepth': 'stacks are as deep as those of CPU time',
  'shortenPaths': 'files have their whole paths',
  'sourceMapper': 'source maps are found without it',
  'stripFilenames': 'files have their names',
  'wall.samplingDurationMs': 'profiles are as long as flushIntervalMs says',
};

// The type of each option, as @pyroscope/nodejs checks them.
const TYPES = {
  'appName': 'string',
  'authToken': 'string',
  'basicAuthPassword': 'string',
  'basicAuthUser': 'string',
  'flushIntervalMs': 'integer',
  'heap': 'object',
  'heap.samplingIntervalBytes': 'number',
  'heap.stackDepth': 'number',
  'serverAddress': 'string',
  'shortenPaths': 'boolean',
  'tags': 'object',
  'tenantID': 'string',
  'wall': 'object',
  'wall.samplingDurationMs': 'integer',
  'wall.samplingIntervalMicros': 'integer',
};

/** The options for Sondage, from a config and, below it, the variables of @pyroscope/nodejs. */
function settingsOf(config, variables) {
  check(config);
  const from = (path, variable, read = String) => {
    const value = at(config, path);
    if (value !== undefined && value !== null) return value;
    return variables[variable] === undefined ? undefined : read(variables[variable]);
  };
  warnOf({
    'heap.stackDepth': from('heap.stackDepth', 'PYROSCOPE_HEAP_STACK_DEPTH'),
    'shortenPaths': from('shortenPaths', 'PYROSCOPE_SHORTEN_PATHS', flag),
    'sourceMapper': config.sourceMapper,
    'stripFilenames': from('stripFilenames', 'PYROSCOPE_STRIP_FILENAMES'),
    'wall.samplingDurationMs':
      from('wall.samplingDurationMs', 'PYROSCOPE_WALL_SAMPLING_DURATION_MS'),
  });
  if (from('wall.collectCpuTime', 'PYROSCOPE_WALL_COLLECT_CPU_TIME', flag) === false) {
    warnOnce('wall.collectCpuTime has no effect: CPU time is always collected');
  }
  // This one variable is above the program's own word.
  const server = variables.PYROSCOPE_ADHOC_SERVER_ADDRESS
    ?? from('serverAddress', 'PYROSCOPE_SERVER_ADDRESS') ?? DEFAULT_SERVER;
  const flushMs = from('flushIntervalMs', 'PYROSCOPE_FLUSH_INTERVAL_MS', Number);
  const micros = from('wall.samplingIntervalMicros',
    'PYROSCOPE_WALL_SAMPLING_INTERVAL_MICROS', Number);
  return {
    serviceName: from('appName', 'PYROSCOPE_APPLICATION_NAME') || undefined,
    push: target(server),
    interval: (flushMs ?? DEFAULT_FLUSH_MS) / 1000,
    hz: micros ? Math.max(1, Math.round(1e6 / micros)) : undefined,
    labels: config.tags,
    tenant: config.tenantID || undefined,
    memory: from('heap.samplingIntervalBytes', 'PYROSCOPE_HEAP_SAMPLING_INTERVAL_BYTES', Number)
      ?? DEFAULT_HEAP_BYTES,
    ...credentials(config, from('authToken', 'PYROSCOPE_AUTH_TOKEN')),
  };
}

/** `http://…` as a target of Sondage, which says what is spoken. */
function target(address) {
  return address.startsWith('pyroscope+') ? address : `pyroscope+${address}`;
}

/** As @pyroscope/nodejs has it, a token is above a user and a password. */
function credentials({ basicAuthUser, basicAuthPassword }, token) {
  if (token) return { token };
  if (!basicAuthUser || !basicAuthPassword) return {};
  return { basicAuth: `${basicAuthUser}:${basicAuthPassword}` };
}

function at(config, path) {
  return path.split('.').reduce((value, key) => value?.[key], config);
}

function flag(text) {
  return text === 'true' || text === '1';
}

function warnOf(given) {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === false) continue;
    warnOnce(`${name} has no effect: ${WITHOUT_EFFECT[name]}`);
  }
}

function check(config) {
  if (config === null || typeof config !== 'object') throw new Error('Expecting an object config');
  const errors = [];
  for (const [path, type] of Object.entries(TYPES)) {
    const value = at(config, path);
    if (value !== undefined && !isA(type, value)) errors.push(`Expecting ${path} to be: ${type}`);
  }
  for (const [key, value] of Object.entries(config.tags ?? {})) {
    if (!['string', 'number'].includes(typeof value)) {
      errors.push(`tag value "${String(value)}" for key "${key}" must be a string or number`);
    }
  }
  if (errors.length > 0) throw new Error(`Invalid config:\n\n${errors.join('\n')}`);
}

function isA(type, value) {
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type && value !== null;
}

module.exports = { settingsOf };
