// What the programs have in common: which engine they run under, and how they tell results.
import { setImmediate as turn } from 'node:timers/promises';

import { ENGINES } from '../engines.mjs';

/** The engine's name and what the table asks for. */
export const [name, settings] = [process.argv[2], JSON.parse(process.argv[3] ?? '{}')];

/** The engine, not started yet. */
export function engine(more = {}) {
  return ENGINES[name].make({ ...settings, ...more });
}

/** Tells the table the results; the process ends by itself when nothing is left to do. */
export function tell(results) {
  process.send(results, () => process.connected && process.disconnect());
}

/** CPU time of the process in nanoseconds. */
export function cpuTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

/** Lets timers and the network have their turn. */
export { turn };
