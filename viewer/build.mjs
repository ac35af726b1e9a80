// Makes dist/page.html from src/. `--check` fails when the committed file is stale or too large.
// The page must work from one file with no network, so everything goes inline and the content
// security policy names the exact hashes of that inline code.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));
const SRC = join(HERE, "src");
const DIST = join(HERE, "dist", "page.html");
const LIMIT = 40 * 1024;
const PLACEHOLDER = "__SONDAGE_DATA__";
const IMPORT = /^import \{ ([\w, ]+) \} from "(\.\/[\w.-]+)";$/;

/** Modules in the order in which they must stand: what is imported comes first. */
function orderModules(entry, done = new Map(), open = []) {
  if (done.has(entry)) return done;
  if (open.includes(entry)) throw new Error(`import cycle: ${[...open, entry].map((f) => relative(SRC, f)).join(" → ")}`);
  const text = readFileSync(entry, "utf8");
  for (const line of text.split("\n")) {
    if (!/^\s*(import\b|export .* from ")/.test(line)) continue;
    const match = IMPORT.exec(line);
    if (!match) throw new Error(`${relative(SRC, entry)}: write imports as: import { a, b } from "./file.js";`);
    orderModules(normalize(join(dirname(entry), match[2])), done, [...open, entry]);
  }
  return done.set(entry, text);
}

/** Names declared at the top level of a module; all modules share one scope in the page. */
function topNames(text) {
  return [...text.matchAll(/^(?:export )?(?:function|class|const|let) (\w+)/gm)].map((match) => match[1]);
}

/** Removes imports, `export`, whole-line comments and indentation. Strings never span lines here. */
function strip(text, file) {
  const out = [];
  let comment = false;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (comment || line.startsWith("/*")) {
      comment = !line.endsWith("*/");
      continue;
    }
    if (line === "" || line.startsWith("//") || IMPORT.test(line)) continue;
    if ((line.match(/`/g) ?? []).length % 2 !== 0) throw new Error(`${file}: a template literal spans lines: ${line}`);
    out.push(line.replace(/^export /, ""));
  }
  return out.join("\n");
}

function bundle() {
  const owners = new Map();
  const parts = [];
  for (const [file, text] of orderModules(join(SRC, "main.js"))) {
    const name = relative(SRC, file);
    if (/^export default|^export \{/m.test(text)) throw new Error(`${name}: export by declaration only`);
    for (const declared of topNames(text)) {
      if (owners.has(declared)) throw new Error(`${declared} is declared in ${owners.get(declared)} and in ${name}`);
      owners.set(declared, name);
    }
    parts.push(strip(text, name));
  }
  return `(()=>{"use strict";\n${parts.join("\n")}\n})();`;
}

function stripCss(text) {
  const bare = text.replace(/\/\*[^]*?\*\//g, "").replace(/\s+/g, " ");
  return bare.replace(/ ?([{};,]) ?/g, "$1").replace(/;}/g, "}").trim();
}

function hash(text) {
  return `'sha256-${createHash("sha256").update(text, "utf8").digest("base64")}'`;
}

function fill(page, mark, text) {
  const parts = page.split(mark);
  if (parts.length !== 2) throw new Error(`page.html must contain ${mark} exactly once`);
  return parts.join(text);
}

/** The whole page, still with the placeholder for the data. */
export function buildPage() {
  const script = bundle();
  const style = stripCss(readFileSync(join(SRC, "style.css"), "utf8"));
  // A closing tag or a comment opener inside inline code would end or hide the rest of it.
  if (/<\/script|<!--|<script/i.test(script)) throw new Error("the script contains markup that would end it");
  if (/<\/style|<!--/i.test(style)) throw new Error("the style contains markup that would end it");
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;
  let page = readFileSync(join(SRC, "page.html"), "utf8");
  page = fill(fill(fill(page, "__CSP__", policy), "__STYLE__", style), "__SCRIPT__", script);
  if (page.split(PLACEHOLDER).length !== 2) throw new Error(`${PLACEHOLDER} must appear exactly once`);
  if (/https?:\/\/|\burl\(|@import|\bfetch\(|XMLHttpRequest|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(page)) {
    throw new Error("the page must not load anything and must not make markup or code from text");
  }
  return page;
}

function main() {
  const page = buildPage();
  const size = gzipSync(page, { level: 9 }).length;
  console.log(`page.html: ${page.length} bytes, ${size} gzipped (limit ${LIMIT})`);
  if (size > LIMIT) throw new Error("dist/page.html is too large");
  if (!process.argv.includes("--check")) return writeFileSync(DIST, page);
  let committed = "";
  try {
    committed = readFileSync(DIST, "utf8");
  } catch {
    // A missing file is stale.
  }
  if (committed !== page) throw new Error("dist/page.html is stale: run node viewer/build.mjs");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exit(1);
  }
}
