// `--import sondage/auto` and `--require sondage/auto`: for programs that do not know of it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { total } from './pprof.mjs';
import { BURN, LOADED, PACKAGE, folder, node, profiles, write } from './programs.mjs';

const IMPORT = ['--import', 'sondage/auto'];
const REQUIRE = ['--require', 'sondage/auto'];
const QUIET = { SONDAGE_PUSH: 'none' };

/**
 * Runs a program with the profiler and with an empty module in its place, which changes what
 * Node.js does too; both must do the same.
 */
async function alike([option, door], args, { env = {}, ...more } = {}) {
  const empty = option === '--import' ? 'data:text/javascript,' : '/dev/null';
  const bare = await node([option, empty, ...args], { ...more, env });
  const ended = await node([option, door, ...args], { ...more, env: { ...QUIET, ...env } });
  // Numbers of processes and addresses, and whose code they are in, differ from run to run.
  const plain = (text) => text.replaceAll(/\(node:\d+\)|node:internal\S*|^ *\d+: 0x.*$/gm, '');
  assert.deepEqual(
    { ...ended, stderr: plain(ended.stderr) },
    { ...bare, stderr: plain(bare.stderr) },
    args.join(' '),
  );
}

for (const [door, options] of [['--import', IMPORT], ['--require', REQUIRE]]) {
  test(`${door} profiles programs of both kinds of modules`, async (t) => {
    for (const kind of ['cjs', 'mjs']) {
      const place = folder(t);
      const file = write(place, `app.${kind}`, `${BURN}
burn(300); console.log(process.pid, ${LOADED});`);
      const ended = await node([...options, file], { env: { SONDAGE_PUSH: `file:${place}/out` } });
      assert.equal(ended.stderr, '');
      const [pid, loaded] = ended.stdout.trim().split(' ');
      assert.equal(loaded, 'true');
      const found = profiles(path.join(place, 'out'));
      assert.deepEqual([...found.keys()], [pid]);
      assert.ok(total(found.get(pid), 'cpu') > 1e8);
    }
  });

  test(`${door} leaves ends and outputs as they are`, async (t) => {
    const place = folder(t);
    for (const code of [
      'process.exit(7)', 'process.exitCode = 3', 'throw new Error("own")',
      'Promise.reject(new Error("own"))', 'process.kill(process.pid, "SIGKILL")',
      'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 5000)', 'process.abort()',
      'process.on("exit", () => console.log("exits")); setTimeout(() => console.log("late"), 20)',
      'console.log(require.main === module, process.argv.length, module.paths.length, __filename)',
      'for (let i = 0; i < 9; i++) process.on("exit", () => {}); console.log(1)',
    ]) {
      await alike(options, [write(place, 'app.cjs', code), '--flag', 'a b']);
    }
    await alike(options, [write(place, 'top.mjs', 'await 1; console.log(import.meta.url)')]);
    await alike(options, [write(place, 'hang.mjs', 'await new Promise(() => {})')]);
    await alike(options, ['-e', 'console.log(process.argv.length, typeof sondage)', 'x']);
    await alike(options, ['-p', '1 + 1']);
    await alike(options, ['--check', write(place, 'checked.cjs', 'never()')]);
    await alike(options, ['-'], { input: 'console.log("from standard input")' });
  });
}

test('NODE_OPTIONS profiles a program and its children, once each', async (t) => {
  const place = folder(t);
  const file = write(place, 'app.mjs', `${BURN}
import { fork } from 'node:child_process';
burn(300);
console.log(process.pid);
if (process.argv.length === 2) fork(process.argv[1], ['child']);
`);
  const NODE_OPTIONS = [...REQUIRE, ...IMPORT].join(' ');
  const env = { NODE_OPTIONS, SONDAGE_PUSH: `file:${place}/out` };
  const ended = await node([file], { env });
  assert.equal(ended.stderr, '');
  const pids = ended.stdout.trim().split('\n');
  assert.equal(pids.length, 2);
  assert.deepEqual([...profiles(path.join(place, 'out')).keys()].sort(), pids.sort());
});

test('one profiler runs, and ends with the program', async () => {
  const code = `
const names = require('fs').readdirSync('/proc/self/task')
  .map((id) => require('fs').readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim());
console.log(names.filter((name) => name === 'sondage').length);`;
  const begun = Date.now();
  const ended = await node([...IMPORT, ...REQUIRE, '-e', code], { env: QUIET });
  assert.equal(ended.stdout, '1\n');
  assert.ok(Date.now() - begun < 10_000);
});

test("the program's own start wins, and its own stop stops", async () => {
  const code = `(async () => {
const sondage = require('sondage');
sondage.start({ hz: 50, push: [] });
await sondage.flush();
console.log(sondage.stats().intervalNanos);
await sondage.stop();
console.log(sondage.isRunning());
})()`;
  const ended = await node([...IMPORT, '-e', code], { env: { SONDAGE_HZ: '25', ...QUIET } });
  assert.deepEqual([ended.stdout, ended.stderr], ['20000000\nfalse\n', '']);
});

test('a wrong variable is one warning, and the program runs', async () => {
  const ended = await node([...IMPORT, '-p', '1'], { env: { SONDAGE_HZ: '0' } });
  assert.equal(ended.stdout, '1\n');
  const told = /^\(node:\d+\) SondageWarning: not profiled: SONDAGE_HZ.*\n\(Use.*\n$/;
  assert.match(ended.stderr, told);
});

test('where profiling is refused the program runs with one warning', async (t) => {
  const place = folder(t);
  const old = write(place, 'old.cjs', `Object.defineProperty(process, 'versions', {
    value: { ...process.versions, node: '18.20.8' } });`);
  for (const options of [['-r', old], ['--no-addons']]) {
    const ended = await node([...options, ...REQUIRE, '-p', '1'], { env: QUIET });
    assert.deepEqual([ended.code, ended.stdout], [0, '1\n']);
    const told = /^\(node:\d+\) SondageWarning: this program is not profiled: .*\n\(Use.*\n$/;
    assert.match(ended.stderr, told);
  }
});

test('a snapshot of a heap is built and run', async (t) => {
  const place = folder(t);
  const entry = write(place, 'entry.cjs', 'globalThis.made = 1;');
  const blob = path.join(place, 'snap.blob');
  const build = ['--snapshot-blob', blob, '--build-snapshot', entry];
  const built = await node([...REQUIRE, ...build], { env: QUIET });
  assert.deepEqual([built.code, built.stderr], [0, '']);
  assert.ok(existsSync(blob));
  const main = write(place, 'main.cjs', 'console.log(made)');
  const ended = await node([...REQUIRE, '--snapshot-blob', blob, main], { env: QUIET });
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
});

test('two copies of the package are one profiler', async (t) => {
  const place = folder(t);
  const { cpSync, mkdirSync } = await import('node:fs');
  mkdirSync(path.join(place, 'node_modules'));
  cpSync(PACKAGE, path.join(place, 'node_modules', 'sondage'), { recursive: true });
  const native = path.join('node_modules', '@sondage');
  cpSync(path.join(PACKAGE, '..', '@sondage'), path.join(place, native), { recursive: true });
  const file = write(place, 'app.cjs', `(async () => {
const sondage = require('sondage');
console.log(require.resolve('sondage').startsWith(__dirname), sondage.isRunning());
await sondage.stop();
sondage.start({ push: [] });
console.log(sondage.isRunning());
})()`);
  const ended = await node(['-r', path.join(PACKAGE, 'lib', 'auto.cjs'), file], { env: QUIET });
  assert.deepEqual([ended.stdout, ended.stderr], ['true true\ntrue\n', '']);
});
