// From the reader's choices to figures: what must be computed again when something changes.

import { groupLabels, passLabels, weighLabels } from "./label.js";
import { compileQuery, matchFunctions, matchedNodes, matchedTotal } from "./search.js";
import { hottest, topSections } from "./top.js";
import { buildTree, findNode } from "./tree.js";

const MATCHES = 1000;

/** True when two states need different trees. */
export function needsTree(a, b) {
  return a.type !== b.type || a.groupBy !== b.groupBy || a.focus !== b.focus || a.filters !== b.filters;
}

/** Tree, table sections and label weights for a state. */
export function computeFigures(profile, state) {
  const tree = buildTree(profile, {
    type: state.type,
    pass: passLabels(profile, state.filters),
    groups: groupLabels(profile, state.groupBy),
    focus: state.focus,
  });
  const sections = topSections(profile, tree);
  return { tree, sections, hot: hottest(profile, sections), weights: weighLabels(profile, state.type), unit: profile.types[state.type].unit };
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
  const sums = { self: 0, total: 0 };
  for (const section of sections) {
    const row = section.rows.find((candidate) => candidate.fn === fn);
    sums.self += row?.self ?? 0;
    sums.total += row?.total ?? 0;
  }
  const marked = new Uint8Array(profile.functions.count);
  marked[fn] = 1;
  return { ...sums, nodes: matchedNodes(tree, marked, MATCHES) };
}

/** The node a stored zoom means in this tree; the root when it is not there. */
export function zoomNode(tree, zoom) {
  return zoom === null ? 0 : findNode(tree, zoom.base, zoom.value);
}

/** A node as a zoom to store: null for the root. */
export function zoomOf(tree, node) {
  if (node <= 0) return null;
  const base = tree.base[node];
  return tree.groups.key === "" ? { base } : { base, value: tree.groups.values[tree.group[node]] };
}
