// What profiling costs a JSON service, per request: a process under autocannon, which is another.
import { once } from 'node:events';

import { packages } from '../engines.mjs';
import { head, interval, ratios, row, spread } from '../figures.mjs';
import { all, begin, cells, each, takeTurns } from '../turns.mjs';
import { accounted } from './cost.mjs';

const CONNECTIONS = 20;
const WARM_UP = 3000;

/** `requests` of a round; `flush`, seconds between uploads: by default 2, then 10. */
export async function table(context) {
  const requests = Number(context.options.requests ?? 40_000);
  const engines = ['none', ...context.engines.filter((engine) => engine !== 'none')];
  for (const seconds of (context.options.flush ?? '2,10').split(',')) {
    // Longer ones must see an upload too, so these have more requests.
    const amount = Math.round(requests * (Number(seconds) > 2 ? 5 : 1));
    const start = (program, engine, given) => serve(engine, given, amount);
    const settings = { flushMs: seconds * 1000 };
    const runs = await takeTurns({ ...context, engines }, 'http', settings, { start });
    console.log(`\n${CONNECTIONS} connections, ${amount} requests, uploads every ${seconds} s:\n`);
    head('CPU of the server, µs a request', 'ratio', 'p50, ms', 'p99, ms', 'requests a second',
      'RSS, MB', 'highest RSS, MB', 'accounted for');
    for (const [engine, results] of runs) {
      const per = (one) => one.cpu / 1000 / amount;
      row(...cells(engine, results), spread(all(results, per), 1),
        interval(ratios(each(results, per), each(runs.get('none'), per))),
        spread(all(results, (one) => one.p50), 2), spread(all(results, (one) => one.p99), 2),
        spread(all(results, (one) => one.rate), 0), spread(all(results, (one) => one.rss), 0),
        spread(all(results, (one) => one.highest), 0), accounted(results));
    }
  }
}

async function serve(engine, settings, amount) {
  const server = begin('http', engine, settings);
  const port = new Promise((resolve) => {
    server.once('message', (message) => resolve(message.port));
  });
  const address = await Promise.race([port, server.ended.then((failed) => ({ failed }))]);
  if (address.failed) return address;
  try {
    await load(address, WARM_UP);
    server.send('begin');
    const told = await load(address, amount);
    const result = once(server, 'message');
    server.send('end');
    const [measured] = await Promise.race([result, server.ended.then((failed) => [{ failed }])]);
    const failed = await server.ended;
    return failed ? { failed } : { ...measured, ...told };
  } catch (error) {
    server.kill('SIGKILL');
    return { failed: error.message };
  }
}

/** Sends requests and tells latencies, which autocannon itself rounds to milliseconds. */
function load(port, amount) {
  const autocannon = packages('autocannon');
  const times = [];
  const started = performance.now();
  let last = started;
  return new Promise((resolve, reject) => {
    const instance = autocannon({
      url: `http://127.0.0.1:${port}`, connections: CONNECTIONS, amount,
      requests: [{ path: '/items?page=3' }, { path: '/items/77' }, { path: '/items?page=8' }],
    }, (error, result) => {
      if (error) return reject(error);
      if (result.non2xx + result.errors > 0) return reject(new Error('requests failed'));
      times.sort((one, other) => one - other);
      const at = (share) => times[Math.floor((times.length - 1) * share)];
      const rate = amount / (last - started) * 1000;
      return resolve({ p50: at(0.5), p99: at(0.99), rate });
    });
    instance.on('response', (client, status, bytes, time) => {
      times.push(time);
      last = performance.now();
    });
  });
}
