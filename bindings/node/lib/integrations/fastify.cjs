// Labels for Fastify, 4.10 and later.
'use strict';

const { answer } = require('./_request.cjs');

/** A plugin that labels requests; to be registered before every other. */
function plugin(fastify, options, done) {
  // Fastify has found the route before the first hook.
  fastify.addHook('onRequest', (request, reply, next) => {
    answer(request.raw, reply.raw, request.routeOptions.url, next);
  });
  done();
}

// What `fastify-plugin` sets: the hook is for the whole application.
plugin[Symbol.for('skip-override')] = true;
plugin[Symbol.for('fastify.display-name')] = 'sondage';

module.exports = { plugin };
