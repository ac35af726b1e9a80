// Labels: what the running code works on, for each asynchronous context.
//
// The store of one AsyncLocalStorage says which labels are current: a small integer, the number of
// an interned set, or a string that src/labels.rs makes, where a span is current too. The signal
// handler reads it where V8 keeps it. Where it can't, the store's labels stand in a cell of the
// thread while synchronous code runs under it.
'use strict';

const { AsyncLocalStorage, createHook } = require('node:async_hooks');
const addon = require('./addon.cjs');

const storage = new AsyncLocalStorage();

// Whether the handler finds the store by itself: then the thread's cell stays as it is.
let found = false;

// The store whose labels the thread's cell has, and how many calls on the stack will set it back.
let inCell = 0;
let scopes = 0;

// Sets that were made of others by one more label. The core bounds how many sets there can be; this
// is bounded too, in case a program makes values without end.
const MAX_STEPS = 20_000;
let steps = new Map();

/** The store that is `store` with more labels, under the same span. */
function extended(store, labels) {
  let set = setOf(store);
  for (const key in labels) {
    const value = textOf(labels, key);
    if (value === undefined) continue;
    const step = `${set}\0${key}\0${value}`;
    let next = steps.get(step);
    if (next === undefined) {
      next = addon.withPairs(set, [key, value]);
      if (steps.size >= MAX_STEPS) steps = new Map();
      steps.set(step, next);
    }
    set = next;
  }
  return withSet(store, set);
}

/** A label's text; `undefined` where it has none: such a label is left out. */
function textOf(labels, key) {
  try {
    const value = labels[key];
    return value === undefined || value === null ? undefined : String(value);
  } catch {
    return undefined;
  }
}

/** The number of a store's label set. */
function setOf(store) {
  if (typeof store === 'number') return store;
  let set = 0;
  for (let at = 7; at >= 4; at--) set = set * 256 + store.charCodeAt(at);
  return set;
}

/** The store of another set, under the span of `store`. */
function withSet(store, set) {
  if (typeof store === 'number') return set;
  return setOf(store) === set ? store : addon.withSet(store, set) ?? set;
}

/** The store that is `store` with no labels but these, under the same span. */
function replaced(store, labels) {
  return extended(withSet(store, 0), labels);
}

/** The store that is `store` under a span, given as OpenTelemetry writes the ids. */
function underSpan(store, spanId, traceId) {
  return addon.spanStore(setOf(store), spanId, traceId) ?? setOf(store);
}

function current() {
  return storage.getStore() ?? 0;
}

/**
 * Runs `fn(...args)` under the current labels and these, and returns what it returns. What it
 * starts (promises, timers, streams that it makes) has them too.
 */
function withLabels(labels, fn, ...args) {
  return runUnder(extended(current(), labels), fn, args);
}

/** Runs `fn(...args)` under a store in place of the current one. */
function runUnder(store, fn, args) {
  if (found) return storage.run(store, fn, ...args);
  const before = inCell;
  putInCell(store);
  scopes++;
  try {
    return storage.run(store, fn, ...args);
  } finally {
    scopes--;
    putInCell(before);
  }
}

function putInCell(store) {
  if (store === inCell) return;
  inCell = store;
  addon.setThreadLabels(store);
}

// Under this key a worker finds whether it is to follow contexts too.
const FOLLOWED = 'sondage:asyncHooks';

let hook;

// What the cell had when the callbacks began that are running.
const MAX_CALLBACKS = 1000;
let callbacks = [];

/**
 * Has the cell of the thread follow asynchronous contexts, where the handler does not find the store
 * by itself: each callback costs some 0.1 µs more.
 */
function follow(follows) {
  if (found || (!follows && !hook)) return;
  hook ??= createHook({
    before() {
      // What did not end, as an exception came, has no end to wait for.
      if (callbacks.length >= MAX_CALLBACKS) callbacks = [];
      callbacks.push(inCell);
      putInCell(current());
    },
    after() {
      putInCell(callbacks.pop() ?? 0);
    },
  });
  if (follows) hook.enable();
  else hook.disable();
}

/** Adds labels for the rest of the current asynchronous context. */
function setLabels(labels) {
  enter(extended(current(), labels));
}

/** Makes a store the current one for the rest of the current asynchronous context. */
function enter(store) {
  storage.enterWith(store);
  // Elsewhere nobody would set the cell back when this context is left: no label is better there
  // than another context's.
  if (!found && scopes + callbacks.length > 0) putInCell(store);
}

/** The current labels. */
function currentLabels() {
  const pairs = addon.pairsOf(current());
  const labels = {};
  for (let index = 0; index < pairs.length; index += 2) labels[pairs[index]] = pairs[index + 1];
  return labels;
}

function areFound(handlerFindsThem) {
  found = handlerFindsThem;
}

module.exports = {
  FOLLOWED,
  areFound,
  currentLabels,
  setLabels,
  storage,
  withLabels,
  // For this package's own entry points.
  current,
  enter,
  extended,
  follow,
  replaced,
  runUnder,
  setOf,
  underSpan,
};
