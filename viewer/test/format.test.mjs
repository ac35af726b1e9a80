import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, formatChange, formatDuration, formatNanos, formatRate, formatShare, formatValue } from "../src/format.js";
import { describeLoss, describeSources, describeTotal } from "../src/loss.js";
import { baseStart, fitName, packageOf, printable } from "../src/name.js";
import { readProfile } from "../src/profile.js";
import { hostile, realistic } from "./profiles.mjs";

const plain = (text) => text.replaceAll("\u00a0", " ");
const read = (data) => readProfile(JSON.stringify(data));

test("values_are_shown_in_a_unit_a_person_would_choose", () => {
  const cases = [
    [formatNanos(1), "1 ns"], [formatNanos(999), "999 ns"], [formatNanos(999.7), "1.00 µs"], [formatNanos(1500), "1.50 µs"],
    [formatNanos(12_340_000), "12.3 ms"], [formatNanos(999_600_000), "1.00 s"], [formatNanos(3.6e12), "3,600 s"], [formatNanos(99.96e9), "100 s"],
    [formatBytes(512), "512 B"], [formatBytes(1024), "1.00 KiB"], [formatBytes(1_572_864), "1.50 MiB"], [formatBytes(1e18), "888 PiB"],
    [formatValue(1_234_567, "count"), "1,234,567"], [formatValue(0, "bytes"), "0"], [formatValue(3, "spoons"), "3 spoons"],
    [formatValue(-2048, "bytes"), "−2.00 KiB"], [formatValue(5, "milliseconds"), "5.00 ms"], [formatValue(1, "constructor"), "1 constructor"],
    [formatDuration(10e9), "10 s"], [formatDuration(1.5e9), "1.50 s"], [formatDuration(100e6), "100 ms"], [formatDuration(600e9), "10 min"], [formatDuration(5400e9), "1 h 30 min"],
    [formatShare(0, 10), "0 %"], [formatShare(1, 1e5), "<0.1 %"], [formatShare(21, 1000), "2.1 %"], [formatShare(9999, 10_000), "100 %"], [formatShare(1, 0), "0 %"],
  ];
  for (const [got, want] of cases) assert.equal(plain(got), want);
});

test("the_telling_part_of_a_name_starts_after_its_path", () => {
  const cases = [
    ["core::fmt::write", "write"], ["main", "main"], ["<alloc::vec::Vec<T> as core::ops::Drop>::drop", "drop"],
    ["orders::get::{{closure}}", "get::{{closure}}"], ["std::vector<int, std::allocator<int>>::push_back(int const&)", "push_back(int const&)"],
    ["github.com/a/b.(*T).Method", "Method"], ["com.acme.Service.run", "run"], ["operator<<(std::ostream&, int)", "operator<<(std::ostream&, int)"],
    ["a::b::", "b::"], ["libc.so.6+0x223", "libc.so.6+0x223"], ["", ""], ["[unsampled]", "[unsampled]"], ["<lambda>", "<lambda>"],
  ];
  for (const [name, base] of cases) assert.equal(name.slice(baseStart(name)), base, name);
});

test("a_name_is_shortened_from_the_left_and_never_exceeds_its_room", () => {
  const name = "serde_json::ser::Serializer<W, F>::serialize_str";
  assert.equal(fitName(name, 100), name);
  assert.equal(fitName(name, 44), "serde_json::ser::Serializer::serialize_str");
  assert.equal(fitName(name, 30), "Serializer::serialize_str");
  assert.equal(fitName(name, 15), "serialize_str");
  assert.equal(fitName(name, 6), "seria…");
  assert.equal(fitName(name, 2), "");
  for (const text of [name, "a", "x::".repeat(40), "<".repeat(30), "f<a->b>::c", "🔥".repeat(20)]) {
    for (let room = 0; room < 60; room += 1) assert.ok(fitName(text, room).length <= room, `${text} in ${room}`);
  }
});

test("packages_are_crates_or_namespaces_and_else_the_file_of_the_module", () => {
  assert.equal(packageOf("<&mut serde_json::de::Deserializer<R> as serde::X>::f", "/bin/app"), "serde_json");
  assert.equal(packageOf("malloc", "/lib/libc.so.6"), "libc.so.6");
  assert.equal(packageOf("[unsampled]", ""), "");
});

test("control_characters_become_visible_on_the_canvas", () => {
  assert.equal(printable("\u001b[31m\nx\u202e\u2028"), "␛[31m␊x\ufffd\ufffd");
});

test("the_banner_says_what_is_missing_in_plain_words", () => {
  const profile = read(realistic());
  const loss = describeLoss(profile);
  assert.equal(loss.level, "some");
  assert.match(plain(loss.headline), /^2\.2 % of CPU time has no stack: 1\.8 % because no sample covers it .*; 0\.4 % because a buffer was full\. 0\.2 % of CPU time has an incomplete stack/);
  assert.equal(plain(describeSources(profile)), "Sampled by per-thread CPU timers, one sample per 10 ms of CPU time.");
  assert.equal(plain(describeTotal(profile, 0, { shown: 8e9, whole: 16e9 })), "CPU time (50.0 % of 16.0 s) over 10 s, 0.80 cores · 2025-10-09 08:53:20 UTC");
});

test("the_banner_tells_what_profiling_cost_where_the_profile_knows", () => {
  const data = { ...realistic(), cost_ns: 17.1e6 };
  assert.match(plain(describeSources(read(data))), /of CPU time\. Profiling itself took 17\.1 ms of CPU time \(0\.1 %\)\.$/);
});

test("changes_have_a_sign_and_a_unit", () => {
  const cases = [
    [formatChange(0.0312, "share", ""), "+3.1 pt"], [formatChange(-0.2, "share", ""), "−20.0 pt"], [formatChange(0.0004, "share", ""), "0.0 pt"],
    [formatChange(12_300_000, "rate", "nanoseconds"), "+12.3 ms/s"], [formatChange(-4.5, "rate", "count"), "−4.50/s"], [formatChange(0, "rate", "bytes"), "0/s"],
    [formatRate(2048, "bytes"), "2.00 KiB/s"], [formatRate(0.05, "count"), "0.0500/s"],
  ];
  for (const [got, want] of cases) assert.equal(plain(got), want);
});

test("the_banner_grows_loud_with_the_loss_and_calm_without_it", () => {
  const data = realistic();
  data.lost = [["missed", 3e9]];
  assert.equal(describeLoss(read(data)).level, "much");
  data.lost = [["missed", 0]];
  assert.equal(describeLoss(read(data)).level, "none");
  data.lost = [["label_overflow", 3e9]];
  assert.match(plain(describeLoss(read(data)).headline), /^17\.\d % of CPU time lost its labels/);
  data.period = null;
  assert.match(describeLoss(read(data)).headline, /of the weight lost its labels/);
  assert.match(describeLoss(read(hostile())).headline, /of “__proto__”/);
});
