// What a reader does, in a real headless Chromium: each test is one walk through the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { buildPage } from "../build.mjs";
import { compared, embed, realistic, series } from "./profiles.mjs";
import { inBrowser, plain, ROW } from "./session.mjs";

const makePages = () => ({
  realistic: embed(buildPage(), realistic()),
  compared: embed(buildPage(), compared()),
  series: embed(buildPage(), series()),
});

inBrowser("a reader in a browser", makePages, (session) => {
  /** Presses Tab until an element has the focus. */
  const tabTo = async (tab, selector) => {
    for (let i = 0; i < 60; i += 1) {
      if (await tab.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`)) return;
      await tab.key("Tab");
    }
    assert.fail(`${selector} is not in the tab order`);
  };

  test("the_table_shows_the_profile_s_own_totals_and_the_graph_is_drawn", async () => {
    const tab = await session.open("realistic");
    const data = realistic();
    const total = data.samples.reduce((sum, sample) => sum + sample[2], 0);
    assert.equal(await session.text(tab, "#total"), (total / 1e9).toFixed(1) + " s");
    const rows = await session.allRows(tab);
    const self = new Map();
    for (const [node, , value] of data.samples) {
      const name = data.strings[data.frames[data.nodes[node][1]][0]];
      self.set(name, (self.get(name) ?? 0) + value);
    }
    assert.equal(rows.length, new Set(data.frames.map(([name]) => name)).size);
    for (const [name, share] of rows) {
      const want = (100 * (self.get(name) ?? 0)) / total;
      assert.equal(share, want === 0 ? "0 %" : want.toFixed(1) + " %", name);
    }
    assert.equal(await session.text(tab, "#process"), "service_name: orders-service · host: node-7");
    assert.equal(rows[0][0], "miniz_oxide::deflate::core::DictOxide::find_match");
    const colours = await session.countColours(tab);
    assert.ok(colours > 10, `${colours} colours on the canvas`);
    await session.keep(tab, "light");
    await session.quiet(tab);
  });

  test("a_click_zooms_and_the_address_brings_the_same_view_back", async () => {
    const tab = await session.open("realistic");
    await tab.click(...(await session.pointAt(tab, 12, 0.2)));
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "orders_service::routes::export_orders::{{closure}}");
    assert.match(await session.text(tab, "#selection"), /total 54\.\d %/);
    assert.equal(await session.text(tab, "tr.selected th"), "orders_service::routes::export_orders::{{closure}}");
    // The frame now spans the whole width: at its far right there was another function before.
    const [x, y] = await session.pointAt(tab, 12, 0.97);
    await session.hover(tab, x, y);
    assert.equal(await session.text(tab, "#tooltip:not([hidden]) .name"), "orders_service::routes::export_orders::{{closure}}");
    const address = await session.hash(tab);
    assert.match(address, /zoom=\d+/);
    await session.keep(tab, "zoomed");
    const again = await session.open("realistic", address);
    assert.equal(await session.text(again, "#crumbs [aria-current]"), "orders_service::routes::export_orders::{{closure}}");
    await tab.evaluate("history.back()");
    await tab.settle();
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "all");
    await session.quiet(tab);
    await session.quiet(again);
  });

  test("pointing_shows_name_figures_and_place_of_the_frame", async () => {
    const tab = await session.open("realistic");
    const [x, y] = await session.pointAt(tab, 16, 0.1);
    await session.hover(tab, x, y);
    const lines = (await session.texts(tab, "#tooltip p")).map(plain);
    assert.equal(await tab.evaluate("document.getElementById('tooltip').hidden"), false);
    assert.equal(lines[0], "miniz_oxide::deflate::core::DictOxide::find_match");
    assert.match(lines[1], /^total \d\.\d\d s, 30\.\d %, \d+\.\d % of its caller$/);
    assert.equal(lines[3], "miniz_oxide-0.8.9/src/deflate/core.rs:1282");
    await session.keep(tab, "tooltip");
    await session.quiet(tab);
  });

  test("search_marks_filters_and_steps_through_matches", async () => {
    const tab = await session.open("realistic");
    const [main, matching] = [await session.fillAt(tab, 13, 0.2), await session.fillAt(tab, 13, 0.48)];
    await tab.press("/");
    await tab.type("serde_json::ser|^__send$");
    assert.equal(await session.fillAt(tab, 13, 0.48), matching, "a match keeps its colour");
    assert.notEqual(await session.fillAt(tab, 13, 0.2), main, "what does not match steps back");
    assert.match(await session.text(tab, "#matched"), /^\d\d\.\d % matched$/);
    const names = await session.texts(tab, "tr[data-fn] .name");
    assert.ok(names.length >= 2 && names.every((name) => /serde_json::ser|^__send$/.test(name)), names.join());
    await tab.press("Enter");
    const first = await session.text(tab, "#crumbs [aria-current]");
    await tab.press("Enter");
    assert.notEqual(await session.hash(tab), "");
    assert.match(first, /serde_json::ser|^__send$/);
    await session.keep(tab, "search");
    await tab.press("Escape");
    assert.equal(await tab.evaluate("document.getElementById('search').value"), "");
    assert.equal(await session.text(tab, "#matched"), "");
    await tab.press("Escape");
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "all");
    await tab.press("/");
    await tab.type("poll_(");
    assert.match(await session.text(tab, "#matched"), /as plain text/);
    await session.quiet(tab);
  });

  test("grouping_by_a_label_gives_each_value_a_section_and_a_bar", async () => {
    const tab = await session.open("realistic");
    await session.choose(tab, "group", "route");
    assert.deepEqual(await session.texts(tab, "tr.section bdi"), ["/api/export", "/api/orders", "/api/orders/{id}", "(no route)"]);
    assert.equal(await session.text(tab, "#table-title"), "Top functions by route");
    await session.keep(tab, "grouped");
    await tab.click(...(await session.pointAt(tab, 1, 0.6)));
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "/api/orders");
    const before = (await session.allRows(tab)).length;
    await session.clickOn(tab, "tr.more button");
    assert.ok((await session.allRows(tab)).length > before);
    const again = await session.open("realistic", await session.hash(tab));
    assert.equal(await session.text(again, "#crumbs [aria-current]"), "/api/orders");
    await session.quiet(tab);
  });

  test("a_label_filters_graph_and_table_until_its_chip_is_removed", async () => {
    const tab = await session.open("realistic", "#by=route");
    await session.clickOn(tab, "#label-keys button:nth-of-type(2)");
    await session.keep(tab, "menu");
    await session.clickOn(tab, "#menu button:first-child");
    assert.deepEqual((await session.texts(tab, "#chips bdi")), ["route: /api/export"]);
    assert.deepEqual(await session.texts(tab, "tr.section bdi"), ["/api/export"]);
    assert.match(await session.text(tab, "#facts"), /\(54\.\d % of 17\.\d s\)/);
    await session.clickOn(tab, "#chips button");
    assert.equal((await session.texts(tab, "tr.section bdi")).length, 4);
    await session.quiet(tab);
  });

  test("columns_sort_both_ways_and_focus_stays_on_the_header", async () => {
    const tab = await session.open("realistic");
    const order = () => tab.evaluate("[...document.querySelectorAll('thead th')].map((th) => th.getAttribute('aria-sort'))");
    assert.deepEqual(await order(), ["none", "descending", "none"]);
    await session.clickOn(tab, "thead th.total button");
    assert.deepEqual(await order(), ["none", "none", "descending"]);
    const totals = (await session.allRows(tab)).map(([, , , share]) => parseFloat(share.replace("<", "")));
    assert.deepEqual(totals, [...totals].sort((a, b) => b - a));
    assert.equal(await tab.evaluate("document.activeElement.textContent"), "Total ↓");
    await tab.press("Enter");
    assert.deepEqual(await order(), ["none", "none", "ascending"]);
    await session.clickOn(tab, "thead th.name button");
    const names = (await session.allRows(tab)).map(([name]) => name);
    assert.deepEqual(names, [...names].sort());
    assert.equal(await session.hash(tab), "#sort=name");
    await session.quiet(tab);
  });

  test("an_address_brings_back_everything_and_back_undoes_steps", async () => {
    const address = "#l.route=%2Fapi%2Fexport&by=method&hide=tokio&q=serde&sort=-total&flame=1&colour=module&theme=dark";
    const tab = await session.open("realistic", address);
    assert.deepEqual((await session.texts(tab, "#chips bdi")).map((chip) => chip.replace(/ \(.*/, "")), ["route: /api/export", "hidden: tokio"]);
    assert.deepEqual(await session.texts(tab, "tr.section bdi"), ["GET"]);
    assert.equal(await tab.evaluate("document.getElementById('search').value"), "serde");
    assert.equal(await tab.evaluate("document.documentElement.dataset.theme"), "dark");
    assert.equal(await tab.evaluate("document.getElementById('flip').getAttribute('aria-pressed')"), "true");
    assert.equal(await tab.evaluate("document.getElementById('colouring').value"), "module");
    await session.clickOn(tab, "#chips button");
    assert.doesNotMatch(await session.hash(tab), /l\.route/);
    await tab.evaluate("history.back()");
    await tab.settle();
    assert.equal((await session.texts(tab, "#chips bdi"))[0], "route: /api/export");
    await tab.evaluate("history.forward()");
    await tab.settle();
    assert.equal((await session.texts(tab, "#chips bdi")).length, 1);
    await session.quiet(tab);
  });

  test("six_states_are_drawn_in_light_and_dark", async () => {
    const states = [
      ["overview", "realistic", ""], ["found", "realistic", "q=serde_json"], ["by-route", "realistic", "by=route"],
      ["change", "compared", "width=both"], ["two-periods", "series", "from=1760000120000&to=1760000240000&basefrom=1760000000000&baseto=1760000120000"],
      ["callers", "realistic", "fn=22&view=callers"],
    ];
    for (const theme of ["light", "dark"]) {
      for (const [name, page, address] of states) {
        const tab = await session.open(page, `#${address}&theme=${theme}`);
        const [red] = await tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)");
        assert.ok(theme === "dark" ? red < 60 : red > 200, `${name} ${theme}: ${red}`);
        const colours = await session.countColours(tab, name === "callers" ? "callers" : "graph");
        assert.ok(colours > 10, `${name} ${theme}: ${colours} colours`);
        assert.equal(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, `${name} ${theme} is wider than the window`);
        await session.keep(tab, `${name}-${theme}`);
        await session.quiet(tab);
        await tab.close();
      }
    }
  });

  test("a_row_selects_zooms_and_focuses_its_function", async () => {
    const tab = await session.open("realistic");
    await session.clickOn(tab, "tr[aria-rowindex='5'] button");
    assert.equal(await session.text(tab, "#selection .name"), "__memmove_avx_unaligned_erms");
    assert.match(await session.text(tab, "#selection"), /Zoom \(2 places\)/);
    await session.clickOn(tab, "tr.selected button");
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "__memmove_avx_unaligned_erms");
    await tab.press("f");
    assert.deepEqual(await session.texts(tab, "#chips bdi"), ["through __memmove_avx_unaligned_erms"]);
    assert.match(await session.text(tab, "tr.selected td:nth-of-type(1)"), /^100 %$/);
    for (let i = 0; i < 3; i += 1) await tab.press("Escape");
    assert.deepEqual(await session.texts(tab, "#chips bdi"), []);
    await session.quiet(tab);
  });

  test("a_comparison_shows_changes_keeps_what_vanished_and_greys_chance", async () => {
    const tab = await session.open("compared");
    assert.equal(await session.text(tab, "#shown-side"), "orders-service, 2025-10-16 07:33:20 to 07:33:40 UTC");
    assert.equal(await session.text(tab, "#base-side"), "orders-service, 2025-10-09 08:53:20 to 08:53:30 UTC");
    assert.equal(await session.text(tab, "#outcome"), "2 of 4 functions changed more than chance explains (2,000 samples against 1,000).");
    assert.equal(await session.text(tab, "#vanished"), "Vanished: old_cache");
    const cells = Object.fromEntries((await session.allRows(tab)).map(([name, ...others]) => [name, others]));
    assert.deepEqual(cells.parse, ["40.0 %", "▲ +20.0 pt", "40.0 %", "▲ +20.0 pt"]);
    assert.deepEqual(cells.old_cache, ["0 %", "▼ −20.0 pt", "0 %", "▼ −20.0 pt"]);
    assert.deepEqual(cells.render, ["60.0 %", "0.0 pt", "60.0 %", "0.0 pt"]);
    assert.match(await tab.evaluate("document.querySelector('td.unchanged').title"), /no change beyond chance/);
    await session.keep(tab, "compare");
    await session.clickOn(tab, "thead th:nth-child(3) button");
    assert.equal((await session.allRows(tab))[0][0], "parse");
    assert.equal(await tab.evaluate("document.querySelector('thead th:nth-child(3)').getAttribute('aria-sort')"), "descending");
    await session.clickOn(tab, "#vanished button");
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "old_cache");
    assert.match(await session.hash(tab), /sort=-self-change.*|width=both/);
    await tab.press("0");
    // 20 of 120 units are the vanished frame's, at the right end.
    const [more, gone, same] = [await session.fillAt(tab, 2, 0.6), await session.fillAt(tab, 2, 0.9), await session.fillAt(tab, 2, 0.2)];
    assert.equal(new Set([more, gone, same]).size, 3, [more, gone, same].join(" "));
    await session.choose(tab, "measure", "rate");
    assert.deepEqual(Object.fromEntries((await session.allRows(tab)).map(([name, ...others]) => [name, others])).parse, ["400 ms/s", "▲ +200 ms/s", "400 ms/s", "▲ +200 ms/s"]);
    const again = await session.open("compared", await session.hash(tab));
    assert.equal(await again.evaluate("document.getElementById('width').value"), "both");
    assert.equal(await again.evaluate("document.getElementById('measure').value"), "rate");
    await session.quiet(tab);
  });

  test("two_values_of_a_label_are_compared_from_its_menu", async () => {
    const tab = await session.open("realistic");
    await session.clickOn(tab, "#label-keys button:nth-of-type(2)");
    await session.clickOn(tab, "#menu .apart");
    await tab.evaluate("document.querySelector('#menu select').value = '1'");
    await tab.evaluate("document.querySelectorAll('#menu select')[1].value = '2'");
    await session.clickOn(tab, "#menu .apart");
    assert.equal(await session.text(tab, "#base-side"), "route: /api/orders");
    assert.equal(await session.text(tab, "#shown-side"), "route: /api/orders/{id}");
    assert.equal(await tab.evaluate("document.getElementById('colouring').value"), "change");
    assert.match(await session.hash(tab), /pair=route&shown=%2Fapi%2Forders%2F%7Bid%7D&base=%2Fapi%2Forders/);
    const again = await session.open("realistic", await session.hash(tab));
    assert.equal(await session.text(again, "#base-side"), "route: /api/orders");
    await session.clickOn(again, "thead th:nth-child(5) button");
    await session.clickOn(again, "#compare-end");
    assert.deepEqual(await again.evaluate("[...document.querySelectorAll('thead th')].map((th) => th.getAttribute('aria-sort'))"), ["none", "descending", "none"]);
    assert.equal(await again.evaluate("document.getElementById('comparing').hidden"), true);
    await session.quiet(again);
  });

  test("the_time_line_chooses_a_period_by_pointer_and_by_keys_and_compares_two", async () => {
    const tab = await session.open("series");
    assert.equal(await session.text(tab, "#timeline-text"), "2025-10-09 08:53:20 to 08:57:20 UTC, 24 of 24 profiles");
    const at = (fraction) => tab.evaluate(`(() => { const box = document.getElementById("timeline-bars").getBoundingClientRect(); return [box.left + box.width * ${fraction}, box.top + 20]; })()`);
    const drag = async (from, to) => {
      const mouse = (type, [x, y], button = "left") => tab.send("Input.dispatchMouseEvent", { type, x, y, button, buttons: 1, clickCount: 1 });
      await mouse("mousePressed", await at(from));
      for (const step of [0.3, 0.7, 1]) await mouse("mouseMoved", await at(from + (to - from) * step));
      await mouse("mouseReleased", await at(to));
      await tab.settle();
    };
    await drag(0.51, 0.99);
    assert.equal(await session.text(tab, "#timeline-text"), "2025-10-09 08:55:20 to 08:57:20 UTC, 12 of 24 profiles");
    assert.equal(await session.hash(tab), "#from=1760000120000&to=1760000240000");
    assert.match(await session.text(tab, "#facts"), /over 2 min, .* 08:55:20 UTC/);
    assert.equal((await session.allRows(tab)).find(([name]) => name === "retry")[1], "33.0 %");
    const again = await session.open("series", await session.hash(tab));
    assert.equal((await session.allRows(again)).find(([name]) => name === "retry")[1], "33.0 %");
    await session.clickOn(tab, "#brush-base");
    await drag(0.49, 0.01);
    assert.equal(await session.text(tab, "#base-side"), "2025-10-09 08:53:20 to 08:55:20 UTC");
    assert.match(await session.text(tab, "#outcome"), /^3 of 4 functions changed/);
    await session.keep(tab, "timeline");
    await session.clickOn(tab, "#compare-end");
    await tab.evaluate("document.getElementById('timeline-bars').focus()");
    await session.clickOn(tab, "#brush-shown");
    await tab.evaluate("document.getElementById('timeline-bars').focus()");
    await tab.press("Escape");
    assert.equal(await session.text(tab, "#timeline-text"), "2025-10-09 08:53:20 to 08:57:20 UTC, 24 of 24 profiles");
    await tab.press("ArrowRight");
    await tab.press("ArrowRight");
    await tab.press("ArrowRight", 8);
    assert.equal(await session.text(tab, "#timeline-text"), "2025-10-09 08:53:30 to 08:53:50 UTC, 2 of 24 profiles");
    assert.equal(await tab.evaluate("document.getElementById('timeline-bars').getAttribute('aria-valuetext')").then(plain), "shown: 2025-10-09 08:53:30 to 08:53:50 UTC, 2 of 24 profiles");
    const [x, y] = await at(0.5);
    for (const count of [1, 2]) for (const type of ["mousePressed", "mouseReleased"]) await tab.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: count });
    await tab.settle();
    assert.equal(await session.hash(tab), "");
    await session.quiet(tab);
  });

  test("callers_and_callees_take_the_graph_s_place_for_the_selected_function", async () => {
    const tab = await session.open("realistic");
    await session.clickOn(tab, "tr[aria-rowindex='5'] button");
    await tab.press("s");
    assert.equal(await session.text(tab, "#selection .name"), "__memmove_avx_unaligned_erms");
    assert.equal(await tab.evaluate("document.getElementById('scroller').hidden"), true);
    assert.match(await session.hash(tab), /view=callers/);
    assert.deepEqual(await tab.evaluate("[...document.querySelectorAll('#selection button')].map((b) => b.getAttribute('aria-pressed')).filter(Boolean)"), ["true"]);
    // The function stands at the bottom of its callers; the row above it is what called it.
    const [x, y] = await tab.evaluate(`(() => { const box = document.getElementById("callers").getBoundingClientRect(); return [box.left + 60, box.bottom - ${ROW * 1.5}]; })()`);
    await session.hover(tab, x, y);
    assert.equal(await session.text(tab, "#tooltip .name"), "<serde_json::value::Value as serde::ser::Serialize>::serialize");
    await session.keep(tab, "sandwich");
    await tab.click(x, y);
    assert.equal(await session.text(tab, "#selection .name"), "<serde_json::value::Value as serde::ser::Serialize>::serialize");
    const again = await session.open("realistic", await session.hash(tab));
    assert.equal(await again.evaluate("document.getElementById('sandwich').hidden"), false);
    await again.press("g");
    await again.press("ArrowDown");
    assert.match(await session.text(again, "#live"), /^\S.*, total .*, depth 1$/);
    await again.press("Enter");
    assert.notEqual(await session.text(again, "#selection .name"), "<serde_json::value::Value as serde::ser::Serialize>::serialize");
    await again.press("s");
    assert.equal(await again.evaluate("document.getElementById('sandwich').hidden"), true);
    await session.quiet(tab);
    await session.quiet(again);
  });

  test("what_is_searched_for_can_be_hidden_or_be_all_there_is", async () => {
    const tab = await session.open("realistic");
    const total = await session.text(tab, "#total");
    await tab.press("/");
    await tab.type("miniz_oxide");
    await session.clickOn(tab, "#hide");
    assert.match((await session.texts(tab, "#chips bdi")).map(plain).join(), /^hidden: miniz_oxide \(\d\d\.\d % of self moved to callers\)$/);
    assert.equal(await session.text(tab, "#total"), total);
    const rows = await session.allRows(tab);
    assert.equal(rows[0][0], "flate2::zio::Writer<W, D>::write_with_status");
    assert.equal(rows.some(([name]) => name.includes("miniz_oxide")), false);
    await tab.press("/");
    await tab.type("serde_json::ser");
    await session.clickOn(tab, "#only");
    assert.equal((await session.texts(tab, "#chips bdi"))[0], "only matching serde_json::ser");
    assert.notEqual(await session.text(tab, "#total"), total);
    assert.match(await session.hash(tab), /only=serde_json%3A%3Aser&hide=miniz_oxide/);
    await session.keep(tab, "only");
    const again = await session.open("realistic", await session.hash(tab));
    assert.equal((await session.texts(again, "#chips bdi")).length, 2);
    await session.clickOn(again, "#chips button");
    await session.clickOn(again, "#chips button");
    assert.equal(await session.text(again, "#total"), total);
    await session.quiet(again);
  });

  test("colours_can_tell_the_language", async () => {
    const tab = await session.open("realistic", "#colour=language");
    assert.equal(await tab.evaluate("document.getElementById('colouring').value"), "language");
    assert.match((await session.texts(tab, "#legend button")).map(plain).join(), /^native \d\d\.\d %$/);
    await session.clickOn(tab, "#legend button");
    assert.equal(await tab.evaluate("document.getElementById('search').value"), "language:^native$");
    assert.match(await session.text(tab, "#matched"), /^9\d\.\d % matched$/);
    await session.quiet(tab);
  });

  test("a_walk_with_the_keyboard_alone_reaches_everything", async () => {
    const tab = await session.open("realistic");
    await tab.press("g");
    await tab.press("ArrowDown");
    await tab.press("ArrowDown");
    assert.match(plain(await tab.evaluate("document.getElementById('live').textContent")), /^start_thread, total .* depth 2$/);
    await tab.press("ArrowUp");
    await tab.press("ArrowRight");
    assert.match(await session.text(tab, "#live"), /^\[unsampled\]/);
    await tab.press("Enter");
    assert.equal(await session.text(tab, "#crumbs [aria-current]"), "[unsampled]");
    await tab.press("0");
    await tab.press("t");
    await tab.press("End");
    await tab.press("Home");
    await tab.press("ArrowDown");
    await tab.press("Enter");
    assert.equal(await session.text(tab, "#selection .name"), "sha2::sha256::x86::digest_blocks");
    await tab.press("i");
    assert.equal(await tab.evaluate("document.getElementById('flip').getAttribute('aria-pressed')"), "true");
    await session.keep(tab, "flipped");
    await tab.press("?");
    assert.equal(await tab.evaluate("document.getElementById('help').open"), true);
    await session.keep(tab, "help");
    await tab.press("Enter");
    assert.equal(await tab.evaluate("document.getElementById('help').open"), false);
    await tab.press("?");
    await tab.press("Escape");
    assert.equal(await tab.evaluate("document.getElementById('help').open"), false);
    assert.equal(await session.text(tab, "#selection .name"), "sha2::sha256::x86::digest_blocks");
    for (const id of ["type", "search", "theme", "help-open", "group", "colouring", "flip"]) await tabTo(tab, `#${id}`);
    await tabTo(tab, "tbody button");
    await tabTo(tab, "#separator");
    const width = () => tab.evaluate("document.getElementById('separator').getBoundingClientRect().left");
    const before = await width();
    await tab.press("ArrowRight");
    assert.ok((await width()) > before);
    await tabTo(tab, "#graph");
    await session.quiet(tab);
  });

  test("the_theme_follows_the_system_until_the_reader_chooses", async () => {
    const tab = await session.open("realistic", "", { "prefers-color-scheme": "dark" });
    const theme = () => tab.evaluate("document.documentElement.dataset.theme");
    assert.equal(await theme(), "dark");
    await session.keep(tab, "dark");
    await tab.press("d");
    assert.equal(await theme(), "light");
    assert.equal(await session.hash(tab), "#theme=light");
    await session.quiet(tab);
  });
});
