// Periods: ranges of parts in time, how they are spelled in the address and in words.

/**
 * The bars of the time line for the parts [from, to): {first, last, startMs, endMs}. Parts that
 * begin within the first half of a bar share it, as those of several processes do.
 */
export function makeSlots(parts, from, to) {
  const slots = [];
  for (let part = from; part < to; part += 1) {
    const { startMs, endMs } = parts[part];
    const slot = slots.at(-1);
    if (slot && startMs < (slot.startMs + slot.halfMs)) {
      slot.last = part;
      slot.endMs = Math.max(slot.endMs, endMs);
    } else {
      slots.push({ first: part, last: part, startMs, endMs, halfMs: Math.max(1, (endMs - startMs) / 2) });
    }
  }
  return slots;
}

/** A range of parts as [start, end] in milliseconds: every part that begins in it. */
export function spellPeriod({ parts, baseParts }, [first, last]) {
  const end = last + 1 === baseParts || last + 1 === parts.length ? parts[last].endMs : parts[last + 1].startMs;
  return [parts[first].startMs, Math.max(end, parts[last].startMs + 1)];
}

/** The parts [first, last] within [from, to) that begin in a period; null when none does. */
export function readPeriod(parts, [from, to], [startMs, endMs]) {
  let [first, last] = [-1, -1];
  for (let part = from; part < to; part += 1) {
    if (parts[part].startMs < startMs || parts[part].startMs >= endMs) continue;
    if (first < 0) first = part;
    last = part;
  }
  return first < 0 ? null : [first, last];
}

/** A period in words: "2025-10-09 08:53:20 to 08:58:20 UTC", or the seconds since the start; empty
 *  when it has no part. */
export function describePeriod(parts, [first, last]) {
  if (last < first) return "";
  const endMs = parts.slice(first, last + 1).reduce((end, part) => Math.max(end, part.endMs), 0);
  const [a, b] = [parts[first].startMs, endMs];
  if (!parts[first].known) return `${Math.round(a / 1000)} s to ${Math.round(b / 1000)} s`;
  const [start, end] = [formatTime(a), formatTime(b)];
  return `${start} to ${start.slice(0, 10) === end.slice(0, 10) ? end.slice(11) : end} UTC`;
}

/** A time as people write it, in UTC; empty when it is none. */
export function formatTime(ms) {
  const time = new Date(ms ?? NaN);
  return Number.isNaN(time.getTime()) ? "" : time.toISOString().slice(0, 19).replace("T", " ");
}
