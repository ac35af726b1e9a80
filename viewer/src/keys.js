// The keys that work anywhere on the page.

import { byId } from "./dom.js";

/** Does what a key asks for, unless it belongs to a field or an open menu. */
export function handleKey(page, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open || byId("menu").matches(":popover-open")) return;
  const typing = event.target === byId("search");
  if (event.key === "Escape") return stepBack(page, event, typing);
  if (typing || event.target.matches("select")) return;
  const actions = {
    "/": () => byId("search").select(),
    "?": () => byId("help").showModal(),
    0: () => page.change({ zoom: null }, true),
    n: () => page.nextMatch(1),
    p: () => page.nextMatch(-1),
    f: () => page.state.selected >= 0 && page.change({ focus: page.state.selected, zoom: null }, true),
    s: () => page.state.selected >= 0 && page.change({ sandwich: !page.state.sandwich }, true),
    o: () => page.useQuery("only"),
    h: () => page.useQuery("hide"),
    g: () => byId(byId("sandwich").hidden ? "graph" : "callees").focus(),
    t: () => page.table.focus(),
    i: () => page.change({ flipped: !page.state.flipped }),
    d: () => page.toggleTheme(),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

/** Esc undoes one thing at a time. */
function stepBack(page, event, typing) {
  const { query, selected, zoom, focus, sandwich } = page.state;
  event.preventDefault();
  if (typing) byId("search").blur();
  if (query !== "") page.change({ query: "" });
  else if (typing) return;
  else if (sandwich && selected >= 0) page.change({ sandwich: false }, true);
  else if (selected >= 0) page.change({ selected: -1 });
  else if (zoom !== null) page.change({ zoom: null }, true);
  else if (focus >= 0) page.change({ focus: -1 }, true);
}
