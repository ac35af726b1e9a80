'use strict';

// `library` is what `sondage record` preloads: the addon, which is for every program.
module.exports = {
  ...require('./sondage.node'),
  library: require('node:path').join(__dirname, 'sondage.node'),
};
