// What the browser tests share: pages on disk, a Chromium, and hands and eyes for its tabs.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe } from "node:test";
import { pathToFileURL } from "node:url";
import { Browser, findChromium } from "./chromium.mjs";

const path = findChromium();
const required = process.env.SONDAGE_REQUIRE_CHROMIUM === "1";
const skip = path === null && !required ? "no Chromium here; set SONDAGE_REQUIRE_CHROMIUM=1 to make this a failure" : false;
if (skip) console.error("SKIPPED browser tests: " + skip);

/** The height of a row of the graph. */
export const ROW = 22;

/** A text without the spaces that do not break. */
export const plain = (text) => text.replaceAll("\u00a0", " ");

/** Waits for a condition inside the page. */
const FRAME = "await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));";

/**
 * A suite of tests in one browser. `makePages()` gives each page's HTML by name; `tests(session)`
 * declares the tests.
 */
export function inBrowser(title, makePages, tests) {
  describe(title, { skip, timeout: 120_000 }, () => {
    const session = new Session();
    before(() => session.start(makePages()));
    afterEach(() => session.closeTabs());
    after(() => session.end());
    tests(session);
  });
}

class Session {
  start(pages) {
    assert.notEqual(path, null, "SONDAGE_REQUIRE_CHROMIUM=1 and no Chromium found");
    this.folder = mkdtempSync(join(tmpdir(), "sondage-page-"));
    this.pages = pages;
    for (const [name, page] of Object.entries(pages)) writeFileSync(join(this.folder, name + ".html"), page);
    this.browser = new Browser(path);
  }

  async closeTabs() {
    await Promise.all([...(this.browser?.tabs ?? [])].map((tab) => tab.close()));
  }

  async end() {
    await this.browser?.close();
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }

  /** The address of a page on disk. */
  url(name) {
    return pathToFileURL(join(this.folder, name + ".html")).href;
  }

  open(name, hash = "", media = {}) {
    return this.browser.open(this.url(name) + hash, media);
  }

  async text(tab, selector) {
    return plain(await tab.evaluate(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? "(nothing there)"`));
  }

  texts(tab, selector) {
    return tab.evaluate(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((e) => e.textContent)`);
  }

  hash(tab) {
    return tab.evaluate("location.hash");
  }

  /** What `read` (JavaScript with `row`) gives for every row of the table that matches, brought
   *  into sight one screen after the other. */
  scan(tab, selector, read) {
    return tab.evaluate(`(async () => {
      const scroller = document.getElementById("table-scroll");
      const rows = new Map();
      for (let top = 0; ; top += scroller.clientHeight) {
        scroller.scrollTop = top;
        ${FRAME}
        for (const row of document.querySelectorAll(${JSON.stringify(selector)})) rows.set(Number(row.getAttribute("aria-rowindex")), ${read});
        if (scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 1) break;
      }
      scroller.scrollTop = 0;
      ${FRAME}
      return [...rows].sort((a, b) => a[0] - b[0]).map(([, found]) => found);
    })()`);
  }

  /** Every row of the table as the name of its function and the texts of its other cells. */
  async allRows(tab) {
    const rows = await this.scan(tab, "tr[data-fn]", `[row.querySelector(".name").textContent, ...[...row.cells].slice(1).map((cell) => cell.textContent)]`);
    return rows.map(([name, ...cells]) => [name, ...cells.map(plain)]);
  }

  /** A point inside a row of the graph, at a fraction of its width. */
  pointAt(tab, row, fraction) {
    return tab.evaluate(`(() => {
      const box = document.getElementById("graph").getBoundingClientRect();
      return [box.left + box.width * ${fraction}, box.top + ${row * ROW + ROW / 2}];
    })()`);
  }

  /** The fill of a frame of the graph, read from the canvas, as "r,g,b". */
  fillAt(tab, row, fraction) {
    return tab.evaluate(`(() => {
      const canvas = document.getElementById("graph");
      const ratio = canvas.width / canvas.clientWidth;
      return [...canvas.getContext("2d").getImageData(canvas.width * ${fraction}, (${row} * ${ROW} + 2) * ratio, 1, 1).data.slice(0, 3)].join();
    })()`);
  }

  /** How many colours a canvas shows. */
  countColours(tab, id = "graph") {
    return tab.evaluate(`(() => {
      const c = document.getElementById("${id}");
      const bytes = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      return new Set(Array.from({ length: bytes.length / 4 }, (_, i) => bytes.slice(4 * i, 4 * i + 3).join())).size;
    })()`);
  }

  async hover(tab, x, y) {
    await tab.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    await tab.settle();
  }

  async clickOn(tab, selector) {
    const [x, y] = await tab.evaluate(`(() => {
      const target = document.querySelector(${JSON.stringify(selector)});
      target.scrollIntoView({ block: "nearest" });
      const box = target.getBoundingClientRect();
      return [box.left + Math.min(box.width / 2, 40), box.top + box.height / 2];
    })()`);
    await tab.click(x, y);
  }

  /** Chooses an option the way a reader's choice arrives. */
  async choose(tab, id, value) {
    await tab.evaluate(`(() => { const s = document.getElementById("${id}"); s.value = ${JSON.stringify(value)}; s.dispatchEvent(new Event("change")); })()`);
    await tab.settle();
  }

  /** Nothing went wrong, was refused by the policy, ran, or asked. */
  async quiet(tab) {
    assert.deepEqual(tab.complaints, []);
    assert.deepEqual(await tab.evaluate("window.violations"), []);
    assert.equal(await tab.evaluate("typeof window.owned"), "undefined");
    assert.deepEqual(tab.dialogs, []);
  }

  /** Keeps a picture when SONDAGE_SCREENSHOTS names a folder. */
  async keep(tab, name) {
    const target = process.env.SONDAGE_SCREENSHOTS;
    if (!target) return;
    mkdirSync(target, { recursive: true });
    writeFileSync(join(target, name + ".png"), await tab.screenshot());
  }
}
