// Frames of JavaScript: names, lines, inlining and shares, in code of each compiler.
import assert from 'node:assert/strict';
import path from 'node:path';
import test, { afterEach } from 'node:test';
import { pathToFileURL } from 'node:url';

import * as sondage from 'sondage';

import { read } from './pprof.mjs';
import { folder, node, profile, write } from './programs.mjs';

afterEach(sondage.stop);

const SETTINGS = { push: 'none', hz: 1000, budget: 1, interval: 3600 };

/** The share of each function's own time among those whose names match. */
function shares(samples, pattern) {
  const own = new Map();
  let all = 0;
  for (const { frames, values } of samples) {
    const leaf = frames.find(({ name }) => pattern.test(name))?.name;
    if (leaf === undefined) continue;
    own.set(leaf, (own.get(leaf) ?? 0) + values.cpu);
    all += values.cpu;
  }
  return new Map([...own].map(([name, time]) => [name, time / all]));
}

function burn(work, millis) {
  const used = () => process.cpuUsage().user / 1000;
  for (const end = used() + millis; used() < end;) work();
}

/**
 * Works in short rounds with a pause of random length after each, up to that of the round. Linux
 * looks at timers in its tick: rounds of one length can keep step with it, and are then seen at the
 * same few places.
 */
const UNEVENLY = `function unevenly(work) {
  for (let round = 0; round < 20; round += 1) {
    const begun = performance.now();
    work();
    const ended = performance.now();
    const until = ended + Math.random() * (ended - begun);
    while (performance.now() < until);
  }
}`;

test('functions that are inlined have the time that they take', async () => {
  const loop = (times) => `let x = 0;
    for (let i = 0; i < ${times}; i += 1) x = (x + i * i) % 1000003;
    return x;`;
  const work = new Function(`
    function work_1() { ${loop(1_000)} }
    function work_2() { ${loop(2_000)} }
    function work_3() { ${loop(3_000)} }
    function work_4() { ${loop(4_000)} }
    function request() { return work_1() + work_2() + work_3() + work_4(); }
    ${UNEVENLY}
    return () => unevenly(request);`)();
  burn(work, 300);
  sondage.start(SETTINGS);
  const samples = [];
  let [found, error] = [new Map(), 1];
  // Of 500 samples the error is some 3 %, and 5 % where others want the processors, too; V8's own
  // profiler has up to 40 here. What is by chance goes with more samples.
  for (let round = 0; round < 4 && error > 0.08; round += 1) {
    burn(work, 3000);
    samples.push(...read(await sondage.flush()));
    found = shares(samples, /^work_\d$/);
    error = 0;
    for (const number of [1, 2, 3, 4]) {
      error += Math.abs((found.get(`work_${number}`) ?? 0) - number / 10) / 2;
    }
  }
  assert.ok(error <= 0.08, JSON.stringify([...found]));
  const callers = samples.filter(({ frames }) => /^work_\d$/.test(frames[0]?.name));
  assert.ok(callers.every(({ frames }) => frames[1].name === 'request'), 'inlined into request');
});

// Each marked line takes as long as its number of turns says. Who called is another matter: in a
// loop that Maglev has peeled, V8 itself has lost the lines of calls that were inlined.
const LINES = `
function one(x) {
  for (let i = 0; i < 200; i += 1) x = (x + (i & 255)) % 1009; // one
  return x;
}
function two(x) {
  for (let i = 0; i < 400; i += 1) x = (x + (i & 255)) % 1009; // two
  return x;
}
function five(x) {
  for (let i = 0; i < 1_000; i += 1) x = (x + (i & 255)) % 1009; // five
  return x;
}
function request(x) {
  return five(two(one(x)));
}
${UNEVENLY}
function burn(millis) {
  const used = () => process.cpuUsage().user / 1000;
  const end = used() + millis;
  let x = 0;
  while (used() < end) unevenly(() => { x = request(x); });
}
burn(4000);
`;

const TIERS = {
  ignition: ['--no-sparkplug', '--no-maglev', '--no-turbofan', '--no-opt'],
  sparkplug: ['--always-sparkplug', '--no-maglev', '--no-turbofan', '--no-opt'],
  maglev: ['--maglev', '--no-turbofan'],
  all: [],
};

function has(flag) {
  return process.allowedNodeEnvironmentFlags.has(flag) || KNOWN.has(flag.replace('--no-', '--'));
}

const KNOWN = new Set();

