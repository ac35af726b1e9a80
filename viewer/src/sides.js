// Which samples are shown and which are the base of a comparison: by part in time, and by labels.

import { passLabels, valueOf } from "./label.js";

export const SHOWN = 1;
export const BASE = 2;

/** True when the state compares: with the data's base, with another period or label value. */
export function isComparing(profile, { against, pair }) {
  return profile.base !== null || against !== null || pair !== null;
}

/**
 * The sides of a state: a sample is of the sides `ofPart[part] & ofLabels[labelSet]`, bits of
 * SHOWN and BASE. `shownRange` and `baseRange` are [first, last] parts; the latter is null when
 * nothing is compared. `seconds` and `baseSeconds` are what the ranges cover.
 */
export function sidesOf(profile, { filters, period, against, pair }) {
  const { parts, baseParts, base } = profile;
  const shownRange = period ?? [baseParts, parts.length - 1];
  const whole = base ? [0, baseParts - 1] : pair ? shownRange : null;
  const baseRange = against ?? whole;
  const ofPart = new Uint8Array(parts.length);
  for (let part = shownRange[0]; part <= shownRange[1]; part += 1) ofPart[part] |= SHOWN;
  if (baseRange) for (let part = baseRange[0]; part <= baseRange[1]; part += 1) ofPart[part] |= BASE;
  const pass = passLabels(profile, filters);
  const ofLabels = Uint8Array.from(profile.labelSets, (set, i) => (pass[i] ? sidesOfLabels(set, pair) : 0));
  const baseSeconds = baseRange ? coveredSeconds(profile, baseRange) : 0;
  return { ofPart, ofLabels, shownRange, baseRange, seconds: coveredSeconds(profile, shownRange), baseSeconds };
}

function sidesOfLabels(set, pair) {
  if (pair === null) return SHOWN | BASE;
  const value = valueOf(set, pair.key);
  return (value === pair.shown ? SHOWN : 0) | (value === pair.base ? BASE : 0);
}

/** The seconds of a side that a range of its parts covers. */
function coveredSeconds({ parts, baseParts, base, durationNs }, [first, last]) {
  const [from, to, whole] = base && first < baseParts ? [0, baseParts, base.durationNs] : [baseParts, parts.length, durationNs];
  const sum = (list) => list.reduce((nanos, part) => nanos + part.durationNs, 0);
  const all = sum(parts.slice(from, to));
  return (whole * (all > 0 ? sum(parts.slice(first, last + 1)) / all : 1)) / 1e9;
}

/** The sum of a type over the samples of each part, as far as labels let them pass. */
export function weighParts({ parts, samplePart, sampleLabels, values }, type, { ofLabels }) {
  const weights = new Float64Array(parts.length);
  const list = values[type];
  for (let i = 0; i < list.length; i += 1) if (list[i] > 0 && ofLabels[sampleLabels[i]]) weights[samplePart[i]] += list[i];
  return weights;
}

/** The sum of every type over the samples of one side. */
export function sumSide(profile, { ofPart, ofLabels }, side, keep) {
  const { samplePart, sampleLabels, sampleNode, values, nodes } = profile;
  const sums = values.map(() => 0);
  for (let i = 0; i < samplePart.length; i += 1) {
    if (!(ofPart[samplePart[i]] & ofLabels[sampleLabels[i]] & side)) continue;
    if (keep && !keep[nodes.of[sampleNode[i]]]) continue;
    for (let type = 0; type < sums.length; type += 1) if (values[type][i] > 0) sums[type] += values[type][i];
  }
  return sums;
}
