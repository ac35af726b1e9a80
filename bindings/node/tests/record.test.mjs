// `sondage record`: of Node.js, of what it starts, and of what starts it.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { read, total } from './pprof.mjs';
import { BURN, COMMAND, PACKAGE, folder, run, started, write } from './programs.mjs';

/**
 * Records a command: how it ended, and the samples by the process' number, which those of a single
 * process do not have.
 */
async function record(place, command, { by = COMMAND, ...options } = {}) {
  const file = path.join(place, 'out.pb.gz');
  const ended = await run(by, ['record', '-o', file, '--', ...command], options);
  return { ...ended, byProcess: samples(file) };
}

function samples(file) {
  const byProcess = new Map();
  if (!existsSync(file)) return byProcess;
  for (const sample of read(readFileSync(file))) {
    const pid = String(sample.labels.pid ?? 'only');
    byProcess.set(pid, [...(byProcess.get(pid) ?? []), sample]);
  }
  return byProcess;
}

/** CPU time of one process, or of all. */
function seconds(byProcess, pid) {
  const all = pid ? [] : [...byProcess.values()].flat();
  const found = byProcess.get(pid) ?? byProcess.get('only') ?? all;
  return total(found, 'cpu') / 1e9;
}

const ALONE = `
const names = require('fs').readdirSync('/proc/self/task')
  .map((id) => require('fs').readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim());
console.log(names.filter((name) => name === 'sondage').length,
  names.filter((name) => name === 'sondage-record').length);
`;

test('a program is recorded by one profiler, whatever it does with the package', async (t) => {
  const place = folder(t);
  const app = write(place, 'app.cjs', `${BURN} burn(500);
const sondage = require('sondage');
console.log(sondage.isRunning());
sondage.start({ hz: 1 });
${ALONE}
sondage.stop().then(() => { console.log(sondage.isRunning(), process.pid); burn(300); });
`);
  const { code, stdout, stderr, byProcess } = await record(place, [process.execPath, app]);
  assert.equal(code, 0, stderr);
  const lines = stdout.split('\n');
  assert.deepEqual(lines.slice(0, 2), ['true', '1 1']);
  const [still, pid] = lines[2].split(' ');
  assert.equal(still, 'true');
  assert.match(stderr, /1 process,/);
  const recorded = seconds(byProcess, pid);
  assert.ok(recorded > 0.3 && recorded < 3, `${recorded} s: ${stderr}`);
  assert.ok(!existsSync(path.join(place, 'sondage-profiles')));
});

test('a profile comes out of every end, and the exit code stays', async (t) => {
  const place = folder(t);
  for (const [end, code, name] of [
    ['process.exit(7)', 7],
    ['process.exitCode = 3', 3],
    ['throw new Error("own")', 1],
    ['Promise.reject(new Error("own"))', 1],
    ['process.reallyExit(9)', 9],
    ['process.kill(process.pid, "SIGTERM")', 143],
    ['process.kill(process.pid, "SIGINT")', 130],
    [`const { Worker } = require('worker_threads');
      new Worker('${BURN.replaceAll('\n', '')} burn(400); for (;;);', { eval: true });
      setTimeout(() => process.exit(6), 900)`, 6, 'a live worker'],
  ]) {
    const app = write(place, 'app.cjs', `${BURN} burn(400); ${end}`);
    const ended = await record(place, [process.execPath, app]);
    assert.equal(ended.code, code, `${name ?? end}: ${ended.stderr}`);
    const recorded = seconds(ended.byProcess);
    assert.ok(recorded > 0.2, `${name ?? end}: ${recorded} s: ${ended.stderr}`);
  }
});

test('a signal from outside ends program and command with a profile', async (t) => {
  const place = folder(t);
  const file = path.join(place, 'out.pb.gz');
  const app = write(place, 'app.cjs', `${BURN}
burn(1200); console.log(1); setTimeout(() => {}, 60_000)`);
  for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130]]) {
    const args = ['record', '-o', file, '--', process.execPath, app];
    const { child, ended } = await started(COMMAND, args);
    // What is written about once a second stays.
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    child.kill(signal);
    assert.deepEqual(await ended, { code, signal: null });
    assert.ok(seconds(samples(file)) > 0.02);
  }
});

