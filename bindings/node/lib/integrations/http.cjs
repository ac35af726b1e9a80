// Labels for any listener of `http`, `https` and `http2` servers.
'use strict';

const { answer, setRoute } = require('./_request.cjs');

/**
 * A listener that answers as `listener` does, under the labels `route` and `method`. `route` is
 * given the request and returns its template, or nothing; where only the listener finds out, it
 * calls `setRoute`.
 */
function labelled(listener, route = () => undefined) {
  return function (request, response) {
    return answer(request, response, route(request), () => listener.call(this, request, response));
  };
}

module.exports = { labelled, setRoute };
