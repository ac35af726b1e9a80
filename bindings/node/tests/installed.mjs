// The package as it is installed in the folder that the tests run in.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { read, total } from './pprof.mjs';

export const require = createRequire(path.join(process.cwd(), 'program.cjs'));
export const sondage = require('sondage');

/** A file of the package that it does not export. */
export function internal(name) {
  return require(path.join(path.dirname(require.resolve('sondage/package.json')), name));
}

/** Uses the CPU for so many milliseconds, however long that takes. */
export function spin(millis) {
  const end = process.cpuUsage().user + millis * 1000;
  let sum = 0;
  while (process.cpuUsage().user < end) {
    for (let number = 0; number < 20_000; number++) sum += Math.sqrt(number);
  }
  return sum;
}

/** The sum of a type over the samples for which `holds` is true. */
export function sum(samples, type, holds = () => true) {
  return total(samples.filter(holds), type);
}

/** Whether a sample has a function in its stack. */
export function has(name) {
  return ({ frames }) => frames.some((frame) => frame.name === name);
}

export function pause(millis) {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

/** Runs with a folder for profiles, which it removes. */
export async function withFolder(run) {
  const folder = mkdtempSync(path.join(tmpdir(), 'sondage-'));
  try {
    return await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The profiles in a folder whose names say so, oldest first. */
export function profiles(folder, ofMemory) {
  const names = readdirSync(folder).filter((name) => name.endsWith('.pb.gz'));
  const wanted = names.filter((name) => name.includes('-heap') === ofMemory).sort();
  return wanted.map((name) => read(readFileSync(path.join(folder, name))));
}
