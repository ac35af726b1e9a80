#!/usr/bin/env node
// The `sondage` command: record, report, convert, push, ctl, doctor.
'use strict';

const path = require('node:path');
const addon = require('../lib/addon.cjs');

// Ctrl-C ends the command, or is the recorded program's: Node.js has no part in it.
process.exitCode = addon.command(
  ['sondage', ...process.argv.slice(2)],
  addon.library ?? null,
  path.join(__dirname, '..', 'lib', 'auto.cjs'),
);
