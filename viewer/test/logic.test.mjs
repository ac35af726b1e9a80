import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { weighLabels } from "../src/label.js";
import { layoutTree } from "../src/layout.js";
import { readProfile, sumOf } from "../src/profile.js";
import { describePeriod, makeSlots, readPeriod, spellPeriod } from "../src/period.js";
import { buildSandwich } from "../src/sandwich.js";
import { languageOf } from "../src/language.js";
import { compileQuery, matchFunctions, matchedTotal } from "../src/search.js";
import { decodeState, encodeState, initialState } from "../src/state.js";
import { sortRows, topSections } from "../src/top.js";
import { findNode } from "../src/tree.js";
import { unpackProfile } from "../src/unpack.js";
import { computeFigures } from "../src/view.js";
import { compared, HOSTILE_NAMES, hostile, large, ProfileBuilder, realistic, seeded, series } from "./profiles.mjs";

const read = (data) => readProfile(JSON.stringify(data));

const figures = (profile, choice = {}) => computeFigures(profile, { ...initialState(profile), ...choice });

function build(profile, { type = 0, filters = [], by = "", ...others } = {}) {
  return figures(profile, { type, filters, groupBy: by, ...others }).tree;
}

/** The same figures the slow and obvious way: walk each sample's stack. */
function bruteForce(data, { type = 0, keep = () => true } = {}) {
  const self = new Map();
  const total = new Map();
  const nameOf = (frame) => data.strings[data.frames[frame][0]];
  for (const [node, labels, ...values] of data.samples) {
    const value = values[type];
    const stack = [];
    for (let at = node; at !== -1; at = data.nodes[at][0]) stack.push(nameOf(data.nodes[at][1]));
    if (!keep(stack, Object.fromEntries(data.labelSets[labels]))) continue;
    self.set(stack[0], (self.get(stack[0]) ?? 0) + value);
    for (const name of new Set(stack)) total.set(name, (total.get(name) ?? 0) + value);
  }
  return { self, total };
}

function checkRows(profile, rows, want) {
  const names = rows.map((row) => profile.functions.name[row.fn]);
  assert.deepEqual([...names].sort(), [...want.total.keys()].sort());
  rows.forEach((row, i) => {
    assert.equal(row.total, want.total.get(names[i]), `total of ${names[i]}`);
    assert.equal(row.self, want.self.get(names[i]) ?? 0, `self of ${names[i]}`);
  });
}

/** Random recursive stacks with labels; names are unique per function. */
function random(seed) {
  const next = seeded(seed);
  const builder = new ProfileBuilder([{ type: "cpu", unit: "nanoseconds" }, { type: "samples", unit: "count" }]);
  for (let i = 0; i < 400; i += 1) {
    const stack = Array.from({ length: 1 + Math.floor(next() * 9) }, () => ({ name: "f" + Math.floor(next() * 6), line: Math.floor(next() * 3) }));
    const labels = next() < 0.3 ? {} : { route: "r" + Math.floor(next() * 4), ...(next() < 0.5 ? { user: "u" + Math.floor(next() * 3) } : {}) };
    builder.add(stack, labels, [1 + Math.floor(next() * 1000), 1]);
  }
  return builder.finish();
}

test("self_and_total_equal_a_walk_of_every_stack_even_with_recursion", () => {
  for (const data of [realistic(), ...[1, 2, 3, 4, 5].map(random)]) {
    const profile = read(data);
    for (const type of [0, 1]) {
      const tree = build(profile, { type });
      const [section] = topSections(profile, tree);
      checkRows(profile, section.rows, bruteForce(data, { type }));
      assert.equal(tree.total[0], sumOf(profile, type));
      assert.equal(section.rows.reduce((sum, row) => sum + row.self, 0), tree.total[0]);
    }
  }
});

