// A JSON service on node:http. It tells its port, and what requests cost when it is asked to end.
import { once } from 'node:events';
import http from 'node:http';

import { cpuTime, engine, tell } from './child.mjs';

const ITEMS = Array.from({ length: 500 }, (_, id) => (
  { id, name: `item ${id}`, tags: [`t${id % 7}`, `t${id % 11}`], price: id / 3 }
));

function list(query) {
  const page = Number(query.get('page') ?? 0);
  const chosen = ITEMS.filter((item) => item.id % 10 === page % 10).map(priced);
  return chosen.toSorted((one, other) => other.price - one.price);
}

function priced(item) {
  return { ...item, gross: Math.round(item.price * 119) / 100 };
}

function show(url) {
  return ITEMS[Number(url.pathname.split('/')[2]) % ITEMS.length];
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  await null;
  const body = url.pathname === '/items' ? list(url.searchParams) : show(url);
  const text = JSON.stringify({ body, at: url.pathname });
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(text);
}

const profiler = engine();
await profiler.start();
const server = http.createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send({ port: server.address().port });

const marks = [];
let highest = 0;
for await (const [message] of messages()) {
  marks.push(cpuTime());
  if (message === 'end') break;
}
highest = process.resourceUsage().maxRSS / 1024;
const rss = process.memoryUsage.rss() / 2 ** 20;
server.closeAllConnections();
server.close();
await profiler.stop();
const [begun, ended] = marks.slice(-2);
tell({ cpu: ended - begun, rss, highest, stats: profiler.stats() });

async function* messages() {
  for (;;) yield await once(process, 'message');
}
