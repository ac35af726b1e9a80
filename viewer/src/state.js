// What the reader chose, and its spelling in the address: a link shows the same view.

/** The view before the reader touched anything. */
export function initialState(profile) {
  return {
    type: profile.defaultType,
    filters: [],
    groupBy: "",
    focus: -1,
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
  if (state.selected >= 0) params.set("fn", String(state.selected));
  if (state.zoom) {
    params.set("zoom", String(state.zoom.base));
    if (state.zoom.value !== undefined) params.set(state.zoom.value === null ? "zoomno" : "zoomin", state.zoom.value ?? "");
  }
  if (state.query !== "") params.set("q", state.query);
  const sort = (state.sort.descending ? "-" : "") + state.sort.column;
  if (sort !== "-self") params.set("sort", sort);
  if (state.flipped) params.set("flame", "1");
  if (state.colouring !== "") params.set("colour", state.colouring);
  if (state.theme !== "") params.set("theme", state.theme);
  return params.toString();
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
  state.selected = index("fn", profile.functions.count);
  state.zoom = readZoom(params, index("zoom", profile.nodes.count));
  state.query = params.get("q") ?? "";
  const sort = /^(-?)(self|total|name)$/.exec(params.get("sort") ?? "");
  if (sort) state.sort = { column: sort[2], descending: sort[1] === "-" };
  state.flipped = params.get("flame") === "1";
  if (["module", "package"].includes(params.get("colour"))) state.colouring = params.get("colour");
  if (["light", "dark"].includes(params.get("theme"))) state.theme = params.get("theme");
  return state;
}

/** A zoom names a node of the profile (-1: the group itself) and, when grouped, the value. */
function readZoom(params, base) {
  if (params.has("zoomno")) return { base, value: null };
  if (params.has("zoomin")) return { base, value: params.get("zoomin") };
  return base >= 0 ? { base } : null;
}
