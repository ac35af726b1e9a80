// Reads pprof files: enough to judge what a profile says, written without the code under test.
import { gunzipSync } from 'node:zlib';

/**
 * The samples of a profile, compressed or not: for each its frames (leaf first), its values by type
 * and its labels.
 */
export function read(data) {
  const bytes = data[0] === 0x1f && data[1] === 0x8b ? gunzipSync(data) : data;
  const messages = new Map();
  for (const [number, value] of fields(bytes)) {
    if (!messages.has(number)) messages.set(number, []);
    messages.get(number).push(value);
  }
  const all = (number) => messages.get(number) ?? [];
  const strings = all(6).map((value) => value.toString('utf8'));
  const types = all(1).map((value) => strings[one(value).get(1) ?? 0]);
  const functions = new Map(all(5).map((value) => [one(value).get(1), one(value)]));
  const locations = new Map();
  for (const value of all(4)) {
    const lines = [...fields(value)].filter(([number]) => number === 4);
    locations.set(one(value).get(1), lines.map(([, line]) => frame(one(line), functions, strings)));
  }
  return all(2).map((value) => sample(value, types, locations, strings));
}

/** The sum of a type over samples. */
export function total(samples, type) {
  return samples.reduce((sum, { values }) => sum + (values[type] ?? 0), 0);
}

function frame(line, functions, strings) {
  const its = functions.get(line.get(1)) ?? new Map();
  const text = (number) => strings[its.get(number) ?? 0];
  return { name: text(2), file: text(4), line: line.get(2) ?? 0, startLine: its.get(5) ?? 0 };
}

function sample(message, types, locations, strings) {
  const stack = [];
  const values = [];
  const labels = {};
  for (const [number, value] of fields(message)) {
    if (number === 1) stack.push(...numbers(value));
    if (number === 2) values.push(...numbers(value));
    if (number === 3) {
      const label = one(value);
      labels[strings[label.get(1)]] = strings[label.get(2) ?? 0] || (label.get(3) ?? 0);
    }
  }
  const frames = stack.flatMap((location) => locations.get(location) ?? []);
  const byType = Object.fromEntries(types.map((type, at) => [type, values[at]]));
  return { frames, values: byType, labels };
}

function one(message) {
  return new Map(fields(message));
}

/** A packed field's numbers, or the one number of a field that is not packed. */
function numbers(value) {
  if (typeof value === 'number') return [value];
  const found = [];
  for (let at = 0; at < value.length;) {
    const [number, next] = varint(value, at);
    found.push(number);
    at = next;
  }
  return found;
}

/** The fields of a protocol buffer: number and value, which is a number or bytes. */
function* fields(message) {
  for (let at = 0; at < message.length;) {
    const [key, begin] = varint(message, at);
    const kind = key & 7;
    if (kind === 0) {
      const [value, next] = varint(message, begin);
      yield [key >>> 3, value];
      at = next;
    } else if (kind === 2) {
      const [length, from] = varint(message, begin);
      yield [key >>> 3, message.subarray(from, from + length)];
      at = from + length;
    } else {
      at = begin + (kind === 1 ? 8 : 4);
    }
  }
}

function varint(bytes, at) {
  let value = 0;
  let factor = 1;
  let next = at;
  for (;;) {
    const byte = bytes[next];
    next += 1;
    value += (byte & 127) * factor;
    if (byte < 128) return [value, next];
    factor *= 128;
  }
}
