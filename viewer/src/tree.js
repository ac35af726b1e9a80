// The tree a view shows: root, then one node per label value when grouped, then functions.

import { BASE, SHOWN } from "./sides.js";

/**
 * Builds the tree of one profile type. `choice` has:
 * - `sides`, from sidesOf: which samples count, and for which side;
 * - `groups`, from groupLabels;
 * - `keep`, which of the profile's nodes every kept stack must end in, or null for all;
 * - `hidden`, marks of the functions that merge into their callers, or null;
 * - `width`, whose share of a node is its span in the graph: "shown", "base" or "both";
 * - `scaleOf(total, baseTotal)`, what makes values of the base comparable in "both".
 * Parents come before children in every array; node 0 is the root. `fn` is -1 for the root and for
 * group nodes; `origin` is the profile's node.
 */
export function buildTree(profile, choice) {
  const { type, groups } = choice;
  const buckets = collect(profile, choice);
  const out = startTree();
  const scratch = { id: new Int32Array(profile.nodes.count).fill(-1), best: new Float64Array(profile.nodes.count) };
  buckets.forEach((samples, group) => {
    if (samples.length === 0) return;
    const top = groups.key === "" ? 0 : addNode(out, { parent: 0, fn: -1, origin: -1, group });
    const part = { samples, values: profile.values[type], top, group };
    const order = addNodes(profile, part, choice.hidden, out, scratch);
    addSamples(profile, part, choice, out, scratch);
    for (const node of order) {
      scratch.id[node] = -1;
      scratch.best[node] = 0;
    }
  });
  return finishTree(out, { groups, width: choice.width, scaleOf: choice.scaleOf });
}

/** A tree under construction, with its root. */
export function startTree(fn = -1) {
  return { parent: [-1], fn: [fn], origin: [-1], group: [-1], self: [0], baseSelf: [0], hot: [-1], moved: 0 };
}

/** Adds a node without weight and returns it. */
export function addNode(out, { parent, fn, origin, group }) {
  out.parent.push(parent);
  out.fn.push(fn);
  out.origin.push(origin);
  out.group.push(group);
  out.self.push(0);
  out.baseSelf.push(0);
  out.hot.push(-1);
  return out.parent.length - 1;
}

/** The kept samples of each group. */
function collect(profile, { type, sides, groups, keep }) {
  const { samplePart, sampleLabels, sampleNode, nodes } = profile;
  const { ofPart, ofLabels } = sides;
  const buckets = groups.values.map(() => []);
  const values = profile.values[type];
  for (let i = 0; i < values.length; i += 1) {
    const labels = sampleLabels[i];
    if (!(ofPart[samplePart[i]] & ofLabels[labels]) || !(values[i] > 0)) continue;
    if (keep && !keep[nodes.of[sampleNode[i]]]) continue;
    buckets[groups.of[labels]].push(i);
  }
  return buckets;
}

/** Marks the profile's nodes that have a marked function in their stack, themselves included. */
export function nodesThrough({ count, parent, fn }, marked) {
  const within = new Uint8Array(count);
  for (let node = 0; node < count; node += 1) {
    within[node] = marked[fn[node]] || (parent[node] >= 0 && within[parent[node]]) ? 1 : 0;
  }
  return within;
}

/** Adds the nodes that one group's samples touch, in the order of the profile's tree. A hidden
 *  node gets its caller's place, and what it called merges with the caller's own callees. */
function addNodes({ nodes, sampleNode, functions }, { samples, top, group }, hidden, out, scratch) {
  const touched = [];
  for (const sample of samples) {
    let node = nodes.of[sampleNode[sample]];
    while (node >= 0 && scratch.id[node] === -1) {
      scratch.id[node] = -2;
      touched.push(node);
      node = nodes.parent[node];
    }
  }
  const order = Int32Array.from(touched).sort();
  const merged = new Map();
  for (const node of order) {
    const parent = nodes.parent[node] < 0 ? top : scratch.id[nodes.parent[node]];
    const fn = nodes.fn[node];
    if (hidden === null) {
      scratch.id[node] = addNode(out, { parent, fn, origin: node, group });
    } else if (hidden[fn]) {
      scratch.id[node] = parent;
    } else {
      const key = parent * functions.count + fn;
      if (!merged.has(key)) merged.set(key, addNode(out, { parent, fn, origin: node, group }));
      scratch.id[node] = merged.get(key);
    }
  }
  return order;
}

