import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import test from 'node:test';

import { currentLabels, setLabels, withLabels } from 'sondage';
import { labelled, setRoute } from 'sondage/integrations/http';
import { labelled as ofNext } from 'sondage/integrations/next';

import { burn, cpu, profile, serve, wander } from './serving.mjs';

const template = ({ url }) => (url.startsWith('/orders/') ? '/orders/:id' : undefined);

test('a listener has the route that it is given, or finds', async (t) => {
  const get = await serve(labelled(async (request, response) => {
    const before = currentLabels();
    if (request.url.startsWith('/found/')) setRoute(request, '/found/:id');
    await wander();
    response.end(JSON.stringify([before, currentLabels()]));
  }, template), t);
  const labels = (route) => ({ route, method: 'GET' });
  assert.deepEqual(await get('/orders/17'), [labels('/orders/:id'), labels('/orders/:id')]);
  assert.deepEqual(await get('/found/17'), [labels('[none]'), labels('/found/:id')]);
  assert.deepEqual(await get('/nowhere/17'), [labels('[none]'), labels('[none]')]);
});

test('labels go along with bodies, streams, emitters and timers', async (t) => {
  const get = await serve(labelled((request, response) => {
    const seen = [];
    const see = (where) => seen.push(`${where} ${currentLabels().route}`);
    const emitter = new EventEmitter().on('event', () => see('emitter'));
    const through = new PassThrough();
    request.on('data', () => emitter.emit('event'));
    request.on('end', () => see('end'));
    request.pipe(through);
    through.resume().on('end', async () => {
      see('piped');
      for await (const part of Readable.from(['a'])) see(`read ${part}`);
      setInterval(function () {
        see('interval');
        clearInterval(this);
        response.end(JSON.stringify([...new Set(seen)]));
      }, 1);
    });
  }, template), t);
  const seen = await get('/orders/17', { method: 'POST', body: 'x'.repeat(200_000) });
  const where = ['emitter', 'end', 'interval', 'piped', 'read a'];
  assert.deepEqual(seen.sort(), where.map((name) => `${name} /orders/:id`));
});

test('connections that are kept alive, and servers under labels, do not mix them', async (t) => {
  const get = await withLabels({ job: 'server' }, () => serve(labelled((request, response) => {
    setLabels({ user: request.url });
    request.resume().on('end', () => response.end(JSON.stringify(currentLabels())));
  }, template), t));
  for (const url of ['/a', '/b', '/c']) {
    assert.deepEqual(await get(url), { route: '[none]', method: 'GET', user: url, job: 'server' });
  }
});

test('what throws leaves no labels behind', () => {
  const request = Object.assign(new EventEmitter(), { method: 'GET' });
  const fails = labelled(() => {
    throw new Error('at once');
  });
  assert.throws(() => fails(request, new EventEmitter()), /at once/);
  assert.deepEqual(currentLabels(), {});
});

test('functions of Next.js have the route that they are wrapped with', async () => {
  // A route handler, an API route, getServerSideProps and a server component.
  const GET = ofNext('/orders/[id]', async (request, { params }) => {
    await wander();
    return Response.json({ ...currentLabels(), ...(await params) });
  });
  const response = await GET(new Request('http://localhost/orders/17'),
    { params: Promise.resolve({ id: '17' }) });
  assert.deepEqual(await response.json(), { route: '/orders/[id]', method: 'GET', id: '17' });
  const labels = ofNext('/orders/[id]', async () => currentLabels());
  assert.deepEqual(await labels({ method: 'POST' }, {}), { route: '/orders/[id]', method: 'POST' });
  assert.deepEqual(await labels({ req: { method: 'BREW' } }),
    { route: '/orders/[id]', method: '[other]' });
  assert.deepEqual(await labels({ params: {} }), { route: '/orders/[id]' });
});

for (const later of [false, true]) {
  const when = later ? 'after await' : 'at once';
  test(`samples have the route of what runs ${when}`, async (t) => {
    const get = await serve(labelled(async (request, response) => {
      if (later) await wander();
      burn();
      response.end('{}');
    }, template), t);
    const samples = await profile(() => (
      Promise.all([get('/orders/1'), get('/else'), get('/orders/2')])));
    const orders = cpu(samples, { route: '/orders/:id', method: 'GET' });
    const others = cpu(samples, { route: '[none]', method: 'GET' });
    assert.ok(orders > 200 && orders < 400, `${orders} ms of 300`);
    assert.ok(others > 75 && others < 250, `${others} ms of 150`);
  });
}

for (const [name, listen] of Object.entries({
  data: (request, work) => request.once('data', work),
  end: (request, work) => request.resume().once('end', work),
})) {
  test(`samples in listeners of '${name}' have the route`, async (t) => {
    const get = await serve(labelled((request, response) => {
      listen(request, () => {
        burn();
        request.resume();
        response.end('{}');
      });
    }, template), t);
    const samples = await profile(() => get('/orders/1', { method: 'POST', body: 'x' }));
    const orders = cpu(samples, { route: '/orders/:id', method: 'POST' });
    assert.ok(orders > 75, `${orders} ms of 150`);
  });
}
