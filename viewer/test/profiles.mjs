// Profiles for the tests: a realistic one, a hostile one and a large one. All are deterministic.

import { gzipSync } from "node:zlib";

/** A small seeded generator of numbers in [0, 1). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

/** Builds profile data in the page's format from stacks given root first. Samples go into the
 *  part that `part` began last; without one, `finish` makes a single part of all. */
export class ProfileBuilder {
  constructor(types) {
    this.data = {
      v: 2, title: "", types, start_ms: null, duration_ns: 0, labels: {}, sources: ["timer"],
      strings: [""], frames: [], nodes: [], labelSets: [[]], samples: [], parts: [], base: null, lost: [], period: null,
    };
    this.ids = new Map();
    this.sampleIds = new Map();
  }

  intern(table, key, make) {
    const full = table + "\u0000" + key;
    if (!this.ids.has(full)) this.ids.set(full, this.data[table].push(make()) - 1);
    return this.ids.get(full);
  }

  string(text) {
    return text === "" ? 0 : this.intern("strings", text, () => text);
  }

  /** A frame is {name, file, module, line, inlined}; only the name is required. */
  frame({ name, file = "", module = "", line = 0, inlined = false }) {
    const frame = [this.string(name), this.string(file), this.string(module), line, inlined ? 1 : 0];
    return this.intern("frames", frame.join(), () => frame);
  }

  add(stack, labels, values) {
    let node = -1;
    for (const frame of stack) {
      const pair = [node, this.frame(frame)];
      node = this.intern("nodes", pair.join(), () => pair);
    }
    const pairs = Object.entries(labels);
    const set = pairs.length === 0 ? 0 : this.intern("labelSets", JSON.stringify(pairs), () => pairs);
    const key = node + "," + set;
    if (!this.sampleIds.has(key)) this.sampleIds.set(key, this.data.samples.push([node, set, ...values.map(() => 0)]) - 1);
    const sample = this.data.samples[this.sampleIds.get(key)];
    values.forEach((value, i) => (sample[i + 2] += value));
  }

  /** Begins another part; what was added before it is closed. */
  part(startMs, durationNs) {
    this.closePart();
    this.sampleIds.clear();
    this.data.parts.push([startMs, durationNs, 0]);
  }

  closePart() {
    const { parts, samples } = this.data;
    if (parts.length > 0) parts.at(-1)[2] = samples.length - parts.slice(0, -1).reduce((sum, [, , rows]) => sum + rows, 0);
  }

  /** The data, with what is known of the whole. */
  finish(facts = {}) {
    Object.assign(this.data, facts);
    if (this.data.parts.length === 0) this.data.parts.push([this.data.start_ms, this.data.duration_ns, 0]);
    this.closePart();
    return this.data;
  }
}

const EXE = "/usr/local/bin/orders-service";
const LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const CPU_TYPES = [{ type: "cpu", unit: "nanoseconds" }, { type: "samples", unit: "count" }];
const PERIOD = 10_000_000;

