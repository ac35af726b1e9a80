// The page: one state, changed through `change`, shown by `show`.

import { assignColours, changeShades, coloursOf, defaultColouring, makePalette } from "./colour.js";
import { renderComparison } from "./comparison.js";
import { barText, describeNode } from "./describe.js";
import { byId, element } from "./dom.js";
import { moveInMenu, renderChips, renderKeys } from "./filters.js";
import { formatCount, formatShare } from "./format.js";
import { Graph } from "./graph.js";
import { handleKey } from "./keys.js";
import { showValue, weighLabels } from "./label.js";
import { movableSeparator, renderChangeLegend, renderCrumbs, renderHelp, renderLegend, renderSelection, showTooltip } from "./panels.js";
import { readProfile } from "./profile.js";
import { buildSandwich } from "./sandwich.js";
import { compileQuery, escapeRegex } from "./search.js";
import { isComparing, weighParts } from "./sides.js";
import { decodeState, encodeState } from "./state.js";
import { describeExample, fillSummary, renderTotals } from "./summary.js";
import { Table } from "./table.js";
import { TimeLine } from "./timeline.js";
import { unpackProfile } from "./unpack.js";
import { computeFigures, computeMatches, computeSelection, needsTree, zoomNode, zoomOf } from "./view.js";

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
root.dataset.theme = prefersDark.matches ? "dark" : "light";

class Page {
  constructor(profile) {
    this.profile = profile;
    this.state = decodeState(location.hash, profile);
    this.autoColouring = defaultColouring(profile);
    this.place = { fn: -1, at: -1 };
    this.graph = this.makeGraph("graph", (node) => this.zoomTo(node, true));
    this.callers = this.makeGraph("callers", (node) => this.centreOn(this.callers, node));
    this.callees = this.makeGraph("callees", (node) => this.centreOn(this.callees, node));
    this.graphs = [this.graph, this.callers, this.callees];
    this.table = new Table({ table: byId("table"), scroller: byId("table-scroll") }, profile, {
      pick: (fn) => this.pick(fn),
      preview: (fn) => this.preview(fn),
      sort: (column) => this.sortBy(column),
      open: (node) => this.zoomTo(node, false),
    });
    this.timeLine = new TimeLine(byId("timeline-bars"), profile, (side, range) => this.choosePeriod(side, range));
    fillSummary(profile);
    this.listen();
    this.setTheme();
    this.show(null);
  }

  makeGraph(id, zoom) {
    const canvas = byId(id);
    const parts = { canvas, scroller: canvas.parentElement, spacer: canvas.nextElementSibling };
    const graph = new Graph(parts, this.profile, {
      hover: (node, event) => this.tell(graph, node, event),
      cursor: (node) => this.announce(graph, node),
      zoom,
    });
    return graph;
  }

