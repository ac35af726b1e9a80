// The top table: self and total of every function, for the whole tree or for each group.

/**
 * Sections of the table: one for the whole tree, or one per label value, heaviest first.
 * A row is {fn, self, total, baseSelf, baseTotal}, the latter two of the base of a comparison; a
 * recursive function counts once per stack in its total.
 */
export function topSections(profile, tree) {
  const { values, key } = tree.groups;
  const cells = key === "" ? [new Map()] : values.map(() => new Map());
  const { repeat } = profile.nodes;
  for (let node = 1; node < tree.count; node += 1) {
    const fn = tree.fn[node];
    if (fn < 0) continue;
    const rows = cells[key === "" ? 0 : tree.group[node]];
    let row = rows.get(fn);
    if (row === undefined) {
      row = { fn, self: 0, total: 0, baseSelf: 0, baseTotal: 0 };
      rows.set(fn, row);
    }
    row.self += tree.self[node];
    row.baseSelf += tree.baseSelf[node];
    if (repeat[tree.origin[node]]) continue;
    row.total += tree.total[node];
    row.baseTotal += tree.baseTotal[node];
  }
  if (key === "") return [{ node: 0, value: null, total: tree.total[0], baseTotal: tree.baseTotal[0], rows: [...cells[0].values()] }];
  const sections = [];
  for (let at = tree.firstChild[0]; at < tree.firstChild[1]; at += 1) {
    const node = tree.children[at];
    const group = tree.group[node];
    sections.push({ node, value: values[group], total: tree.total[node], baseTotal: tree.baseTotal[node], rows: [...cells[group].values()] });
  }
  return sections;
}

/** The columns rows can be sorted by, each with its figure. */
const FIGURES = {
  self: (row) => row.self,
  total: (row) => row.total,
  "self-change": (row) => row.selfChange?.change ?? 0,
  "total-change": (row) => row.totalChange?.change ?? 0,
};

/** Sorts rows in place by a figure or by "name"; ties fall back to self, total and the name. */
export function sortRows(rows, names, { column, descending }) {
  const byName = (a, b) => (names[a.fn] < names[b.fn] ? -1 : names[a.fn] > names[b.fn] ? 1 : a.fn - b.fn);
  const direction = descending ? -1 : 1;
  if (column === "name") return rows.sort((a, b) => direction * byName(a, b));
  const figure = FIGURES[column];
  return rows.sort((a, b) => direction * (figure(a) - figure(b)) || b.self - a.self || b.total - a.total || byName(a, b));
}

/** The function with the largest self value over all sections that is not a placeholder. */
export function hottest(profile, sections) {
  const self = new Float64Array(profile.functions.count);
  for (const section of sections) for (const row of section.rows) self[row.fn] += row.self;
  let best = -1;
  for (let fn = 0; fn < self.length; fn += 1) {
    if (profile.functions.placeholder[fn] || !(self[fn] > 0)) continue;
    if (best < 0 || self[fn] > self[best]) best = fn;
  }
  return best < 0 ? null : { fn: best, self: self[best] };
}
