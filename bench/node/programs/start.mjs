// What loading a profiler and starting it adds to the start of a process.
import { cpuTime, engine, tell } from './child.mjs';

const profiler = engine();
const before = { wall: performance.now(), cpu: cpuTime() };
await profiler.start();
const after = { wall: performance.now(), cpu: cpuTime() };
// What goes on in other threads once the call is over.
await new Promise((resolve) => { setTimeout(resolve, 300); });
const later = cpuTime();
const milliseconds = (time) => (time - before.cpu) / 1e6;
tell({
  wall: after.wall - before.wall, cpu: milliseconds(after.cpu), later: milliseconds(later),
});
// What stopping costs is not asked for, and some would wait for their server.
setTimeout(() => process.exit(0), 100);
