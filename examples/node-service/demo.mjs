// Runs the service under load and shows its profile. `make demo-node` calls it.
//
// usage: node demo.mjs PACKAGES OUT. Copies the service into OUT/service and installs it there,
// with the packages from the folder PACKAGES.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const HERE = import.meta.dirname;

// How long the load lasts.
const SECONDS = 10;

// Functions in the printed table, and for each route.
const TOP = 20;
const TOP_OF_ROUTE = 3;

// The longest that the service may take to start, in seconds.
const PATIENCE = 60;

const [packages, out] = process.argv.slice(2).map((folder) => path.resolve(folder));
const service = path.join(out, 'service');
const profiles = path.join(out, 'profiles');

install();
fs.rmSync(profiles, { recursive: true, force: true });
const failed = await serveAndLoad();
show();
process.exitCode = failed;

/** Copies the service, installs what it needs, and compiles it. */
function install() {
  console.log(`installing into ${service}`);
  fs.mkdirSync(service, { recursive: true });
  for (const name of ['package.json', 'tsconfig.json', 'src']) {
    fs.cpSync(path.join(HERE, name), path.join(service, name), { recursive: true });
  }
  // All at once, so that npm finds the native part in its file and asks no registry for it. By
  // force: packages that were packed again have the same version.
  const packed = fs.readdirSync(packages).filter((name) => name.endsWith('.tgz'));
  fs.rmSync(path.join(service, 'node_modules', '@sondage'), { recursive: true, force: true });
  fs.rmSync(path.join(service, 'node_modules', 'sondage'), { recursive: true, force: true });
  fs.rmSync(path.join(service, 'node_modules', '.package-lock.json'), { force: true });
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--no-save', '--no-package-lock',
    '--ignore-scripts', ...packed.map((name) => path.join(packages, name))], { cwd: service });
  run(process.execPath, ['node_modules/typescript/bin/tsc'], { cwd: service });
}

/** Serves, loads, stops; whether a request failed. */
async function serveAndLoad() {
  const port = await freePort();
  const env = {
    ...process.env,
    SONDAGE_PUSH: `file:${profiles}`,
    // One profile of the whole run, when the service ends.
    SONDAGE_INTERVAL: '3600s',
    SONDAGE_EXIT_TIMEOUT: '10s',
  };
  const server = spawn(process.execPath, ['--enable-source-maps', 'dist/app.js', port],
    { cwd: service, env, stdio: 'inherit' });
  const ended = once(server, 'exit');
  try {
    await answered(`http://127.0.0.1:${port}/search?q=saw`, server);
    console.log(`serving on http://127.0.0.1:${port}`);
    const before = cpuOf(server.pid);
    const begin = performance.now();
    const load = spawnSync(process.execPath, [path.join(HERE, 'load.mjs'), port, SECONDS],
      { stdio: 'inherit' });
    const seconds = (performance.now() - begin) / 1000;
    const used = cpuOf(server.pid) - before;
    console.log(`cpu of the service in ${seconds.toFixed(1)} s: ${used.toFixed(2)} s `
      + `(${(used / seconds).toFixed(2)} cores)`);
    return load.status;
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}

async function freePort() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  return String(port);
}

/** Waits for the first answer. */
async function answered(url, server) {
  const latest = Date.now() + PATIENCE * 1000;
  while (Date.now() < latest && server.exitCode === null) {
    if (await fetch(url).then(({ ok }) => ok, () => false)) return;
    await sleep(50);
  }
  throw new Error('the service does not answer');
}

/** CPU time that a process has used, in seconds. */
function cpuOf(pid) {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // In ticks, of which Linux counts a hundred a second for programs.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Writes the profile and the page, prints the top functions, then the top few of each route. */
function show() {
  const sondage = path.join(service, 'node_modules', '.bin', 'sondage');
  const files = fs.readdirSync(profiles).map((name) => path.join(profiles, name));
  const profile = path.join(out, 'profile.pb.gz');
  const page = path.join(out, 'flame.html');
  for (const target of [profile, page]) run(sondage, ['convert', ...files, target]);
  console.log();
  run(sondage, ['report', '--top', String(TOP), profile]);
  const report = JSON.parse(execFileSync(sondage, ['report', '--json', '--by', 'route', profile]));
  console.log();
  for (const part of report.by) {
    console.log(`${share(part.total, report.total)}  ${part.value || '(no route)'}`);
    for (const { name, self } of part.functions.slice(0, TOP_OF_ROUTE)) {
      console.log(`        ${share(self, part.total)}  ${name}`);
    }
  }
  console.log(`wrote ${profile} and ${page}`);
  console.log(`to look at it: ${sondage} view ${profile} --open`);
}

function share(part, whole) {
  return `${((100 * part) / Math.max(whole, 1)).toFixed(1).padStart(5)}%`;
}

function run(command, args, options) {
  execFileSync(command, args, { stdio: 'inherit', ...options });
}
