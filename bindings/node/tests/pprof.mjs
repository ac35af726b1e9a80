// Reads pprof files: enough to judge what a profile says, written without the code under test.
import { gunzipSync } from 'node:zlib';

/**
 * The samples of a profile, compressed or not: `{ frames, values, labels }`. Frames are
 * `{ name, file, line, startLine }`, leaf first; `values` are by type.
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
  const types = all(1).map((value) => strings[message(value).get(1) ?? 0]);
  const functions = new Map(all(5).map(message).map((one) => [one.get(1) ?? 0, one]));
  const locations = new Map();
  for (const value of all(4)) {
    const location = [...fields(value)];
    const lines = location.filter(([number]) => number === 4).map(([, line]) => message(line));
    const frames = lines.map((line) => frame(line, functions, strings));
    locations.set(location.find(([number]) => number === 1)?.[1] ?? 0, frames);
  }
  return all(2).map((value) => sample(value, types, locations, strings));
}

function frame(line, functions, strings) {
  const one = functions.get(line.get(1) ?? 0) ?? new Map();
  const text = (number) => strings[one.get(number) ?? 0];
  return { name: text(2), file: text(4), line: line.get(2) ?? 0, startLine: one.get(5) ?? 0 };
}

function sample(bytes, types, locations, strings) {
  const stack = [];
  const numbersOfSample = [];
  const labels = {};
  for (const [number, value] of fields(bytes)) {
    if (number === 1) stack.push(...numbers(value));
    if (number === 2) numbersOfSample.push(...numbers(value));
    if (number === 3) {
      const label = message(value);
      const text = strings[label.get(2) ?? 0];
      labels[strings[label.get(1)]] = text === '' ? label.get(3) ?? 0 : text;
    }
  }
  const frames = stack.flatMap((location) => locations.get(location) ?? []);
  const values = Object.fromEntries(types.map((type, index) => [type, numbersOfSample[index]]));
  return { frames, values, labels };
}

function message(bytes) {
  return new Map(fields(bytes));
}

/** The fields of a protocol buffer: [number, value], where a value is a number or bytes. */
function* fields(bytes) {
  let at = 0;
  while (at < bytes.length) {
    let key, value;
    [key, at] = varint(bytes, at);
    const kind = key & 7;
    if (kind === 0) {
      [value, at] = varint(bytes, at);
    } else {
      let length = { 1: 8, 5: 4 }[kind];
      if (kind === 2) [length, at] = varint(bytes, at);
      value = Buffer.from(bytes.buffer, bytes.byteOffset + at, length);
      at += length;
    }
    // Not a shift, which would leave no more than 32 bits.
    yield [Math.floor(key / 8), value];
  }
}

/** Exact up to 2^53, which is enough for times in nanoseconds; addresses beyond it are rounded. */
function varint(bytes, start) {
  let [value, scale, at] = [0, 1, start];
  for (;;) {
    const byte = bytes[at];
    at += 1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return [value, at];
    scale *= 128;
  }
}

/** A repeated number, packed or not. */
function numbers(value) {
  if (typeof value === 'number') return [value];
  const found = [];
  let at = 0;
  while (at < value.length) {
    let number;
    [number, at] = varint(value, at);
    found.push(number);
  }
  return found;
}
