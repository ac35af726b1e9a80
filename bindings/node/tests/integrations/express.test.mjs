import assert from 'node:assert/strict';
import test from 'node:test';

import express5 from 'express';
import express4 from 'express4';
import { currentLabels, setLabels, withLabels } from 'sondage';
import { middleware } from 'sondage/integrations/express';

import { all, burn, cpu, profile, serve, valuesOf, wander } from './serving.mjs';

const show = (req, res) => res.json(currentLabels());
const showLater = async (req, res) => {
  await wander();
  res.json(currentLabels());
};

function application(express) {
  const app = express();
  app.use(middleware());
  app.use((req, res, next) => {
    res.setHeader('before', JSON.stringify(currentLabels()));
    next();
  });
  app.use(express.json());

  const parts = express.Router({ mergeParams: true });
  parts.get('/:part', show);
  const orders = express.Router();
  orders.get('/', show);
  orders.get('/:id', showLater);
  orders.use('/:order/parts', parts);
  const api = express.Router();
  api.use('/orders', orders);
  api.get('/fails/:id', () => {
    throw new Error('at once');
  });
  api.get('/fails-later/:id', async (req, res, next) => {
    await wander();
    next(new Error('later'));
  });
  app.use('/api/:version', api);
  app.use('/users/:name', express.Router().get('/', show).get('/likes/:name', show));

  const below = express();
  below.use(middleware());
  below.get('/in/:id', show);
  app.use('/below', below);
  app.use('/graphql', express.Router().use('/', (req, res) => showLater(req, res)));

  app.get('/plain/:id', show);
  app.all(['/one', '/two/:id'], show);
  app.get(/^\/regex\/(\d+)$/, show);
  app.route('/posted/:id').post(showLater);
  app.get('/steps/:id', (req, res, next) => {
    setLabels({ tenant: 'acme' });
    next();
  }, showLater);
  app.get('/skipped/:id', (req, res, next) => next('route'));
  app.get('/skipped/:other', show);
  app.get('/streamed/:id', (req, res) => {
    const seen = [];
    req.on('data', () => {});
    req.on('end', () => {
      seen.push(currentLabels().route);
      res.on('finish', () => seen.push(currentLabels().route));
      setTimeout(() => {
        seen.push(currentLabels().route);
        res.end('{}');
        app.emit('streamed', seen);
      });
    });
    res.on('close', () => seen.push(currentLabels().route));
  });
  app.use((error, req, res, next) => {
    wander().then(() => res.json({ ...currentLabels(), error: error.message }));
  });
  return app;
}

for (const [name, express] of [['4', express4], ['5', express5]]) {
  test(`Express ${name}: the route is the template, with mounts, and never the URL`, async (t) => {
    const get = await serve(application(express), t);
    const routes = {
      '/plain/17': '/plain/:id',
      '/api/v2/orders': '/api/:version/orders',
      '/api/v2/orders/17': '/api/:version/orders/:id',
      '/api/v2/orders/17/parts/wheel': '/api/:version/orders/:order/parts/:part',
      // Values that are like the path's own words, and escaped ones.
      '/api/orders/orders/orders': '/api/:version/orders/:id',
      '/users/users/': '/users/:name',
      '/users/a%2Fb%20c/likes/x': '/users/:name/likes/:name',
      '/API/v2/Orders/17': '/api/:version/orders/:id',
      '/below/in/17': '/below/in/:id',
      '/graphql': '/graphql/*',
      '/graphql/deeper/17': '/graphql/*',
      '/two/17': /^\/two\/:id$|^\/one\|\/two\/:id$/,
      '/regex/17': '^\\/regex\\/(\\d+)$',
      '/skipped/17': '/skipped/:other',
    };
    for (const [path, route] of Object.entries(routes)) {
      const seen = await get(path);
      if (route instanceof RegExp) assert.match(seen.route, route);
      else assert.deepEqual(seen, { route, method: 'GET' }, path);
    }
  });

  test(`Express ${name}: what has no route is [none], as is each request before it`, async (t) => {
    const app = application(express);
    app.use(show);
    const get = await serve(app, t);
    assert.deepEqual(await get('/nowhere/17'), { route: '[none]', method: 'GET' });
    // The mount is known, a route in it is not.
    assert.equal((await get('/api/v2/nowhere')).route, '/api/:version/*');
    const response = await fetch(get.origin, { method: 'PROPFIND' });
    assert.deepEqual(JSON.parse(response.headers.get('before')),
      { route: '[none]', method: '[other]' });
  });

  test(`Express ${name}: bodies, errors and labels of the program`, async (t) => {
    const get = await serve(application(express), t);
    const body = JSON.stringify({ text: 'x'.repeat(50_000) });
    const headers = { 'content-type': 'application/json' };
    assert.deepEqual(await get('/posted/17', { method: 'POST', body, headers }),
      { route: '/posted/:id', method: 'POST' });
    assert.deepEqual(await get('/api/v2/fails/17'),
      { route: '/api/:version/fails/:id', method: 'GET', error: 'at once' });
    assert.deepEqual(await get('/api/v2/fails-later/17'),
      { route: '/api/:version/fails-later/:id', method: 'GET', error: 'later' });
    assert.deepEqual(await get('/steps/17'),
      { route: '/steps/:id', method: 'GET', tenant: 'acme' });
  });

  test(`Express ${name}: listeners of the request and the response have its labels`, async (t) => {
    const app = application(express);
    const get = await serve(app, t);
    const streamed = new Promise((resolve) => app.once('streamed', resolve));
    await get('/streamed/17');
    const seen = await streamed;
    assert.deepEqual(await all(seen, 4), Array(4).fill('/streamed/:id'));
  });

  test(`Express ${name}: requests at the same time have each their own labels`, async (t) => {
    const get = await serve(application(express), t);
    const paths = Array.from({ length: 90 }, (_, n) => (
      [`/plain/${n}`, `/api/v${n}/orders/${n}`, `/steps/${n}`][n % 3]));
    const routes = ['/plain/:id', '/api/:version/orders/:id', '/steps/:id'];
    const all = () => Promise.all(paths.map((path) => get(path)));
    const seen = await withLabels({ outside: 'yes' }, all);
    assert.deepEqual(seen.map(({ route }) => route), paths.map((_, n) => routes[n % 3]));
    assert.deepEqual(currentLabels(), {});
  });

  const busy = (later) => {
    const app = express();
    app.use(middleware());
    const router = express.Router();
    app.use('/shops/:shop', router);
    for (const path of ['/first/:id', '/second/:id']) {
      router.get(path, async (req, res) => {
        if (later) await wander();
        burn();
        res.json({});
      });
    }
    return app;
  };
  for (const later of [false, true]) {
    const when = later ? 'after await' : 'at once';
    test(`Express ${name}: samples have the route of what runs ${when}`, async (t) => {
      const get = await serve(busy(later), t);
      const samples = await profile(() => Promise.all([
        get('/shops/a/first/1'), get('/shops/b/second/2'), get('/shops/c/first/3'),
      ]));
      assert.deepEqual(valuesOf(samples, 'route').filter((route) => route.includes('/shops/')),
        ['/shops/:shop/first/:id', '/shops/:shop/second/:id']);
      const first = cpu(samples, { route: '/shops/:shop/first/:id', method: 'GET' });
      const second = cpu(samples, { route: '/shops/:shop/second/:id', method: 'GET' });
      assert.ok(first > 200 && first < 400, `${first} ms of 300`);
      assert.ok(second > 75 && second < 250, `${second} ms of 150`);
    });
  }
}
