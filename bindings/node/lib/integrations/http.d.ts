import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';

/**
 * A listener that answers as `listener` does, under the labels `route` and `method`.
 *
 * `route` returns the template of a request's path, such as `/orders/:id`, or nothing where no
 * route matches: the label is `[none]` then. It must not return the path: each value is a label
 * that is kept for as long as the process lives.
 *
 *     http.createServer(labelled(listener, (request) => routes.match(request)?.template));
 */
export function labelled<Q = IncomingMessage, S = ServerResponse, R = unknown>(
  listener: (request: Q, response: S) => R,
  route?: (request: Q) => string | null | undefined,
): (request: Q, response: S) => R;

/** Labels what a request does from here on with its route's template, which is known now. */
export function setRoute(
  request: IncomingMessage | Http2ServerRequest,
  route: string | null | undefined,
): void;
