// A shop over HTTP. All that the profiler needs is in the three lines that name it.
import Fastify from 'fastify';
import * as sondage from 'sondage';
import { plugin } from 'sondage/integrations/fastify';

import { catalog, restocked } from './catalog.js';
import { page } from './page.js';
import { Pool } from './pool.js';
import { find } from './search.js';
import { sign } from './signature.js';

sondage.start({ serviceName: 'node-service' });

const app = Fastify();
await app.register(plugin);

const pool = new Pool(2);

// JSON, in and out.
app.get<{ Params: { day: number } }>('/catalog/:day', async ({ params }) => catalog(params.day));

app.post<{ Params: { day: number }; Body: { product: number; count: number }[] }>(
  '/catalog/:day/stock',
  async ({ params, body }) => restocked(params.day, body),
);

// Regular expressions.
app.get<{ Querystring: { q: string } }>('/search', async ({ query }) => find(query.q));

// Hashes: on libuv's threads, and on this one.
app.post<{ Body: { products: number[] } }>('/checkout', async ({ body }) => sign(body));

// A template.
app.get<{ Params: { product: number } }>('/products/:product', async ({ params }, reply) => {
  reply.type('text/html');
  return page(params.product);
});

// Threads of our own: what they work on is labelled with the request's route there.
app.get<{ Params: { product: number } }>('/prices/:product', async ({ params }) => ({
  product: params.product,
  price: await pool.run(params.product, sondage.currentLabels()),
}));

process.on('SIGTERM', async () => {
  await app.close();
  await pool.close();
});

await app.listen({ host: '127.0.0.1', port: Number(process.argv[2] ?? 8080) });
