// The self-test: frames of JavaScript are read in signal handlers only if known ones are read as
// they are, in code of each compiler that this V8 uses.
'use strict';

const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const addon = require('../addon.cjs');

// Leaf first.
const NAMES = ['inner', 'middle', 'Outer', 'run'];

// Calls until the optimising compilers should have taken notice, and how often that is tried: they
// work on threads of their own.
const CALLS = 400;
const ROUNDS = 40;

const OPTIMIZED = new Set(['maglev', 'turbofan']);

/**
 * Why frames cannot be read; `undefined` if all were read rightly. With `changed` they are read by a
 * layout in which the number with that name is another.
 */
function wrongly(changed, value) {
  const wrong = strings(changed, value);
  if (wrong !== undefined) return wrong;
  const emitter = new EventEmitter();
  emitter.on('look', (found) => found.push(addon.lookHere(changed, value)));
  let found;
  const look = () => found !== undefined && emitter.emit('look', found);
  const files = [load('./twin.cjs'), load('./chain.cjs')];
  const twin = files[0].makeChain(look);
  const chain = files[1].makeChain(() => twin(1));
  for (let round = 0; round < ROUNDS; round++) {
    found = [];
    chain(1);
    const [seen] = found;
    found = undefined;
    const wrong = compare(seen, files);
    if (wrong !== undefined) return wrong;
    if (seen.frames.some((frame) => frame.name === 'run' && OPTIMIZED.has(frame.tier))) break;
    for (let call = 0; call < CALLS; call++) chain(10);
  }
  return undefined;
}

/** A file of known functions, freshly compiled, and what frames of it must be. */
function load(file) {
  const path = require.resolve(file);
  delete require.cache[path];
  const makeChain = require(path);
  delete require.cache[path];
  const lines = fs.readFileSync(path, 'utf8').split('\n');
  const lineWith = (comment) => lines.findIndex((line) => line.endsWith(comment)) + 1;
  const frames = NAMES.map((name) => ({
    name,
    file: path,
    startLine: lineWith(`// ${name} begins`),
    line: lineWith(`// ${name} calls`),
  }));
  return { makeChain, frames };
}

function compare(seen, files) {
  if (!seen) return 'nothing is read';
  const { frames } = seen;
  const emit = frames.find((frame) => frame.name.endsWith('emit'));
  if (emit?.file !== 'node:events' || !emit.startLine || !(emit.line || isBaseline(emit))) {
    return 'a function of Node.js is not read';
  }
  let at = 0;
  for (const expected of files.flatMap((file) => file.frames)) {
    at = frames.findIndex((frame, index) => index >= at && frame.name === expected.name);
    const frame = frames[at];
    if (frame === undefined) return `${expected.name} is not read`;
    if (frame.file !== expected.file) return `the file of ${frame.name} is read as ${frame.file}`;
    if (frame.startLine !== expected.startLine) {
      return `${frame.name} is read as beginning at line ${frame.startLine}`;
    }
    if (!frame.exact) return `${frame.name} is read as being at no call`;
    if (frame.line !== expected.line && !isBaseline(frame)) {
      return `${frame.name} is read as running line ${frame.line}`;
    }
  }
  // Further up are frames of the program.
  return seen.lost > 0 ? 'some frames are not read' : undefined;
}

// Lines of code that Sparkplug made need V8's file, which is read later.
function isBaseline(frame) {
  return frame.tier === 'sparkplug' && frame.line === 0;
}

/** Why strings cannot be read: those that V8 keeps in one piece, in two, as a part, or twice. */
function strings(changed, value) {
  const long = 'a text that is long enough to be kept as it is '.repeat(2);
  const joined = long + String(process.pid);
  const twice = `${long}${process.pid}!`;
  // Used as a key it is kept once more, and this one points there.
  void { [twice]: 1 }[twice];
  const all = [long, joined, long.slice(7, 40), twice, 'Ж', `${long}Ж`.slice(3)];
  const right = all.every((text) => addon.readString(text, changed, value) === text);
  return right ? undefined : 'strings are not read';
}

const LABELS = 4711;

/**
 * Whether labels that are the store of `storage` are found: from then on they are read there.
 * `changed` as for `wrongly`.
 */
function findsLabels(storage, changed, value) {
  // Where stores are kept by hooks, V8 has none; and using one would turn the hooks on for good,
  // which makes every promise dearer.
  if ('_enable' in storage) return false;
  const current = () => addon.lookHere(changed, value)?.labels;
  const finds =
    addon.findLabels(storage, {}) &&
    storage.run(LABELS, () => current() === LABELS) &&
    storage.exit(current) === 0;
  if (!finds) addon.forgetLabels();
  return finds;
}

module.exports = { findsLabels, wrongly };
