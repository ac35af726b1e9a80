// The head of the page: whose profile it is, its totals, what was lost, its hottest function.

import { byId, element } from "./dom.js";
import { formatShare, formatValue, typeName } from "./format.js";
import { describeLoss, describeSources, describeTotal } from "./loss.js";
import { sumOf } from "./profile.js";

/** Fills in what does not change with the state. */
export function fillSummary(profile) {
  document.title = profile.title === "" ? "Sondage profile" : profile.title + " · Sondage";
  byId("title").textContent = profile.title === "" ? "Profile" : profile.title;
  byId("process").replaceChildren(...profile.labels.flatMap(([key, value], i) => [i > 0 ? " · " : "", element("bdi", {}, `${key}: ${value}`)]));
  byId("type").replaceChildren(...profile.types.map(({ type, unit }, index) => element("option", { value: String(index), title: `${type} (${unit})` }, typeName(type))));
  byId("type-field").hidden = profile.types.length < 2;
  showLoss("loss", describeLoss(profile), "");
  byId("sources").textContent = describeSources(profile);
  byId("base-loss").hidden = profile.base === null;
  if (profile.base) showLoss("base-loss", describeLoss(profile, true), "Base: ");
}

function showLoss(id, { level, headline }, prefix) {
  byId(id).className = level;
  byId(id + "-text").textContent = prefix + headline;
}

/** Shows the totals of a state and its hottest function. */
export function renderTotals(profile, { type, period }, { tree, sides, hot, unit }) {
  const first = period && profile.parts[period[0]];
  const startMs = first?.known ? first.startMs : profile.startMs;
  byId("total").textContent = formatValue(tree.total[0], unit);
  byId("facts").textContent = describeTotal(profile, type, { shown: tree.total[0], whole: sumOf(profile, type), seconds: sides.seconds, startMs });
  byId("hot-line").hidden = hot === null;
  if (hot === null) return;
  byId("hot").replaceChildren(element("bdi", {}, profile.functions.name[hot.fn]));
  byId("hot-share").textContent = `${formatShare(hot.self, tree.total[0])} in itself`;
}

/** The help's example from the reader's own profile. */
export function describeExample(profile, { type }, { hot, tree }) {
  if (!hot) return "This profile holds no stack.";
  const share = formatShare(hot.self, tree.total[0]);
  return `In this profile the function that used most by itself is ${profile.functions.name[hot.fn]}: ${share} of ${typeName(profile.types[type].type)}. The link beside “Hottest function” zooms to its widest bar.`;
}
