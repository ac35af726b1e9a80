import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildPage } from "../build.mjs";

const DIST = readFileSync(new URL("../dist/page.html", import.meta.url), "utf8");

test("the_committed_page_is_what_the_sources_make_and_small_enough", () => {
  assert.equal(DIST, buildPage(), "run node viewer/build.mjs");
  assert.ok(gzipSync(DIST, { level: 9 }).length <= 40 * 1024);
});

test("the_page_has_one_place_for_data_inside_its_json_element", () => {
  assert.equal(DIST.split("__SONDAGE_DATA__").length, 2);
  assert.ok(DIST.includes('<script id="profile" type="application/json">__SONDAGE_DATA__</script>'));
});

test("the_policy_allows_nothing_but_the_two_inline_blocks", () => {
  const policy = /content="(default-src[^"]*)"/.exec(DIST)[1];
  assert.match(policy, /^default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'$/);
});
