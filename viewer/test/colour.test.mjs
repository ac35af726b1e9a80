import assert from "node:assert/strict";
import { test } from "node:test";
import { assignColours, COLOURS, defaultColouring, makePalette } from "../src/colour.js";
import { contrast, linear } from "./contrast.mjs";
import { readProfile } from "../src/profile.js";
import { realistic } from "./profiles.mjs";

// Full colour blindness of each kind, in linear sRGB (Machado, Oliveira, Fernandes 2009).
const SIGHTS = {
  full: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

function oklab(rgb) {
  const mix = (a, b, c) => Math.cbrt(a * rgb[0] + b * rgb[1] + c * rgb[2]);
  const l = mix(0.4122214708, 0.5363325363, 0.0514459929);
  const m = mix(0.2119034982, 0.6806995451, 0.1073969566);
  const s = mix(0.0883024619, 0.2817188376, 0.6299787005);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function seen(hex, sight) {
  const rgb = linear(hex);
  return oklab(SIGHTS[sight].map((row) => Math.min(1, Math.max(0, row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2]))));
}

test("every_pair_of_colours_stays_apart_for_every_kind_of_sight", () => {
  for (const theme of ["light", "dark"]) {
    const { colours } = makePalette(theme);
    assert.equal(colours.length, COLOURS);
    for (const sight of Object.keys(SIGHTS)) {
      for (let i = 0; i < COLOURS; i += 1) {
        for (let j = 0; j < i; j += 1) {
          const [a, b] = [seen(colours[i][1], sight), seen(colours[j][1], sight)];
          const distance = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
          assert.ok(distance >= 0.06, `${theme} ${sight}: ${colours[i][1]} and ${colours[j][1]} are ${distance.toFixed(3)} apart`);
        }
      }
    }
  }
});

test("more_and_less_and_no_change_stay_apart_in_every_shade_for_every_kind_of_sight", () => {
  for (const theme of ["light", "dark"]) {
    const { more, less, neutral } = makePalette(theme);
    for (const sight of Object.keys(SIGHTS)) {
      for (const [one, other] of [[more, less], [more, neutral], [less, neutral]]) {
        for (const x of one) {
          for (const y of other) {
            const [a, b] = [seen(x, sight), seen(y, sight)];
            const distance = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
            assert.ok(distance >= 0.06, `${theme} ${sight}: ${x} and ${y} are ${distance.toFixed(3)} apart`);
          }
        }
      }
    }
  }
});

test("text_on_every_shade_has_a_contrast_of_at_least_4_5", () => {
  for (const theme of ["light", "dark"]) {
    const palette = makePalette(theme);
    for (const shade of [...palette.colours.flat(), ...palette.neutral, ...palette.more, ...palette.less]) {
      assert.ok(contrast(shade, palette.text) >= 4.5, `${theme} ${shade}: ${contrast(shade, palette.text).toFixed(2)}`);
    }
  }
});

test("colours_depend_on_names_and_weights_and_not_on_the_order_of_the_data", () => {
  const data = realistic();
  const first = readProfile(JSON.stringify(data));
  data.samples.reverse();
  const second = readProfile(JSON.stringify(data));
  assert.deepEqual(assignColours(first, "package"), assignColours(second, "package"));
  const slots = assignColours(first, "package").legend.map(({ slot }) => slot);
  assert.equal(new Set(slots).size, COLOURS);
});

test("a_program_in_one_module_is_coloured_by_package_and_its_own_code_stands_out", () => {
  const profile = readProfile(JSON.stringify(realistic()));
  assert.equal(defaultColouring(profile), "package");
  assert.ok(assignColours(profile, "package").legend.some(({ name }) => name === "orders_service"));
});
