// `node --import sondage/auto app.js`, or `--require`: profiles a program that does not know of it,
// as the SONDAGE_* variables say, or for `sondage record`.
'use strict';

const { isMainThread } = require('node:worker_threads');
const sondage = require('./index.cjs');

if (isMainThread) sondage.startByDoor();
