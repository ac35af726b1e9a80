// The strip about a comparison: what is compared, how much changed, what vanished, and the choices.

import { byId, element } from "./dom.js";
import { formatCount } from "./format.js";
import { showValue } from "./label.js";
import { describePeriod, formatTime } from "./period.js";

const NAMED = 5;

/** Both sides in words: {shown, base}. */
export function nameSides(profile, { pair }, { shownRange, baseRange }) {
  if (pair) return { shown: `${pair.key}: ${showValue(pair.key, pair.shown)}`, base: `${pair.key}: ${showValue(pair.key, pair.base)}` };
  const { parts, base } = profile;
  const [shown, before] = [describePeriod(parts, shownRange), describePeriod(parts, baseRange)];
  if (base === null) return { shown, base: before };
  const called = (side, period) => [side.title, formatTime(side.startMs) && period].filter((text) => text !== "").join(", ");
  return { shown: called(profile, shown) || "this profile", base: called(base, before) || "the base" };
}

/** Shows the strip; `comparison` is null when nothing is compared. `pick(fn)` selects a function. */
export function renderComparison(profile, { state, sides, comparison }, pick) {
  byId("comparing").hidden = comparison === null;
  if (comparison === null) return;
  const names = nameSides(profile, state, sides);
  byId("shown-side").textContent = names.shown;
  byId("base-side").textContent = names.base;
  byId("outcome").textContent = describeOutcome(comparison);
  renderVanished(byId("vanished"), profile.functions.name, comparison, pick);
  byId("measure").value = comparison.measure;
  byId("measure").querySelector("[value=rate]").disabled = !(sides.seconds > 0 && sides.baseSeconds > 0);
  byId("width").value = state.width;
  byId("compare-end").hidden = state.against === null && state.pair === null;
}

function describeOutcome({ base, shown, changed, functions }) {
  if (base.samples === null || shown.samples === null) return "The profile does not tell how many samples it has, so nothing is called changed.";
  const counts = `${formatCount(shown.samples)} samples against ${formatCount(base.samples)}`;
  return `${formatCount(changed.size)} of ${formatCount(functions)} functions changed more than chance explains (${counts}).`;
}

function renderVanished(holder, names, { vanished, changed }, pick) {
  holder.hidden = vanished.length === 0;
  const listed = vanished.filter((fn) => changed.has(fn)).slice(0, NAMED);
  const links = listed.flatMap((fn, i) => [i > 0 ? ", " : "", element("button", { type: "button", class: "link", title: names[fn], onclick: () => pick(fn) }, element("bdi", {}, names[fn]))]);
  const left = vanished.length - listed.length;
  const rest = left === 0 ? "" : `${listed.length > 0 ? " and " : ""}${formatCount(left)}${listed.length > 0 ? " more" : ""}`;
  const chance = vanished.some((fn) => !changed.has(fn)) ? " (in the table; chance may explain some)" : "";
  holder.replaceChildren("Vanished: ", ...links, rest + (left > 0 ? chance : ""));
}
