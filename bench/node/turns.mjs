// Runs programs under the engines, which take turns: each run is a process of its own.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { ENGINES } from './engines.mjs';

const PATIENCE_MS = 180_000;

/** A process of programs/`program`; it tells its results by messages. */
export function begin(program, engine, settings, flags = []) {
  const script = fileURLToPath(new URL(`programs/${program}.mjs`, import.meta.url));
  const child = fork(script, [engine, JSON.stringify(settings)], {
    execArgv: ['--no-warnings', ...flags],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const errors = [];
  child.stderr.on('data', (chunk) => errors.push(chunk));
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  child.ended = new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve(code === 0 ? undefined : reason(code, signal, Buffer.concat(errors).toString()));
    });
  });
  return child;
}

/** Why a process failed: the error that it died of, or how it ended. */
function reason(code, signal, errors) {
  const said = errors.split('\n').find((line) => /^(\w*Error|FATAL|#)/.test(line.trim()));
  return said?.trim() ?? `ended with ${signal ?? code}`;
}

/** What a program sent last; `{ failed }` where it did not end well. */
export async function run(program, engine, settings, flags) {
  const child = begin(program, engine, settings, flags);
  let result;
  child.on('message', (message) => { result = message; });
  const failed = await child.ended;
  if (failed) process.stderr.write(`${program}, ${engine}: ${failed}\n`);
  return failed || !result ? { failed: failed ?? 'told nothing' } : result;
}

/**
 * Runs of a program by engine, in turn within each round, in an order that is reversed from round
 * to round. `start` makes a run: by default `run`.
 */
export async function takeTurns({ rounds, engines }, program, settings, how = {}) {
  const { flags, start = run } = how;
  const runs = new Map(engines.map((engine) => [engine, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const engine of round % 2 ? engines.toReversed() : engines) {
      runs.get(engine).push(await start(program, engine, settings, flags));
    }
  }
  return runs;
}

/** The first cells of a row: the engine, the version of Node, and how many runs ended well. */
export function cells(engine, runs, n = `${good(runs).length} runs`) {
  const failed = runs.length - good(runs).length;
  // What ours does where it cannot read V8's frames must not pass for what it does where it can.
  const degraded = good(runs).some((one) => one.stats?.engine === 'v8-inspector');
  const title = `${ENGINES[engine].title}${degraded ? ', by the inspector' : ''}`;
  return [title, process.versions.node, failed ? `${n}, ${failed} failed` : n];
}

/** Runs that ended well. */
export function good(runs) {
  return runs.filter((one) => !one.failed);
}

/** A figure of each run, by round; undefined where the run failed. */
export function each(runs, figure) {
  return runs.map((one) => (one.failed ? undefined : figure(one)));
}

/** The same without the runs that failed. */
export function all(runs, figure) {
  return good(runs).map(figure);
}
