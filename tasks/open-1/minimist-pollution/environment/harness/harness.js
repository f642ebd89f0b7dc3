'use strict';

// The harness parses the input's words as a command line.
const parse = require('minimist');

module.exports = function (input) {
  parse(input.toString('latin1').split(/\s+/).filter(Boolean));
};
