// CPU profiles by V8's own profiler, where the frames cannot be read from outside.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Session } from 'node:inspector';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread } from 'node:worker_threads';
import { has, internal, pause, profiles, sondage, spin, sum, withFolder } from './installed.mjs';
import { read } from './pprof.mjs';

// V8's own profiler may charge a function that was inlined to its caller, which is in these files.
const isSpinning = ({ frames }) => 
  frames.some(({ file }) => file.includes('/tests/') || file.startsWith('[eval'));

const REASON = 'this is a test';
const PROGRAM = `
  const path = require('node:path');
  const sondage = require('sondage');
  const root = path.dirname(require.resolve('sondage/package.json'));
  require(path.join(root, 'lib/fallback.cjs')).run('${REASON}');
  const spin = (millis) => {
    const end = performance.now() + millis;
    while (performance.now() < end) Math.sqrt(end);
  };
`;

function runs(program, flags = []) {
  const given = [...flags, '-e', PROGRAM + program];
  const child = spawnSync(process.execPath, given, { timeout: 30_000 });
  return { code: child.status, output: child.stdout.toString(), errors: child.stderr.toString() };
}

if (isMainThread) {
  internal('lib/fallback.cjs').run(REASON);
  after(() => sondage.stop());

  test('a busy function has the CPU time that it used, and no more is told', async () => {
    const warnings = [];
    process.on('warning', (warning) => warnings.push(warning));
    const before = process.cpuUsage();
    sondage.start({ push: [] });
    for (let round = 0; round < 3; round++) {
      spin(500);
      await pause(200);
    }
    const profile = read(await sondage.flush());
    const { user, system } = process.cpuUsage(before);
    const used = (user + system) * 1000;
    assert.deepEqual(Object.keys(profile[0].values), ['samples', 'cpu']);
    const main = sum(profile, 'cpu', ({ labels }) => labels.thread === 'main');
    const busy = sum(profile, 'cpu', isSpinning);
    assert.ok(busy >= 0.85 * main, `${busy} of ${main}`);
    const all = sum(profile, 'cpu');
    assert.ok(Math.abs(all / used - 1) < 0.1, `${all} of ${used}`);
    assert.ok(sum(profile, 'samples') > 50);
    const leaves = profile.map(({ frames }) => frames[0]).filter(({ name }) => name === 'spin');
    for (const leaf of leaves) {
      assert.equal(leaf.file, fileURLToPath(new URL('installed.mjs', import.meta.url)));
      assert.ok(leaf.line >= leaf.startLine && leaf.line < leaf.startLine + 8, `${leaf.line}`);
    }
    const { engine, engineReason: reason } = sondage.stats();
    assert.deepEqual([engine, reason], ['v8-inspector', REASON]);
    const told = warnings.filter(({ name }) => name === 'SondageWarning');
    assert.equal(told.length, 1, told.join());
    assert.match(told[0].message, /this is a test/);
  });

  test('the profiler of the program itself goes on beside ours', async () => {
    const session = new Session();
    session.connect();
    const ask = (method, parameters) => new Promise((resolve, reject) => {
      const answered = (error, answer) => (error ? reject(error) : resolve(answer));
      session.post(method, parameters, answered);
    });
    await ask('Profiler.enable');
    await ask('Profiler.start');
    await sondage.flush();
    spin(300);
    const profile = read(await sondage.flush());
    const theirs = (await ask('Profiler.stop')).profile;
    spin(300);
    const later = read(await sondage.flush());
    session.disconnect();
    // By names V8 may charge the caller: it forgets loops that were optimized before a start.
    assert.ok(theirs.samples.length > 50, `${theirs.samples.length}`);
    const during = sum(profile, 'cpu', isSpinning);
    assert.ok(during > 150e6, `${during}`);
    const afterwards = sum(later, 'cpu', isSpinning);
    assert.ok(afterwards > 150e6, `${afterwards}`);
  });

  test('workers hand over their stacks, under their own names', async () => {
    const worker = new Worker(fileURLToPath(import.meta.url), { name: 'baker' });
    await new Promise((resolve) => worker.once('exit', resolve));
    const profile = read(await sondage.flush());
    const isWorker = ({ labels }) => /^(baker|worker \d+)$/.test(labels.thread ?? '');
    const busy = sum(profile, 'cpu', (sample) => isWorker(sample) && isSpinning(sample));
    assert.ok(busy > 200e6, `${busy}`);
  });

  test('waiting is shown where it is asked for, and idle time is no CPU time', async () => {
    await sondage.stop();
    sondage.start({ push: [], wall: true });
    await pause(500);
    const profile = read(await sondage.flush());
    const idle = has('(idle)');
    assert.equal(sum(profile, 'cpu', idle), 0);
    assert.ok(sum(profile, 'wall', idle) > 300e6);
  });

  test('a program ends when it has nothing more to do, and delivers its last profile', async () => {
    await withFolder((folder) => {
      const options = JSON.stringify({ push: `file:${folder}` });
      for (const end of ['', 'process.exit(7);', 'setImmediate(() => process.exit(7));']) {
        const { code, errors } = runs(`sondage.start(${options}); spin(300); ${end}`);
        assert.equal(code, end ? 7 : 0, errors);
      }
      const all = profiles(folder, false);
      const delivered = all.filter((profile) => profile.some(isSpinning));
      assert.equal(delivered.length, 3);
    });
  });

  test('nothing is left after the end, and Node.js prints nothing of ours', async () => {
    const program = `
      sondage.start({ push: [] });
      spin(100);
      sondage.stop().then(() => {
        const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
        console.log(timers.length);
      });
    `;
    await withFolder((folder) => {
      for (const flags of [[], ['--cpu-prof', `--cpu-prof-dir=${folder}`]]) {
        const { code, output, errors } = runs(program, flags);
        assert.deepEqual([code, output.trim()], [0, '0'], errors);
        assert.doesNotMatch(errors, /Profiler\./);
      }
    });
  });

  test('without an inspector the program goes on, with one warning', () => {
    const major = Number(process.versions.node.split('.')[0]);
    const permission = major < 23 ? '--experimental-permission' : '--permission';
    const flags = [permission, '--allow-addons', '--allow-fs-read=*'];
    const { code, errors } = runs('sondage.start({ push: [] }); spin(50);', flags);
    assert.equal(code, 0, errors);
    assert.match(errors, /no stacks of this thread/);
  });
} else {
  spin(400);
}
