// Profiles for whoever asks: GET /debug/pprof/profile?seconds=10, and /debug/pprof/heap.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const sondage = require('../index.cjs');

const PROFILE = '/debug/pprof/profile';
const HEAP = '/debug/pprof/heap';
const TYPE = 'application/octet-stream';

const DEFAULT_SECONDS = 10;
const MAX_SECONDS = 300;

// One at a time: each takes what was sampled since the last.
let last = Promise.resolve();

/** The profile of the seconds from now on; a profiler runs for so long if none does. */
function profileOf(seconds, settings) {
  const profile = last.then(() => take(seconds, settings));
  last = profile.catch(() => undefined);
  return profile;
}

async function take(seconds, settings) {
  const borrowed = !sondage.isRunning();
  if (borrowed) {
    sondage.start({ ...settings(), memory: undefined, push: 'none', wall: true });
  } else {
    await sondage.flush();
  }
  try {
    await sleep(seconds * 1000);
    return await sondage.flush();
  } finally {
    if (borrowed) await sondage.stop();
  }
}

/** An answer: status and body. `settings` is called where a profiler must be started. */
async function scrape(path, query, settings) {
  const seconds = path === HEAP ? 0 : Number(query?.seconds ?? DEFAULT_SECONDS);
  if (!(seconds >= 0 && seconds <= MAX_SECONDS)) {
    return { status: 400, body: `seconds: at most ${MAX_SECONDS}` };
  }
  try {
    const profile = path === HEAP ? await sondage.flush() : await profileOf(seconds, settings);
    if (profile !== null) return { status: 200, body: profile };
    return { status: 503, body: 'no profiler runs' };
  } catch (error) {
    return { status: 500, body: error.message };
  }
}

/** A middleware for Express that answers the two requests. */
function expressMiddleware(settings) {
  return async function pyroscope(req, res, next) {
    if (req.method !== 'GET' || (req.path !== PROFILE && req.path !== HEAP)) return next();
    const { status, body } = await scrape(req.path, req.query, settings);
    res.status(status).type(status === 200 ? TYPE : 'text/plain').send(body);
  };
}

/** A plugin for Fastify that does the same. */
function fastifyMiddleware(settings) {
  return function pyroscope(fastify, options, done) {
    for (const path of [PROFILE, HEAP]) {
      fastify.get(path, async (request, reply) => {
        const { status, body } = await scrape(path, request.query, settings);
        return reply.status(status).type(status === 200 ? TYPE : 'text/plain').send(body);
      });
    }
    done();
  };
}

module.exports = { expressMiddleware, fastifyMiddleware };
