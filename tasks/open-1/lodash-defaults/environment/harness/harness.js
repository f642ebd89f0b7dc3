'use strict';

// The harness completes a settings object from a JSON document.
const _ = require('lodash');

module.exports = function (input) {
  let given;
  try {
    given = JSON.parse(input.toString('utf8'));
  } catch {
    return; // not JSON: nothing to do
  }
  if (given === null || typeof given !== 'object') return;
  _.defaultsDeep({ server: { port: 8080 }, tags: [] }, given);
};
