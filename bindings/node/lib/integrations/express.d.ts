import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * A middleware for Express 4 and 5 that labels requests with `route`, the template of the path, and
 * `method`. To be used before every other, and once:
 *
 *     const app = express();
 *     app.use(middleware());
 *
 * Routers and applications that are mounted are covered, each with the path it is mounted at:
 * `/api/:version/orders/:id`. What is mounted and has no routes is labelled with the mount, such as
 * `/graphql/*`. A request has `[none]` until the router has found its route or mount, and keeps the
 * route in handlers of errors.
 */
export function middleware(): (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void;
