// A profile of V8's own profiler as stacks with CPU time.
'use strict';

const { Tree } = require('./tree.cjs');

// What V8 calls the time in which nothing ran.
const IDLE = '(idle)';

// V8's own functions in which a thread sleeps, whatever its clock of real time says.
const SLEEPERS = new Set(['wait', 'spawnSync']);

/**
 * The stacks of a `Profiler.Profile`, for `addStacks`: the tree, the leaves and their times.
 *
 * V8 looks at a thread by the clock on the wall. How long a function was seen is therefore only its
 * share of `cpu`, the nanoseconds that the thread's own clock has counted meanwhile: no more than
 * these are ever given out. With `wall` the rest of the real time is given out as waiting.
 */
function stacksOf(profile, cpu, wall) {
  const micros = microsByNode(profile);
  const sleeps = (node) => isIdle(node) || isSleeper(node);
  let active = 0;
  let total = 0;
  for (const node of profile.nodes) {
    const seen = micros.get(node.id) ?? 0;
    total += seen;
    if (!sleeps(node)) active += seen;
  }
  const factor = active > 0 ? cpu / active : 0;
  // A thread that others keep from running is seen longer than it runs; one that runs in bursts
  // which no sample meets, shorter.
  const heldUp = Math.max(0, 1000 - factor);
  const rest = Math.max(0, total * 1000 - Math.max(cpu, active * 1000));
  const asleep = total > active ? rest / (total - active) : 0;

  const tree = new Tree();
  const numbers = new Map();
  const leaves = [];
  const times = [];
  for (const [node, parent] of withParents(profile.nodes)) {
    // The root stands for the thread, which is a label.
    const isRoot = parent === undefined;
    const number = isRoot ? 0 : tree.add(numbers.get(parent) ?? 0, node.callFrame);
    numbers.set(node.id, number);
    const seen = micros.get(node.id) ?? 0;
    if (isRoot || seen === 0) continue;
    const nanos = sleeps(node) ? 0 : seen * factor;
    const waited = wall ? seen * (sleeps(node) ? asleep : heldUp) : 0;
    if (nanos === 0 && waited === 0) continue;
    for (const { line, share, samples } of lines(node)) {
      leaves.push(number - 1, line, samples);
      times.push(nanos * share, waited * share);
    }
  }
  return {
    tree: tree.packed(),
    leaves: Uint32Array.from(leaves),
    times: Float64Array.from(times),
  };
}

function isIdle({ callFrame }) {
  return callFrame.functionName === IDLE && callFrame.url === '';
}

function isSleeper({ callFrame }) {
  return callFrame.url === '' && SLEEPERS.has(callFrame.functionName);
}

/** How long each node was seen: every sample stands for the time since the one before. */
function microsByNode({ samples = [], timeDeltas = [] }) {
  const micros = new Map();
  for (let index = 0; index < samples.length; index++) {
    // V8's clock may go back a little.
    const delta = Math.max(0, timeDeltas[index] ?? 0);
    micros.set(samples[index], (micros.get(samples[index]) ?? 0) + delta);
  }
  return micros;
}

/** The nodes with the ids of their parents, parents first. */
function* withParents(nodes) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const rest = nodes.length > 0 ? [[nodes[0], undefined]] : [];
  while (rest.length > 0) {
    const [node, parent] = rest.pop();
    yield [node, parent];
    for (const child of node.children ?? []) rest.push([byId.get(child), node.id]);
  }
}

/** The lines at which a node was the leaf, with their shares of its samples. */
function lines({ callFrame, hitCount, positionTicks = [] }) {
  // A line before the function's first is one of another file, inlined here.
  const first = callFrame.lineNumber + 1;
  const known = positionTicks.filter(({ line, ticks }) => ticks > 0 && line >= first);
  const seen = known.reduce((sum, { ticks }) => sum + ticks, 0);
  const all = Math.max(hitCount, seen, 1);
  const shares = known.map(({ line, ticks }) => ({ line, share: ticks / all, samples: ticks }));
  if (seen < all) shares.push({ line: 0, share: (all - seen) / all, samples: all - seen });
  return shares;
}

module.exports = { stacksOf };
