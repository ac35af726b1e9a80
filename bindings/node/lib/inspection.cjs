// A private session of the inspector in this isolate, which no debugger sees.
'use strict';

/** A connected session. Throws where the inspector cannot be had, as under `--permission`. */
function connect() {
  const { Session } = require('node:inspector');
  const session = new Session();
  session.connect();
  return session;
}

/** What V8 answers, which it does before this returns. */
function ask(session, method, parameters) {
  let failure = new Error(`${method}: no answer`);
  let answer;
  session.post(method, parameters, (error, result) => {
    failure = error;
    answer = result;
  });
  if (failure) {
    throw failure instanceof Error ? failure : new Error(`${method}: ${failure.message}`);
  }
  return answer;
}

/** Ends a session, whatever state it is in. */
function disconnect(session) {
  try {
    session.disconnect();
  } catch {
    // It was not connected any more.
  }
}

module.exports = { ask, connect, disconnect };
