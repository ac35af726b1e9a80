import assert from "node:assert/strict";
import { test } from "node:test";
import { countSamples, makeTest, upperQuantile } from "../src/compare.js";
import { readProfile } from "../src/profile.js";
import { initialState } from "../src/state.js";
import { computeFigures } from "../src/view.js";
import { compared, ProfileBuilder, seeded } from "./profiles.mjs";

const read = (data) => readProfile(JSON.stringify(data));
const figures = (profile, choice = {}) => computeFigures(profile, { ...initialState(profile), ...choice });
const close = (got, want, within = 1e-6) => assert.ok(Math.abs(got - want) <= within, `${got} is not ${want}`);
const side = (total, seconds = 10) => ({ total, samples: total, seconds });

test("quantiles_of_the_normal_distribution_are_those_of_the_tables", () => {
  const table = [[0.5, 0], [0.25, 0.6744897502], [0.05, 1.6448536270], [0.025, 1.9599639845], [0.005, 2.5758293035], [0.0025, 2.8070337683], [0.00125, 3.0233414397], [1e-4, 3.7190164855], [1e-6, 4.7534243088], [1e-9, 5.9978070150], [0.975, -1.9599639845]];
  for (const [q, z] of table) close(upperQuantile(q), z, 1e-6);
});

test("a_change_of_share_is_judged_by_pooled_counts_and_the_number_of_tests", () => {
  // 100 and 160 of 1000: pooled p = 0.13, s = sqrt(2 * 0.13 * 0.87 * 0.002) = 0.021270, z = 2.8209.
  const outcome = (tests, before = 100, after = 160) => makeTest({ measure: "share", base: side(1000), shown: side(1000) }, tests)(before, after);
  close(outcome(1).change, 0.06, 1e-12);
  assert.equal(outcome(10).changed, true, "2.8209 > z(0.0025) = 2.8070");
  assert.equal(outcome(11).changed, false, "2.8209 < z(0.05 / 22) = 2.8376");
  assert.equal(outcome(10, 160, 100).changed, true);
  assert.ok(outcome(10, 160, 100).part < 0);
  assert.equal(outcome(1, 0, 0).changed, false);
  assert.equal(outcome(1, 1000, 1000).changed, false);
});

test("a_change_per_second_is_judged_by_the_counts_of_both_sides", () => {
  // 100 in 10 s and 150 in 10 s: d = 5 a second, s = sqrt(2 * (100 + 150) / 100) = 2.2361, z = 2.2361.
  const outcome = (tests) => makeTest({ measure: "rate", base: side(1000), shown: side(1000) }, tests)(100, 150);
  assert.equal(outcome(1).change, 5);
  assert.equal(outcome(1).changed, true);
  assert.equal(outcome(2).changed, false, "z(0.0125) = 2.2414");
  // The same share of twice the load: no change of share, a change per second.
  const sides = { base: side(1000), shown: side(2000) };
  assert.equal(makeTest({ measure: "share", ...sides }, 1)(100, 200).changed, false);
  assert.equal(makeTest({ measure: "rate", ...sides }, 1)(100, 200).changed, true);
  // Twice the time with twice the samples is the same rate.
  assert.equal(makeTest({ measure: "rate", base: side(1000), shown: side(2000, 20) }, 1)(100, 200).change, 0);
});

test("changes_per_second_under_half_a_percent_of_the_larger_whole_are_never_named", () => {
  const sides = { base: side(1e8), shown: side(2e8) };
  assert.equal(makeTest({ measure: "rate", ...sides }, 1)(1e7, 1e7 + 0.99e6).changed, false);
  assert.equal(makeTest({ measure: "rate", ...sides }, 1)(1e7, 1e7 + 1.01e6).changed, true);
});

test("changes_under_half_a_point_are_never_named_and_unknown_counts_name_nothing", () => {
  const big = { base: side(1e8), shown: side(1e8) };
  assert.equal(makeTest({ measure: "share", ...big }, 1)(1e7, 1.049e7).changed, false);
  assert.equal(makeTest({ measure: "share", ...big }, 1)(1e7, 1.051e7).changed, true);
  const unknown = { total: 1e8, samples: null, seconds: 10 };
  assert.equal(makeTest({ measure: "share", base: unknown, shown: unknown }, 1)(0, 1e8).changed, false);
  assert.equal(makeTest({ measure: "share", base: side(0), shown: side(10) }, 1)(0, 10).changed, false);
});

test("samples_are_counted_by_their_type_or_the_period_and_scaled_counts_are_none", () => {
  const types = [{ type: "cpu", unit: "nanoseconds" }, { type: "samples", unit: "count" }];
  const period = { type: "cpu", unit: "nanoseconds", value: 1e7 };
  assert.equal(countSamples({ types, period }, 0, [5e9, 480]), 480);
  assert.equal(countSamples({ types: types.slice(0, 1), period }, 0, [5e9]), 500);
  assert.equal(countSamples({ types: [{ type: "lock_count", unit: "count" }], period }, 0, [77]), null);
  assert.equal(countSamples({ types: types.slice(0, 1), period: null }, 0, [5e9]), null);
});

test("two_halves_of_the_same_work_differ_by_chance_only_and_a_slower_function_is_found", () => {
  let calm = 0;
  let found = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const { comparison } = figures(read(drawn(seed, 0)));
    if (comparison.changed.size === 0) calm += 1;
    const slowed = read(drawn(seed + 100, 0.1));
    if (figures(slowed).comparison.changed.has(slowed.functions.name.indexOf("f7"))) found += 1;
  }
  assert.ok(calm >= 38, `nothing is called changed in ${calm} of 40`);
  assert.ok(found >= 38, `the slower function is found in ${found} of 40`);
});

