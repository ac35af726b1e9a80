import assert from 'node:assert/strict';
import test from 'node:test';

import fastify5 from 'fastify';
import fastify4 from 'fastify4';
import { currentLabels, setLabels } from 'sondage';
import { plugin } from 'sondage/integrations/fastify';

import { all, burn, client, cpu, profile, valuesOf, wander } from './serving.mjs';

async function application(fastify, test, routes) {
  const app = fastify({ forceCloseConnections: true });
  await app.register(plugin);
  await routes(app);
  test.after(() => app.close());
  return client(await app.listen({ host: '127.0.0.1', port: 0 }));
}

const labels = async () => currentLabels();
const labelsLater = async () => {
  await wander();
  return currentLabels();
};

for (const [name, fastify] of [['4', fastify4], ['5', fastify5]]) {
  test(`Fastify ${name}: the route is the template, with its prefixes`, async (t) => {
    const get = await application(fastify, t, (app) => {
      app.get('/plain/:id', labels);
      app.get('/awaited/:id', labelsLater);
      app.all('/any/*', labels);
      app.register(async (api) => {
        api.get('/orders/:id', labelsLater);
        api.register(async (deeper) => deeper.get('/parts/:part', labels), { prefix: '/:order' });
      }, { prefix: '/api/:version' });
      app.setNotFoundHandler(labelsLater);
    });
    for (const [path, route] of Object.entries({
      '/plain/17': '/plain/:id',
      '/awaited/17': '/awaited/:id',
      '/any/thing/17': '/any/*',
      '/api/v2/orders/17': '/api/:version/orders/:id',
      '/api/v2/17/parts/wheel': '/api/:version/:order/parts/:part',
      '/nowhere/17': '[none]',
    })) {
      assert.deepEqual(await get(path), { route, method: 'GET' }, path);
    }
  });

  test(`Fastify ${name}: hooks, bodies, serializers and errors have the labels`, async (t) => {
    const seen = [];
    const see = (where) => void seen.push([where, currentLabels().route]);
    const get = await application(fastify, t, (app) => {
      for (const hook of ['preParsing', 'preSerialization', 'onSend']) {
        app.addHook(hook, async () => see(hook));
      }
      for (const hook of ['onRequest', 'preValidation', 'preHandler', 'onResponse']) {
        app.addHook(hook, (request, reply, done) => setTimeout(() => done(see(hook)), 1));
      }
      app.setSerializerCompiler(() => (value) => {
        see('serializer');
        return JSON.stringify(value);
      });
      app.addHook('preHandler', async () => setLabels({ tenant: 'acme' }));
      const schema = { response: { 200: { type: 'object' } } };
      app.post('/posted/:id', { schema }, labelsLater);
      app.get('/fails/:id', async () => {
        await wander();
        throw new Error('later');
      });
      app.setErrorHandler(async (error) => {
        await wander();
        return { ...currentLabels(), error: error.message };
      });
    });
    const body = JSON.stringify({ text: 'x'.repeat(100_000) });
    const headers = { 'content-type': 'application/json' };
    assert.deepEqual(await get('/posted/17', { method: 'POST', body, headers }),
      { route: '/posted/:id', method: 'POST', tenant: 'acme' });
    await all(seen, 8);
    assert.deepEqual(seen.map(([where]) => where), ['onRequest', 'preParsing', 'preValidation',
      'preHandler', 'preSerialization', 'serializer', 'onSend', 'onResponse']);
    assert.deepEqual(new Set(seen.map(([, route]) => route)), new Set(['/posted/:id']));
    assert.deepEqual(await get('/fails/17'),
      { route: '/fails/:id', method: 'GET', tenant: 'acme', error: 'later' });
  });

  test(`Fastify ${name}: requests at the same time have each their own labels`, async (t) => {
    const get = await application(fastify, t, (app) => {
      for (const letter of 'abc') app.get(`/${letter}/:id`, labelsLater);
    });
    const paths = Array.from({ length: 90 }, (_, n) => `/${'abc'[n % 3]}/${n}`);
    const seen = await Promise.all(paths.map((path) => get(path)));
    assert.deepEqual(seen.map(({ route }) => route), paths.map((_, n) => `/${'abc'[n % 3]}/:id`));
    assert.deepEqual(currentLabels(), {});
  });

  for (const later of [false, true]) {
    const when = later ? 'after await' : 'at once';
    test(`Fastify ${name}: samples have the route of what runs ${when}`, async (t) => {
      const get = await application(fastify, t, (app) => {
        for (const path of ['/first/:id', '/second/:id']) {
          app.get(path, async () => {
            if (later) await wander();
            burn();
            return {};
          });
        }
      });
      const samples = await profile(() => (
        Promise.all([get('/first/1'), get('/second/2'), get('/first/3')])));
      assert.deepEqual(valuesOf(samples, 'route'), ['/first/:id', '/second/:id']);
      const first = cpu(samples, { route: '/first/:id', method: 'GET' });
      const second = cpu(samples, { route: '/second/:id', method: 'GET' });
      assert.ok(first > 200 && first < 400, `${first} ms of 300`);
      assert.ok(second > 75 && second < 250, `${second} ms of 150`);
    });
  }
}
