// What the profile does not know, in plain words.

import { formatDuration, formatShare, formatValue, typeName } from "./format.js";
import { formatTime } from "./period.js";
import { sumOf } from "./profile.js";

const WITHOUT_STACK = {
  unsampled: "no sample covers it (short-lived threads, blocked signals, time before a thread was seen)",
  missed: "timer ticks came faster than one sample may stand for",
  dropped: "a buffer was full",
  stack_overflow: "the table of distinct stacks was full",
};
const WITH_STACK = {
  label_overflow: "lost its labels (too many distinct label values)",
  truncated: "has an incomplete stack (the walk did not reach the thread's start)",
  python_lost: "has Python frames that could not be read",
};
const SOURCES = {
  timer: "per-thread CPU timers",
  perf: "perf events",
  process: "a process-wide CPU timer",
  ebpf: "eBPF",
  allocations: "allocations",
  "python-thread": "a thread of the interpreter",
};

/** What the losses are a share of: the type that the period counts, else the sum in its unit. */
function measured(profile, base) {
  const { period } = profile;
  const index = period ? profile.types.findIndex((t) => t.type === period.type && t.unit === period.unit) : -1;
  return index < 0 ? null : { total: sumOf(profile, index, base), name: typeName(period.type) };
}

/**
 * Describes the losses: {level, headline}. `level` is "none", "some" or "much" (5 % of
 * the weight or more without a stack). `base` asks for the base of a comparison.
 */
export function describeLoss(profile, base = false) {
  const whole = measured(profile, base);
  const unit = profile.period?.unit ?? "";
  const amount = (value) => (whole ? formatShare(value, whole.total) : formatValue(value, unit));
  const lost = (base ? profile.base : profile).lost.filter(([, value]) => value > 0);
  const bare = lost.filter(([cause]) => !Object.hasOwn(WITH_STACK, cause));
  const kept = lost.filter(([cause]) => Object.hasOwn(WITH_STACK, cause));
  if (lost.length === 0) return { level: "none", headline: "Nothing was lost: every sample has its stack and its labels." };
  const missing = bare.reduce((sum, [, value]) => sum + value, 0);
  const what = whole ? `of ${whole.name}` : "of the weight";
  const sentences = [];
  if (missing > 0) sentences.push(`${amount(missing)} ${what} has no stack: ${reasons(bare, amount)}.`);
  for (const [cause, value] of kept) sentences.push(`${amount(value)} ${what} ${WITH_STACK[cause]}.`);
  const level = whole && missing >= 0.05 * whole.total ? "much" : "some";
  return { level, headline: sentences.join(" ") };
}

/** One reason stands alone; several come largest first, each with its share. */
function reasons(losses, amount) {
  const sorted = [...losses].sort((a, b) => b[1] - a[1]);
  const why = ([cause]) => (Object.hasOwn(WITHOUT_STACK, cause) ? WITHOUT_STACK[cause] : `of “${cause}”`);
  if (sorted.length === 1) return why(sorted[0]);
  return sorted.map((loss) => `${amount(loss[1])} because ${why(loss)}`).join("; ");
}

/** "Sampled by per-thread CPU timers, one sample per 10 ms." and what that cost, where a label of
 *  the profile tells. */
export function describeSources(profile) {
  if (profile.sources.length === 0) return "";
  const names = profile.sources.map((source) => (Object.hasOwn(SOURCES, source) ? SOURCES[source] : source));
  const { period } = profile;
  const each = period?.value > 0 ? `, one sample per ${period.unit === "nanoseconds" ? formatDuration(period.value) : formatValue(period.value, period.unit)} of ${typeName(period.type)}` : "";
  return `Sampled by ${names.join(" and ")}${each}.${describeCost(profile)}`;
}

/** " Profiling itself took 12.3 ms (0.1 %)." where the profile knows it. */
function describeCost(profile) {
  if (profile.costNs === null) return "";
  const whole = measured(profile);
  const share = whole !== null && profile.period.unit === "nanoseconds" ? ` (${formatShare(profile.costNs, whole.total)})` : "";
  return ` Profiling itself took ${formatValue(profile.costNs, "nanoseconds")} of CPU time${share}.`;
}

/** What stands beside the total: type, share of the whole when filtered, period, start. */
export function describeTotal(profile, type, { shown, whole, seconds = profile.durationNs / 1e9, startMs = profile.startMs }) {
  const { type: kind, unit } = profile.types[type];
  const facts = [typeName(kind)];
  if (shown < whole * (1 - 1e-9)) facts.push(`(${formatShare(shown, whole)} of ${formatValue(whole, unit)})`);
  if (seconds > 0) {
    const cores = kind === "cpu" && unit === "nanoseconds" ? `, ${(shown / (seconds * 1e9)).toFixed(2)} cores` : "";
    facts.push(`over ${formatDuration(seconds * 1e9)}${cores}`);
  }
  const start = formatTime(startMs);
  if (start !== "") facts.push(`· ${start} UTC`);
  return facts.join(" ");
}
