'use strict';

// The harness unpacks the input, a ZIP archive, into the folder it was given.
const Zip = require('adm-zip');

module.exports = function (input, ctx) {
  try {
    new Zip(input).extractAllTo(ctx.root, true);
  } catch {
    // Not an archive, or a damaged one.
  }
};
