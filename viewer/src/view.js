// From the reader's choices to figures: what must be computed again when something changes.

import { compareRows, countSamples, makeNodeTest, weighPlaceholders } from "./compare.js";
import { groupLabels } from "./label.js";
import { compileQuery, matchFunctions, matchedNodes, matchedTotal } from "./search.js";
import { BASE, sidesOf, SHOWN, sumSide } from "./sides.js";
import { hottest, topSections } from "./top.js";
import { buildTree, findNode, nodesThrough } from "./tree.js";

const MATCHES = 1000;
const TREE_CHOICES = ["type", "groupBy", "focus", "filters", "only", "hide", "period", "against", "pair", "measure", "width"];

/** True when two states need different trees. */
export function needsTree(a, b) {
  return TREE_CHOICES.some((name) => a[name] !== b[name]);
}

/** Tree, table sections and comparison (or null) for a state. */
export function computeFigures(profile, state) {
  const sides = sidesOf(profile, state);
  const comparing = sides.baseRange !== null;
  const measure = state.measure === "rate" && sides.seconds > 0 && sides.baseSeconds > 0 ? "rate" : "share";
  const keep = keptNodes(profile, state);
  const hidden = matchAny(profile, state.hide);
  const tree = buildTree(profile, {
    type: state.type,
    sides,
    groups: groupLabels(profile, state.groupBy),
    keep,
    hidden,
    width: comparing ? state.width : "shown",
    scaleOf: (total, baseTotal) => (measure === "rate" ? sides.seconds / sides.baseSeconds : baseTotal > 0 && total > 0 ? total / baseTotal : 1),
  });
  const sections = topSections(profile, tree);
  const comparison = comparing ? compareSides(profile, state.type, { sides, keep, tree, sections, measure }) : null;
  return { tree, sections, sides, comparison, hot: hottest(profile, sections), unit: profile.types[state.type].unit };
}

/** Marks the profile's nodes whose stack has the focused function and a match of every pattern
 *  that the reader wants to see only; null for all. */
function keptNodes(profile, { focus, only }) {
  const marks = only.map((text) => matchAny(profile, [text])).filter((marked) => marked !== null);
  if (focus >= 0) marks.push(Uint8Array.from(profile.functions.name, (_, fn) => (fn === focus ? 1 : 0)));
  const [first, ...others] = marks.map((marked) => nodesThrough(profile.nodes, marked));
  for (const other of others) first.forEach((kept, node) => (first[node] = kept & other[node]));
  return first ?? null;
}

/** Marks the functions that match one of the patterns; null without a pattern. */
function matchAny({ functions }, patterns) {
  const queries = patterns.map(compileQuery).filter((query) => query !== null);
  if (queries.length === 0) return null;
  const marks = queries.map((query) => matchFunctions(functions, query));
  return marks[0].map((_, fn) => (marks.some((marked) => marked[fn]) ? 1 : 0));
}

/** What is compared with what, and the outcome for each function; rows of `sections` get their
 *  changes. `test(tree, node)` tests a node: as many as are drawn are tested. What has no stack is
 *  of neither side. */
function compareSides(profile, type, { sides, keep, tree, sections, measure }) {
  const { functions } = profile;
  const lost = weighPlaceholders(functions, sections.flatMap(({ rows }) => rows));
  const side = (bit, total, seconds) => {
    const sums = sumSide(profile, sides, bit, keep);
    sums[type] = total;
    return { total, seconds, samples: countSamples(profile, type, sums) };
  };
  const shown = side(SHOWN, tree.total[0] - lost.shown, sides.seconds);
  const base = side(BASE, tree.baseTotal[0] - lost.base, sides.baseSeconds);
  const comparison = { measure, base, shown };
  return { ...comparison, ...compareRows(functions, sections, comparison), test: makeNodeTest(functions, comparison, tree.count - 1) };
}

/** Which functions a query marks, their share of the tree and where they are. Null without one. */
export function computeMatches(profile, tree, text) {
  const query = compileQuery(text);
  if (query === null) return null;
  const marked = matchFunctions(profile.functions, query);
  return { marked, plain: query.plain, total: matchedTotal(tree, marked), nodes: matchedNodes(tree, marked, MATCHES) };
}

/** Self and total of one function over all sections, and its places, widest first. */
export function computeSelection(profile, { tree, sections }, fn) {
  const sums = { self: 0, total: 0, baseSelf: 0, baseTotal: 0 };
  for (const section of sections) {
    const row = section.rows.find((candidate) => candidate.fn === fn);
    for (const name of Object.keys(sums)) sums[name] += row?.[name] ?? 0;
  }
  const marked = new Uint8Array(profile.functions.count);
  marked[fn] = 1;
  return { ...sums, nodes: matchedNodes(tree, marked, MATCHES) };
}

/** The node a stored zoom means in this tree; the root when it is not there or has no width. */
export function zoomNode(tree, zoom) {
  const node = zoom === null ? 0 : findNode(tree, zoom.node, zoom.value);
  return tree.span[node] > 0 ? node : 0;
}

/** A node as a zoom to store: null for the root. */
export function zoomOf(tree, node) {
  if (node <= 0) return null;
  const origin = tree.origin[node];
  return tree.groups.key === "" ? { node: origin } : { node: origin, value: tree.groups.values[tree.group[node]] };
}