test("filters_on_one_key_are_alternatives_and_keys_must_all_hold", () => {
  const data = random(9);
  const profile = read(data);
  const tree = build(profile, { filters: [["route", "r1"], ["route", null], ["user", "u2"], ["user", null]] });
  const keep = (_, labels) => [undefined, "r1"].includes(labels.route) && [undefined, "u2"].includes(labels.user);
  checkRows(profile, topSections(profile, tree)[0].rows, bruteForce(data, { keep }));
});

test("each_group_holds_exactly_its_samples_and_groups_add_up", () => {
  const data = random(10);
  const profile = read(data);
  const tree = build(profile, { by: "route" });
  const sections = topSections(profile, tree);
  assert.equal(sections.length, 5);
  assert.equal(sections.reduce((sum, { total }) => sum + total, 0), sumOf(profile, 0));
  for (const { value, rows, node } of sections) {
    checkRows(profile, rows, bruteForce(data, { keep: (_, labels) => (labels.route ?? null) === value }));
    assert.equal(tree.parent[node], 0);
    assert.equal(findNode(tree, -1, value), node);
  }
  assert.deepEqual([...sections].sort((a, b) => b.total - a.total), sections);
});

test("focus_keeps_only_stacks_through_the_function", () => {
  const data = random(11);
  const profile = read(data);
  const focus = profile.functions.name.indexOf("f3");
  const tree = build(profile, { focus });
  checkRows(profile, topSections(profile, tree)[0].rows, bruteForce(data, { keep: (stack) => stack.includes("f3") }));
});

test("only_keeps_the_stacks_that_match_every_pattern", () => {
  const data = random(13);
  const tree = build(read(data), { only: ["f1|f2", "F3", "f4"] });
  assert.equal(tree.total[0], 0, "F3 has a capital: case counts");
  const kept = build(read(data), { only: ["f1|f2", "f4"] });
  let want = 0;
  bruteForce(data, { keep: (stack) => stack.includes("f4") && (stack.includes("f1") || stack.includes("f2")) }).self.forEach((value) => (want += value));
  assert.equal(kept.total[0], want);
});

test("hidden_functions_merge_into_their_callers_and_what_they_called_stays", () => {
  for (const data of [random(14), random(15)]) {
    const profile = read(data);
    const tree = build(profile, { hide: ["^f[12]$"] });
    const gone = new Set(["f1", "f2"]);
    // The same stacks with those frames cut out by hand.
    const self = new Map();
    const total = new Map();
    let [moved, atRoot] = [0, 0];
    const nameOf = (frame) => data.strings[data.frames[frame][0]];
    for (const [node, , value] of data.samples) {
      const stack = [];
      for (let at = node; at !== -1; at = data.nodes[at][0]) stack.push(nameOf(data.nodes[at][1]));
      if (gone.has(stack[0])) moved += value;
      const kept = stack.filter((name) => !gone.has(name));
      if (kept.length === 0) atRoot += value;
      else self.set(kept[0], (self.get(kept[0]) ?? 0) + value);
      for (const name of new Set(kept)) total.set(name, (total.get(name) ?? 0) + value);
    }
    checkRows(profile, topSections(profile, tree)[0].rows, { self, total });
    assert.deepEqual([tree.moved, tree.self[0]], [moved, atRoot]);
    assert.equal(tree.total[0], sumOf(profile, 0));
    const pairs = new Set();
    for (let node = 1; node < tree.count; node += 1) pairs.add(tree.parent[node] + "," + tree.fn[node]);
    assert.equal(pairs.size, tree.count - 1, "no caller has the same callee twice");
  }
});

