// The tree a view shows: root, then one node per label value when grouped, then functions.

/**
 * Builds the tree of one profile type.
 * `pass` marks label sets to keep, `groups` comes from groupLabels, `focus` is a function that
 * every kept stack must contain, or -1. Parents come before children in every array; node 0 is
 * the root. `fn` is -1 for the root and for group nodes.
 */
export function buildTree(profile, { type, pass, groups, focus }) {
  const buckets = collect(profile, { type, pass, groups, focus });
  const grouped = groups.key !== "";
  const out = { parent: [-1], fn: [-1], base: [-1], group: [-1], self: [0], hot: [-1] };
  const scratch = makeScratch(profile.nodes.count);
  buckets.forEach((samples, group) => {
    if (samples.length === 0) return;
    let top = 0;
    if (grouped) {
      top = out.parent.length;
      push(out, { parent: 0, fn: -1, base: -1, group });
    }
    emit(profile, { samples, values: profile.values[type], top, group }, out, scratch);
  });
  return finish(out, groups);
}

function makeScratch(count) {
  return { id: new Int32Array(count).fill(-1), best: new Float64Array(count) };
}

function push(out, { parent, fn, base, group }) {
  out.parent.push(parent);
  out.fn.push(fn);
  out.base.push(base);
  out.group.push(group);
  out.self.push(0);
  out.hot.push(-1);
}

/** The kept samples of each group. */
function collect(profile, { type, pass, groups, focus }) {
  const within = focus < 0 ? null : nodesWith(profile.nodes, focus);
  const buckets = groups.values.map(() => []);
  const values = profile.values[type];
  for (let i = 0; i < values.length; i += 1) {
    const labels = profile.sampleLabels[i];
    if (!pass[labels] || !(values[i] > 0)) continue;
    if (within && !within[profile.nodes.of[profile.sampleNode[i]]]) continue;
    buckets[groups.of[labels]].push(i);
  }
  return buckets;
}

function nodesWith({ count, parent, fn }, focus) {
  const within = new Uint8Array(count);
  for (let node = 0; node < count; node += 1) {
    within[node] = fn[node] === focus || (parent[node] >= 0 && within[parent[node]]) ? 1 : 0;
  }
  return within;
}

/** Adds the nodes that one group's samples touch, in the order of the profile's tree. */
function emit(profile, { samples, values, top, group }, out, scratch) {
  const { nodes } = profile;
  const touched = [];
  for (const sample of samples) {
    let node = nodes.of[profile.sampleNode[sample]];
    while (node >= 0 && scratch.id[node] === -1) {
      scratch.id[node] = -2;
      touched.push(node);
      node = nodes.parent[node];
    }
  }
  const order = Int32Array.from(touched).sort();
  for (const node of order) {
    const parent = nodes.parent[node] < 0 ? top : scratch.id[nodes.parent[node]];
    scratch.id[node] = out.parent.length;
    push(out, { parent, fn: nodes.fn[node], base: node, group });
  }
  for (const sample of samples) {
    const stored = profile.sampleNode[sample];
    const node = nodes.of[stored];
    out.self[scratch.id[node]] += values[sample];
    // The line shown for a merged node is the one of its heaviest sample.
    if (values[sample] > scratch.best[node]) {
      scratch.best[node] = values[sample];
      out.hot[scratch.id[node]] = nodes.frame[stored];
    }
  }
  for (const node of order) {
    scratch.id[node] = -1;
    scratch.best[node] = 0;
  }
}

/** Adds totals, children (heaviest first), offsets and depths. */
function finish(out, groups) {
  const count = out.parent.length;
  const tree = {
    count,
    groups,
    parent: Int32Array.from(out.parent),
    fn: Int32Array.from(out.fn),
    base: Int32Array.from(out.base),
    group: Int32Array.from(out.group),
    hot: Int32Array.from(out.hot),
    self: Float64Array.from(out.self),
    total: Float64Array.from(out.self),
    depth: new Int32Array(count),
    height: new Int32Array(count),
  };
  for (let node = count - 1; node > 0; node -= 1) {
    const parent = tree.parent[node];
    tree.total[parent] += tree.total[node];
    tree.height[parent] = Math.max(tree.height[parent], tree.height[node] + 1);
  }
  linkChildren(tree);
  return tree;
}

function linkChildren(tree) {
  const { count, parent, total } = tree;
  tree.firstChild = new Int32Array(count + 1);
  for (let node = 1; node < count; node += 1) tree.firstChild[parent[node] + 1] += 1;
  for (let node = 0; node < count; node += 1) tree.firstChild[node + 1] += tree.firstChild[node];
  tree.children = new Int32Array(Math.max(0, count - 1));
  const fill = tree.firstChild.slice();
  for (let node = 1; node < count; node += 1) tree.children[fill[parent[node]]++] = node;
  tree.start = new Float64Array(count);
  for (let node = 0; node < count; node += 1) {
    const children = tree.children.subarray(tree.firstChild[node], tree.firstChild[node + 1]);
    if (children.length > 1) children.sort((a, b) => total[b] - total[a] || a - b);
    let offset = tree.start[node];
    for (const child of children) {
      tree.start[child] = offset;
      tree.depth[child] = tree.depth[node] + 1;
      offset += total[child];
    }
  }
}

/** The nodes from below the root down to `node`. */
export function pathTo(tree, node) {
  const path = [];
  for (let at = node; at > 0; at = tree.parent[at]) path.push(at);
  return path.reverse();
}

/** The node that shows the profile's node `base` in the group with this value; 0 when absent. */
export function findNode(tree, base, groupValue) {
  for (let node = 1; node < tree.count; node += 1) {
    if (tree.base[node] !== base) continue;
    if (tree.groups.key === "" || tree.groups.values[tree.group[node]] === groupValue) return node;
  }
  return 0;
}
