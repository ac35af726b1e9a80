// Search: a pattern over function names, or over modules and files with a prefix.

const FIELDS = { "module:": "module", "file:": "file", "package:": "pkg", "language:": "language" };

/**
 * Compiles what the reader typed. Null when nothing is typed. Lower-case patterns ignore case.
 * A pattern that is not a valid regular expression is searched as plain text (`plain` is true).
 */
export function compileQuery(text) {
  if (text.trim() === "") return null;
  const prefix = Object.keys(FIELDS).find((p) => text.startsWith(p));
  const pattern = prefix ? text.slice(prefix.length) : text;
  if (pattern === "") return null;
  const flags = pattern === pattern.toLowerCase() ? "iu" : "u";
  const field = prefix ? FIELDS[prefix] : "name";
  try {
    return { field, regex: new RegExp(pattern, flags), plain: false };
  } catch {
    return { field, regex: new RegExp(escapeRegex(pattern), flags), plain: true };
  }
}

/** Marks the functions that match. */
export function matchFunctions(functions, query) {
  return Uint8Array.from(functions[query.field], (text) => (query.regex.test(text) ? 1 : 0));
}

/** The weight of the stacks that contain a marked function, each counted once. */
export function matchedTotal(tree, marked) {
  const covered = new Uint8Array(tree.count);
  let total = 0;
  for (let node = 1; node < tree.count; node += 1) {
    covered[node] = covered[tree.parent[node]];
    if (covered[node] || tree.fn[node] < 0 || !marked[tree.fn[node]]) continue;
    covered[node] = 1;
    total += tree.total[node];
  }
  return total;
}

/** Nodes of marked functions that have no marked ancestor, widest first, at most `limit`. */
export function matchedNodes(tree, marked, limit) {
  const covered = new Uint8Array(tree.count);
  const found = [];
  for (let node = 1; node < tree.count; node += 1) {
    covered[node] = covered[tree.parent[node]];
    if (covered[node] || tree.fn[node] < 0 || !marked[tree.fn[node]]) continue;
    covered[node] = 1;
    if (tree.span[node] > 0) found.push(node);
  }
  return found.sort((a, b) => tree.span[b] - tree.span[a]).slice(0, limit);
}

/** Makes a text match only itself. */
export function escapeRegex(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
