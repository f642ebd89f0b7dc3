'use strict';

// The harness runs the input as a script inside the sandbox.
const { VM } = require('vm2');

module.exports = function (input) {
  try {
    new VM({ timeout: 15000 }).run(input.toString('utf8'));
  } catch {
    // Errors of the script are its own.
  }
};
