// What the labels of a request are, whichever framework answers it.
'use strict';

const { current, enter, extended, runUnder } = require('../labels.cjs');

// The route of a request that no route matches, and of one whose route is not known yet.
const UNMATCHED = '[none]';

// Any client can invent methods; the others are `[other]`.
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']);

/** The labels of a request; what has no method gets no such label. */
function requestLabels(route, method) {
  const labels = { route: route || UNMATCHED };
  if (method) labels.method = METHODS.has(method) ? method : '[other]';
  return labels;
}

// Where a request has its labels. Not in a WeakMap, whose entries are dear to collect.
const EXCHANGE = Symbol('sondage');

/**
 * Runs `fn(...args)` under the labels of a request. Listeners of the request and the response have
 * them too: Node.js calls these where the connection was made, and not where they were added.
 */
function answer(request, response, route, fn, ...args) {
  const outside = current();
  const store = extended(outside, requestLabels(route, request.method));
  const exchange = { outside, store, method: request.method };
  request[EXCHANGE] = exchange;
  follow(request, exchange);
  follow(response, exchange);
  return runUnder(store, fn, args);
}

/** Whether `answer` was asked about this request before. */
function isKnown(request) {
  return request[EXCHANGE] !== undefined;
}

function follow(emitter, exchange) {
  const { emit } = emitter;
  emitter.emit = function (...args) {
    // Labels that the program has added since are kept.
    const now = current();
    const store = now === exchange.outside ? exchange.store : now;
    return runUnder(store, () => emit.apply(this, args), []);
  };
}

/** The route of a request is known now, or known better: labels what comes after this call. */
function setRoute(request, route) {
  const exchange = request[EXCHANGE];
  if (exchange === undefined) return;
  const now = current();
  // A parser of bodies that lost the context has lost it for the handler, too.
  const base = now === exchange.outside ? exchange.store : now;
  exchange.store = extended(base, requestLabels(route, exchange.method));
  enter(exchange.store);
}

/**
 * A function by which `heard(target, value)` is called after each assignment of `target[name]`,
 * which else is as it was. The accessors are the same for all targets: V8 is slow with new ones.
 */
function onAssignment(name, heard) {
  const slot = Symbol(name);
  const accessors = {
    configurable: true,
    enumerable: true,
    get() {
      return this[slot];
    },
    set(value) {
      this[slot] = value;
      heard(this, value);
    },
  };
  return (target) => {
    target[slot] = target[name];
    Object.defineProperty(target, name, accessors);
  };
}

/** A path as a framework's route has it: text, a regular expression, or several. */
function template(path) {
  if (Array.isArray(path)) return path.map(template).join('|');
  return path instanceof RegExp ? path.source : String(path ?? '');
}

module.exports = {
  UNMATCHED, answer, isKnown, onAssignment, requestLabels, setRoute, template,
};
