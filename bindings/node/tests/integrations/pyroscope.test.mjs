import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import test from 'node:test';

import Real from '@pyroscope/nodejs';
import express from 'express';
import fastify from 'fastify';
import * as sondage from 'sondage';
import Pyroscope, { init, wrapWithLabels } from 'sondage/compat/pyroscope';

import { readProfile } from './pprof.mjs';
import { burn, client, cpu, serve, wander } from './serving.mjs';

const OFF = 'http://127.0.0.1:9';

const warnings = [];
process.on('warning', ({ message }) => {
  if (message.startsWith('sondage/compat/pyroscope: ')) warnings.push(message.split(': ')[1]);
});

/** A server that takes whatever is pushed. */
async function backend(t) {
  const pushes = [];
  const server = http.createServer(async ({ url, headers, ...request }, response) => {
    pushes.push({ url, headers });
    response.writeHead(200, { 'content-type': 'application/proto' }).end();
  });
  server.on('request', (request) => request.resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { pushes, address: `http://127.0.0.1:${server.address().port}` };
}

test('it has every name of the real package', () => {
  assert.deepEqual(Object.keys(Real).filter((name) => !(name in Pyroscope)), []);
  const required = createRequire(import.meta.url)('sondage/compat/pyroscope');
  assert.equal(required, Pyroscope);
  assert.equal(required.default, Pyroscope);
  assert.equal(init, Pyroscope.init);
});

test('a start without a configuration says what to do, and labels do without', () => {
  assert.throws(() => Pyroscope.start(), /Please call init\(\) first/);
  assert.equal(wrapWithLabels({ a: 1 }, (n) => n + 1, 2), 3);
});

test('a wrong configuration is refused by its names', () => {
  for (const [config, names] of [
    [{ appName: 1 }, /appName/],
    [{ flushIntervalMs: 1.5 }, /flushIntervalMs/],
    [{ heap: { samplingIntervalBytes: 'many' } }, /heap\.samplingIntervalBytes/],
    [{ wall: { samplingIntervalMicros: '10' } }, /wall\.samplingIntervalMicros/],
    [{ tags: { region: true } }, /region/],
    [{ tags: 'a=b' }, /tags/],
  ]) {
    assert.throws(() => init(config), names);
  }
});

test('what has no effect says so once', async () => {
  warnings.length = 0;
  for (const round of [1, 2]) {
    init({
      serverAddress: OFF,
      heap: { stackDepth: 64 * round },
      sourceMapper: await Pyroscope.SourceMapper.create(['.']),
      shortenPaths: true,
      stripFilenames: 'dependencies',
      wall: { collectCpuTime: false, samplingDurationMs: 1000 },
    });
    Pyroscope.setLogger(console);
  }
  await wander();
  assert.deepEqual(warnings.map((text) => text.split(' ')[0]).sort(), [
    'heap.stackDepth', 'setLogger', 'shortenPaths', 'sourceMapper', 'stripFilenames',
    'wall.collectCpuTime', 'wall.samplingDurationMs',
  ]);
});

test('profiles reach the server, and the last one does when it stops', async (t) => {
  const { pushes, address } = await backend(t);
  init({
    appName: 'shop',
    serverAddress: address,
    flushIntervalMs: 3_600_000,
    basicAuthUser: 'user',
    basicAuthPassword: 'secret',
    tenantID: 'acme',
    tags: { region: 'eu', replica: 1 },
  });
  Pyroscope.start();
  assert.equal(sondage.isRunning(), true);
  burn(50);
  await Pyroscope.stop();
  assert.equal(sondage.isRunning(), false);
  assert.ok(pushes.length >= 1);
  assert.equal(pushes[0].headers.authorization, `Basic ${btoa('user:secret')}`);
  assert.equal(pushes[0].headers['x-scope-orgid'], 'acme');
});

test('a stop while profiles are taken and sent harms nobody', async (t) => {
  const { address } = await backend(t);
  init({ appName: 'shop', serverAddress: address, flushIntervalMs: 1000 });
  for (let round = 0; round < 3; round++) {
    Pyroscope.start();
    burn(20);
    const flushes = [sondage.flush(), sondage.flush()];
    const stops = [Pyroscope.stop(), Pyroscope.stopWallProfiling(), Pyroscope.stop()];
    Pyroscope.start();
    assert.ok((await Promise.all([...flushes, ...stops])).length === 5);
    await Pyroscope.stop();
    assert.equal(sondage.isRunning(), false);
  }
});

test('one kind goes on while the other stops', async () => {
  init({ appName: 'shop', serverAddress: OFF });
  Pyroscope.startWallProfiling();
  Pyroscope.startHeapProfiling();
  await Pyroscope.stopHeapProfiling();
  assert.equal(sondage.isRunning(), true);
  await Pyroscope.stopCpuProfiling();
  assert.equal(sondage.isRunning(), false);
});

test('variables are below the program, but for the one of an ad-hoc server', async (t) => {
  const here = await backend(t);
  const there = await backend(t);
  Object.assign(process.env, {
    PYROSCOPE_ADHOC_SERVER_ADDRESS: there.address,
    PYROSCOPE_APPLICATION_NAME: 'of-the-environment',
    PYROSCOPE_AUTH_TOKEN: 'secret',
    PYROSCOPE_FLUSH_INTERVAL_MS: '3600000',
    PYROSCOPE_WALL_SAMPLING_INTERVAL_MICROS: '5000',
  });
  t.after(() => {
    for (const name in process.env) if (name.startsWith('PYROSCOPE_')) delete process.env[name];
  });
  init({ serverAddress: here.address });
  Pyroscope.start();
  burn(50);
  await Pyroscope.stop();
  assert.equal(here.pushes.length, 0);
  assert.equal(there.pushes[0].headers.authorization, 'Bearer secret');
});

test('labels follow what they are for, over await, and end when it throws', async () => {
  const seen = await wrapWithLabels({ vehicle: 'bike', wheels: 2 }, async (...args) => {
    await wander();
    const inner = await wrapWithLabels({ wheels: 3 }, async () => {
      await wander();
      return Pyroscope.getLabels();
    });
    return [args, inner, Pyroscope.getWallLabels()];
  }, 'a', 'b');
  assert.deepEqual(seen, [
    ['a', 'b'], { vehicle: 'bike', wheels: '3' }, { vehicle: 'bike', wheels: '2' },
  ]);
  assert.throws(() => wrapWithLabels({ vehicle: 'car' }, () => {
    throw new Error('at once');
  }), /at once/);
  wrapWithLabels({ vehicle: 'car' }, () => {
    Pyroscope.setLabels({ wheels: 4 });
    assert.deepEqual(Pyroscope.getLabels(), { wheels: '4' });
    Pyroscope.setWallLabels({});
    assert.deepEqual(Pyroscope.getLabels(), {});
  });
  assert.deepEqual(Pyroscope.getLabels(), {});
});

const SERVERS = {
  Express: async (t) => serve(express().use(Pyroscope.expressMiddleware())
    .get('/busy', (req, res) => res.json(wrapWithLabels({ vehicle: 'bike' }, burn))), t),
  Fastify: async (t) => {
    const app = fastify({ forceCloseConnections: true });
    app.register(Pyroscope.fastifyMiddleware());
    app.get('/busy', async () => wrapWithLabels({ vehicle: 'bike' }, burn));
    t.after(() => app.close());
    return client(await app.listen({ host: '127.0.0.1', port: 0 }));
  },
};
for (const [name, server] of Object.entries(SERVERS)) {
  for (const runs of [true, false]) {
    const title = `${name} answers with a profile, ${runs ? 'of the profiler that runs' : 'once'}`;
    test(title, async (t) => {
      init({ appName: 'shop', serverAddress: OFF });
      if (runs) Pyroscope.start();
      t.after(() => Pyroscope.stop());
      const get = await server(t);
      const answer = fetch(`${get.origin}/debug/pprof/profile?seconds=3`);
      // The profile begins when what was sampled before is out of the way.
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
      await get('/busy');
      const response = await answer;
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-type'), 'application/octet-stream');
      const { samples } = readProfile(Buffer.from(await response.arrayBuffer()));
      const busy = cpu(samples, { vehicle: 'bike' });
      assert.ok(busy > 75 && busy < 250, `${busy} ms of 150`);
      assert.equal(sondage.isRunning(), runs);
      const heap = await fetch(`${get.origin}/debug/pprof/heap`);
      assert.equal(heap.status, runs ? 200 : 503);
      const wrong = await fetch(`${get.origin}/debug/pprof/profile?seconds=forever`);
      assert.equal(wrong.status, 400);
    });
  }
}
