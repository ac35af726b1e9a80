// What a hostile or damaged profile can do to the page, and what the page asks of the network: nothing.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { buildPage } from "../build.mjs";
import { embed, HOSTILE_NAMES, hostile, realistic } from "./profiles.mjs";
import { inBrowser } from "./session.mjs";

const makePages = () => ({
  realistic: embed(buildPage(), realistic()),
  // Unpacked, whatever the size: names then stand in the page's own text.
  hostile: embed(buildPage(), hostile(), Infinity),
  packed: embed(buildPage(), hostile(), 0),
  broken: embed(buildPage(), { ...realistic(), v: 9 }),
  bare: buildPage(),
  // What a careless embedder would make: the name ends the data element and starts a script.
  unescaped: buildPage().replace("__SONDAGE_DATA__", () => JSON.stringify(hostile())),
});
/** What the browser's protocol can carry: a lone surrogate arrives as U+FFFD. */
const wellFormed = (names) => names.map((name) => name.toWellFormed()).sort();
const WANT = wellFormed(HOSTILE_NAMES);

inBrowser("hostile and damaged data in a browser", makePages, (session) => {
  test("500_hostile_names_are_text_byte_for_byte_everywhere_and_nothing_runs", async () => {
    assert.ok(HOSTILE_NAMES.length >= 500 && new Set(HOSTILE_NAMES).size === HOSTILE_NAMES.length);
    const tab = await session.open("hostile");
    assert.deepEqual(wellFormed((await session.allRows(tab)).map(([name]) => name).filter((name) => name !== "main")), WANT, "functions");
    const places = await session.scan(tab, "tr[data-fn]", "row.querySelector('button').title");
    const want = HOSTILE_NAMES.map((name) => [name, "file " + name, "module " + name].join("\n"));
    assert.deepEqual(wellFormed(places.filter((place) => place !== "main")), wellFormed(want), "files and modules");
    assert.equal(await session.text(tab, "#title"), HOSTILE_NAMES[0]);
    const keys = await tab.evaluate("[...document.getElementById('group').options].map((option) => option.value)");
    assert.deepEqual(wellFormed(keys.filter((key) => !["", "thread"].includes(key))), WANT, "label keys");
    await session.choose(tab, "group", "thread");
    assert.deepEqual(wellFormed(await session.scan(tab, "tr.section", "row.querySelector('bdi').textContent")), WANT, "threads");
    for (const key of keys.filter((_, i) => i % 26 === 0)) {
      await tab.evaluate(`(() => { const s = document.getElementById("group"); s.value = ${JSON.stringify(key)}; s.dispatchEvent(new Event("change")); })()`);
      assert.ok((await session.texts(tab, "tr[data-fn] .name")).length > 0);
    }
    assert.equal(await tab.evaluate("document.querySelectorAll('img, svg, base, iframe, object').length"), 0);
    assert.equal(await tab.evaluate("document.scripts.length"), 2);
    await session.quiet(tab);
  });

  test("hostile_names_stay_text_in_menus_tooltips_chips_and_selections", async () => {
    const tab = await session.open("packed");
    await session.clickOn(tab, "#label-keys button:nth-of-type(1)");
    const listed = wellFormed(await session.texts(tab, "#menu bdi"));
    assert.equal(listed.length, 200);
    assert.ok(listed.every((name) => WANT.includes(name)));
    await session.clickOn(tab, "#menu button:first-child");
    await session.clickOn(tab, "#chips button");
    await tab.evaluate("for (const row of document.querySelectorAll('tr[data-fn] button')) row.click()");
    await tab.settle();
    await session.choose(tab, "colouring", "module");
    await tab.press("s");
    await tab.press("s");
    for (let i = 0; i < 25; i += 1) {
      const [x, y] = await session.pointAt(tab, 2, (i + 0.5) / 25);
      await tab.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    }
    await session.keep(tab, "hostile");
    await tab.evaluate(`for (const id of ["only", "hide"]) {
      const search = document.getElementById("search");
      search.value = "<script>";
      search.dispatchEvent(new Event("input"));
      document.getElementById(id).click();
    }`);
    await tab.settle();
    await session.quiet(tab);
  });

  test("the_policy_stops_a_script_even_when_the_embedder_forgot_to_escape", async () => {
    const tab = await session.open("unescaped");
    assert.equal(await tab.evaluate("typeof window.owned"), "undefined");
    const violations = await tab.evaluate("window.violations");
    assert.ok(violations.some((violation) => violation.startsWith("script-src")), JSON.stringify(violations));
  });

  test("damaged_and_missing_data_give_a_message_instead_of_a_blank_page", async () => {
    const broken = await session.open("broken");
    assert.equal(await session.text(broken, "#failure"), "This page reads profile format 2, but the data has format 9.");
    const bare = await session.open("bare");
    assert.equal(await session.text(bare, "#failure"), "This page carries no profile.");
    await session.quiet(bare);
  });

  test("one_request_loads_all_there_is_from_a_file_and_from_a_server", async () => {
    const fromFile = await session.open("realistic");
    assert.equal((await session.allRows(fromFile)).length, 42);
    assert.equal(fromFile.requests.length, 1, fromFile.requests.join());
    const seen = [];
    const server = createServer((request, response) => {
      seen.push(request.url);
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(session.pages.realistic);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const tab = await session.browser.open(`http://127.0.0.1:${server.address().port}/`);
    assert.equal((await session.allRows(tab)).length, 42);
    assert.equal(tab.requests.length, 1, tab.requests.join());
    assert.deepEqual(seen.filter((url) => url !== "/favicon.ico"), ["/"]);
    await session.quiet(tab);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test("a_browser_that_cannot_unpack_says_so", async () => {
    const tab = await session.open("bare");
    await tab.send("Page.addScriptToEvaluateOnNewDocument", { source: "delete window.DecompressionStream;" });
    await tab.go(session.url("packed"));
    assert.match(await session.text(tab, "#failure"), /^This browser cannot unpack the profile in this page: it has no DecompressionStream/);
  });
});
