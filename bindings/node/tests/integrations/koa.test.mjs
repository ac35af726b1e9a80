import assert from 'node:assert/strict';
import test from 'node:test';

import Router15 from '@koa/router';
import Koa3 from 'koa';
import Koa2 from 'koa2';
import Router12 from 'router12';
import { currentLabels, setLabels } from 'sondage';
import { middleware } from 'sondage/integrations/koa';

import { burn, cpu, profile, serve, valuesOf, wander } from './serving.mjs';

const show = async (ctx) => {
  await wander();
  ctx.body = currentLabels();
};

function application(Koa, Router) {
  const app = new Koa();
  app.silent = true;
  app.use(middleware());
  app.use(async (ctx, next) => {
    ctx.set('before', JSON.stringify(currentLabels()));
    try {
      await next();
    } catch (error) {
      ctx.body = { error: error.message };
    }
  });
  const router = new Router();
  router.get('/plain/:id', (ctx) => {
    ctx.body = currentLabels();
  });
  router.get('/awaited/:id', show);
  router.get('/steps/:id', async (ctx, next) => {
    setLabels({ tenant: 'acme' });
    await next();
  }, show);
  router.get('/fails/:id', async () => {
    await wander();
    throw new Error(currentLabels().route);
  });
  router.get(/^\/regex\/(\d+)$/, show);
  router.post('/posted/:id', async (ctx) => {
    const seen = [];
    await new Promise((resolve) => {
      ctx.req.on('data', () => seen.push(currentLabels().route));
      ctx.req.on('end', resolve);
    });
    for await (const part of ctx.req) void part;
    ctx.body = { ...currentLabels(), seen: [...new Set(seen)] };
  });
  const orders = new Router({ prefix: '/orders' });
  orders.get('/:id', show);
  const api = new Router({ prefix: '/api/:version' });
  api.use(async (ctx, next) => next());
  api.use(orders.routes());
  app.use(router.routes()).use(router.allowedMethods()).use(api.routes());
  return app;
}

const KINDS = [['2, router 12', Koa2, Router12], ['3, router 15', Koa3, Router15]];
for (const [name, Koa, Router] of KINDS) {
  test(`Koa ${name}: the route is the template, with its prefixes`, async (t) => {
    const app = application(Koa, Router);
    app.use(show);
    const get = await serve(app.callback(), t);
    for (const [path, route] of Object.entries({
      '/plain/17': '/plain/:id',
      '/awaited/17': '/awaited/:id',
      '/api/v2/orders/17': '/api/:version/orders/:id',
      '/regex/17': '^\\/regex\\/(\\d+)$',
      '/nowhere/17': '[none]',
    })) {
      assert.deepEqual(await get(path), { route, method: 'GET' }, path);
    }
    const response = await fetch(`${get.origin}/plain/17`);
    assert.deepEqual(JSON.parse(response.headers.get('before')),
      { route: '[none]', method: 'GET' });
  });

  test(`Koa ${name}: bodies, errors and labels of the program`, async (t) => {
    const get = await serve(application(Koa, Router).callback(), t);
    assert.deepEqual(await get('/posted/17', { method: 'POST', body: 'x'.repeat(100_000) }),
      { route: '/posted/:id', method: 'POST', seen: ['/posted/:id'] });
    assert.deepEqual(await get('/steps/17'),
      { route: '/steps/:id', method: 'GET', tenant: 'acme' });
    assert.deepEqual(await get('/fails/17'), { error: '/fails/:id' });
  });

  test(`Koa ${name}: requests at the same time have each their own labels`, async (t) => {
    const get = await serve(application(Koa, Router).callback(), t);
    const kinds = ['plain', 'awaited', 'steps'];
    const paths = Array.from({ length: 90 }, (_, n) => `/${kinds[n % 3]}/${n}`);
    const seen = await Promise.all(paths.map((path) => get(path)));
    assert.deepEqual(seen.map(({ route }) => route),
      paths.map((path) => path.replace(/\d+/, ':id')));
    assert.deepEqual(currentLabels(), {});
  });

  for (const later of [false, true]) {
    const when = later ? 'after await' : 'at once';
    test(`Koa ${name}: samples have the route of what runs ${when}`, async (t) => {
      const app = new Koa();
      const router = new Router();
      for (const path of ['/first/:id', '/second/:id']) {
        router.get(path, async (ctx) => {
          if (later) await wander();
          burn();
          ctx.body = {};
        });
      }
      const get = await serve(app.use(middleware()).use(router.routes()).callback(), t);
      const samples = await profile(() => (
        Promise.all([get('/first/1'), get('/second/2'), get('/first/3')])));
      const first = cpu(samples, { route: '/first/:id', method: 'GET' });
      const second = cpu(samples, { route: '/second/:id', method: 'GET' });
      assert.ok(first > 200 && first < 400, `${first} ms of 300`);
      assert.ok(second > 75 && second < 250, `${second} ms of 150`);
      assert.ok(valuesOf(samples, 'route').every((route) => /^\/\w+\/:id$|^\[none\]$/.test(route)));
    });
  }
}