test('lines have the time that they take in code of each compiler', async (t) => {
  const { stdout } = await node(['--v8-options']);
  for (const [flag] of stdout.matchAll(/^ *--[a-z-]+/gm)) KNOWN.add(flag.trim());
  for (const [tier, flags] of Object.entries(TIERS)) {
    await t.test(tier, async (t) => {
      const place = folder(t);
      const file = write(place, 'lines.mjs', LINES);
      const known = flags.filter(has);
      const samples = await profile(t, file, { flags: known });
      const lines = LINES.split('\n');
      const line = (mark) => lines.findIndex((text) => text.endsWith(`// ${mark}`)) + 1;
      const own = new Map();
      for (const { frames, values } of samples) {
        const at = frames.findIndex(({ name }) => ['one', 'two', 'five'].includes(name));
        if (at < 0) continue;
        const { file: found, startLine, line: leaf, name } = frames[at];
        assert.deepEqual([found, startLine], [file, line(name) - 1]);
        assert.equal(frames[at + 1].name, 'request');
        own.set(leaf, (own.get(leaf) ?? 0) + values.cpu);
      }
      const all = [...own.values()].reduce((sum, time) => sum + time, 0);
      for (const [mark, share] of [['one', 0.125], ['two', 0.25], ['five', 0.625]]) {
        const found = (own.get(line(mark)) ?? 0) / all;
        // By chance 1 to 2 %, and 2 to 3 % where others want the processors, too.
        assert.ok(Math.abs(found - share) < 0.12, `${tier} ${mark}: ${found}, of ${all / 1e6} ms`);
      }
    });
  }
});

test('native code, regular expressions and functions of V8 have their callers', async () => {
  const { createHash } = await import('node:crypto');
  const { deflateSync } = await import('node:zlib');
  const data = Buffer.from(Array.from({ length: 1 << 17 }, (_, n) => (n * 7919) % 251));
  const text = `${'a'.repeat(200)}b`;
  // Assembly, in the variant for this processor.
  function hashes() {
    return createHash('sha256').update(data).digest('hex');
  }
  // Compiled from C.
  function packs() {
    return deflateSync(data);
  }
  function matches() {
    for (let n = 0; n < 100; n += 1) /^(a+)*$/.test(text.slice(180));
  }
  function sorts() {
    return Array.from({ length: 20_000 }, (_, n) => (n * 7919) % 20_011).sort((a, b) => a - b);
  }
  const isIn = (work) => ({ frames }) => frames.some(({ name }) => name === work.name);
  const time = (some) => some.reduce((sum, { values }) => sum + values.cpu, 0);
  sondage.start(SETTINGS);
  // Assembly has no frame pointers: its callers are there from when the tables are.
  for (let round = 0; round < 300; round += 1) {
    burn(hashes, 100);
    if (time(read(await sondage.flush()).filter(isIn(hashes))) > 5e7) break;
  }
  for (const work of [hashes, packs, matches, sorts]) burn(work, 500);
  const samples = read(await sondage.flush());
  for (const [work, leaf] of [
    [hashes, /sha256/i], [packs, /deflate/i], [matches, /regular expression/], [sorts, /^sort/],
  ]) {
    const of = samples.filter(isIn(work));
    const has = of.filter(({ frames }) => frames.some((frame) => leaf.test(frame.name)));
    assert.ok(time(of) > 3e8, `${work.name}: ${time(of) / 1e6} ms`);
    assert.ok(time(has) > time(of) / 2, `${work.name}: ${time(has) / 1e6} of ${time(of) / 1e6} ms`);
  }
  const lost = samples.filter(({ frames }) => frames.some(({ name }) => /lost/.test(name)));
  assert.ok(time(lost) <= time(samples) / 100, `${time(lost) / 1e6} of ${time(samples) / 1e6} ms`);
});

test('JavaScript that was compiled is shown as it was written', async (t) => {
  const place = folder(t);
  // Of `function spin(ms: number): number {` … as TypeScript 5.9 compiles it, without its types.
  const written = `type Millis = number;

export function spin(ms: Millis): number {
  const end: number = process.cpuUsage().user / 1000 + ms;
  let turns: number = 0;
  while (process.cpuUsage().user / 1000 < end) {
    turns += 1;
  }
  return turns;
}
spin(800);
`;
  write(place, 'app.ts', written);
  const { default: ts } = await import('typescript');
  const { outputText, sourceMapText } = ts.transpileModule(written, {
    fileName: 'app.ts',
    compilerOptions: { module: 'esnext', target: 'es2022', sourceMap: true, removeComments: true },
  });
  write(place, 'app.mjs', outputText.replace('app.js.map', 'app.mjs.map'));
  write(place, 'app.mjs.map', sourceMapText);
  const samples = await profile(t, path.join(place, 'app.mjs'));
  let [known, unknown] = [0, 0];
  for (const { frames, values } of samples) {
    for (const frame of frames.filter(({ name }) => name === 'spin')) {
      assert.equal(frame.file, path.join(place, 'app.ts'));
      assert.equal(frame.startLine, 3);
      if (frame.line === 0) unknown += values.cpu;
      else known += values.cpu;
      assert.ok((frame.line >= 3 && frame.line <= 9) || frame.line === 0, `line ${frame.line}`);
    }
  }
  assert.ok(known > 4e8, `${known / 1e6} ms`);
  // One in code without a frame, called by compiled code, may leave that without a line.
  assert.ok(unknown <= known / 10, `${unknown / 1e6} ms beside ${known / 1e6}`);
  assert.ok(pathToFileURL(place).href.startsWith('file:'));
});
