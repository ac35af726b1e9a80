// How long the event loop stands still when a profiler starts, hands a profile over, and stops, in
// a program of TypeScript's size. The compiler works between the moments that are watched.
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { engine, name, settings, tell } from './child.mjs';
import { compiler } from './project.mjs';

const WATCH_MS = 1500;

/** The longest time in milliseconds that the event loop did not turn, while and after `act` ran. */
async function watch(act) {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  let [longest, last, open] = [0, performance.now(), true];
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (open) setImmediate(tick);
  };
  // Some turns of the loop, so that nothing is compiled for the first time.
  await pause(100);
  delays.enable();
  last = performance.now();
  tick();
  await act();
  await pause(WATCH_MS);
  open = false;
  delays.disable();
  // The histogram counts its own millisecond.
  return { longest, delay: Math.max(0, delays.max / 1e6 - 1) };
}

function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

/** Compiles for some seconds without a turn of the loop; returns how often. */
function compileFor(seconds) {
  const until = performance.now() + seconds * 1000;
  let runs = 0;
  while (performance.now() < until) {
    compile();
    runs += 1;
  }
  return runs;
}

const compile = compiler();
compileFor(settings.seconds / 2);
// Pyroscope hands profiles over by its own timer only; it is due when the compiler ends.
const profiler = engine({ flushMs: name.startsWith('pyroscope') ? 1000 : 3_600_000 });
const start = await watch(() => profiler.start());
const flushes = [];
const handlers = [];
for (let n = 0; n < settings.flushes; n += 1) {
  compileFor(settings.seconds);
  flushes.push(await watch(() => profiler.flush()));
  const { handlerTime: time, samples } = profiler.stats();
  if (samples) handlers.push({ time, samples });
}
const stop = await watch(() => profiler.stop());
tell({ start, flushes, stop, handlers, stats: profiler.stats() });
