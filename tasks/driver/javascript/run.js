'use strict';
// Runs a task's harness on one input: node run.js INPUT. The prototypes are
// compared before and after, and a change goes to the host with its nonce.
// What this file needs of the language is taken before the harness can touch it.
const fs = require('fs');
const path = require('path');
const { writeSync } = fs;
const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Reflect;
const { is } = Object;
const show = String;
const quote = JSON.stringify;
const slice = Function.prototype.call.bind(String.prototype.slice);

const fd = Number(process.env.PROOFHOUSE_REPORT);
const nonce = process.env.PROOFHOUSE_NONCE;
const symptom = process.env.PROOFHOUSE_SYMPTOM;
for (const name of ['PROOFHOUSE_REPORT', 'PROOFHOUSE_NONCE', 'PROOFHOUSE_SYMPTOM']) delete process.env[name];

function report(kind, detail) {
  if (fd > 2 && nonce) {
    try { writeSync(fd, nonce + ' ' + kind + ' ' + slice(quote(show(detail)), 1, -1) + '\n'); } catch { /* the host has read enough */ }
  }
}

// builtins are the prototypes that all code shares, by name.
function builtins() {
  const out = [];
  const add = (name, p) => {
    if (p !== null && (typeof p === 'object' || typeof p === 'function') && !out.some((o) => o.proto === p)) out.push({ name, proto: p });
  };
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const d = getOwnPropertyDescriptor(globalThis, name);
    if (d && typeof d.value === 'function' && d.value.prototype) add(name, d.value.prototype);
  }
  const iterators = { Array: [][Symbol.iterator](), Map: new Map().entries(), Set: new Set().values(), String: ''[Symbol.iterator]() };
  for (const name of Object.keys(iterators)) add(name + ' Iterator', getPrototypeOf(iterators[name]));
  add('Iterator', getPrototypeOf(getPrototypeOf([][Symbol.iterator]())));
  add('TypedArray', getPrototypeOf(Uint8Array.prototype));
  add('AsyncFunction', getPrototypeOf(async () => {}));
  add('GeneratorFunction', getPrototypeOf(function* () {}));
  add('AsyncGeneratorFunction', getPrototypeOf(async function* () {}));
  return out;
}

// state is what a prototype owns: arrays only, so that no lookup of ours goes
// through a prototype that was changed.
function state(proto) {
  const keys = ownKeys(proto);
  const out = [];
  for (let i = 0; i < keys.length; i++) {
    const d = getOwnPropertyDescriptor(proto, keys[i]);
    setPrototypeOf(d, null);
    out[i] = [keys[i], d.value, d.get, d.set];
  }
  return out;
}

function changed(before, after) {
  for (let i = 0; i < after.length; i++) {
    let same = false;
    for (let k = 0; k < before.length && !same; k++) {
      same = before[k][0] === after[i][0] && is(before[k][1], after[i][1]) && before[k][2] === after[i][2] && before[k][3] === after[i][3];
    }
    if (!same) return show(after[i][0]);
  }
  return after.length < before.length ? 'a removed property' : '';
}

const input = fs.readFileSync(process.argv[2]);
const harness = require(path.join(__dirname, 'harness', 'harness.js'));
const protos = builtins();
for (let i = 0; i < protos.length; i++) protos[i].before = state(protos[i].proto);

process.on('exit', () => {
  for (let i = 0; i < protos.length; i++) {
    const what = changed(protos[i].before, state(protos[i].proto));
    if (what) report('polluted', protos[i].name + '.' + what);
  }
});

// A library may refuse an input by throwing; only where a crash is the
// symptom does it end the process the way Node ends it.
function thrown(err) {
  if (symptom === 'crash') throw err;
}
if (symptom !== 'crash') {
  process.on('uncaughtException', () => {});
}

try {
  const done = harness(input, { report, root: process.cwd() });
  if (done && typeof done.then === 'function') done.then(undefined, (err) => { if (symptom === 'crash') process.nextTick(() => { throw err; }); });
} catch (err) {
  thrown(err);
}
