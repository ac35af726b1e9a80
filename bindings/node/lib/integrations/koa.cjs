// Labels for Koa, 2 and 3, with @koa/router or koa-router.
'use strict';

const { answer, isKnown, onAssignment, setRoute, template } = require('./_request.cjs');

// The router tells by this property which route it has found, with the prefixes of the routers that
// it is nested in.
const watchRoute = onAssignment('_matchedRoute', (ctx, path) => {
  if (path) setRoute(ctx.req, template(path));
});

/** A middleware that labels requests; to be used before every other. */
function middleware() {
  return function sondage(ctx, next) {
    if (isKnown(ctx.req)) return next();
    watchRoute(ctx);
    return answer(ctx.req, ctx.res, undefined, next);
  };
}

module.exports = { middleware };
