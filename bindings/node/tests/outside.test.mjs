// `sondage record --pid`: a process without the package is read from outside.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { read } from './pprof.mjs';
import { COMMAND, folder, run, started, write } from './programs.mjs';

// Numbers outgrow small integers: code that Sparkplug made calls functions of V8 without frames for
// them, from whose callers it must be told where it is.
const PROGRAM = `
function heavy(count) {
  let sum = 0;
  for (let n = 0; n < count; n += 1) sum += (n * n) ^ (sum >> 3); // heavy
  return sum;
}
function light(count) {
  let sum = 0;
  for (let n = 0; n < count; n += 1) sum += (n * n) ^ (sum >> 3); // light
  return sum;
}
function work() {
  const part = Math.floor((0.5 + Math.random()) * 200_000);
  return heavy(3 * part) + light(part);
}
console.log('started');
for (;;) work();
`;

// With Sparkplug for everything, the code fills more than one of V8's pages.
const COMPILERS = {
  ignition: ['--no-opt', '--no-sparkplug'],
  sparkplug: ['--no-opt', '--always-sparkplug'],
  all: [],
};

test('frames are read from outside with lines and callers in code of each compiler', async (t) => {
  const place = folder(t);
  const program = write(place, 'program.cjs', PROGRAM);
  const marked = PROGRAM.split('\n');
  const lineOf = (name) => marked.findIndex((text) => text.endsWith(`// ${name}`)) + 1;
  for (const [compiler, flags] of Object.entries(COMPILERS)) {
    await t.test(compiler, async () => {
      const { child, ended } = await started(process.execPath, [...flags, program]);
      const file = path.join(place, `${compiler}.pb.gz`);
      const args = ['record', '-p', String(child.pid), '-d', '2', '--hz', '999', '-o', file];
      const { code, stderr } = await run(COMMAND, args);
      child.kill('SIGKILL');
      await ended;
      assert.equal(code, 0, stderr);
      const time = { all: 0, line: 0, root: 0, heavy: 0, light: 0 };
      for (const { frames, values } of read(readFileSync(file))) {
        const frame = frames.find(({ name }) => name === 'heavy' || name === 'light');
        if (frame === undefined) continue;
        time.all += values.cpu;
        time[frame.name] += values.cpu;
        if (frame.file === program && frame.line === lineOf(frame.name)) time.line += values.cpu;
        // Of a script that is in Node.js itself.
        const root = frames.find(({ name }) => name === 'executeUserEntryPoint');
        if (root?.line > 0) time.root += values.cpu;
      }
      const shown = JSON.stringify(time);
      assert.ok(time.all > 5e8, shown);
      assert.ok(time.line > 0.95 * time.all, shown);
      assert.ok(time.root > 0.95 * time.all, shown);
      assert.ok(Math.abs(time.heavy / time.all - 0.75) < 0.12, shown);
    });
  }
});
