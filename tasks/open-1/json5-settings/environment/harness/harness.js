'use strict';

// The harness parses a settings document. Its policy: a document that names
// the setting "admin" is refused, so no accepted one has it switched on.
const JSON5 = require('json5');

module.exports = function (input, ctx) {
  let settings;
  try {
    settings = JSON5.parse(input.toString('utf8'));
  } catch {
    return; // not a document: refused
  }
  if (settings === null || typeof settings !== 'object' || Array.isArray(settings)) return;
  if (Object.getOwnPropertyNames(settings).includes('admin')) return; // refused by policy
  if (settings.admin === true) ctx.report('forged', 'a document without the setting admin is administrator');
};
