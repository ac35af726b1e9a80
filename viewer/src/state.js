// What the reader chose, and its spelling in the address: a link shows the same view.
// `period` and `against` are ranges [first, last] of parts: what is shown, and what it is compared
// with. `pair` compares two values of a label. `only` and `hide` are lists of patterns.

import { readPeriod, spellPeriod } from "./period.js";

/** The view before the reader touched anything. */
export function initialState(profile) {
  return {
    type: profile.defaultType,
    filters: [],
    groupBy: "",
    focus: -1,
    only: [],
    hide: [],
    period: null,
    against: null,
    pair: null,
    measure: "share",
    width: "shown",
    sandwich: false,
    selected: -1,
    zoom: null,
    query: "",
    sort: { column: "self", descending: true },
    flipped: false,
    colouring: "",
    theme: "",
  };
}

/** Spells a state as the part of the address after `#`; defaults are left out. */
export function encodeState(state, profile) {
  const params = new URLSearchParams();
  if (state.type !== profile.defaultType) params.set("type", profile.types[state.type].type);
  for (const [key, value] of state.filters) {
    if (value === null) params.append("no." + key, "");
    else params.append("l." + key, value);
  }
  if (state.groupBy !== "") params.set("by", state.groupBy);
  if (state.focus >= 0) params.set("focus", String(state.focus));
  for (const name of ["only", "hide"]) for (const pattern of state[name]) params.append(name, pattern);
  encodeComparison(state, profile, params);
  if (state.selected >= 0) params.set("fn", String(state.selected));
  if (state.zoom) {
    params.set("zoom", String(state.zoom.node));
    if (state.zoom.value !== undefined) params.set(state.zoom.value === null ? "zoomno" : "zoomin", state.zoom.value ?? "");
  }
  if (state.query !== "") params.set("q", state.query);
  const sort = (state.sort.descending ? "-" : "") + state.sort.column;
  if (sort !== "-self") params.set("sort", sort);
  if (state.sandwich) params.set("view", "callers");
  if (state.flipped) params.set("flame", "1");
  if (state.colouring !== "") params.set("colour", state.colouring);
  if (state.theme !== "") params.set("theme", state.theme);
  return params.toString();
}

function encodeComparison({ period, against, pair, measure, width }, profile, params) {
  for (const [name, range] of [["", period], ["base", against]]) {
    if (range === null) continue;
    const [from, to] = spellPeriod(profile, range);
    params.set(name + "from", String(from));
    params.set(name + "to", String(to));
  }
  if (pair) {
    params.set("pair", pair.key);
    for (const side of ["shown", "base"]) params.set((pair[side] === null ? "no" : "") + side, pair[side] ?? "");
  }
  if (measure !== "share") params.set("measure", measure);
  if (width !== "shown") params.set("width", width);
}

/** Reads an address. What it cannot use (another profile's link, a typo) is ignored. */
export function decodeState(hash, profile) {
  const state = initialState(profile);
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const index = (name, limit) => {
    const value = params.get(name);
    return value !== null && /^\d{1,9}$/.test(value) && Number(value) < limit ? Number(value) : -1;
  };
  const type = profile.types.findIndex((t) => t.type === params.get("type"));
  if (type >= 0) state.type = type;
  const keys = new Set(profile.labelSets.flatMap((set) => set.map(([key]) => key)));
  for (const [name, value] of params) {
    if (name.startsWith("l.") && keys.has(name.slice(2))) state.filters.push([name.slice(2), value]);
    if (name.startsWith("no.") && keys.has(name.slice(3))) state.filters.push([name.slice(3), null]);
  }
  if (keys.has(params.get("by"))) state.groupBy = params.get("by");
  state.focus = index("focus", profile.functions.count);
  for (const name of ["only", "hide"]) state[name] = params.getAll(name).filter((pattern) => pattern !== "");
  decodeComparison(state, profile, params, keys);
  state.selected = index("fn", profile.functions.count);
  state.zoom = readZoom(params, index("zoom", profile.nodes.count));
  state.query = params.get("q") ?? "";
  const sort = /^(-?)(self|total|name|self-change|total-change)$/.exec(params.get("sort") ?? "");
  if (sort) state.sort = { column: sort[2], descending: sort[1] === "-" };
  state.sandwich = params.get("view") === "callers";
  state.flipped = params.get("flame") === "1";
  if (["module", "package", "language", "change"].includes(params.get("colour"))) state.colouring = params.get("colour");
  if (["light", "dark"].includes(params.get("theme"))) state.theme = params.get("theme");
  return state;
}

function decodeComparison(state, profile, params, keys) {
  const { parts, baseParts, base } = profile;
  const read = (name, within) => {
    const times = [params.get(name + "from"), params.get(name + "to")].map((text) => (text === null ? NaN : Number(text)));
    return times.some(Number.isNaN) ? null : readPeriod(parts, within, times);
  };
  const shown = [baseParts, parts.length];
  const unlessWhole = (range, [from, to]) => (range && range[0] === from && range[1] === to - 1 ? null : range);
  state.period = unlessWhole(read("", shown), shown);
  state.against = base ? unlessWhole(read("base", [0, baseParts]), [0, baseParts]) : read("base", shown);
  if (keys.has(params.get("pair")) && base === null && state.against === null) {
    const side = (name) => (params.has("no" + name) ? null : params.get(name) ?? "");
    state.pair = { key: params.get("pair"), shown: side("shown"), base: side("base") };
  }
  if (params.get("measure") === "rate") state.measure = "rate";
  if (["base", "both"].includes(params.get("width"))) state.width = params.get("width");
}

/** A zoom names a node of the profile (-1: the group itself) and, when grouped, the value. */
function readZoom(params, node) {
  if (params.has("zoomno")) return { node, value: null };
  if (params.has("zoomin")) return { node, value: params.get("zoomin") };
  return node >= 0 ? { node } : null;
}
