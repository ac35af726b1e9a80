'use strict';

// `library` is what `sondage record` preloads into programs that are not of Node.js.
module.exports = {
  ...require('./sondage.node'),
  library: require('node:path').join(__dirname, 'libsondage.so'),
};
