'use strict';

// The harness strips terminal control sequences from the input.
const ansi = require('ansi-regex');

module.exports = function (input) {
  input.toString('latin1').replace(ansi(), '');
};
