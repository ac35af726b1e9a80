// Labels: which samples a filter keeps, and which group each belongs to.

/** Marks the label sets that pass. Values of one key are alternatives; keys must all hold.
 *  A filter is [key, value]; the value null means "has no such label". */
export function passLabels(profile, filters) {
  const wanted = new Map();
  for (const [key, value] of filters) {
    if (!wanted.has(key)) wanted.set(key, new Set());
    wanted.get(key).add(value);
  }
  return Uint8Array.from(profile.labelSets, (set) => {
    for (const [key, values] of wanted) {
      if (!values.has(valueOf(set, key))) return 0;
    }
    return 1;
  });
}

/** Gives each label set a group: `of` holds the group of a set, `values` the group's value. */
export function groupLabels(profile, key) {
  const ids = new Map();
  const of = Int32Array.from(profile.labelSets, (set) => {
    const value = key === "" ? null : valueOf(set, key);
    if (!ids.has(value)) ids.set(value, ids.size);
    return ids.get(value);
  });
  return { key, of, values: [...ids.keys()] };
}

/** Every label key with its values and their weight, heaviest first. */
export function weighLabels(profile, type) {
  const perSet = new Float64Array(profile.labelSets.length);
  const values = profile.values[type];
  let all = 0;
  for (let i = 0; i < values.length; i += 1) {
    if (!(values[i] > 0) || i < profile.shownFrom) continue;
    perSet[profile.sampleLabels[i]] += values[i];
    all += values[i];
  }
  const keys = new Map();
  profile.labelSets.forEach((set, index) => {
    for (const [key, value] of set) {
      if (!keys.has(key)) keys.set(key, new Map());
      keys.get(key).set(value, (keys.get(key).get(value) ?? 0) + perSet[index]);
    }
  });
  return [...keys].map(([key, weights]) => describeKey(key, weights, all)).sort((a, b) => b.total - a.total || (a.key < b.key ? -1 : 1));
}

function describeKey(key, weights, all) {
  const values = [...weights].map(([value, total]) => ({ value, total }));
  values.sort((a, b) => b.total - a.total || (a.value < b.value ? -1 : 1));
  const total = values.reduce((sum, entry) => sum + entry.total, 0);
  if (all - total > all * 1e-9) values.push({ value: null, total: all - total });
  return { key, values, total };
}

/** How a value is shown; a missing label is named as such. */
export function showValue(key, value) {
  return value === null ? `(no ${key})` : value === "" ? "(empty)" : value;
}

/** The value of a key in a label set, null when it has none. */
export function valueOf(set, key) {
  for (const [k, v] of set) if (k === key) return v;
  return null;
}
