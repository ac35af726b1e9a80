// What is in the package, and how it is loaded.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import * as imported from 'sondage';
import { COMMAND, PACKAGE, SUITE, VERSION, folder, node, run, write } from './programs.mjs';

const require = createRequire(import.meta.url);

test('ESM and CommonJS have the same functions of one instance', () => {
  const required = require('sondage');
  const names = Object.keys(imported).filter((name) => name !== 'default');
  assert.deepEqual(names.sort(), [
    'currentLabels', 'flush', 'isRunning', 'setLabels', 'start', 'stats', 'stop', 'withLabels',
  ]);
  for (const name of names) {
    assert.equal(imported[name], required[name]);
    assert.equal(imported.default[name], required[name]);
  }
});

test('nothing runs at installation, and nothing else is installed', () => {
  for (const name of ['sondage', '@sondage/linux-x64-gnu']) {
    const place = path.join(path.dirname(PACKAGE), name, 'package.json');
    const description = JSON.parse(readFileSync(place, 'utf8'));
    assert.equal(description.version, VERSION);
    assert.equal(description.scripts, undefined);
    assert.equal(description.dependencies, undefined);
  }
});

test('the command answers', async () => {
  const version = await run(COMMAND, ['--version']);
  assert.equal(version.stdout, `sondage ${VERSION}\n`);
  assert.equal((await run(COMMAND, ['no-such'])).code, 2);
  const doctor = await run(COMMAND, ['doctor']);
  assert.match(doctor.stdout, /ok +preload library +\/.*sondage\.node/);
});

test('without its native part the package says what is missing', async (t) => {
  const place = folder(t);
  const code = `
require.cache[require.resolve('@sondage/linux-x64-gnu')] = undefined;
const { _resolveFilename } = require('module');
require('module')._resolveFilename = (name, ...rest) => {
  if (!name.startsWith('@sondage/')) return _resolveFilename(name, ...rest);
  throw Object.assign(new Error(name), { code: 'MODULE_NOT_FOUND' });
};
`;
  const missing = write(place, 'missing.cjs', code);
  const ended = await node(['-r', missing, '-e', "require('sondage')"]);
  assert.match(ended.stderr, /sondage has no build for linux-x64 here: install it without --omit/);
  const door = ['-r', missing, '-r', 'sondage/auto', '-e', 'console.log(1)'];
  const through = await node(door);
  assert.deepEqual([through.code, through.stdout], [0, '1\n']);
  const told = /^\(node:\d+\) SondageWarning: this program is not profiled: .*\n.*\n$/;
  assert.match(through.stderr, told);
});

test('without its native part the command says so', async (t) => {
  const place = mkdtempSync(path.join(tmpdir(), 'sondage-'));
  t.after(() => rmSync(place, { recursive: true }));
  cpSync(PACKAGE, path.join(place, 'sondage'), { recursive: true });
  const ended = await node([path.join(place, 'sondage', 'bin', 'sondage.cjs'), '--version']);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /^sondage: sondage has no build for linux-x64 here: .*\n$/);
});

// Types are the same for every Node.js, and the compiler takes seconds.
const once = { skip: !process.version.startsWith('v24.') && 'on Node.js 24 only' };

test('the types describe the package in ESM, in CommonJS and for bundlers', once, async (t) => {
  const tsc = path.join(SUITE, 'node_modules', 'typescript', 'bin', 'tsc');
  assert.ok(existsSync(tsc));
  const uses = readFileSync(path.join(SUITE, 'tests', 'types.ts'), 'utf8');
  for (const [extension, module, resolution] of [
    ['mts', 'node16', 'node16'],
    ['cts', 'node16', 'node16'],
    ['ts', 'esnext', 'bundler'],
  ]) {
    const place = folder(t);
    const file = write(place, `uses.${extension}`, uses);
    const ended = await node([
      tsc, '--noEmit', '--strict', '--module', module, '--moduleResolution', resolution,
      '--target', 'es2022', '--types', 'node', '--skipLibCheck', 'false', file,
    ], { cwd: place });
    assert.equal(ended.stdout, '', extension);
    assert.equal(ended.code, 0);
  }
});
