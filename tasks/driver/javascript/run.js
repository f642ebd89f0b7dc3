'use strict';
// Runs a task's harness on one input: node run.js INPUT. The prototypes are
// compared before and after, and a change goes to the host with its nonce.
const fs = require('fs');
const path = require('path');
const { snapshot } = require('./prototypes.js');
const { writeSync } = fs;
const show = String;
const quote = JSON.stringify;
const slice = Function.prototype.call.bind(String.prototype.slice);

const fd = Number(process.env.PROOFHOUSE_REPORT);
const nonce = process.env.PROOFHOUSE_NONCE;
const crash = process.env.PROOFHOUSE_SYMPTOM === 'crash';
for (const name of ['PROOFHOUSE_REPORT', 'PROOFHOUSE_NONCE', 'PROOFHOUSE_SYMPTOM']) delete process.env[name];

function report(kind, detail) {
  if (fd > 2 && nonce) {
    try { writeSync(fd, nonce + ' ' + kind + ' ' + slice(quote(show(detail)), 1, -1) + '\n'); } catch { /* the host has read enough */ }
  }
}

const input = fs.readFileSync(process.argv[2]);
const harness = require(path.join(__dirname, 'harness', 'harness.js'));
const compare = snapshot();
process.on('exit', () => {
  const found = compare(Infinity);
  for (let i = 0; i < found.length; i++) report('polluted', found[i]);
});

// A library may refuse an input by throwing; only where a crash is the
// symptom does that end the process, the way Node ends it.
if (!crash) process.on('uncaughtException', () => {});
const done = harness(input, { report, root: process.cwd() });
report('returned', '');
if (done && typeof done.then === 'function') done.then(undefined, (err) => process.nextTick(() => { throw err; }));
