// The load: a fixed mix of requests over kept-alive connections, from a process of its own.
//
// usage: node load.mjs PORT SECONDS. Prints a table; fails when a request did.
import http from 'node:http';

const CONNECTIONS = 8;

// Route, weight in the mix, and how to make a request: path and body.
const MIX = [
  ['GET /catalog/:day', 3, (n) => [`/catalog/${n % 365}`]],
  ['POST /catalog/:day/stock', 2, (n) => (
    [`/catalog/${n % 365}/stock`, [{ product: n % 300, count: 3 }]])],
  ['GET /search', 3, (n) => [`/search?q=smal+gren+hamer${n % 7}`]],
  ['POST /checkout', 2, (n) => ['/checkout', { products: [n % 300, n % 7] }]],
  ['GET /products/:product', 4, (n) => [`/products/${n % 300}`]],
  ['GET /prices/:product', 3, (n) => [`/prices/${n % 300}`]],
];

const [port, seconds] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
const until = Date.now() + seconds * 1000;
const results = new Map(MIX.map(([route]) => [route, { taken: [], errors: 0 }]));

await Promise.all(Array.from({ length: CONNECTIONS }, (_, seed) => client(seed)));
agent.destroy();
console.log(row('route', 'requests', 'errors', 'p50 ms', 'p99 ms'));
for (const [route, { taken, errors }] of results) {
  taken.sort((a, b) => a - b);
  const part = (share) => (taken[Math.floor(taken.length * share)] ?? 0).toFixed(1);
  console.log(row(route, taken.length, errors, part(0.5), part(0.99)));
  if (errors > 0 || taken.length === 0) process.exitCode = 1;
}

/** One connection, which asks again as soon as it is answered. */
async function client(seed) {
  let state = seed + 1;
  const chance = (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const tickets = MIX.flatMap((kind) => Array(kind[1]).fill(kind));
  while (Date.now() < until) {
    const [route, , make] = tickets[chance(tickets.length)];
    const [path, body] = make(chance(10_000));
    const result = results.get(route);
    const begin = performance.now();
    const status = await request(route.split(' ')[0], path, body).catch(() => 0);
    result.taken.push(performance.now() - begin);
    if (status !== 200) result.errors++;
  }
}

function request(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    http.request({ port, host: '127.0.0.1', method, path, headers, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode)).on('error', reject);
    }).on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function row(route, ...numbers) {
  const [requests, errors, ...times] = numbers.map(String);
  const last = times.map((time) => time.padStart(9)).join('');
  return route.padEnd(26) + requests.padStart(9) + errors.padStart(8) + last;
}