test("callers_and_callees_of_a_function_add_up_to_its_total_also_with_recursion", () => {
  for (const data of [random(16), realistic()]) {
    const profile = read(data);
    const { tree, sections } = figures(profile);
    for (const row of sections[0].rows) {
      const { callers, callees } = buildSandwich(tree, row.fn);
      assert.equal(callers.total[0], row.total);
      assert.equal(callees.total[0], row.total);
      assert.deepEqual([callers.fn[0], callees.fn[0]], [row.fn, row.fn]);
    }
  }
  const builder = new ProfileBuilder([{ type: "cpu", unit: "nanoseconds" }]);
  const put = (names, value) => builder.add(names.split(" ").map((name) => ({ name })), {}, [value]);
  put("main a x y", 1);
  put("main b x", 2);
  put("main b x z x y", 4);
  const profile = read(builder.finish());
  const { callers, callees } = buildSandwich(build(profile), profile.functions.name.indexOf("x"));
  const show = (tree) => [...tree.fn].map((fn, node) => `${node === 0 ? "" : profile.functions.name[tree.fn[tree.parent[node]]]}>${profile.functions.name[fn]} ${tree.total[node]}`).sort();
  assert.deepEqual(show(callers), [">x 7", "a>main 1", "b>main 6", "x>a 1", "x>b 6"]);
  assert.deepEqual(show(callees), [">x 7", "x>y 1", "x>y 4", "x>z 4", "z>x 4"].sort());
});

test("languages_are_told_by_file_and_module", () => {
  const cases = [
    [{ name: "f", file: "/app/views.py", module: "/app/views.py" }, "Python"], [{ name: "f", file: "<frozen importlib._bootstrap>", module: "" }, "Python"],
    [{ name: "f", file: "node:internal/timers", module: "" }, "JavaScript"], [{ name: "f", file: "/a/b.tsx", module: "" }, "JavaScript"],
    [{ name: "a.B.c", file: "B.java", module: "" }, "Java"], [{ name: "a.B.c", file: "", module: "/app/lib.jar" }, "Java"],
    [{ name: "main.main", file: "/src/main.go", module: "/bin/app" }, "Go"], [{ name: "do_sys_open", file: "", module: "[kernel]" }, "kernel"],
    [{ name: "nf_hook", file: "", module: "/lib/modules/x/nf.ko.zst" }, "kernel"], [{ name: "[kernel]", file: "", module: "" }, "kernel"], [{ name: "nft_do_chain", file: "", module: "[nf_tables]" }, "kernel"],
    [{ name: "__vdso_gettimeofday", file: "", module: "[vdso]" }, "native"],
    [{ name: "malloc", file: "", module: "/lib/libc.so.6" }, "native"], [{ name: "f", file: "src/a.rs", module: "/bin/app" }, "native"],
    [{ name: "[unsampled]", file: "", module: "" }, ""],
  ];
  for (const [fn, language] of cases) assert.equal(languageOf(fn), language, JSON.stringify(fn));
});

test("lines_of_one_function_are_one_node_and_the_heaviest_line_is_shown", () => {
  const builder = new ProfileBuilder([{ type: "cpu", unit: "nanoseconds" }]);
  builder.add([{ name: "main" }, { name: "work", line: 10 }], {}, [5]);
  builder.add([{ name: "main" }, { name: "work", line: 12 }], {}, [9]);
  const profile = read(builder.finish());
  const tree = build(profile);
  assert.equal(tree.count, 3);
  assert.equal(profile.functions.line[tree.hot[2]], 12);
});

test("search_counts_each_stack_once_however_often_it_matches", () => {
  for (const data of [realistic(), random(12)]) {
    const profile = read(data);
    for (const pattern of ["serde|hyper", "f1|f2", "f3"]) {
      const marked = matchFunctions(profile.functions, compileQuery(pattern));
      let want = 0;
      bruteForce(data, { keep: (stack) => stack.some((name) => new RegExp(pattern, "i").test(name)) }).self.forEach((value) => (want += value));
      assert.equal(matchedTotal(build(profile), marked), want);
      assert.equal(matchedTotal(build(profile, { by: "route" }), marked), want);
    }
  }
});

