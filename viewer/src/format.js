// Numbers as people read them. Everything here is pure.

const NBSP = "\u00a0";
const NANOS = { nanoseconds: 1, microseconds: 1e3, milliseconds: 1e6, seconds: 1e9 };
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

const TYPE_NAMES = {
  cpu: "CPU time",
  wall: "wall time",
  samples: "samples",
  inuse_space: "memory in use",
  inuse_objects: "objects in use",
  alloc_space: "memory allocated",
  alloc_objects: "objects allocated",
  lock_time: "time waiting for locks",
  delay: "time waiting for locks",
  lock_count: "lock waits",
  contentions: "lock waits",
  exceptions: "exceptions",
};

/** Three significant digits: 12.3, 4.50, 789. */
function digits(value) {
  return value >= 99.95 ? grouped.format(value) : value.toPrecision(3);
}

/** Formats nanoseconds: 870 ns, 12.3 ms, 4.5 s. */
export function formatNanos(nanos) {
  if (nanos < 999.5) return grouped.format(nanos) + NBSP + "ns";
  if (nanos < 999.5e3) return digits(nanos / 1e3) + NBSP + "µs";
  if (nanos < 999.5e6) return digits(nanos / 1e6) + NBSP + "ms";
  return digits(nanos / 1e9) + NBSP + "s";
}

/** Formats the length of a period: 10 s, 5 min, 2 h 30 min. */
export function formatDuration(nanos) {
  const minutes = Math.round(nanos / 60e9);
  if (nanos < 120e9) return formatNanos(nanos).replace(/\.?0+(?=\u00a0)/, (zeros) => (zeros.startsWith(".") ? "" : zeros));
  if (minutes < 60) return minutes + NBSP + "min";
  const rest = minutes % 60;
  return Math.floor(minutes / 60) + NBSP + "h" + (rest ? " " + rest + NBSP + "min" : "");
}

/** Formats bytes with binary prefixes: 512 B, 1.5 MiB. */
export function formatBytes(bytes) {
  let step = 0;
  while (bytes >= 999.5 && step < BYTES.length - 1) {
    bytes /= 1024;
    step += 1;
  }
  return (step === 0 ? grouped.format(bytes) : digits(bytes)) + NBSP + BYTES[step];
}

/** Formats a value in the unit a profile gives; an unknown unit is shown as it is. */
export function formatValue(value, unit) {
  if (value === 0) return "0";
  if (value < 0) return "−" + formatValue(-value, unit);
  if (Object.hasOwn(NANOS, unit)) return formatNanos(value * NANOS[unit]);
  if (unit === "bytes") return formatBytes(value);
  if (unit === "count" || unit === "") return grouped.format(value);
  return grouped.format(value) + NBSP + unit;
}

/** Formats part of whole as a percentage: 0 %, <0.1 %, 2.1 %, 100 %. */
export function formatShare(part, whole) {
  if (!(whole > 0) || part === 0) return "0" + NBSP + "%";
  const percent = (100 * part) / whole;
  if (percent < 0.05) return "<0.1" + NBSP + "%";
  return (percent >= 99.95 ? "100" : percent.toFixed(1)) + NBSP + "%";
}

/** Formats an amount per second: 12.3 ms/s, 4.50/s. */
export function formatRate(value, unit) {
  const plain = unit === "count" || unit === "";
  const amount = plain && value > 0 && value < 99.95 ? value.toPrecision(3) : formatValue(value, unit);
  return (value < 0.0005 ? "0" : amount) + "/s";
}

/** Formats a change with its sign: points of share (+3.1 pt), or an amount per second. */
export function formatChange(change, measure, unit) {
  const size = Math.abs(change);
  const amount = measure === "rate" ? formatRate(size, unit) : (100 * size).toFixed(1) + NBSP + "pt";
  return (/^0(\.0)?(\D|$)/.test(amount) ? "" : change > 0 ? "+" : "−") + amount;
}

/** The plain name of a profile type: "CPU time" for cpu, the name itself when unknown. */
export function typeName(type) {
  return Object.hasOwn(TYPE_NAMES, type) ? TYPE_NAMES[type] : type;
}

/** Formats a whole number with thousands separators. */
export function formatCount(value) {
  return grouped.format(value);
}
