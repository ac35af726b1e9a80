// Tests of the page. The logic runs here; the page itself runs in a real headless Chromium.
//   node --test viewer/test.mjs
// Without Chromium the browser tests say that they are skipped; SONDAGE_REQUIRE_CHROMIUM=1 makes
// that a failure. SONDAGE_SCREENSHOTS=DIR keeps pictures of the states seen.

import "./test/format.test.mjs";
import "./test/colour.test.mjs";
import "./test/compare.test.mjs";
import "./test/logic.test.mjs";
import "./test/build.test.mjs";
import "./test/browser.test.mjs";
import "./test/safety.test.mjs";
import "./test/access.test.mjs";
import "./test/speed.test.mjs";
