// What the proofs have in common. The package is the one installed in the working directory.
import { createRequire } from 'node:module';

import { read } from '../pprof.mjs';

/** Packages of the working directory. */
export const packages = createRequire(`${process.cwd()}/`);

export const sondage = packages('sondage');

// Profiles are put together as samples come; a pause this long keeps its tables small.
const FLUSH_MS = 2000;

/**
 * Profiles `work` at the rate that is asked for, whatever it costs, and sends nothing. `work` gets
 * a function that it calls now and then. Returns what `work` returned, the samples and the
 * counters.
 */
export async function recording(settings, work) {
  const samples = [];
  const flush = async () => {
    const profile = await sondage.flush();
    if (profile) samples.push(...read(profile));
  };
  let due = performance.now() + FLUSH_MS;
  const breathe = async () => {
    // Timers, messages of workers and the answers of flushes have their turn.
    await new Promise((resolve) => { setImmediate(resolve); });
    if (performance.now() < due) return;
    due = performance.now() + FLUSH_MS;
    await flush();
  };
  sondage.start({ push: 'none', interval: 3600, budget: 1, ...settings });
  const result = await work(breathe);
  await flush();
  const stats = sondage.stats();
  await sondage.stop();
  return { result, samples, stats };
}

/** CPU time of the process so far in milliseconds: a busy machine leaves less of it in a second. */
export function worked() {
  return process.cpuUsage().user / 1000;
}

/** `NAME=VALUE` arguments over these defaults, whose types they have. */
export function options(defaults) {
  const given = process.argv.slice(2).filter((text) => text.includes('='));
  const pairs = given.map((text) => text.split('='));
  return Object.fromEntries(Object.entries({ ...defaults, ...Object.fromEntries(pairs) })
    .map(([name, value]) => [name, typeof defaults[name] === 'number' ? Number(value) : value]));
}

/** How many samples these stand for. */
export function count(samples) {
  return samples.reduce((sum, { values }) => sum + values.samples, 0);
}

/** Prints the counts as a line of JSON; a true value in `failures` makes the exit code 1. */
export function conclude(counts, failures) {
  const failed = Object.entries(failures).filter(([, wrong]) => wrong).map(([name]) => name);
  console.log(JSON.stringify({ ...counts, failed }));
  process.exitCode = failed.length > 0 ? 1 : 0;
}
