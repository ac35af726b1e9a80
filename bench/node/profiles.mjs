// What engines hand over, in one form: `{ frames, weight, count, labels }`, frames leaf first.
import { read } from '../../bindings/node/tests/pprof.mjs';

/** The samples of all profiles; weights are by this clock, `cpu` or `wall`, in nanoseconds. */
export function samples(profiles, clock) {
  return profiles.flatMap((profile) => (
    Array.isArray(profile.nodes) ? fromInspector(profile) : fromPprof(bytes(profile), clock)
  ));
}

/** @datadog/pprof hands over an object that is not encoded yet. */
function bytes(profile) {
  return Buffer.isBuffer(profile) ? profile : Buffer.from(profile.encode());
}

function fromPprof(data, clock) {
  const all = read(data);
  // Profiles of memory come the same way and have no such values.
  return all.filter(({ values }) => clock in values).map(({ frames, values, labels }) => ({
    frames, labels, weight: values[clock], count: values.samples ?? values.sample,
  })).filter(({ weight, count }) => weight > 0 || count > 0);
}

/** A sample lasts until the next one; lines of leaves are told by ticks of their node. */
function fromInspector({ nodes, samples: ids, timeDeltas }) {
  const parents = new Map();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  const sums = new Map();
  ids.forEach((id, index) => {
    const sum = sums.get(id) ?? { weight: 0, count: 0 };
    sum.weight += Math.max(0, timeDeltas[index + 1] ?? 0) * 1000;
    sum.count += 1;
    sums.set(id, sum);
  });
  return [...sums].flatMap(([id, sum]) => {
    const frames = [];
    for (let at = id; at !== undefined; at = parents.get(at)) frames.push(frame(byId.get(at)));
    return byLine(frames, byId.get(id).positionTicks ?? [], sum);
  });
}

function frame({ callFrame: { functionName, url, lineNumber } }) {
  return { name: functionName, file: url, line: lineNumber + 1, startLine: lineNumber + 1 };
}

function byLine(frames, ticks, { weight, count }) {
  const total = ticks.reduce((sum, tick) => sum + tick.ticks, 0);
  if (total === 0) return [{ frames, weight, count, labels: {} }];
  return ticks.map(({ line, ticks: part }) => ({
    frames: [{ ...frames[0], line }, ...frames.slice(1)],
    weight: (weight * part) / total,
    count: (count * part) / total,
    labels: {},
  }));
}

/**
 * Sums weights by the innermost frame whose name matches. Of other stacks, '(gc)' is for garbage
 * collection whose caller is not told, and '' for the rest.
 */
export function byFunction(all, pattern) {
  const sums = {};
  for (const { frames, weight } of all) {
    const names = frames.map((one) => one.name);
    const name = names.find((one) => pattern.test(one))?.match(pattern)[0]
      ?? (names.some((one) => /garbage collect/i.test(one)) ? '(gc)' : '');
    sums[name] = (sums[name] ?? 0) + weight;
  }
  return sums;
}

/**
 * Those of the main thread, where a profile has other threads too; their names differ with the
 * version, and in Node.js 20 all threads have the same.
 */
export function ofMainThread(all) {
  if (!all.some(({ labels }) => labels.thread)) return all;
  return all.filter(({ labels }) => /MainThread$|^node$/.test(labels.thread));
}

/** How many samples there are. */
export function count(all) {
  return all.reduce((sum, sample) => sum + sample.count, 0);
}