test('children by fork, spawn, exec and cluster are recorded too', async (t) => {
  const place = folder(t);
  const app = write(place, 'app.mjs', `${BURN}
import { fork, spawn, execFile } from 'node:child_process';
import cluster from 'node:cluster';
console.log(process.pid);
burn(300);
if (cluster.isPrimary && process.argv.length === 2) {
  fork(process.argv[1], ['child']);
  spawn(process.execPath, [process.argv[1], 'child'], { stdio: 'inherit' });
  const shell = ['-c', '"$0" "$@"; true', process.execPath, process.argv[1], 'child'];
  spawn('sh', shell, { stdio: 'inherit' });
  cluster.fork();
} else if (cluster.isWorker) {
  cluster.worker.disconnect();
}
`);
  const { code, stdout, stderr, byProcess } = await record(place, [process.execPath, app]);
  assert.equal(code, 0, stderr);
  const pids = stdout.trim().split('\n');
  assert.equal(pids.length, 5);
  for (const pid of pids) {
    assert.ok(seconds(byProcess, pid) > 0.05, `${pid} of ${[...byProcess.keys()]}: ${stderr}`);
  }
});

test('scripts for Node.js and `npm start` are recorded, and other programs as ever', async (t) => {
  const place = folder(t);
  const script = write(place, 'script', `#!/usr/bin/env node
${BURN} burn(300); console.log(process.pid)`);
  const direct = await record(place, [script]);
  assert.ok(seconds(direct.byProcess) > 0.05, direct.stderr);

  write(place, 'package.json', '{ "scripts": { "start": "node ./script" } }');
  const npm = await record(place, ['npm', 'start', '--silent'], { cwd: place });
  assert.equal(npm.code, 0, npm.stderr);
  assert.ok(seconds(npm.byProcess, npm.stdout.trim()) > 0.05, npm.stdout + npm.stderr);

  const shell = ['sh', '-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 5'];
  const other = await record(place, shell);
  assert.equal(other.code, 5);
  assert.ok(seconds(other.byProcess) > 0.05, other.stderr);
});

test('options in NODE_OPTIONS stay, and paths may have blanks and quotes', async (t) => {
  const place = path.join(folder(t), 'a "b" \\c');
  mkdirSync(place);
  mkdirSync(path.join(place, 'node_modules'));
  for (const name of ['sondage', '@sondage']) {
    const from = path.join(path.dirname(PACKAGE), name);
    cpSync(from, path.join(place, 'node_modules', name), { recursive: true });
  }
  const app = write(place, 'app.cjs', `${BURN} burn(300);
console.log(process.pid, Error.stackTraceLimit, process.env.GIVEN)`);
  const before = write(place, 'before.cjs', 'process.env.GIVEN = "yes"');
  const by = path.join(place, 'node_modules', 'sondage', 'bin', 'sondage.cjs');
  const NODE_OPTIONS = `--stack-trace-limit=33 --require ${JSON.stringify(before)}`;
  const ended = await record(place, [process.execPath, app], { by, env: { NODE_OPTIONS } });
  assert.equal(ended.code, 0, ended.stderr);
  const [pid, limit, given] = ended.stdout.trim().split(' ');
  assert.deepEqual([limit, given], ['33', 'yes']);
  assert.ok(seconds(ended.byProcess, pid) > 0.05, ended.stderr);
});

test('what cannot load the profiler runs, and is told of in one line', async (t) => {
  const place = folder(t);
  const old = write(place, 'old.cjs', `Object.defineProperty(process, 'versions', {
    value: { ...process.versions, node: '18.20.8' } });`);
  const app = write(place, 'app.cjs', `${BURN} burn(1500); console.log("ran")`);
  const NODE_OPTIONS = `--require ${old}`;
  const ended = await record(place, [process.execPath, app], { env: { NODE_OPTIONS } });
  assert.deepEqual([ended.code, ended.stdout], [0, 'ran\n'], ended.stderr);
  assert.equal(ended.stderr.match(/its JavaScript is not recorded/g).length, 1, ended.stderr);
  assert.match(ended.stderr, /needs Node.js 20.6 or later/);
  const option = Number(process.versions.node.split('.')[0]) < 24
    ? '--experimental-permission' : '--permission';
  const guarded = [process.execPath, option, '--allow-fs-read=*', app];
  const restricted = await record(place, guarded);
  assert.deepEqual([restricted.code, restricted.stdout], [0, 'ran\n'], restricted.stderr);
  assert.match(restricted.stderr, /--permission keeps the program from loading the profiler/);
});
