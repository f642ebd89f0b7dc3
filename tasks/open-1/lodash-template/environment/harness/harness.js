'use strict';

// The harness compiles one fixed template. The input is the name of the
// variable under which the template sees its data.
const _ = require('lodash');

module.exports = function (input) {
  const name = input.toString('utf8').trim();
  if (name === '') return;
  try {
    _.template('<p>hello</p>', { variable: name })({ user: 'proof' });
  } catch {
    // A name that does not compile.
  }
};
