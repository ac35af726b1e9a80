// Prints Node tables of docs/performance.md: `bench/node/run TABLE… [rounds=N] [engines=a,b]`.
//
// A figure is the median, in brackets the lowest and the highest; where three dots stand between
// the two, it is the mean and its 95 % interval. Ratios are taken within a round. `n` counts runs,
// or samples where a table says so.
import os from 'node:os';

import { ENGINES } from './engines.mjs';
import { openSink } from './sink.mjs';

const EVERY = Object.keys(ENGINES).filter((name) => !('variant' in ENGINES[name]));
const PROFILERS = EVERY.filter((name) => name !== 'none');
const WITH_VARIANTS = Object.keys(ENGINES).filter((name) => ENGINES[name].variant ?? true);

// Rounds that each table takes by default, of the engines that it compares.
const TABLES = {
  shares: { rounds: 5, engines: PROFILERS },
  lines: { rounds: 3, engines: PROFILERS.filter((name) => ENGINES[name].lines) },
  labels: { rounds: 2, engines: WITH_VARIANTS.filter((name) => ENGINES[name].labels) },
  cost: { rounds: 12, engines: EVERY },
  http: { rounds: 8, engines: EVERY },
  memory: { rounds: 2, engines: EVERY },
  stalls: { rounds: 3, engines: EVERY },
  await: { rounds: 5, engines: WITH_VARIANTS },
  start: { rounds: 20, engines: EVERY },
};

async function main() {
  const names = process.argv.slice(2).filter((name) => !name.includes('='));
  const given = process.argv.slice(2).filter((name) => name.includes('='));
  const options = Object.fromEntries(given.map((text) => text.split('=')));
  const unknown = names.filter((name) => !(name in TABLES));
  if (unknown.length > 0 || names.length === 0) {
    throw new Error(`tables: ${Object.keys(TABLES).join(' ')}; not ${unknown.join(' ')}`);
  }
  const sink = await openSink();
  process.env.SINK_PORT = sink.port;
  for (const name of names) {
    const date = new Date().toISOString().replace('T', ' ').slice(0, 16);
    const load = os.loadavg()[0].toFixed(2);
    console.log(`\n${name}: ${date} UTC; Node ${process.versions.node}; load average ${load}\n`);
    const engines = options.engines?.split(',') ?? TABLES[name].engines;
    const { table } = await import(`./tables/${name}.mjs`);
    await table({ rounds: Number(options.rounds ?? TABLES[name].rounds), engines, options, sink });
  }
  sink.close();
}

await main();
