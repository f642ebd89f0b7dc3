'use strict';

// The harness asks whether the input's first line is an address of the allowed
// network. Its policy: a text with characters that no notation of an address
// has is refused. Ranges (with a slash) are not asked for.
const { Netmask } = require('netmask');

const allowed = new Netmask('10.0.0.0/8');
const notation = /^[0-9a-fA-FxX.]*$/;

module.exports = function (input, ctx) {
  const text = input.toString('latin1').split('\n', 1)[0];
  if (text === '' || text.length > 64 || text.includes('/')) return;
  let inside = false;
  try {
    inside = allowed.contains(text);
  } catch {
    return; // refused
  }
  if (inside && !notation.test(text)) ctx.report('forged', 'a text that is no address passed as one');
};
