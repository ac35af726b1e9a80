// A package that takes SIGSEGV for itself, registered before ours and after it: the program is
// sampled and goes on, and when it really faults, the package still reports it and the process ends
// as it does without a profiler. SEGFAULT_HANDLER is what `segfault-package` prints.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { conclude, count, options, packages, recording, sondage } from './recording.mjs';

const { seconds, hz, least, order, faults } = options({
  seconds: 2, hz: 1000, least: 100, order: '', faults: 'no',
});
const where = process.env.SEGFAULT_HANDLER;

function busy(until) {
  const kept = [];
  while (performance.now() < until) {
    for (let n = 0; n < 500; n += 1) kept[n % 97] = JSON.parse(JSON.stringify({ n, list: [n, n] }));
  }
  return kept.length;
}

async function child() {
  const handler = packages(where);
  // It writes a file as well, where one is named or not.
  const register = () => handler.registerHandler('/dev/null');
  if (faults === 'yes') {
    if (order === 'before') register();
    if (order !== 'alone') sondage.start({ push: 'none', hz, budget: 1 });
    if (order !== 'before') register();
    busy(performance.now() + 200);
    handler.causeSegfault();
    return;
  }
  if (order === 'before') register();
  const { samples } = await recording({ hz }, async (breathe) => {
    if (order === 'after') register();
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      busy(performance.now() + 50);
      await breathe();
    }
  });
  console.log(JSON.stringify({ samples: count(samples) }));
}

function run(how, fault) {
  const script = fileURLToPath(import.meta.url);
  const given = [`order=${how}`, `faults=${fault}`, `seconds=${seconds}`, `hz=${hz}`];
  const ways = { encoding: 'utf8', timeout: 60_000 };
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath, [...process.execArgv, script, ...given], ways,
  );
  return { ended: signal ?? status, stdout, reports: /PID \d+ received SIGSEGV/.test(stderr) };
}

function parent() {
  if (!where) {
    console.log(JSON.stringify({ skipped: 'SEGFAULT_HANDLER is not set' }));
    return;
  }
  const counts = { alone: shown(run('alone', 'yes')) };
  let samples = Infinity;
  const wrong = [];
  for (const how of ['before', 'after']) {
    const alive = run(how, 'no');
    const sampled = alive.ended === 0 ? JSON.parse(alive.stdout).samples : 0;
    samples = Math.min(samples, sampled);
    counts[how] = { lives: alive.ended === 0, samples: sampled, faults: shown(run(how, 'yes')) };
    if (counts[how].faults !== counts.alone) wrong.push(how);
  }
  conclude(counts, { 'faults otherwise': wrong.length > 0, 'too few samples': samples < least });
}

function shown({ ended, reports }) {
  return `ends with ${ended}, ${reports ? 'reports' : 'no report'}`;
}

await (order ? child() : parent());