const rust = (name, file, line, inlined = false) => ({ name, file, line, inlined, module: EXE });
const libc = (name) => ({ name, module: LIBC });
const START = [
  libc("__clone3"), libc("start_thread"),
  rust("std::sys::thread::unix::Thread::new::thread_start", "/rustc/std/src/sys/thread/unix.rs", 107),
  rust("<alloc::boxed::Box<F, A> as core::ops::function::FnOnce<Args>>::call_once", "/rustc/alloc/src/boxed.rs", 1971, true),
  rust("tokio::runtime::blocking::pool::Inner::run", "tokio-1.47.0/src/runtime/blocking/pool.rs", 516),
  rust("tokio::runtime::scheduler::multi_thread::worker::run", "tokio-1.47.0/src/runtime/scheduler/multi_thread/worker.rs", 457),
  rust("tokio::runtime::scheduler::multi_thread::worker::Context::run_task", "tokio-1.47.0/src/runtime/scheduler/multi_thread/worker.rs", 591),
  rust("tokio::runtime::task::raw::poll", "tokio-1.47.0/src/runtime/task/raw.rs", 201),
];
const HTTP = [
  rust("hyper::server::conn::http1::UpgradeableConnection<I, S>::poll", "hyper-1.6.0/src/server/conn/http1.rs", 503),
  rust("hyper::proto::h1::dispatch::Dispatcher<D, Bs, I, T>::poll_catch", "hyper-1.6.0/src/proto/h1/dispatch.rs", 177),
  rust("<axum::routing::route::RouteFuture<E> as core::future::future::Future>::poll", "axum-0.8.4/src/routing/route.rs", 147, true),
];
const handler = (name, line) => rust(`orders_service::routes::${name}::{{closure}}`, "src/routes.rs", line);
const ser = rust("serde_json::ser::to_writer", "serde_json-1.0.140/src/ser.rs", 2172);
const serValue = rust("<serde_json::value::Value as serde::ser::Serialize>::serialize", "serde_json-1.0.140/src/value/ser.rs", 20);
const de = rust("serde_json::de::from_slice", "serde_json-1.0.140/src/de.rs", 2693);
const zip = rust("flate2::zio::Writer<W, D>::write_with_status", "flate2-1.1.2/src/zio.rs", 262);

/** Where each route spends its time: [weight, frames below the handler]. */
const ROUTES = [
  { route: "/api/orders", method: "POST", weight: 1, line: 41, name: "create_order", paths: [
    [14, [de, rust("<&mut serde_json::de::Deserializer<R> as serde::de::Deserializer>::deserialize_struct", "serde_json-1.0.140/src/de.rs", 1836)]],
    [6, [de, rust("serde_json::read::SliceRead::parse_str_bytes", "serde_json-1.0.140/src/read.rs", 560)]],
    [22, [rust("orders_service::auth::verify_token", "src/auth.rs", 31), rust("sha2::sha256::x86::digest_blocks", "sha2-0.10.9/src/sha256/x86.rs", 98)]],
    [5, [rust("orders_service::store::Store::insert", "src/store.rs", 77), rust("alloc::collections::btree::map::BTreeMap<K, V, A>::insert", "/rustc/alloc/src/collections/btree/map.rs", 1040)]],
    [4, [rust("orders_service::store::Store::insert", "src/store.rs", 79), libc("_int_malloc")]],
  ] },
  { route: "/api/orders/{id}", method: "GET", weight: 1.3, line: 66, name: "get_order", paths: [
    [9, [ser, serValue, serValue, rust("serde_json::ser::format_escaped_str_contents", "serde_json-1.0.140/src/ser.rs", 2070)]],
    [7, [ser, serValue, rust("itoa::Buffer::format", "itoa-1.0.15/src/lib.rs", 101, true)]],
    [4, [ser, serValue, libc("__memmove_avx_unaligned_erms")]],
    [8, [rust("orders_service::store::Store::find", "src/store.rs", 52), rust("core::hash::BuildHasher::hash_one", "/rustc/core/src/hash/mod.rs", 699, true)]],
  ] },
  { route: "/api/export", method: "GET", weight: 1.6, line: 103, name: "export_orders", paths: [
    [44, [rust("orders_service::export::compress", "src/export.rs", 24), zip, rust("miniz_oxide::deflate::core::compress_normal", "miniz_oxide-0.8.9/src/deflate/core.rs", 1684), rust("miniz_oxide::deflate::core::DictOxide::find_match", "miniz_oxide-0.8.9/src/deflate/core.rs", 1282)]],
    [13, [rust("orders_service::export::compress", "src/export.rs", 24), zip, rust("miniz_oxide::deflate::core::compress_normal", "miniz_oxide-0.8.9/src/deflate/core.rs", 1720)]],
    [6, [rust("orders_service::export::compress", "src/export.rs", 25), zip, rust("miniz_oxide::deflate::core::flush_block", "miniz_oxide-0.8.9/src/deflate/core.rs", 1533)]],
    [9, [ser, serValue, rust("ryu::pretty::format64", "ryu-1.0.20/src/pretty/mod.rs", 52)]],
    [7, [ser, serValue, libc("__memmove_avx_unaligned_erms")]],
  ] },
];

