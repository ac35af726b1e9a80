// Takes the pictures of the guides: `make pictures`. The folder named on the command line has
// page.html, a page of the example service under load, and diff.html, which compares two.

import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser, findChromium } from "../../viewer/test/chromium.mjs";

/** Name of the picture, page, what the address chooses, the function to zoom to, and the colour scheme. */
const PICTURES = [
  ["page-light", "page.html", "", "axum::routing::route::RouteFuture", "light"],
  ["page-grouped-dark", "page.html", "#by=route", "rust_service::routes", "dark"],
  ["compare-light", "diff.html", "", "rust_service::routes", "light"],
];

const [folder] = process.argv.slice(2);
const path = findChromium();
if (folder === undefined || path === null) {
  console.error("usage: node docs/pictures/take.mjs FOLDER, with Chromium installed");
  process.exit(2);
}
const browser = new Browser(path);
for (const [name, page, hash, zoom, scheme] of PICTURES) {
  const address = pathToFileURL(resolve(folder, page)).href + hash;
  const tab = await browser.open(address, { "prefers-color-scheme": scheme });
  await tab.press("/");
  await tab.type(zoom);
  await tab.press("Enter");
  await tab.press("Escape");
  writeFileSync(new URL(`${name}.png`, import.meta.url), await tab.screenshot());
  await tab.close();
  console.log(`docs/pictures/${name}.png`);
}
await browser.close();
