// What is said about one node of a tree: in its bar, in the tooltip, to a screen reader.

import { formatChange, formatShare, formatValue } from "./format.js";

/** The lines [class, text] about a node. `about` is {tree, name, unit, comparison, inverted}; in an
 *  inverted tree a node's parent is what it calls. */
export function describeNode({ functions }, { tree, name, unit, comparison, inverted }, node) {
  const fn = tree.fn[node];
  const figures = (value, whole) => `${formatValue(value, unit)}, ${formatShare(value, whole)}`;
  const up = tree.parent[node];
  const ofCaller = up > 0 && !inverted ? `, ${formatShare(tree.total[node], tree.total[up])} of its caller` : "";
  const lines = [["name", name], ["figures", `total ${figures(tree.total[node], tree.total[0])}${ofCaller}`]];
  if (comparison) lines.push(...describeChange({ tree, unit, comparison }, node));
  if (fn < 0) return lines;
  if (inverted) return [...lines, ["quiet", functions.file[fn]], ["quiet", functions.module[fn]]];
  lines.push(["figures", `self ${figures(tree.self[node], tree.total[0])}`]);
  const frame = tree.hot[node];
  const line = frame < 0 ? 0 : functions.line[frame];
  lines.push(["quiet", functions.file[fn] + (line > 0 && functions.file[fn] !== "" ? ":" + line : "")]);
  lines.push(["quiet", functions.module[fn]]);
  if (frame >= 0 && functions.inlined[frame]) lines.push(["quiet", "inlined"]);
  return lines;
}

function describeChange({ tree, unit, comparison }, node) {
  const before = tree.baseTotal[node];
  const outcome = comparison.test(tree, node);
  const vanished = tree.total[node] === 0 ? "vanished: " : "";
  return [
    ["figures", `${vanished}base ${formatValue(before, unit)}, ${formatShare(before, tree.baseTotal[0])}`],
    ["figures", `${formatChange(outcome.change, comparison.measure, unit)}: ${judge(outcome, comparison)}`],
  ];
}

/** What an outcome of the test means. */
export function judge({ changed, part }, { base, shown }) {
  if (changed) return part > 0 ? "more than chance explains" : "less than chance explains";
  return base.samples > 0 && shown.samples > 0 ? "no change beyond chance" : "too few facts to tell a change";
}

/** The figure at the right end of a bar: its share, or its change when bars are coloured by it. The
 *  unit of points is left out, as bars are narrow. */
export function barText({ tree, unit, comparison, width }, byChange, node) {
  if (node === 0) return "";
  if (byChange) {
    const { change, changed } = comparison.test(tree, node);
    const mark = changed ? (change > 0 ? "▲ " : "▼ ") : "";
    return mark + formatChange(change, comparison.measure, unit).replace(/\u00a0pt$/, "");
  }
  return width === "base" ? formatShare(tree.baseTotal[node], tree.baseTotal[0]) : formatShare(tree.total[node], tree.total[0]);
}
