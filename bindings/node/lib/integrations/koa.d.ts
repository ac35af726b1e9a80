import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * A middleware for Koa 2 and 3 with `@koa/router` or `koa-router` that labels requests with
 * `route`, the template of the path, and `method`. To be used before every other, and once:
 *
 *     const app = new Koa();
 *     app.use(middleware());
 *
 * Nested routers and prefixes are covered; prefixes of `koa-mount` are not part of the template.
 * Middlewares between this one and the router have `route=[none]`, even after `await next()`: they
 * began before the route was known.
 */
export function middleware(): (
  ctx: { req: IncomingMessage; res: ServerResponse },
  next: () => Promise<unknown>,
) => Promise<unknown>;
