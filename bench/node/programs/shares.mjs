// Functions whose time is known: each is timed from outside, a batch at a time.
//
// `inlined`: w1 to w4 do 1, 2, 3 and 4 parts of the work in loops, and compilers put them into
// their only caller. `mixed`: the functions of functions.mjs, each time in another order.
import { generator } from '../figures.mjs';
import { found, LOADS, NAMES, shuffle } from '../functions.mjs';
import { byFunction, count, ofMainThread, samples } from '../profiles.mjs';
import { ENGINES } from '../engines.mjs';
import { engine, name, settings, tell, turn } from './child.mjs';

const clock = ENGINES[name].clock;

// Node.js 20 has no CPU clock of a thread; on a machine with nothing else to do, wall time is it.
const now = clock === 'cpu' && process.threadCpuUsage ? threadTime : () => performance.now();

function threadTime() {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

// Few enough that `req` is called often, so that compilers care for it more than for its loops.
const PART = 5000;

function w1(seed) {
  let total = seed;
  for (let n = 0; n < PART; n += 1) total = (total * 31 + n) | 0;
  return total;
}

function w2(seed) {
  let total = seed;
  for (let n = 0; n < PART * 2; n += 1) total = (total * 33 + n) | 0;
  return total;
}

function w3(seed) {
  let total = seed;
  for (let n = 0; n < PART * 3; n += 1) total = (total * 35 + n) | 0;
  return total;
}

function w4(seed) {
  let total = seed;
  for (let n = 0; n < PART * 4; n += 1) total = (total * 37 + n) | 0;
  return total;
}

const times = new Float64Array(5);

// By the wall's clock for all, since reading the other takes a tenth as long as `w1`.
function req(seed) {
  times[0] = performance.now();
  let total = w1(seed);
  times[1] = performance.now();
  total += w2(total);
  times[2] = performance.now();
  total += w3(total);
  times[3] = performance.now();
  total += w4(total);
  times[4] = performance.now();
  return total;
}

const SHAPES = {
  inlined: {
    names: /\b(driver|req|w[1-4])\b/,
    truth: { w1: 0, w2: 0, w3: 0, w4: 0, req: 0, driver: 0 },
    batch(truth) {
      found.value ^= req(found.value);
      for (let n = 1; n <= 4; n += 1) truth[`w${n}`] += times[n] - times[n - 1];
    },
  },
  mixed: {
    names: new RegExp(`${NAMES.source}|\\bdriver\\b`),
    truth: Object.fromEntries([...LOADS.map((load) => [load.name, 0]), ['driver', 0]]),
    batch(truth) {
      const first = now();
      let inside = 0;
      for (const load of shuffle(LOADS, random)) {
        const before = now();
        found.value ^= load();
        const time = now() - before;
        truth[load.name] += time;
        inside += time;
      }
      truth.driver += now() - first - inside;
    },
  },
};

const random = generator(7);
const { names, truth, batch } = SHAPES[settings.shape];

// Who is told to have used what its callees used, where a profiler is wrong.
async function driver(until) {
  while (performance.now() < until) {
    const pause = performance.now() + 50;
    while (performance.now() < pause) batch(truth);
    await turn();
  }
}

const profiler = engine({ collect: true });
await profiler.start();
await driver(performance.now() + settings.seconds * 1000);
await profiler.stop();
const all = ofMainThread(samples(profiler.profiles, clock));
tell({ truth, told: byFunction(all, names), samples: count(all), stats: profiler.stats() });
