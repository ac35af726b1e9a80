// Programs that tests run, each in a folder of its own.
import { execFile, spawn } from 'node:child_process';
import {
  mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { read } from './pprof.mjs';

/** The folder where the package is installed. */
export const SUITE = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

export const PACKAGE = path.dirname(createRequire(import.meta.url).resolve('sondage/package.json'));

export const VERSION = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).version;

/** What is true in a thread that has loaded the package. */
export const LOADED = `Symbol.for("sondage ${VERSION}") in globalThis`;

export const COMMAND = path.join(SUITE, 'node_modules', '.bin', 'sondage');

/** Uses CPU time: of the process, however long that takes on a busy machine. */
export const BURN = `function burn(millis) {
  const used = () => process.cpuUsage().user / 1000;
  for (const end = used() + millis; used() < end;) for (let i = 0; i < 1e5; i += 1) i %= 1e9;
}
`;

/** A folder from which the package is found, deleted when the test ends. */
export function folder(t, name = 'program-') {
  const place = realpathSync(mkdtempSync(path.join(SUITE, name)));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  return place;
}

export function write(place, name, text) {
  const file = path.join(place, name);
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

function environment(more) {
  const inherited = { ...process.env };
  for (const name of Object.keys(inherited)) {
    if (/^(SONDAGE_|OTEL_|NODE_)/.test(name)) delete inherited[name];
  }
  // Longer than the last profile takes on a busy machine.
  return { ...inherited, SONDAGE_EXIT_TIMEOUT: '30s', ...more };
}

/** Runs a program to its end. */
export function run(command, args, { env = {}, cwd = SUITE, timeout = 90_000, input = '' } = {}) {
  return new Promise((resolve) => {
    const options = { env: environment(env), cwd, timeout, killSignal: 'SIGKILL' };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr });
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** Runs Node.js. */
export function node(args, options) {
  return run(process.execPath, args, options);
}

/** Starts a program and waits for a line of its output. */
export async function started(command, args, env = {}) {
  const child = spawn(command, args, { env: environment(env), cwd: SUITE });
  const ended = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  await new Promise((resolve) => {
    child.stdout.once('data', resolve);
    child.on('close', resolve);
  });
  return { child, ended };
}

/** The profiles in a folder of files, by the process' number. */
export function profiles(place) {
  const byProcess = new Map();
  for (const entry of readdirSync(place, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.pb.gz')) continue;
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    for (const sample of read(readFileSync(file))) {
      const pid = String(sample.labels.pid ?? /-(\d+)-\d+(-heap)?\.pb\.gz$/.exec(entry.name)?.[1]);
      byProcess.set(pid, [...(byProcess.get(pid) ?? []), sample]);
    }
  }
  return byProcess;
}

/** Runs a program under the profiler, at the highest rate, and returns the samples. */
export async function profile(t, file, { flags = [] } = {}) {
  const place = folder(t, 'profile-');
  const env = { SONDAGE_PUSH: `file:${place}`, SONDAGE_HZ: '1000', SONDAGE_BUDGET: '1' };
  const args = [...flags, '--import', 'sondage/auto', file];
  const { code, stderr } = await node(args, { env });
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${stderr}`);
  return [...profiles(place).values()].flat();
}