  listen() {
    const search = byId("search");
    search.addEventListener("input", () => this.change({ query: search.value }));
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.nextMatch(event.shiftKey ? -1 : 1);
    });
    byId("only").addEventListener("click", () => this.useQuery("only"));
    byId("hide").addEventListener("click", () => this.useQuery("hide"));
    byId("type").addEventListener("change", (event) => this.change({ type: Number(event.target.value) }, true));
    byId("group").addEventListener("change", (event) => this.change({ groupBy: event.target.value, zoom: null }, true));
    byId("colouring").addEventListener("change", (event) => this.change({ colouring: event.target.value }));
    byId("measure").addEventListener("change", (event) => this.change({ measure: event.target.value }, true));
    byId("width").addEventListener("change", (event) => this.change({ width: event.target.value }, true));
    byId("compare-end").addEventListener("click", () => this.change({ against: null, pair: null }, true));
    byId("flip").addEventListener("click", () => this.change({ flipped: !this.state.flipped }));
    byId("theme").addEventListener("click", () => this.toggleTheme());
    byId("help-open").addEventListener("click", () => byId("help").showModal());
    byId("reset").addEventListener("click", () => this.change({ zoom: null }, true));
    byId("hot").addEventListener("click", () => this.pickAndZoom(this.figures.hot.fn));
    byId("menu").addEventListener("keydown", (event) => moveInMenu(byId("menu"), event));
    movableSeparator(byId("separator"), byId("split"));
    document.addEventListener("keydown", (event) => handleKey(this, event));
    prefersDark.addEventListener("change", () => {
      this.setTheme();
      this.showColours();
      this.showTimeLine();
      this.showTable();
    });
    addEventListener("popstate", () => this.change(decodeState(location.hash, this.profile), null));
  }

  /** Merges a change into the state and shows it. `step`: true adds to the browser's history,
   *  null leaves the address alone. */
  change(patch, step = false) {
    const before = this.state;
    this.state = { ...before, ...patch };
    if (step !== null) this.writeAddress(step);
    this.show(before);
  }

  writeAddress(step) {
    const hash = "#" + encodeState(this.state, this.profile);
    if (hash === location.hash || (hash === "#" && location.hash === "")) return;
    try {
      history[step ? "pushState" : "replaceState"](null, "", hash);
    } catch {
      // A sandboxed frame may forbid it; the page works without.
    }
  }

  /** Brings the page in line with the state; `before` is the state shown so far. */
  show(before) {
    const { state } = this;
    const changed = (...names) => before === null || names.some((name) => before[name] !== state[name]);
    const rebuilt = before === null || needsTree(before, state);
    if (rebuilt) this.showFigures();
    else if (changed("zoom")) this.graph.setZoom(zoomNode(this.figures.tree, state.zoom));
    if (rebuilt || changed("query")) this.showMatches();
    if (changed("theme")) this.setTheme();
    if (changed("colouring", "theme") || this.assignment.by !== this.colouring()) this.showColours();
    if (rebuilt || changed("theme")) this.showTimeLine();
    if (rebuilt || changed("colouring", "theme")) this.showLegend();
    if (changed("flipped")) this.graph.setFlipped(state.flipped);
    if (rebuilt || changed("query", "sort", "colouring", "theme")) this.showTable();
    else if (changed("selected")) this.table.select(state.selected);
    if (rebuilt || changed("zoom", "selected", "sandwich")) this.showPath();
    if (rebuilt || changed("selected", "sandwich")) this.showSandwich();
    if (rebuilt || changed("selected", "query")) this.mark(-1);
    byId("flip").setAttribute("aria-pressed", String(state.flipped));
    byId("colouring").value = this.colouring();
    if (document.activeElement !== byId("search")) byId("search").value = state.query;
    byId("group").value = state.groupBy;
    byId("type").value = String(state.type);
  }

  /** What colours stand for: the reader's choice, else change while comparing, else what suits. */
  colouring() {
    const comparing = isComparing(this.profile, this.state);
    const chosen = this.state.colouring === "change" && !comparing ? "" : this.state.colouring;
    return chosen || (comparing ? "change" : this.autoColouring);
  }

  showFigures() {
    const { state, profile } = this;
    this.figures = computeFigures(profile, state);
    const { tree, sections, sides, comparison } = this.figures;
    const weights = this.weighLabels();
    this.graph.setTree(tree, zoomNode(tree, state.zoom), this.figuresOf(tree));
    this.table.setSections(sections, state.groupBy);
    renderTotals(profile, state, this.figures);
    renderComparison(profile, { state, sides, comparison }, (fn) => this.pickAndZoom(fn));
    byId("by-change").hidden = comparison === null;
    renderHelp(describeExample(profile, state, this.figures));
    const toggle = (key, value) => this.toggleFilter(key, value);
    const compare = profile.base ? null : (pair) => this.change({ pair, against: null }, true);
    renderKeys(byId("label-keys"), byId("menu"), { weights, filters: state.filters, toggle, compare });
    byId("group").replaceChildren(element("option", { value: "" }, "nothing"), ...weights.map(({ key }) => element("option", { value: key }, key)));
    byId("group-field").hidden = weights.length === 0;
    renderChips(byId("chips"), this.chips());
  }

  /** Callers and callees take the graph's place while a function is selected. */
  showSandwich() {
    const { sandwich, selected } = this.state;
    const open = sandwich && selected >= 0;
    byId("sandwich").hidden = !open;
    byId("scroller").hidden = open;
    if (!open) return;
    const { callers, callees } = buildSandwich(this.figures.tree, selected);
    this.callers.setTree(callers, 0, this.figuresOf(callers));
    this.callees.setTree(callees, 0, this.figuresOf(callees));
    this.callers.setFlipped(true);
  }

  /** In callers and callees a frame that is clicked becomes the middle. */
  centreOn(graph, node) {
    if (node > 0) this.change({ selected: graph.tree.fn[node] }, true);
  }

  showTimeLine() {
    const { period, against, type } = this.state;
    const weights = weighParts(this.profile, type, this.figures.sides);
    this.timeLine.show({ weights, ranges: { shown: period, base: against }, ink: this.ink });
  }

  /** All of a side is the same as no choice, but another period to compare with may be all. */
  choosePeriod(side, range) {
    const { parts, baseParts, base } = this.profile;
    const whole = side === "base" ? base && [0, baseParts - 1] : [baseParts, parts.length - 1];
    const chosen = range && whole && range[0] === whole[0] && range[1] === whole[1] ? null : range;
    this.change(side === "shown" ? { period: chosen } : { against: chosen, pair: null }, true);
  }

  /** What the graph asks of a tree's nodes. */
  figuresOf(tree) {
    const { unit, comparison } = this.figures;
    const about = { tree, unit, comparison, width: this.state.width };
    return {
      text: (node) => barText(about, this.assignment.byChange, node),
      change: (node) => comparison.test(tree, node),
    };
  }

  /** Label weights are those of the whole profile: they follow the type only. */
  weighLabels() {
    if (this.labels?.type !== this.state.type) this.labels = { type: this.state.type, weights: weighLabels(this.profile, this.state.type) };
    return this.labels.weights;
  }

  chips() {
    const { filters, focus, only, hide } = this.state;
    const { moved, total } = this.figures.tree;
    const chips = filters.map(([key, value]) => ({ text: `${key}: ${showValue(key, value)}`, remove: () => this.toggleFilter(key, value) }));
    if (focus >= 0) chips.push({ text: "through " + this.profile.functions.name[focus], remove: () => this.change({ focus: -1 }, true) });
    const without = (name, pattern) => () => this.change({ [name]: this.state[name].filter((other) => other !== pattern), zoom: null }, true);
    for (const pattern of only) chips.push({ text: "only matching " + pattern, remove: without("only", pattern) });
    hide.forEach((pattern, i) => {
      const share = i === 0 ? ` (${formatShare(moved, total[0])} of self moved to callers)` : "";
      chips.push({ text: "hidden: " + pattern + share, remove: without("hide", pattern) });
    });
    return chips;
  }

  /** Makes what is searched for a lasting choice: the only stacks, or functions to hide. */
  useQuery(name, pattern = this.state.query) {
    if (compileQuery(pattern) === null) return;
    this.change({ [name]: [...new Set([...this.state[name], pattern])], query: "", zoom: null }, true);
    byId("search").value = "";
  }

  toggleFilter(key, value) {
    const others = this.state.filters.filter(([k, v]) => k !== key || v !== value);
    const filters = others.length === this.state.filters.length ? [...others, [key, value]] : others;
    this.change({ filters }, true);
  }

  showMatches() {
    const { tree } = this.figures;
    this.matches = computeMatches(this.profile, tree, this.state.query);
    this.matchAt = -1;
    const matched = byId("matched");
    matched.textContent = this.matches === null ? "" : formatShare(this.matches.total, tree.total[0]) + (this.matches.plain ? " (as plain text)" : " matched");
    byId("search-key").hidden = this.matches !== null;
    byId("query-actions").hidden = this.matches === null;
  }

  showTable() {
    const { state, figures } = this;
    const count = this.table.render({
      unit: figures.unit,
      // Without a comparison there is no column of changes.
      sort: figures.comparison || !state.sort.column.endsWith("-change") ? state.sort : { column: "self", descending: true },
      matched: this.matches?.marked ?? null,
      selected: state.selected,
      swatch: (row) => this.swatch(row),
      comparison: figures.comparison,
      seconds: figures.sides.seconds,
    });
    byId("table-title").textContent = state.groupBy === "" ? "Top functions" : "Top functions by " + state.groupBy;
    byId("row-count").textContent = formatCount(count) + (this.matches ? " matching" : "");
  }

  /** The colour beside a row of the table: that of the function's bars. */
  swatch({ fn, totalChange }) {
    if (this.assignment.byChange) {
      const [shades, shade] = changeShades(this.palette, totalChange);
      return shades[shade];
    }
    const slot = this.assignment.slot[fn];
    return (slot < 0 ? this.palette.neutral : this.palette.colours[slot])[1];
  }

  showPath() {
    const { figures, state, profile } = this;
    const zoom = zoomNode(figures.tree, state.zoom);
    renderCrumbs(byId("crumbs"), { tree: figures.tree, zoom, nameOf: (node) => this.graph.nameOf(node), go: (node) => this.zoomTo(node, false) });
    byId("reset").hidden = zoom === 0;
    this.selection = state.selected < 0 ? null : computeSelection(profile, figures, state.selected);
    const facts = this.selection && { ...this.selection, name: profile.functions.name[state.selected], whole: figures.tree.total[0], unit: figures.unit, places: this.selection.nodes.length, sandwich: state.sandwich };
    renderSelection(byId("selection"), facts, {
      zoomNext: () => this.zoomToPlace(),
      sandwich: () => this.change({ sandwich: !this.state.sandwich }, true),
      focus: () => this.change({ focus: state.selected, zoom: null }, true),
      hide: () => this.useQuery("hide", `^${escapeRegex(profile.functions.name[state.selected])}$`),
      clear: () => this.change({ selected: -1 }),
    });
  }

  mark(preview) {
    const matched = this.matches?.marked ?? null;
    this.graphs.forEach((graph, i) => graph.setMarks({ selected: i === 0 ? this.state.selected : -1, preview, matched }));
  }

  /** Pointing at a row shows its frames, unless a search already does that job. */
  preview(fn) {
    if (fn !== this.graph.marks.preview) this.mark(fn);
  }

  zoomTo(node, select) {
    const fn = this.figures.tree.fn[node];
    const patch = { zoom: zoomOf(this.figures.tree, node) };
    if (select && fn >= 0) patch.selected = fn;
    this.change(patch, true);
    this.announce(this.graph, node);
  }

  /** First selects a function; when it is selected already, zooms to its next place. */
  pick(fn) {
    if (this.state.selected === fn) this.zoomToPlace();
    else this.change({ selected: fn });
  }

  pickAndZoom(fn) {
    this.change({ selected: fn });
    this.zoomToPlace();
  }

  /** A function that only one side has gets a place when both give the widths. */
  zoomToPlace() {
    if (this.selection.nodes.length === 0 && this.figures.comparison) this.change({ width: "both" });
    const { nodes } = this.selection;
    if (nodes.length === 0) return;
    const fn = this.state.selected;
    this.place = { fn, at: this.place.fn === fn ? (this.place.at + 1) % nodes.length : 0 };
    this.zoomTo(nodes[Math.min(this.place.at, nodes.length - 1)], false);
  }

  nextMatch(step) {
    const nodes = this.matches?.nodes ?? [];
    if (nodes.length === 0) return;
    this.matchAt = this.matchAt < 0 && step < 0 ? nodes.length - 1 : (this.matchAt + step + nodes.length) % nodes.length;
    this.zoomTo(nodes[this.matchAt], false);
  }

  sortBy(column) {
    const { sort } = this.state;
    const descending = sort.column === column ? !sort.descending : column !== "name";
    this.change({ sort: { column, descending } });
  }

  /** The lines of the tooltip, and what a screen reader hears, for a node. */
  describe(graph, node) {
    const { unit, comparison } = this.figures;
    return describeNode(this.profile, { tree: graph.tree, name: graph.nameOf(node), unit, comparison, inverted: graph === this.callers }, node);
  }

  tell(graph, node, event) {
    showTooltip(node < 0 || !event ? null : this.describe(graph, node), event);
  }

  announce(graph, node) {
    byId("live").textContent = this.describe(graph, node).slice(0, this.figures.comparison ? 5 : 3).map(([, text]) => text).join(", ") + `, depth ${graph.tree.depth[node]}`;
  }

  toggleTheme() {
    this.change({ theme: root.dataset.theme === "dark" ? "light" : "dark" });
  }

  setTheme() {
    root.dataset.theme = this.state.theme || (prefersDark.matches ? "dark" : "light");
  }

  showColours() {
    const style = getComputedStyle(root);
    const ink = Object.fromEntries(["filler", "dim", "dim-text", "hatch", "accent", "strong", "warn-line", "graph-font"].map((name) => [name, style.getPropertyValue("--" + name).trim()]));
    this.ink = { ...ink, dimText: ink["dim-text"], font: ink["graph-font"] };
    this.palette = makePalette(root.dataset.theme);
    this.assignment = assignColours(this.profile, this.colouring());
    for (const graph of this.graphs) graph.setColours(this.palette, this.assignment, this.ink);
  }

  showLegend() {
    const by = this.colouring();
    const names = coloursOf(this.profile.functions, by);
    if (by === "change") return renderChangeLegend(byId("legend"), this.palette);
    renderLegend(byId("legend"), {
      legend: this.assignment.legend,
      others: this.assignment.slot.includes(-1),
      palette: this.palette,
      prefix: by + ":",
      weights: (name) => this.selfShare(names, name),
      search: (prefix, name) => this.change({ query: prefix + "^" + escapeRegex(name) + "$" }),
    });
  }

  selfShare(names, name) {
    let self = 0;
    for (const section of this.figures.sections) for (const row of section.rows) if (names[row.fn] === name) self += row.self;
    return formatShare(self, this.figures.tree.total[0]);
  }
}

async function start() {
  try {
    const profile = readProfile(await unpackProfile(byId("profile").textContent));
    byId("page").hidden = false;
    new Page(profile);
  } catch (error) {
    byId("page").hidden = true;
    byId("failure").hidden = false;
    byId("failure").textContent = error.message;
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
