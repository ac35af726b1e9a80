// Labels for Next.js, 13 and later, in its Node.js runtime.
'use strict';

const sondage = require('../index.cjs');
const { requestLabels } = require('./_request.cjs');

/** Starts profiling where Next.js serves with Node.js: not at the edge, nor while it builds. */
function register(options) {
  const runtime = process.env.NEXT_RUNTIME ?? 'nodejs';
  const builds = process.env.NEXT_PHASE === 'phase-production-build';
  if (runtime === 'nodejs' && !builds) sondage.start(options);
}

/** Does what `fn` does, under the labels `route` and, where there is one, `method`. */
function labelled(route, fn) {
  return function (...args) {
    const [first] = args;
    // A Request or an API route's request has a method; a context of getServerSideProps has a
    // request; the properties of a page have neither.
    const method = first?.method ?? first?.req?.method;
    const labels = requestLabels(route, typeof method === 'string' ? method : undefined);
    return sondage.withLabels(labels, () => fn.apply(this, args));
  };
}

module.exports = { labelled, register };