test("search_reads_prefixes_smart_case_and_patterns_that_are_not_regular_expressions", () => {
  const profile = read(realistic());
  const names = (text) => {
    const marked = matchFunctions(profile.functions, compileQuery(text));
    return profile.functions.name.filter((_, fn) => marked[fn]);
  };
  assert.equal(compileQuery("  "), null);
  assert.equal(compileQuery("module:"), null);
  assert.deepEqual(names("STORE"), []);
  assert.equal(names("store").length, 2);
  assert.ok(names("module:libc").includes("epoll_wait"));
  assert.deepEqual(names("file:auth\\.rs$"), ["orders_service::auth::verify_token"]);
  const broken = compileQuery("poll_(");
  assert.equal(broken.plain, true);
  assert.ok(broken.regex.test("x_poll_(y"));
  for (const text of ["(", "[", "*", "\\", "a{2", "(?<", "\\u{zz}", ...HOSTILE_NAMES]) assert.doesNotThrow(() => compileQuery(text), text);
});

test("rows_sort_by_each_column_in_both_directions_and_ties_by_name", () => {
  const names = ["b", "a", "c"];
  const rows = [{ fn: 0, self: 1, total: 5 }, { fn: 1, self: 1, total: 5 }, { fn: 2, self: 3, total: 3 }];
  const order = (column, descending) => sortRows([...rows], names, { column, descending }).map(({ fn }) => names[fn]).join("");
  assert.equal(order("self", true), "cab");
  assert.equal(order("self", false), "abc");
  assert.equal(order("total", true), "abc");
  assert.equal(order("name", false), "abc");
  assert.equal(order("name", true), "cba");
});

test("labels_are_weighed_with_a_row_for_samples_without_them", () => {
  const profile = read(realistic());
  const weights = weighLabels(profile, 0);
  assert.deepEqual(weights.map(({ key }) => key), ["method", "route"]);
  const route = weights[1].values;
  assert.equal(route.at(-1).value, null);
  assert.equal(route.reduce((sum, { total }) => sum + total, 0), sumOf(profile, 0));
});

test("visible_rectangles_tile_their_parents_and_their_number_follows_the_pixels", () => {
  const profile = read(large(30_000));
  const tree = build(profile);
  let painted = 0;
  const right = new Map();
  layoutTree(tree, { from: 0, to: tree.total[0], width: 1000, minWidth: 0.6, firstRow: 0, lastRow: 1000 }, (node, depth, x, width) => {
    painted += 1;
    assert.ok(x >= 0 && x + width <= 1000 + 1e-6);
    right.set(depth, (right.get(depth) ?? 0) + width);
  });
  for (const [depth, width] of right) assert.ok(width <= 1000 + 1e-6, `row ${depth} is ${width} wide`);
  assert.ok(painted > 1000 && painted < tree.count, `${painted} of ${tree.count}`);
  layoutTree(tree, { from: 0, to: 0, width: 1000, minWidth: 0.6, firstRow: 0, lastRow: 9 }, () => assert.fail("an empty range paints nothing"));
});

test("a_view_survives_its_address", () => {
  const profile = read(hostile());
  const filters = HOSTILE_NAMES.filter((name) => !name.includes("\ud800")).flatMap((name) => [[name, name], [name, null]]);
  const state = { ...initialState(profile), type: 1, only: ["a&b", "</script>"], hide: ["x+"], sandwich: true, filters, groupBy: "__proto__", focus: 3, selected: 4, query: "a+b&c=%", sort: { column: "name", descending: false }, flipped: true, colouring: "module", theme: "dark" };
  for (const zoom of [null, { node: 2 }, { node: 2, value: "</script>" }, { node: -1, value: null }]) {
    const back = decodeState("#" + encodeState({ ...state, zoom }, profile), profile);
    const sorted = (list) => [...list].map((pair) => JSON.stringify(pair)).sort();
    assert.deepEqual(sorted(back.filters), sorted(filters));
    assert.deepEqual({ ...back, filters: 0 }, { ...state, zoom, filters: 0 });
  }
  assert.equal(encodeState(initialState(profile), profile), "");
});