/** Ten seconds of an HTTP service: routes as labels, two modules, some loss. */
export function realistic() {
  const builder = new ProfileBuilder(structuredClone(CPU_TYPES));
  const random = seeded(7);
  const put = (stack, labels, count) => builder.add(stack, labels, [count * PERIOD, count]);
  for (const route of ROUTES) {
    for (const [weight, path] of route.paths) {
      const count = Math.max(1, Math.round(weight * route.weight * (6.5 + random())));
      put([...START, ...HTTP, handler(route.name, route.line), ...path], { method: route.method, route: route.route }, count);
    }
  }
  put([...START.slice(0, 6), rust("tokio::runtime::io::driver::Driver::turn", "tokio-1.47.0/src/runtime/io/driver.rs", 149), libc("epoll_wait")], {}, 46);
  put([...START, ...HTTP, rust("hyper::proto::h1::io::Buffered<T, B>::poll_flush", "hyper-1.6.0/src/proto/h1/io.rs", 271), libc("__send")], {}, 81);
  put([{ name: "[vdso]", module: "[vdso]" }], {}, 9);
  put([{ name: "[unsampled]" }], {}, 31);
  put([{ name: "[dropped]" }], {}, 6);
  return builder.finish({
    title: "orders-service",
    start_ms: 1_760_000_000_000,
    duration_ns: 10_000_000_000,
    labels: { service_name: "orders-service", host: "node-7" },
    lost: [["unsampled", 31 * PERIOD], ["dropped", 6 * PERIOD], ["truncated", 4 * PERIOD]],
    period: { type: "cpu", unit: "nanoseconds", value: PERIOD },
  });
}

/** 20 s against a base of 10 s: `parse` grew from 20 to 40 % of the whole, `render` kept its 60 %,
 *  and `old_cache` with its 20 % is gone. */
export function compared() {
  const builder = new ProfileBuilder(structuredClone(CPU_TYPES));
  const put = (name, route, count) => builder.add([rust("main", "src/main.rs", 3), rust(name, `src/${name}.rs`, 7)], { route }, [count * PERIOD, count]);
  builder.part(1_760_000_000_000, 10e9);
  put("parse", "/a", 200);
  put("render", "/b", 600);
  put("old_cache", "/b", 200);
  for (const start of [1_760_600_000_000, 1_760_600_010_000]) {
    builder.part(start, 10e9);
    put("parse", "/a", 400);
    put("render", "/b", 600);
  }
  return builder.finish({
    title: "orders-service", start_ms: 1_760_600_000_000, duration_ns: 20e9,
    base: { parts: 1, title: "orders-service", start_ms: 1_760_000_000_000, duration_ns: 10e9, labels: {}, lost: [] },
    period: { type: "cpu", unit: "nanoseconds", value: PERIOD },
  });
}

/** Four minutes in 24 parts of 10 s; in the second half `retry` takes a third of the time. */
export function series() {
  const builder = new ProfileBuilder(structuredClone(CPU_TYPES));
  const put = (name, count) => builder.add([rust("main", "src/main.rs", 3), rust(name, `src/${name}.rs`, 7)], { route: name === "retry" ? "/b" : "/a" }, [count * PERIOD, count]);
  for (let part = 0; part < 24; part += 1) {
    builder.part(1_760_000_000_000 + part * 10_000, 10e9);
    put("serve", 100 + (part % 5));
    put("log", 40);
    if (part >= 12) put("retry", 70);
  }
  return builder.finish({ title: "orders-service", start_ms: 1_760_000_000_000, duration_ns: 240e9, period: { type: "cpu", unit: "nanoseconds", value: PERIOD } });
}