/** Adds the samples' values to their nodes. */
function addSamples({ nodes, sampleNode, sampleLabels, samplePart }, { samples, values }, { sides, hidden }, out, scratch) {
  for (const sample of samples) {
    const stored = sampleNode[sample];
    const node = nodes.of[stored];
    const place = scratch.id[node];
    const value = values[sample];
    const side = sides.ofPart[samplePart[sample]] & sides.ofLabels[sampleLabels[sample]];
    if (side & SHOWN) out.self[place] += value;
    if (side & BASE) out.baseSelf[place] += value;
    if (hidden !== null && hidden[nodes.fn[node]]) {
      if (side & SHOWN) out.moved += value;
      continue;
    }
    // The line shown for a merged node is the one of its heaviest sample.
    const best = out.origin[place];
    if (value > scratch.best[best]) {
      scratch.best[best] = value;
      out.hot[place] = nodes.frame[stored];
    }
  }
}

/** Adds totals, spans, children (widest first), offsets and depths. */
export function finishTree(out, { groups, width, scaleOf }) {
  const count = out.parent.length;
  const tree = { count, groups, width, moved: out.moved, depth: new Int32Array(count), height: new Int32Array(count) };
  for (const name of ["parent", "fn", "origin", "group", "hot"]) tree[name] = Int32Array.from(out[name]);
  for (const name of ["self", "baseSelf"]) tree[name] = Float64Array.from(out[name]);
  tree.total = tree.self.slice();
  tree.baseTotal = tree.baseSelf.slice();
  addUp(tree, tree.total);
  addUp(tree, tree.baseTotal);
  tree.scale = scaleOf(tree.total[0], tree.baseTotal[0]);
  tree.span = makeSpans(tree);
  addUp(tree, tree.span);
  for (let node = count - 1; node > 0; node -= 1) {
    const parent = tree.parent[node];
    if (tree.span[node] > 0) tree.height[parent] = Math.max(tree.height[parent], tree.height[node] + 1);
  }
  linkChildren(tree);
  return tree;
}

function addUp({ count, parent }, values) {
  for (let node = count - 1; node > 0; node -= 1) values[parent[node]] += values[node];
}

/** The width of each node without its callees. The larger of both sides leaves room for frames
 *  that only one of them has. */
function makeSpans({ self, baseSelf, width, scale }) {
  if (width === "base") return baseSelf.slice();
  if (width !== "both") return self.slice();
  return self.map((value, node) => Math.max(value, baseSelf[node] * scale));
}

function linkChildren(tree) {
  const { count, parent, span } = tree;
  tree.firstChild = new Int32Array(count + 1);
  for (let node = 1; node < count; node += 1) tree.firstChild[parent[node] + 1] += 1;
  for (let node = 0; node < count; node += 1) tree.firstChild[node + 1] += tree.firstChild[node];
  tree.children = new Int32Array(Math.max(0, count - 1));
  const fill = tree.firstChild.slice();
  for (let node = 1; node < count; node += 1) tree.children[fill[parent[node]]++] = node;
  tree.start = new Float64Array(count);
  for (let node = 0; node < count; node += 1) {
    const children = tree.children.subarray(tree.firstChild[node], tree.firstChild[node + 1]);
    if (children.length > 1) children.sort((a, b) => span[b] - span[a] || a - b);
    let offset = tree.start[node];
    for (const child of children) {
      tree.start[child] = offset;
      tree.depth[child] = tree.depth[node] + 1;
      offset += span[child];
    }
  }
}

/** The nodes from below the root down to `node`. */
export function pathTo(tree, node) {
  const path = [];
  for (let at = node; at > 0; at = tree.parent[at]) path.push(at);
  return path.reverse();
}

/** The node that shows the profile's node `origin` in the group with this value; 0 when absent. */
export function findNode(tree, origin, groupValue) {
  for (let node = 1; node < tree.count; node += 1) {
    if (tree.origin[node] !== origin) continue;
    if (tree.groups.key === "" || tree.groups.values[tree.group[node]] === groupValue) return node;
  }
  return 0;
}
