// One function between its callers and its callees, over all the places where it is called.

import { addNode, finishTree, startTree } from "./tree.js";

/**
 * Two trees with the function at the root: `callees`, what it calls, and `callers`, the inverted
 * stacks above it. Where it is recursive, its outermost call counts.
 */
export function buildSandwich(tree, fn) {
  const [callers, callees] = [startTree(fn), startTree(fn)];
  const [stepUp, stepDown] = [makeStep(callers, tree), makeStep(callees, tree)];
  const below = new Int32Array(tree.count).fill(-1);
  for (let node = 1; node < tree.count; node += 1) {
    const inside = below[tree.parent[node]];
    if (inside < 0 && tree.fn[node] !== fn) continue;
    below[node] = inside < 0 ? 0 : stepDown(inside, node);
    callees.self[below[node]] += tree.self[node];
    callees.baseSelf[below[node]] += tree.baseSelf[node];
    if (inside >= 0) continue;
    let place = 0;
    for (let at = tree.parent[node]; at > 0 && tree.fn[at] >= 0; at = tree.parent[at]) place = stepUp(place, at);
    callers.self[place] += tree.total[node];
    callers.baseSelf[place] += tree.baseTotal[node];
  }
  const choice = { groups: { key: "", values: [null] }, width: tree.width, scaleOf: () => tree.scale };
  return { callers: finishTree(callers, choice), callees: finishTree(callees, choice) };
}

/** Gives the child of a place for the function of a node, made when it is new. */
function makeStep(out, tree) {
  const places = new Map();
  return (parent, node) => {
    const key = `${parent},${tree.fn[node]}`;
    if (!places.has(key)) places.set(key, addNode(out, { parent, fn: tree.fn[node], origin: tree.origin[node], group: -1 }));
    return places.get(key);
  };
}
