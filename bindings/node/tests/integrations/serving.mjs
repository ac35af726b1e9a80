// Servers for tests, and the profiles of what they do.
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import * as sondage from 'sondage';

import { readProfile } from './pprof.mjs';

// Why assertions about profiles of asynchronous handlers are not expected to hold yet.
export const LATER = { todo: 'until the handler reads the continuation slot' };

/** Serves with a listener, or a server; requests go by `get(path, options)`. */
export async function serve(listener, test) {
  const server = typeof listener === 'function' ? http.createServer(listener) : listener;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return client(`http://127.0.0.1:${server.address().port}`);
}

/** The JSON that a server answers, whatever its status. */
export function client(origin) {
  const get = async (path, options) => {
    const response = await fetch(origin + path, options);
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      return { status: response.status, text };
    }
  };
  return Object.assign(get, { origin });
}

/** Uses CPU time, without giving way. */
export function burn(milliseconds = 150) {
  const { user, system } = process.cpuUsage();
  const used = () => {
    const now = process.cpuUsage();
    return now.user + now.system - user - system;
  };
  let sum = 0;
  while (used() < milliseconds * 1000) for (let n = 0; n < 1e4; n++) sum += Math.sqrt(n);
  return sum;
}

/** The samples of what `work` does. */
export async function profile(work) {
  sondage.start({ push: 'none', hz: 250, serviceName: 'test', control: false });
  try {
    await sondage.flush();
    await work();
    return readProfile(await sondage.flush()).samples;
  } finally {
    await sondage.stop();
  }
}

/** CPU time of the samples that have these labels, in milliseconds. */
export function cpu(samples, labels) {
  const chosen = samples.filter((sample) => (
    Object.entries(labels).every(([key, value]) => sample.labels[key] === value)));
  return chosen.reduce((sum, sample) => sum + sample.values.cpu, 0) / 1e6;
}

/** The values of a label in samples. */
export function valuesOf(samples, key) {
  return [...new Set(samples.map(({ labels }) => labels[key]).filter(Boolean))].sort();
}

/** Goes through the event loop in each way that a handler may. */
export async function wander() {
  await null;
  await sleep(2);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => process.nextTick(resolve));
}

/** Waits for `count` entries, and says which there are if they don't come. */
export async function all(seen, count) {
  for (let round = 0; seen.length < count; round++) {
    if (round > 500) throw new Error(`only ${JSON.stringify(seen)}`);
    await wander();
  }
  return seen;
}
