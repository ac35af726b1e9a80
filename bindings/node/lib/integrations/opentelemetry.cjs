// Span profiles for OpenTelemetry.
'use strict';

const { current, enter, runUnder, setOf, underSpan } = require('../labels.cjs');

// What Grafana looks for in a span of Tempo, to show the profile of Pyroscope beside it.
const PROFILE_ID = 'pyroscope.profile.id';

// Where a context has its span: the API makes its keys by `Symbol.for`, so that each of its copies
// in a program finds what another has put there. So no copy of it is needed here.
const SPAN = Symbol.for('OpenTelemetry Context Key SPAN');

// Where the API keeps what is registered, for the same reason.
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

const SAMPLED = 1;

// By span: the id of its local root, and the last store that was made for it.
const spans = new WeakMap();

/**
 * Marks local root spans with `pyroscope.profile.id`, and samples with that id.
 *
 * A local root is a span whose parent is in another process, is not sampled, or does not exist.
 * Exports nothing.
 */
class ProfileIds {
  onStart(span, parentContext) {
    const parent = parentContext.getValue(SPAN);
    let root = isLocalAndSampled(parent) ? spans.get(parent)?.root : undefined;
    if (root === undefined) {
      root = span.spanContext().spanId;
      if (!isLocalAndSampled(parent)) span.setAttribute(PROFILE_ID, root);
    }
    spans.set(span, { root, set: undefined, store: undefined });
  }

  // The ids go when the span stops to be the current one.
  onEnd() {}

  async forceFlush() {}

  async shutdown() {}
}

function isLocalAndSampled(span) {
  const context = span?.spanContext();
  // A span that no sampler has taken, or none at all, has this bit clear.
  return context !== undefined && !context.isRemote && (context.traceFlags & SAMPLED) !== 0;
}

const instrumented = new WeakSet();

/**
 * Lets samples carry the ids of the current span, as a context manager has it; returns the manager.
 * Without one, the manager that is registered.
 */
function instrument(manager = globalThis[REGISTERED]?.context) {
  if (manager === undefined) {
    throw new Error('no context manager is registered with OpenTelemetry: start its SDK before');
  }
  if (instrumented.has(manager)) return manager;
  instrumented.add(manager);
  follow(manager);
  return manager;
}

function follow(manager) {
  // What the manager binds calls `with`, too.
  const inContext = manager.with;
  manager.with = function (context, fn, thisArg, ...args) {
    const store = storeOf(context);
    if (store === current()) return inContext.call(this, context, fn, thisArg, ...args);
    return runUnder(store, () => inContext.call(this, context, fn, thisArg, ...args), []);
  };
  const { attach } = manager;
  if (attach === undefined) return;
  manager.attach = function (context) {
    const token = attach.call(this, context);
    enter(storeOf(context));
    const dispose = () => {
      token.dispose();
      // Not the store of before: labels that were set in between stay.
      enter(storeOf(this.active()));
    };
    return { dispose };
  };
}

/** The current labels, under the span of a context. */
function storeOf(context) {
  const set = setOf(current());
  const span = context.getValue(SPAN);
  if (!isLocalAndSampled(span)) return set;
  const { spanId, traceId } = span.spanContext();
  const known = spans.get(span);
  if (known === undefined) return underSpan(set, spanId, traceId);
  if (known.set !== set) {
    known.set = set;
    known.store = underSpan(set, known.root, traceId);
  }
  return known.store;
}

module.exports = { PROFILE_ID, ProfileIds, instrument };
