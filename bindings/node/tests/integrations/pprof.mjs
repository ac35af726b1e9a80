// Reads pprof files: enough to judge what a profile says, written without the code under test.
import { gunzipSync } from 'node:zlib';

/** `{ samples: [{ frames: [{ name, file, line }], values: { type: number }, labels }] }`. */
export function readProfile(buffer) {
  const message = fields(buffer[0] === 0x1f ? gunzipSync(buffer) : buffer);
  const all = (number) => message.filter(([field]) => field === number).map(([, value]) => value);
  const strings = all(6).map((text) => text.toString());
  const types = all(1).map((type) => strings[one(type)[1] ?? 0]);
  const functions = byId(all(5).map(one));
  const locations = new Map();
  for (const value of all(4)) {
    const lines = fields(value).filter(([field]) => field === 4).map(([, line]) => one(line));
    locations.set(one(value)[1], lines.map((line) => {
      const called = functions.get(line[1]) ?? {};
      return { name: strings[called[2] ?? 0], file: strings[called[4] ?? 0], line: line[2] ?? 0 };
    }));
  }
  return { samples: all(2).map((value) => sample(fields(value), { strings, types, locations })) };
}

function sample(message, { strings, types, locations }) {
  const numbers = (number) => message.filter(([field]) => field === number)
    .flatMap(([, value]) => (typeof value === 'number' ? [value] : packed(value)));
  const frames = numbers(1).flatMap((location) => locations.get(location) ?? []);
  const values = Object.fromEntries(numbers(2).map((value, index) => [types[index], value]));
  const labels = {};
  for (const [field, value] of message) {
    if (field !== 3) continue;
    const label = one(value);
    labels[strings[label[1]]] = label[2] ? strings[label[2]] : label[3] ?? 0;
  }
  return { frames, values, labels };
}

function byId(messages) {
  return new Map(messages.map((message) => [message[1], message]));
}

/** A message whose fields are there once. */
function one(bytes) {
  return Object.fromEntries(fields(bytes));
}

function fields(bytes) {
  const found = [];
  let at = 0;
  while (at < bytes.length) {
    const [key, after] = varint(bytes, at);
    at = after;
    if ((key & 7) === 0) {
      const [value, next] = varint(bytes, at);
      found.push([key >> 3, value]);
      at = next;
    } else {
      const [length, begin] = (key & 7) === 2 ? varint(bytes, at) : [(key & 7) === 1 ? 8 : 4, at];
      found.push([key >> 3, bytes.subarray(begin, begin + length)]);
      at = begin + length;
    }
  }
  return found;
}

function packed(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const [value, next] = varint(bytes, at);
    found.push(value);
    at = next;
  }
  return found;
}

function varint(bytes, begin) {
  let value = 0;
  let unit = 1;
  for (let at = begin; ; at++) {
    value += (bytes[at] & 0x7f) * unit;
    if (bytes[at] < 0x80) return [value, at + 1];
    unit *= 128;
  }
}
