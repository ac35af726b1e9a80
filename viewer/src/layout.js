// Which rectangles of a tree are visible. Pure; the cost follows what is seen, not the tree.

/**
 * Calls `paint(node, depth, x, width)` for every rectangle of at least `minWidth` pixels in the
 * rows [firstRow, lastRow]; siblings too narrow to see are painted as one with node -1.
 * `from`/`to` is the visible range in the tree's spans, `width` the pixels it covers.
 */
export function layoutTree(tree, { from, to, width, minWidth, firstRow, lastRow }, paint) {
  const scale = width / (to - from);
  if (!(scale > 0) || !Number.isFinite(scale)) return;
  const stack = [0];
  while (stack.length > 0) {
    const node = stack.pop();
    const depth = tree.depth[node];
    if (depth >= firstRow) place(tree, node, { from, scale, width }, paint, depth);
    if (depth >= lastRow) continue;
    pushChildren(tree, node, { from, to, scale, width, minWidth, firstRow }, stack, paint);
  }
}

function place(tree, node, { from, scale, width }, paint, depth) {
  const left = Math.max(0, (tree.start[node] - from) * scale);
  const right = Math.min(width, (tree.start[node] + tree.span[node] - from) * scale);
  if (right > left) paint(node, depth, left, right - left);
}

/** Children come widest first: after the first one that is too narrow, all others are too. */
function pushChildren(tree, node, view, stack, paint) {
  const { from, to, scale, width, minWidth, firstRow } = view;
  for (let at = tree.firstChild[node]; at < tree.firstChild[node + 1]; at += 1) {
    const child = tree.children[at];
    if (tree.start[child] >= to) return;
    if (tree.span[child] * scale < minWidth) {
      const left = Math.max(0, (tree.start[child] - from) * scale);
      const last = tree.children[tree.firstChild[node + 1] - 1];
      const end = tree.start[last] + tree.span[last];
      const right = Math.min(width, (end - from) * scale);
      const depth = tree.depth[child];
      if (depth >= firstRow && right - left >= 0.5) paint(-1, depth, left, right - left);
      return;
    }
    if (tree.start[child] + tree.span[child] > from) stack.push(child);
  }
}
