#!/usr/bin/env node
// The `sondage` command: record, report, convert, push, ctl, doctor.
'use strict';

const path = require('node:path');

function run() {
  const addon = require('../lib/addon.cjs');
  const auto = path.join(__dirname, '..', 'lib', 'auto.cjs');
  return addon.command(['sondage', ...process.argv.slice(2)], addon.library, auto);
}

try {
  process.exitCode = run();
} catch (error) {
  console.error(`sondage: ${error.message}`);
  process.exitCode = 1;
}
