// Labels: what the running code works on, for each asynchronous context.
//
// The store of one AsyncLocalStorage says which labels are current: a small integer, the number of
// an interned set, which the signal handler reads where V8 keeps the store. Where it can't, the
// number stands in a cell of the thread while synchronous code runs under it.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const addon = require('./addon.cjs');

const storage = new AsyncLocalStorage();

// Whether the handler finds the store by itself: then the thread's cell stays as it is.
let found = false;

// Sets that were made of others by one more label. The core bounds how many sets there can be; this
// is bounded too, in case a program makes values without end.
const MAX_STEPS = 20_000;
let steps = new Map();

/** The set that is `from` with more labels. */
function extended(from, labels) {
  let set = from;
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
  return set;
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

function current() {
  return storage.getStore() ?? 0;
}

/**
 * Runs `fn(...args)` under the current labels and these, and returns what it returns. What it starts
 * (promises, timers, events of streams) has them too.
 */
function withLabels(labels, fn, ...args) {
  return runUnder(extended(current(), labels), fn, args);
}

function runUnder(set, fn, args) {
  if (found) return storage.run(set, fn, ...args);
  const before = addon.setThreadLabels(set);
  try {
    return storage.run(set, fn, ...args);
  } finally {
    addon.setThreadLabels(before);
  }
}

/** Adds labels for the rest of the current asynchronous context. */
function setLabels(labels) {
  const set = extended(current(), labels);
  storage.enterWith(set);
  if (!found) addon.setThreadLabels(set);
}

/** The current labels. */
function currentLabels() {
  const pairs = addon.pairsOf(current());
  const labels = {};
  for (let index = 0; index < pairs.length; index += 2) labels[pairs[index]] = pairs[index + 1];
  return labels;
}

module.exports = { currentLabels, setLabels, withLabels };
