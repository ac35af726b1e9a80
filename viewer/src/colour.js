// Colours by module, package, language or change: the same names give the same colours in every page of a profile.

import { moduleName } from "./name.js";

// OKLCH triples (lightness, chroma, hue) chosen so that all pairs stay apart for normal and for
// colour-blind eyes, and text keeps its contrast; the tests compute both.
const PALETTES = {
  light: [
    [0.827, 0.105, 53], [0.919, 0.05, 223], [0.724, 0.105, 98], [0.84, 0.105, 302],
    [0.816, 0.105, 175], [0.721, 0.105, 359], [0.722, 0.091, 238], [0.917, 0.105, 111],
  ],
  dark: [
    [0.528, 0.087, 63], [0.418, 0.105, 254], [0.419, 0.105, 108], [0.526, 0.105, 297],
    [0.526, 0.105, 180], [0.441, 0.105, 357], [0.342, 0.099, 314], [0.34, 0.1, 40],
  ],
};
const NEUTRAL = { light: [0.89, 0.008, 90], dark: [0.36, 0.008, 260] };
// More than the base and less: orange and blue keep apart for every kind of sight.
const CHANGE = {
  light: { more: [0.76, 0.13, 57], less: [0.78, 0.09, 240] },
  dark: { more: [0.5, 0.115, 50], less: [0.47, 0.1, 250] },
};
const TEXT = { light: "#1c1a17", dark: "#f8f6f2" };

/** How many groups get a colour of their own; the others share the neutral one. */
export const COLOURS = 8;

/** Converts OKLCH to sRGB bytes. */
export function oklchToRgb([lightness, chroma, hue]) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((c) => {
    const clipped = Math.min(1, Math.max(0, c));
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  });
}

function css(oklch) {
  return "#" + oklchToRgb(oklch).map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** FNV-1a over UTF-16 units. */
export function hashText(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** The three shades of each colour, the neutral shades, and the text colour of a theme. */
export function makePalette(theme) {
  const steps = theme === "dark" ? [-0.03, -0.01, 0.005] : [-0.022, 0, 0.022];
  const shades = ([l, c, h]) => steps.map((step) => css([l + step, c, h]));
  const change = Object.entries(CHANGE[theme]).map(([kind, colour]) => [kind, shades(colour)]);
  return { colours: PALETTES[theme].map(shades), neutral: shades(NEUTRAL[theme]), text: TEXT[theme], ...Object.fromEntries(change) };
}

/**
 * Gives each function a slot (a palette index, -1 for neutral) and a shade.
 * `by` is "module", "package", "language", or "change", which is told by figures and not by names.
 * The heaviest groups choose first: their name's hash picks a slot, the next free one if taken.
 */
export function assignColours(profile, by) {
  const names = coloursOf(profile.functions, by);
  const weights = new Map();
  selfWeights(profile).forEach((weight, fn) => {
    if (names[fn] !== "") weights.set(names[fn], (weights.get(names[fn]) ?? 0) + weight);
  });
  const own = by === "package" ? ownPackages(profile) : new Set();
  const rank = ([name, weight]) => (own.has(name) ? Infinity : weight);
  const ranked = [...weights].sort((a, b) => rank(b) - rank(a) || (a[0] < b[0] ? -1 : 1)).slice(0, COLOURS);
  const slots = new Map();
  const taken = new Set();
  for (const [name] of ranked) {
    let slot = hashText(name) % COLOURS;
    while (taken.has(slot)) slot = (slot + 1) % COLOURS;
    taken.add(slot);
    slots.set(name, slot);
  }
  return {
    by,
    byChange: by === "change",
    slot: Int8Array.from(names, (name) => slots.get(name) ?? -1),
    shade: Uint8Array.from(profile.functions.name, (name) => hashText(name) % 3),
    legend: ranked.map(([name]) => ({ name, slot: slots.get(name) })),
  };
}

/** What the colours stand for, of each function; nothing when they stand for change. */
export function coloursOf({ module, pkg, language }, by) {
  return { module, package: pkg, language }[by] ?? module.map(() => "");
}

/** The shades of an outcome of a comparison, and which of them: stronger for larger changes. */
export function changeShades(palette, { changed, part }) {
  if (!changed) return [palette.neutral, 1];
  const size = Math.abs(part);
  return [part > 0 ? palette.more : palette.less, size > 0.1 ? 0 : size > 0.02 ? 1 : 2];
}

/** Packages named like their module: a program's own code gets a colour however little it weighs. */
function ownPackages({ functions }) {
  const plain = (text) => text.replace(/\.\w+$/, "").replace(/\W/g, "_");
  return new Set(functions.pkg.filter((pkg, fn) => plain(moduleName(functions.module[fn])) === pkg));
}

/** Modules tell more, unless one of them holds most of the weight and has packages inside. */
export function defaultColouring(profile) {
  const modules = new Map();
  const packages = new Map();
  let all = 0;
  selfWeights(profile).forEach((weight, fn) => {
    const module = profile.functions.module[fn];
    if (module === "") return;
    all += weight;
    modules.set(module, (modules.get(module) ?? 0) + weight);
    if (!packages.has(module)) packages.set(module, new Set());
    packages.get(module).add(profile.functions.pkg[fn]);
  });
  const [heaviest, weight] = [...modules].sort((a, b) => b[1] - a[1])[0] ?? ["", 0];
  return weight > all * 0.6 && packages.get(heaviest).size > 2 ? "package" : "module";
}

/** Self weight of each function in the type shown first: the ranking must not move with filters. */
function selfWeights(profile) {
  const weights = new Float64Array(profile.functions.count);
  profile.values[profile.defaultType].forEach((value, i) => {
    if (value > 0) weights[profile.nodes.fn[profile.nodes.of[profile.sampleNode[i]]]] += value;
  });
  return weights;
}
