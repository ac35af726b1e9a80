// Whether everybody can use the page: names, roles, states, order, contrast and focus, in every state.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { buildPage } from "../build.mjs";
import { contrast } from "./contrast.mjs";
import { compared, embed, realistic, series } from "./profiles.mjs";
import { inBrowser } from "./session.mjs";

const STYLE = readFileSync(new URL("../src/style.css", import.meta.url), "utf8");

/** The colours that the style sheet names, for one theme. */
function tokens(theme) {
  const [light, dark] = STYLE.split(':root[data-theme="dark"]');
  const read = (text) => Object.fromEntries([...text.split("}")[0].matchAll(/--([\w-]+): (#[0-9a-f]+);/g)].map(([, name, value]) => [name, value.length === 4 ? "#" + [...value.slice(1)].map((c) => c + c).join("") : value]));
  return theme === "light" ? read(light) : { ...read(light), ...read(dark) };
}

test("every_text_colour_has_a_contrast_of_4_5_on_every_ground_it_stands_on", () => {
  const grounds = ["ground", "paper", "wash", "pick"];
  const pairs = [
    ...["ink", "quiet", "link", "accent"].flatMap((ink) => grounds.map((ground) => [ink, ground])),
    ...["more", "less"].flatMap((ink) => ["paper", "wash", "pick"].map((ground) => [ink, ground])),
    ["ink", "gauge"], ["warn", "ground"], ["dim-text", "dim"],
  ];
  for (const theme of ["light", "dark"]) {
    const colours = tokens(theme);
    for (const [ink, ground] of pairs) {
      const ratio = contrast(colours[ink], colours[ground]);
      assert.ok(ratio >= 4.5, `${theme}: --${ink} on --${ground} is ${ratio.toFixed(2)}`);
    }
    // Lines that mean something: bars of the time line and the mark of a loss.
    for (const line of ["accent", "warn-line"]) assert.ok(contrast(colours[line], colours.ground) >= (line === "accent" ? 3 : 2), `${theme}: --${line}`);
  }
});

/** Looks for what a rule of accessibility forbids, inside the page. Returns sentences. */
const AUDIT = `(() => {
  const faults = [];
  const visible = (e) => e.checkVisibility({ visibilityProperty: true });
  const describe = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + " " + e.textContent.slice(0, 30);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push("duplicate id " + id);
  for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
    for (const e of document.querySelectorAll("[" + name + "]")) {
      for (const id of e.getAttribute(name).split(" ")) if (!document.getElementById(id)) faults.push(name + " of " + describe(e) + " names nothing");
    }
  }
  const roles = ["search", "separator", "application", "slider", "menu", "menuitem", "menuitemcheckbox", "alert", "group", "presentation"];
  for (const e of document.querySelectorAll("[role]")) if (!roles.includes(e.getAttribute("role"))) faults.push("role of " + describe(e));
  for (const e of document.querySelectorAll("[role=slider], [role=separator][tabindex]")) {
    for (const name of ["aria-valuenow", "aria-valuemin", "aria-valuemax"]) if (!/^\\d+$/.test(e.getAttribute(name) ?? "")) faults.push(describe(e) + " has no " + name);
  }
  for (const menu of document.querySelectorAll("[role=menu]")) {
    if (visible(menu) && [...menu.children].some((e) => !/^(menuitem|menuitemcheckbox|presentation)$/.test(e.getAttribute("role")))) faults.push("a menu has something else than items");
  }
  for (const e of document.querySelectorAll("[aria-hidden=true]")) {
    if ([...e.querySelectorAll("button, [tabindex]")].some(visible)) faults.push(describe(e) + " is hidden and holds a control");
  }
  const sorted = [...document.querySelectorAll("#table thead th")].map((th) => th.getAttribute("aria-sort"));
  if (sorted.some((order) => !["none", "ascending", "descending"].includes(order))) faults.push("aria-sort " + sorted);
  if (sorted.filter((order) => order !== "none").length !== 1) faults.push("sorted by " + sorted);
  const levels = [...document.querySelectorAll("h1, h2, h3")].filter(visible).map((h) => Number(h.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push("not one h1");
  levels.forEach((level, i) => { if (level > (levels[i - 1] ?? 0) + 1) faults.push("heading levels " + levels); });
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (!document.documentElement.lang || !document.title) faults.push("no language or title");
  for (const e of document.querySelectorAll("button, select")) {
    const box = e.getBoundingClientRect();
    if (visible(e) && box.width > 0 && box.height < 18) faults.push(describe(e) + " is " + box.height + " high");
  }
  const rows = [...document.querySelectorAll("#table tr:not(.filler)")];
  if (rows.some((row) => !(Number(row.getAttribute("aria-rowindex")) >= 1))) faults.push("a row without its index");
  if (rows.some((row) => row.dataset.fn && !row.querySelector("th[scope=row]"))) faults.push("a row without header");
  return faults;
})()`;

const CONTROLS = ["button", "combobox", "searchbox", "textbox", "link", "menuitem", "menuitemcheckbox", "application", "separator", "slider", "splitter", "table", "dialog", "Canvas"];
const STATES = [
  ["realistic", "", null],
  ["realistic", "#by=route&q=serde&fn=3", null],
  ["realistic", "#fn=3&view=callers", null],
  ["realistic", "", "document.querySelector('#label-keys button').click()"],
  ["realistic", "", "document.querySelector('#label-keys button').click(); document.querySelector('#menu .apart').click()"],
  ["realistic", "", "document.getElementById('help-open').click()"],
  ["compared", "#width=both&theme=dark", null],
  ["series", "#basefrom=1760000000000&baseto=1760000120000", null],
];
const makePages = () => ({
  realistic: embed(buildPage(), realistic()),
  compared: embed(buildPage(), compared()),
  series: embed(buildPage(), series()),
});

inBrowser("accessibility in a browser", makePages, (session) => {
  test("every_state_keeps_the_rules_and_every_control_has_a_name", async () => {
    for (const [page, address, action] of STATES) {
      const tab = await session.open(page, address);
      if (action) await tab.evaluate(action);
      await tab.settle();
      assert.deepEqual(await tab.evaluate(AUDIT), [], `${page}${address} ${action ?? ""}`);
      await tab.send("Accessibility.enable");
      const { nodes } = await tab.send("Accessibility.getFullAXTree");
      const roles = nodes.filter((node) => !node.ignored);
      const controls = roles.filter((node) => CONTROLS.includes(node.role?.value));
      assert.ok(controls.length >= (action ? 2 : 20), `${controls.length} controls`);
      assert.deepEqual(controls.filter((node) => !node.name?.value).map((node) => node.role.value), [], `${page}${address} ${action ?? ""}`);
      if (!action) for (const role of ["main", "columnheader", "rowheader", "heading"]) assert.ok(roles.some((node) => node.role?.value === role), role);
      await session.quiet(tab);
      await tab.close();
    }
  });

  test("focus_can_be_seen_on_everything_that_takes_it", async () => {
    const tab = await session.open("series", "#q=retry&fn=1");
    const seen = new Set();
    for (let i = 0; i < 60; i += 1) {
      await tab.key("Tab");
      const [name, outline] = await tab.evaluate(`(() => {
        const e = document.activeElement;
        if (e === document.body) return ["", true];
        const drawn = [e, e.parentElement].some((x) => x && getComputedStyle(x).outlineStyle !== "none" && parseFloat(getComputedStyle(x).outlineWidth) >= 1.5);
        return [e.id || e.textContent, drawn];
      })()`);
      if (name === "" || seen.has(name)) break;
      assert.ok(outline, `the focus cannot be seen on ${name}`);
      seen.add(name);
    }
    assert.ok(seen.size > 20, [...seen].join());
  });

  test("a_window_400_pixels_wide_needs_no_scrolling_to_the_side", async () => {
    for (const [page, address] of STATES.filter(([, , action]) => action === null)) {
      const tab = await session.browser.open("about:blank");
      await tab.send("Emulation.setDeviceMetricsOverride", { width: 400, height: 900, deviceScaleFactor: 1, mobile: false });
      await tab.go(session.url(page) + address);
      assert.equal(await tab.evaluate("Math.max(document.documentElement.scrollWidth - innerWidth, document.getElementById('table-scroll').scrollWidth - innerWidth)"), 0, page + address);
      await tab.close();
    }
  });

  test("the_table_holds_every_figure_of_the_graph", async () => {
    const tab = await session.open("realistic", "#sort=name");
    const data = realistic();
    const want = new Map();
    for (const [node, , value] of data.samples) {
      const names = new Set();
      for (let at = node; at !== -1; at = data.nodes[at][0]) names.add(data.strings[data.frames[data.nodes[at][1]][0]]);
      for (const name of names) want.set(name, (want.get(name) ?? 0) + value);
    }
    const total = data.samples.reduce((sum, sample) => sum + sample[2], 0);
    const rows = new Map((await session.allRows(tab)).map(([name, , , share]) => [name, share]));
    assert.deepEqual([...rows.keys()].sort(), [...want.keys()].sort());
    for (const [name, value] of want) assert.equal(rows.get(name), ((100 * value) / total >= 99.95 ? "100" : ((100 * value) / total).toFixed(1)) + " %", name);
    assert.equal(await tab.evaluate("document.getElementById('table').getAttribute('aria-rowcount')"), String(want.size + 1));
  });
});