test("what_the_period_counts_is_shown_first", () => {
  const data = realistic();
  data.types.reverse();
  assert.equal(read(data).defaultType, 1);
  assert.equal(read({ ...data, period: null }).defaultType, 1);
  assert.equal(read(realistic()).defaultType, 0);
  assert.equal(read({ ...data, types: [{ type: "samples", unit: "count" }], period: null }).defaultType, 0);
});

test("a_comparison_survives_its_address", () => {
  const cases = [
    [series(), { period: [12, 23], against: [0, 11], measure: "rate", width: "both" }],
    [series(), { period: [3, 3], against: [0, 23] }],
    [series(), { pair: { key: "route", shown: "/b", base: null }, width: "base", only: ["a|b", "c"], hide: ["module:x"] }],
    [compared(), { period: [2, 2], colouring: "change", sort: { column: "total-change", descending: true } }],
  ];
  for (const [data, choice] of cases) {
    const profile = read(data);
    const state = { ...initialState(profile), ...choice };
    assert.deepEqual(decodeState("#" + encodeState(state, profile), profile), state);
  }
});

test("parts_that_begin_together_share_a_bar_and_a_period_holds_what_begins_in_it", () => {
  const parts = [0, 200, 900, 1000, 1300, 5000].map((startMs) => ({ startMs, endMs: startMs + 1000, durationNs: 1e9, known: false }));
  assert.deepEqual(makeSlots(parts, 0, 6).map(({ first, last, startMs, endMs }) => [first, last, startMs, endMs]), [[0, 1, 0, 1200], [2, 4, 900, 2300], [5, 5, 5000, 6000]]);
  assert.deepEqual(spellPeriod({ parts, baseParts: 0 }, [2, 4]), [900, 5000]);
  assert.deepEqual(spellPeriod({ parts, baseParts: 5 }, [2, 4]), [900, 2300]);
  assert.deepEqual(readPeriod(parts, [0, 6], [900, 5000]), [2, 4]);
  assert.equal(readPeriod(parts, [0, 6], [6000, 9000]), null);
  assert.equal(describePeriod(parts, [0, 2]), "0 s to 2 s");
});

test("a_period_counts_its_own_samples_and_two_periods_compare", () => {
  const data = series();
  const profile = read(data);
  const second = figures(profile, { period: [12, 23] });
  const want = data.samples.slice(-36).reduce((sum, sample) => sum + sample[2], 0);
  assert.equal(second.tree.total[0], want);
  assert.equal(second.sides.seconds, 120);
  const { comparison, sections } = figures(profile, { period: [12, 23], against: [0, 11], measure: "rate" });
  const name = (fn) => profile.functions.name[fn];
  const row = (wanted) => sections[0].rows.find(({ fn }) => name(fn) === wanted);
  assert.ok(Math.abs(row("retry").selfChange.change - 70e6) < 1, "70 samples of 10 ms in 10 s are 70 ms a second");
  assert.equal(row("retry").selfChange.changed, true);
  assert.equal(row("log").selfChange.changed, false);
});

test("an_address_of_another_profile_or_with_typos_is_ignored", () => {
  const profile = read(realistic());
  const hash = "#type=heap&l.nokey=1&by=nokey&focus=99999&fn=-1&zoom=1e9&sort=-colour&theme=pink&colour=x&%E0%A4%A";
  assert.deepEqual(decodeState(hash, profile), initialState(profile));
});

