// The small parts around the graph: path, selection, legend, tooltip, help, separator.

import { byId, element } from "./dom.js";
import { formatShare, formatValue } from "./format.js";
import { moduleName } from "./name.js";
import { pathTo } from "./tree.js";

const KEYS = [
  ["/", "search"],
  ["Enter, Shift+Enter", "zoom to the next or previous match (n, p anywhere)"],
  ["Esc", "step back: search, selection, zoom, focus"],
  ["↑ ↓ ← →", "move in the graph or the table"],
  ["Enter", "zoom to a frame; select a row, again to zoom to it"],
  ["0", "show everything"],
  ["f", "only stacks through the selected function"],
  ["s", "callers and callees of the selected function"],
  ["o / h", "only what matches the search / hide what matches"],
  ["g / t", "go to the graph / the table"],
  ["i", "flip the graph"],
  ["d", "light or dark"],
  ["?", "this help"],
];

/** The path to the zoomed node; long ones keep both ends. */
export function renderCrumbs(holder, { tree, zoom, nameOf, go }) {
  let path = [0, ...pathTo(tree, zoom)];
  if (path.length > 5) path = [path[0], -1, ...path.slice(-3)];
  const parts = path.flatMap((node, index) => {
    if (node < 0) return [element("span", { class: "quiet" }, "› … ")];
    const last = index === path.length - 1;
    const name = element("bdi", {}, nameOf(node));
    const crumb = element("button", { type: "button", class: "link", "aria-current": last ? "true" : null, title: nameOf(node), onclick: () => go(node) }, name);
    return index === 0 ? [crumb] : [element("span", { class: "quiet", "aria-hidden": "true" }, "›"), crumb];
  });
  holder.replaceChildren(...parts);
}

/** The strip about the selected function. `facts` is {name, self, total, whole, unit, places, sandwich}. */
export function renderSelection(holder, facts, { zoomNext, sandwich, focus, hide, clear }) {
  holder.hidden = facts === null;
  if (facts === null) return;
  const { name, self, total, whole, unit, places } = facts;
  const figures = `self ${formatShare(self, whole)} (${formatValue(self, unit)}), total ${formatShare(total, whole)} (${formatValue(total, unit)})`;
  const button = (text, onclick, title, pressed = null) => element("button", { type: "button", onclick, title, "aria-pressed": pressed }, text);
  holder.replaceChildren(
    element("bdi", { class: "name" }, name),
    element("span", { class: "figures" }, figures),
    element("span", { class: "row end" },
      button(places > 1 ? `Zoom (${places} places)` : "Zoom", zoomNext, "Zoom to where it is widest; again for the next place"),
      button("Callers and callees", sandwich, "Above and below this function, over all its places (s)", String(facts.sandwich)),
      button("Only through it", focus, "Keep only stacks that contain this function (f)"),
      button("Hide", hide, "Merge this function into its callers"),
      button("Clear", clear, "Clear the selection (Esc)")));
}

function makeSwatch(colour) {
  const swatch = element("i", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = colour;
  return swatch;
}

/** What the colours of a comparison stand for. */
export function renderChangeLegend(holder, { more, less, neutral }) {
  const entry = (colour, text) => element("span", {}, makeSwatch(colour), text);
  holder.replaceChildren(
    entry(more[1], "▲ more than in the base"),
    entry(less[1], "▼ less"),
    entry(neutral[1], "no change beyond chance, or under half a point"));
}

/** What each colour stands for, with its self share; a click searches for it. */
export function renderLegend(holder, { legend, others, palette, prefix, weights, search }) {
  const entries = legend.map(({ name, slot }) => {
    const swatch = makeSwatch(palette.colours[slot][1]);
    const label = prefix === "module:" ? moduleName(name) : name;
    return element("button", { type: "button", class: "link", title: name, onclick: () => search(prefix, name) }, swatch, element("bdi", {}, label), element("span", { class: "quiet" }, " " + weights(name)));
  });
  if (others) entries.push(element("span", {}, makeSwatch(palette.neutral[1]), "other"));
  holder.replaceChildren(element("span", { class: "quiet" }, `Self by ${prefix.slice(0, -1)}`), ...entries);
}

/** Puts the tooltip beside the pointer, inside the window. `lines` are [class, text]. */
export function showTooltip(lines, event) {
  const tooltip = byId("tooltip");
  tooltip.hidden = lines === null;
  if (lines === null) return;
  tooltip.replaceChildren(...lines.filter(([, text]) => text !== "").map(([kind, text]) => element("p", { class: kind }, element("bdi", {}, text))));
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  const x = event.clientX + 14 + width > innerWidth ? event.clientX - width - 10 : event.clientX + 14;
  const y = event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18;
  tooltip.style.left = Math.max(4, x) + "px";
  tooltip.style.top = Math.max(4, y) + "px";
}

/** Fills the help with the keys and an example from the reader's own profile. */
export function renderHelp(example) {
  byId("help-example").textContent = example;
  byId("keys").replaceChildren(...KEYS.flatMap(([key, what]) => [element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)]));
}

/** Makes the line between table and graph movable, by pointer and by arrow keys. */
export function movableSeparator(separator, split) {
  const set = (fraction) => {
    const share = Math.min(0.8, Math.max(0.15, fraction));
    split.style.setProperty("--table", (100 * share).toFixed(1) + "%");
    separator.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  };
  const box = () => split.getBoundingClientRect();
  separator.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    separator.setPointerCapture(event.pointerId);
  });
  separator.addEventListener("pointermove", (event) => {
    if (separator.hasPointerCapture(event.pointerId)) set((event.clientX - box().left) / box().width);
  });
  separator.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (step) set((separator.getBoundingClientRect().left - box().left) / box().width + step);
  });
}