/** 2000 samples a side over 50 functions; on the shown side f7 has `more` of the whole besides. */
function drawn(seed, more) {
  const next = seeded(seed * 7919);
  const builder = new ProfileBuilder([{ type: "cpu", unit: "nanoseconds" }]);
  for (const extra of [0, more]) {
    builder.part(null, 20e9);
    for (let i = 0; i < 2000; i += 1) {
      const fn = next() < extra ? 7 : Math.floor(next() ** 2 * 50);
      builder.add([{ name: "main" }, { name: "f" + fn }], {}, [1e7]);
    }
  }
  const period = { type: "cpu", unit: "nanoseconds", value: 1e7 };
  return builder.finish({ duration_ns: 20e9, period, base: { parts: 1, title: "", start_ms: null, duration_ns: 20e9, labels: {}, lost: [] } });
}

test("what_has_no_stack_changes_no_share", () => {
  const builder = new ProfileBuilder([{ type: "cpu", unit: "nanoseconds" }]);
  for (const lost of [100, 2000]) {
    builder.part(null, 20e9);
    builder.add([{ name: "main" }, { name: "parse" }], { route: "/cart" }, [3000e7]);
    builder.add([{ name: "main" }, { name: "render" }], { route: "/pay" }, [2000e7]);
    builder.add([{ name: "[unsampled]" }], {}, [lost * 1e7]);
  }
  const period = { type: "cpu", unit: "nanoseconds", value: 1e7 };
  const profile = read(builder.finish({ duration_ns: 20e9, period, base: { parts: 1, title: "", start_ms: null, duration_ns: 20e9, labels: {}, lost: [] } }));
  for (const groupBy of ["", "route"]) {
    const { comparison, sections, tree } = figures(profile, { groupBy });
    assert.equal(comparison.changed.size, 0);
    assert.deepEqual([comparison.base.samples, comparison.shown.samples], [5000, 5000]);
    for (const { rows } of sections) for (const { totalChange } of rows) assert.equal(totalChange.change, 0);
    for (let node = 0; node < tree.count; node += 1) assert.deepEqual(comparison.test(tree, node), { change: 0, part: 0, changed: false });
  }
});

test("each_function_has_the_values_of_both_sides_and_what_vanished_is_listed", () => {
  const profile = read(compared());
  const { sections, comparison, tree } = figures(profile);
  const row = (name) => sections[0].rows.find(({ fn }) => profile.functions.name[fn] === name);
  const values = ({ self, total, baseSelf, baseTotal }) => ({ self, total, baseSelf, baseTotal });
  assert.deepEqual(values(row("main")), { self: 0, total: 20e9, baseSelf: 0, baseTotal: 10e9 });
  assert.deepEqual(values(row("parse")), { self: 8e9, total: 8e9, baseSelf: 2e9, baseTotal: 2e9 });
  assert.deepEqual(values(row("old_cache")), { self: 0, total: 0, baseSelf: 2e9, baseTotal: 2e9 });
  close(row("parse").selfChange.change, 0.2, 1e-12);
  assert.equal(row("parse").selfChange.changed, true);
  assert.equal(row("render").selfChange.changed, false);
  assert.deepEqual(comparison.vanished.map((fn) => profile.functions.name[fn]), ["old_cache"]);
  assert.deepEqual([comparison.base.samples, comparison.shown.samples], [1000, 2000]);
  assert.equal(tree.total[0], 20e9);
});

test("the_union_keeps_a_place_for_frames_of_either_side_inside_their_callers", () => {
  const profile = read(compared());
  const at = (tree, name) => tree.fn.indexOf(profile.functions.name.indexOf(name));
  const shown = figures(profile).tree;
  assert.equal(shown.span[at(shown, "old_cache")], 0);
  const base = figures(profile, { width: "base" }).tree;
  assert.equal(base.span[at(base, "old_cache")], 2e9);
  assert.equal(base.span[0], 10e9);
  // Shares count: the base's 10 s are as wide as the shown side's 20 s.
  const both = figures(profile, { width: "both" }).tree;
  assert.equal(both.span[at(both, "old_cache")], 4e9);
  assert.equal(both.span[at(both, "parse")], 8e9);
  assert.equal(both.span[at(both, "render")], 12e9);
  assert.equal(both.span[0], 24e9);
  // Per second they do not: 10 s of work in 10 s against 20 s in 20 s.
  const rate = figures(profile, { width: "both", measure: "rate" });
  assert.equal(rate.comparison.measure, "rate");
  assert.equal(rate.tree.span[0], 24e9);
  for (const tree of [shown, base, both]) {
    for (let node = 1; node < tree.count; node += 1) assert.ok(tree.start[node] + tree.span[node] <= tree.start[tree.parent[node]] + tree.span[tree.parent[node]] + 1e-3);
  }
});

test("groups_are_compared_within_themselves_and_more_tests_ask_for_more", () => {
  const profile = read(compared());
  const { sections } = figures(profile, { groupBy: "route" });
  assert.equal(sections.length, 2);
  for (const section of sections) {
    const parse = section.rows.find(({ fn }) => profile.functions.name[fn] === "parse");
    if (parse) close(parse.selfChange.change, parse.self / section.total - parse.baseSelf / section.baseTotal, 1e-12);
  }
});
