// Reads a profile: gzipped pprof as plain objects, with names in place of numbers.
import { gunzipSync } from 'node:zlib';

/** The sample types, and the samples with their labels, frames (leaf first) and values. */
export function readProfile(buffer) {
  const profile = message(gunzipSync(buffer));
  const strings = (profile[6] ?? []).map((bytes) => bytes.toString());
  const text = (index) => strings[Number(index ?? 0)] ?? '';
  const byId = (field) =>
    new Map((profile[field] ?? []).map(message).map((entry) => [entry[1][0], entry]));
  const locations = byId(4);
  const functions = byId(5);
  const sampleTypes = (profile[1] ?? []).map(message).map((type) => text(type[1]?.[0]));
  const samples = (profile[2] ?? []).map(message).map((sample) => {
    const frames = numbers(sample[1]).flatMap((id) =>
      (locations.get(id)?.[4] ?? []).map(message).map((line) => {
        const found = functions.get(line[1]?.[0]) ?? {};
        return {
          name: text(found[2]?.[0]),
          file: text(found[4]?.[0]),
          line: Number(line[2]?.[0] ?? 0),
          startLine: Number(found[5]?.[0] ?? 0),
        };
      }));
    const labels = (sample[3] ?? []).map(message).map((label) => [
      text(label[1]?.[0]),
      label[2] ? text(label[2][0]) : Number(label[3]?.[0] ?? 0),
    ]);
    return { labels: Object.fromEntries(labels), frames, values: numbers(sample[2]).map(Number) };
  });
  return { sampleTypes, samples };
}

/** The sum of a column over the samples for which `holds` is true. */
export function sum({ sampleTypes, samples }, type, holds = () => true) {
  const column = sampleTypes.indexOf(type);
  if (column < 0) throw new Error(`no ${type} in ${sampleTypes}`);
  return samples.filter(holds).reduce((total, sample) => total + sample.values[column], 0);
}

/** The fields of a message: numbers as BigInt, the rest as bytes. */
function message(bytes) {
  const fields = {};
  let at = 0;
  while (at < bytes.length) {
    const [key, afterKey] = varint(bytes, at);
    const [field, kind] = [Number(key >> 3n), Number(key & 7n)];
    const [value, after] = varint(bytes, afterKey);
    at = kind === 2 ? after + Number(value) : after;
    (fields[field] ??= []).push(kind === 2 ? bytes.subarray(after, at) : value);
  }
  return fields;
}

/** A repeated number, packed or not. */
function numbers(values = []) {
  return values.flatMap((value) => {
    if (typeof value === 'bigint') return [value];
    const unpacked = [];
    for (let at = 0; at < value.length;) {
      const [number, after] = varint(value, at);
      unpacked.push(number);
      at = after;
    }
    return unpacked;
  });
}

function varint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++];
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [BigInt.asIntN(64, value), at];
  }
}