const ATTACKS = [
  "</script><script>window.owned=1</script>",
  "<img src=x onerror=window.owned=2>",
  "<svg onload=window.owned=3>",
  "--><script>window.owned=4</script><!--",
  "<!--<script>window.owned=5</script>",
  "\u2028window.owned=6\u2029",
  "\u001b[31mred\u001b[0m\u0007",
  "javascript:window.owned=7",
  "\"onmouseover=\"window.owned=8",
  "'+window.owned+'",
  "${window.owned=9}",
  "{{constructor.constructor('window.owned=10')()}}",
  "__SONDAGE_DATA__",
  "__proto__",
  "constructor",
  "toString",
  "\u202egnitset\u202c bidi",
  "&lt;b&gt;&amp;",
  "new\nline\ttab",
  "\ud83d\udd25 emoji \ud800 lone surrogate",
  "<style>*{display:none}</style>",
  "<base href=//evil.example>",
  "<meta http-equiv=refresh content=0>",
  "a".repeat(20_000),
  " ",
];

/** 500 names that try to be markup, code or terminal commands, alone and one after another. Each
 *  would set window.owned. */
export const HOSTILE_NAMES = [...ATTACKS, ...ATTACKS.flatMap((name) => ATTACKS.filter((other) => other !== name && name.length + other.length < 200).map((other) => name + other))].slice(0, 520);

/** Hostile names everywhere a name may stand: functions, files, modules, labels, threads, title. */
export function hostile() {
  const builder = new ProfileBuilder(structuredClone(CPU_TYPES));
  HOSTILE_NAMES.forEach((name, i) => {
    const frame = { name, file: "file " + name, module: "module " + name, line: i };
    builder.add([{ name: "main" }, frame], { [name]: name, thread: name }, [(i + 1) * 1e9, i + 1]);
  });
  return builder.finish({
    title: HOSTILE_NAMES[0],
    labels: { [HOSTILE_NAMES[1]]: HOSTILE_NAMES[2] },
    sources: ["timer", HOSTILE_NAMES[1]],
    lost: [["unsampled", 1e9], [HOSTILE_NAMES[1], 5e9], ["__proto__", 1e9]],
    period: { type: "cpu", unit: "nanoseconds", value: 1e9 },
  });
}

/** A tree of about `nodes` nodes with call-graph-like fan-out and 5 modules. */
export function large(nodes) {
  const builder = new ProfileBuilder(structuredClone(CPU_TYPES));
  const random = seeded(11);
  const frames = Array.from({ length: 4000 }, (_, i) => ({ name: `crate_${i % 23}::module_${i % 131}::function_${i}`, file: `src/f${i % 131}.rs`, module: `/opt/lib${i % 5}.so`, line: i % 900 }));
  while (builder.data.nodes.length < nodes) {
    const depth = 12 + Math.floor(random() * 50);
    const stack = [frames[0]];
    for (let at = 1; at < depth; at += 1) stack.push(frames[Math.floor(random() ** (at < 8 ? 9 : 2.2) * 4000)]);
    builder.add(stack, { route: `/r${Math.floor(random() * 40)}` }, [1e6 * (1 + Math.floor(random() ** 4 * 300)), 1]);
  }
  return builder.finish({ title: "large", duration_ns: 60e9, period: { type: "cpu", unit: "nanoseconds", value: 1e6 } });
}

/** The large tree with a million samples in 60 parts of a minute: one for each of `count` draws. */
export function millions(count = 1_000_000) {
  const data = large(100_000);
  const random = seeded(5);
  const leaves = data.samples.map(([node]) => node);
  const draw = (limit) => Math.floor(random() * limit);
  data.samples = Array.from({ length: count }, () => [leaves[draw(leaves.length)], draw(data.labelSets.length), 1e6 * (1 + draw(300)), 1]);
  data.parts = Array.from({ length: 60 }, (_, i) => [1_760_000_000_000 + i * 60_000, 60e9, Math.floor(((i + 1) * count) / 60) - Math.floor((i * count) / 60)]);
  return data;
}

/** Puts data into the page the way the agent does: base64 of gzip when it is larger than `limit`,
 *  else JSON escaped for a script element. */
export function embed(page, data, limit = 64 * 1024) {
  const whole = JSON.stringify(data);
  if (whole.length > limit) return page.replace("__SONDAGE_DATA__", () => gzipSync(whole).toString("base64"));
  const escapes = { "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029" };
  const json = whole.replace(/[<>&\u2028\u2029]/g, (char) => escapes[char]);
  return page.replace("__SONDAGE_DATA__", () => json);
}
