// The profile as typed arrays: read once from the page's JSON, never changed afterwards.

import { languageOf } from "./language.js";
import { packageOf } from "./name.js";

/** Frames that stand for weight without a stack. */
export const PLACEHOLDERS = new Set(["[unsampled]", "[missed]", "[dropped]", "[overflow]"]);

/** Reads the profile's JSON. Throws an Error whose message is fit for the reader. */
export function readProfile(text) {
  if (text.trim().length < 20) throw new Error("This page carries no profile.");
  let raw;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new Error("The profile in this page is damaged: " + error.message);
  }
  if (raw === null || typeof raw !== "object") throw new Error("The profile in this page is not an object.");
  if (raw.v !== 2) throw new Error(`This page reads profile format 2, but the data has format ${raw.v}.`);
  for (const part of ["types", "sources", "strings", "frames", "nodes", "labelSets", "samples", "parts", "lost"]) {
    if (!Array.isArray(raw[part])) throw new Error(`The profile in this page has no ${part}.`);
  }
  if (raw.types.length === 0) throw new Error("The profile in this page has no profile type.");
  return fromRaw(raw);
}

function fromRaw(raw) {
  const functions = readFunctions(raw);
  const nodes = readNodes(raw, functions);
  const types = raw.types.map((t) => ({ type: String(t.type), unit: String(t.unit) }));
  return {
    ...readSide(raw),
    types,
    defaultType: chooseType(types, raw.period),
    sources: raw.sources.map(String),
    labelSets: raw.labelSets.map((set) => set.map(([k, v]) => [String(k), String(v)])),
    period: raw.period ?? null,
    costNs: Number(raw.cost_ns) || null,
    functions,
    nodes,
    base: raw.base ? readSide(raw.base) : null,
    ...readParts(raw),
    ...readSamples(raw, nodes.of),
  };
}

/** What is known of one side of a comparison as a whole; the shown side is the profile itself. */
function readSide(raw) {
  return {
    title: String(raw.title ?? ""),
    startMs: typeof raw.start_ms === "number" ? raw.start_ms : null,
    durationNs: Number(raw.duration_ns) || 0,
    labels: Object.entries(raw.labels ?? {}).map(([k, v]) => [k, String(v)]),
    lost: (raw.lost ?? []).map(([cause, value]) => [String(cause), Number(value) || 0]),
  };
}

/**
 * The profiles the data is made of, those of the base first: `parts`, how many of them are the
 * base (`baseParts`), the part of each sample and the first sample of the shown side (`shownFrom`).
 * A part that does not tell its start begins where the one before ended.
 */
function readParts(raw) {
  const parts = [];
  const samplePart = new Int32Array(raw.samples.length);
  const baseParts = raw.base ? check(raw.base.parts, raw.parts.length + 1, "part") : 0;
  let rows = 0;
  let shownFrom = 0;
  raw.parts.forEach(([start, duration, count], part) => {
    if (part === baseParts) shownFrom = rows;
    samplePart.fill(part, rows, rows + check(count, raw.samples.length - rows + 1, "sample"));
    rows += count;
    const before = part === 0 || part === baseParts ? 0 : parts[part - 1].endMs;
    const startMs = typeof start === "number" ? start : before;
    const durationNs = Number(duration) || 0;
    parts.push({ startMs, endMs: startMs + durationNs / 1e6, durationNs, known: typeof start === "number" });
  });
  if (rows !== raw.samples.length) throw new Error(`The parts of the profile in this page hold ${rows} samples, but there are ${raw.samples.length}.`);
  return { parts, baseParts, samplePart, shownFrom: baseParts === parts.length ? rows : shownFrom };
}

/** What is shown first: what the period counts, else anything that says more than "samples". */
function chooseType(types, period) {
  const counted = types.findIndex((t) => t.type === period?.type && t.unit === period?.unit);
  return counted >= 0 ? counted : Math.max(0, types.findIndex((t) => t.type !== "samples"));
}

function check(index, length, what) {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new Error(`The profile in this page refers to a ${what} that it does not hold (${index}).`);
  }
  return index;
}

