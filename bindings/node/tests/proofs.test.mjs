// The proofs, small; at full size with SONDAGE_STORM=full (`make storm-node`).
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { SUITE, node } from './programs.mjs';

const FULL = process.env.SONDAGE_STORM === 'full';
const PROOFS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'proofs');

// What each is run with: options of Node.js, and sizes, small and full.
const RUNS = [
  ['gcstress', [], ['seconds=3', 'least=30'], ['seconds=60', 'least=3000']],
  ['gcstress', ['--stress-compaction'], ['seconds=3', 'least=10'], ['seconds=60', 'least=1000']],
  ['gcstress', ['--max-old-space-size=64'], ['seconds=3', 'least=30'], ['seconds=60', 'least=3000']],
  ['gcstress', ['--gc-interval=500'], ['seconds=3', 'least=1'], ['seconds=60', 'least=100']],
  ['workers', [], ['workers=40', 'least=1'], ['workers=1000']],
  ['exits', [], [], []],
  ['oom-worker', [], [], []],
  ['wasm-traps', [], ['seconds=2'], ['seconds=30']],
  ['other-profiler', [], [], []],
];

for (const [name, flags, small, full] of RUNS) {
  test([name, ...flags].join(' '), { timeout: 600_000 }, async () => {
    const args = [...flags, path.join(PROOFS, `${name}.mjs`), ...(FULL ? full : small)];
    const { code, stdout, stderr } = await node(args, { cwd: SUITE, timeout: 590_000 });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    if (FULL) console.log(name, ...flags, stdout.trim());
  });
}

test('every proof is run', () => {
  const all = readdirSync(PROOFS).filter((file) => file.endsWith('.mjs'));
  const run = new Set(RUNS.map(([name]) => `${name}.mjs`));
  // The first is what they share; the other needs a compiler, and says how.
  const others = ['recording.mjs', 'segfault-handler.mjs'];
  assert.deepEqual(all.filter((file) => !run.has(file)).sort(), others);
});