test("damaged_data_gives_a_message_and_never_a_wrong_picture", () => {
  const cases = [
    ["__SONDAGE_DATA__", /carries no profile/],
    ["{\"v\":2,\"title\":\"x\", oops }", /damaged/],
    ["[1,2,3,4,5,6,7,8,9,10,11]", /format 2/],
    [JSON.stringify({ ...realistic(), v: 1 }), /reads profile format 2, but the data has format 1/],
    [JSON.stringify({ ...realistic(), samples: undefined }), /has no samples/],
    [JSON.stringify({ ...realistic(), parts: [[null, 1, 1]] }), /hold 1 samples, but there are \d+/],
    [JSON.stringify({ ...realistic(), parts: [[null, 1, 1e9]] }), /a sample that it does not hold/],
    [JSON.stringify({ ...realistic(), base: { parts: 9 } }), /a part that it does not hold/],
    [JSON.stringify({ ...realistic(), types: [] }), /no profile type/],
    [JSON.stringify({ ...realistic(), parts: [[null, 0, 1]], samples: [[1e9, 0, 1, 1]] }), /a node that it does not hold \(1000000000\)/],
    [JSON.stringify({ ...realistic(), parts: [[null, 0, 1]], samples: [[0, 77, 1, 1]] }), /a label set/],
    [JSON.stringify({ ...realistic(), nodes: [[0, 0]] }), /a parent node/],
    [JSON.stringify({ ...realistic(), nodes: [[-1, 1.5]] }), /a frame/],
    [JSON.stringify({ ...realistic(), frames: [[0, 0, 9999, 0, 0]] }), /a string/],
  ];
  for (const [text, message] of cases) assert.throws(() => readProfile(text), message);
});

test("packed_data_is_told_apart_and_read_like_plain_data", async () => {
  const text = JSON.stringify(realistic());
  assert.equal(await unpackProfile("\n" + text), text);
  assert.equal(await unpackProfile(gzipSync(text).toString("base64") + "\n"), text);
  await assert.rejects(unpackProfile("__SONDAGE_DATA__"), /carries no profile/);
  await assert.rejects(unpackProfile("this is neither of them!"), /damaged/);
  await assert.rejects(unpackProfile(gzipSync(text).subarray(0, 900).toString("base64")), /damaged/);
});

test("each_sample_knows_its_part_and_the_sides_have_their_own_sums", () => {
  const builder = new ProfileBuilder([{ type: "cpu", unit: "nanoseconds" }]);
  const put = (name, value) => builder.add([{ name }], {}, [value]);
  builder.part(1000, 5e9);
  put("a", 3);
  put("b", 4);
  builder.part(7000, 5e9);
  builder.part(null, 2e9);
  put("a", 10);
  const data = builder.finish({ base: { parts: 1, title: "before", start_ms: 1000, duration_ns: 5e9, labels: { host: "x" }, lost: [["missed", 1]] } });
  const profile = read(data);
  assert.deepEqual([...profile.samplePart], [0, 0, 2]);
  assert.deepEqual([profile.baseParts, profile.shownFrom], [1, 2]);
  assert.deepEqual([sumOf(profile, 0), sumOf(profile, 0, true)], [10, 7]);
  assert.deepEqual(profile.parts.map(({ startMs, endMs }) => [startMs, endMs]), [[1000, 6000], [7000, 12_000], [12_000, 14_000]]);
  assert.deepEqual(profile.base, { title: "before", startMs: 1000, durationNs: 5e9, labels: [["host", "x"]], lost: [["missed", 1]] });
});

test("a_profile_without_samples_is_empty_and_not_an_error", () => {
  const profile = read({ ...realistic(), samples: [], parts: [], lost: [] });
  const tree = build(profile);
  assert.equal(tree.count, 1);
  assert.deepEqual(topSections(profile, tree)[0].rows, []);
  assert.equal(build(profile, { by: "route" }).count, 1);
  assert.equal(describePeriod(profile.parts, [0, -1]), "");
});

test("a_stack_100000_frames_deep_does_not_overflow_ours", () => {
  const data = realistic();
  data.frames = [[0, 0, 0, 0, 0]];
  data.nodes = Array.from({ length: 100_000 }, (_, i) => [i - 1, 0]);
  data.samples = [[99_999, 0, 7, 1]];
  data.parts = [[null, 0, 1]];
  const profile = read(data);
  const [section] = topSections(profile, build(profile));
  assert.deepEqual(section.rows, [{ fn: 0, self: 7, total: 7, baseSelf: 0, baseTotal: 0 }]);
});
