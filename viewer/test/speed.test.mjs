// How long a reader waits with much data. Bounds hold for the best of several tries: the machine may
// be busy with other work. With SONDAGE_STORM=full they are those that are published; otherwise
// three times as much passes, since a slow machine is no defect of the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { buildPage } from "../build.mjs";
import { embed, large, millions } from "./profiles.mjs";
import { inBrowser, ROW } from "./session.mjs";

const TRIES = 6;
const SLACK = process.env.SONDAGE_STORM === "full" ? 1 : 3;
const [PAINT_MS, FRAME_MS, FILTER_MS] = [1000, 33, 300].map((bound) => bound * SLACK);
const makePages = () => ({ large: embed(buildPage(), large(100_000)), millions: embed(buildPage(), millions()) });

/** The smallest of what several tries measure; stops as soon as one is within the bound. */
async function best(measure, bound) {
  const seen = [];
  while (seen.length < TRIES && !(Math.min(...seen) <= bound)) seen.push(await measure(seen.length));
  return Math.min(...seen);
}

inBrowser("much data in a browser", makePages, (session) => {
  test("a_hundred_thousand_nodes_are_painted_within_a_second_and_zoom_within_33_ms_a_frame", async (t) => {
    const paint = await best(async () => {
      const tab = await session.open("large");
      const time = await tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime");
      await tab.close();
      return time;
    }, PAINT_MS);
    const tab = await session.open("large", "", { "prefers-reduced-motion": "no-preference" });
    const zoom = await best(() => tab.evaluate(`new Promise((done) => {
      const canvas = document.getElementById("graph");
      const box = canvas.getBoundingClientRect();
      document.getElementById("reset").click();
      canvas.dispatchEvent(new MouseEvent("click", { clientX: box.left + 200, clientY: box.top + 3 * ${ROW} - 8 }));
      const times = [];
      let last = performance.now();
      const step = (now) => {
        times.push(now - last);
        last = now;
        if (times.length < 11) requestAnimationFrame(step);
        else done(times.slice(1).sort((a, b) => a - b)[5]);
      };
      requestAnimationFrame(step);
    })`), FRAME_MS);
    assert.notEqual(await session.text(tab, "#crumbs [aria-current]"), "all");
    const event = (id, value, name) => tab.evaluate(`(() => {
      const field = document.getElementById("${id}");
      field.value = "${value}";
      const began = performance.now();
      field.dispatchEvent(new Event("${name}"));
      return performance.now() - began;
    })()`);
    const search = await event("search", "crate_7|function_33", "input");
    const group = await event("group", "route", "change");
    const bytes = session.pages.large.length;
    t.diagnostic(`first paint ${paint.toFixed(0)} ms, zoom ${zoom.toFixed(1)} ms a frame (median of 10), search ${search.toFixed(0)} ms, group ${group.toFixed(0)} ms, page ${(bytes / 1e6).toFixed(2)} MB`);
    assert.ok(paint <= PAINT_MS, `first paint after ${paint} ms`);
    assert.ok(zoom <= FRAME_MS, `${zoom} ms a frame`);
    assert.ok(bytes <= 2e6, `${bytes} bytes`);
    await session.keep(tab, "large");
    await session.quiet(tab);
  });

  test("a_filter_of_a_million_samples_is_shown_within_300_ms", async (t) => {
    const tab = await session.open("millions");
    const filter = await best((attempt) => tab.evaluate(`(async () => {
      document.querySelector("#label-keys button").click();
      const item = document.querySelectorAll("#menu button")[${attempt}];
      const began = performance.now();
      item.click();
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - began;
    })()`), FILTER_MS);
    assert.equal((await session.texts(tab, "#chips bdi")).length >= 1, true);
    const brush = await tab.evaluate(`(async () => {
      document.getElementById("timeline-bars").focus();
      const began = performance.now();
      document.getElementById("timeline-bars").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - began;
    })()`);
    t.diagnostic(`filter ${filter.toFixed(0)} ms, period ${brush.toFixed(0)} ms, until the next frame is painted`);
    assert.match(await session.text(tab, "#timeline-text"), /, 1 of 60 profiles$/);
    assert.ok(filter <= FILTER_MS, `${filter} ms`);
    await session.quiet(tab);
  });

  test("the_table_has_only_rows_in_sight_in_the_document_and_says_how_many_there_are", async () => {
    const tab = await session.open("large");
    const facts = () => tab.evaluate(`({ rows: document.querySelectorAll("tr[data-fn]").length, all: Number(document.getElementById("table").getAttribute("aria-rowcount")), focused: document.activeElement.closest("tr")?.getAttribute("aria-rowindex") })`);
    const start = await facts();
    assert.ok(start.rows < 60 && start.all > 3000, JSON.stringify(start));
    await tab.press("t");
    await tab.press("End");
    assert.equal((await facts()).focused, String(start.all));
    await tab.press("Home");
    await tab.press("ArrowDown");
    assert.equal((await facts()).focused, "3");
    await tab.evaluate("document.getElementById('table-scroll').scrollTop = 40000");
    await tab.settle();
    assert.ok((await facts()).rows < 60);
    assert.equal(await tab.evaluate("document.activeElement.id"), "table", "focus stays in the table when its row is out of sight");
    await tab.press("ArrowDown");
    assert.equal((await facts()).focused, "4");
    await tab.evaluate("document.getElementById('table-scroll').scrollTop = 1e6");
    await tab.settle();
    await tab.press("/");
    await tab.type("function_3999$");
    assert.deepEqual((await session.texts(tab, "tr[data-fn] .name")).map((name) => name.replace(/.*::/, "")), ["function_3999"], "a shorter list is shown from its top");
    await tab.press("Escape");
    assert.equal((await session.texts(tab, "tr[aria-rowindex='2']")).length, 1);
    const heights = await tab.evaluate("[...new Set([...document.querySelectorAll('tr[data-fn]')].map((row) => row.getBoundingClientRect().height))]");
    assert.deepEqual(heights, [25]);
    await session.quiet(tab);
  });
});
