// A fixed amount of CPU-bound work of mixed kinds, with uploads in between.
import { generator } from '../figures.mjs';
import { found, LOADS, shuffle } from '../functions.mjs';
import { cpuTime, engine, settings, tell, turn } from './child.mjs';

const random = generator(11);

async function work(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    for (const load of shuffle(LOADS, random)) found.value ^= load();
    // Timers and the network have their turn, as in a service.
    await turn();
  }
}

// Everything is compiled before it counts.
await work(40);
const profiler = engine();
const first = cpuTime();
await profiler.start();
const before = { cpu: cpuTime(), wall: performance.now() };
await work(settings.rounds);
const after = { cpu: cpuTime(), wall: performance.now() };
await profiler.stop();
tell({
  cpu: after.cpu - before.cpu,
  wall: after.wall - before.wall,
  whole: cpuTime() - first,
  rss: process.resourceUsage().maxRSS / 1024,
  stats: profiler.stats(),
});