/** Frames of one function differ in line and inlining; the views merge them into the function. */
function readFunctions(raw) {
  const table = { name: [], file: [], module: [], pkg: [], language: [], placeholder: [] };
  const frameFunction = new Int32Array(raw.frames.length);
  const seen = new Map();
  const text = (index) => String(raw.strings[check(index, raw.strings.length, "string")]);
  raw.frames.forEach(([name, file, module], frame) => {
    const key = `${name},${file},${module}`;
    let id = seen.get(key);
    if (id === undefined) {
      id = table.name.length;
      seen.set(key, id);
      table.name.push(text(name) || "(no name)");
      table.file.push(text(file));
      table.module.push(text(module));
      table.pkg.push(packageOf(table.name[id], table.module[id]));
      table.language.push(languageOf({ name: table.name[id], file: table.file[id], module: table.module[id] }));
      table.placeholder.push(PLACEHOLDERS.has(table.name[id]) && table.module[id] === "");
    }
    frameFunction[frame] = id;
  });
  const line = Int32Array.from(raw.frames, (frame) => frame[3] || 0);
  const inlined = Uint8Array.from(raw.frames, (frame) => (frame[4] ? 1 : 0));
  return { ...table, count: table.name.length, frameFunction, line, inlined };
}

/** Merges the stored prefix tree (by frame) into one by function; parents keep coming first. */
function readNodes(raw, functions) {
  const count = raw.nodes.length;
  const of = new Int32Array(count);
  const frame = new Int32Array(count);
  const parent = [];
  const fn = [];
  const ids = new Map();
  raw.nodes.forEach(([up, frameIndex], node) => {
    if (up !== -1) check(up, node, "parent node");
    frame[node] = check(frameIndex, raw.frames.length, "frame");
    const function_ = functions.frameFunction[frameIndex];
    const parentId = up === -1 ? -1 : of[up];
    const key = (parentId + 1) * (functions.count + 1) + function_;
    let id = ids.get(key);
    if (id === undefined) {
      id = parent.length;
      ids.set(key, id);
      parent.push(parentId);
      fn.push(function_);
    }
    of[node] = id;
  });
  const merged = { count: parent.length, parent: Int32Array.from(parent), fn: Int32Array.from(fn), of, frame };
  return { ...merged, repeat: findRepeats(merged, functions.count) };
}

/** Marks nodes below another node of the same function, so that recursion counts once in totals. */
function findRepeats({ count, parent, fn }, functionCount) {
  const first = new Int32Array(count + 1).fill(-1);
  const next = new Int32Array(count).fill(-1);
  for (let node = count - 1; node >= 0; node -= 1) {
    next[node] = first[parent[node] + 1];
    first[parent[node] + 1] = node;
  }
  const repeat = new Uint8Array(count);
  const open = new Int32Array(functionCount);
  let node = first[0];
  while (node !== -1) {
    repeat[node] = open[fn[node]] > 0 ? 1 : 0;
    open[fn[node]] += 1;
    if (first[node + 1] !== -1) {
      node = first[node + 1];
      continue;
    }
    while (node !== -1) {
      open[fn[node]] -= 1;
      if (next[node] !== -1) break;
      node = parent[node];
    }
    if (node !== -1) node = next[node];
  }
  return repeat;
}

function readSamples(raw, of) {
  const count = raw.samples.length;
  const sampleNode = new Int32Array(count);
  const sampleLabels = new Int32Array(count);
  const values = raw.types.map(() => new Float64Array(count));
  for (let i = 0; i < count; i += 1) {
    const sample = raw.samples[i];
    sampleNode[i] = check(sample[0], of.length, "node");
    sampleLabels[i] = check(sample[1], raw.labelSets.length, "label set");
    for (let type = 0; type < values.length; type += 1) values[type][i] = Number(sample[type + 2]) || 0;
  }
  return { sampleNode, sampleLabels, values };
}

/** The sum of one type over the samples of the shown side, or of the base. */
export function sumOf(profile, type, base = false) {
  const values = profile.values[type];
  const end = base ? profile.shownFrom : values.length;
  let total = 0;
  for (let i = base ? 0 : profile.shownFrom; i < end; i += 1) if (values[i] > 0) total += values[i];
  return total;
}
