'use strict';
// Fuzzes a task's harness: node fuzz.js [--seed=N]. It mutates inputs, keeps
// those that reach new code (fuzz-worker.js), and writes down each that breaks
// a property which no input may break: a prototype changes, a file appears
// outside the root, the canary is made, an input takes more than 2 s of CPU.
// It runs until it is killed and goes on after each find. The worker runs in a
// thread, which can be ended in the middle of a loop and is cheap to renew.
const fs = require('fs');
const path = require('path');
const crypto = require('crypto');
const { Worker } = require('worker_threads');

const out = '/out';
const perPlace = 4;
const maxInput = 1 << 16;
const hangCPU = 2e6; // microseconds

let seed = 1;
for (const arg of process.argv.slice(2)) if (arg.startsWith('--seed=')) seed = Number(arg.slice(7)) || 1;
const symptom = process.env.PROOFHOUSE_SYMPTOM || '';
delete process.env.PROOFHOUSE_SYMPTOM;

const scratch = fs.mkdtempSync('/tmp/fuzz-');
process.env.CANARY = path.join(scratch, 'canary');
for (const dir of ['candidates', 'corpus']) fs.mkdirSync(path.join(out, dir), { recursive: true });

const corpus = [];
for (const dir of ['/src/harness/seeds', path.join(out, 'corpus')]) {
  let names = [];
  try { names = fs.readdirSync(dir); } catch { /* a task may have no seeds */ }
  for (const name of names) corpus.push(fs.readFileSync(path.join(dir, name)).subarray(0, maxInput));
}
if (corpus.length === 0) corpus.push(Buffer.from('0'));

// The worker's current input, for when it does not come back to tell:
// 0 sequence number, 1 length; then the bytes.
const shared = new SharedArrayBuffer(8 + maxInput);
const head = new Int32Array(shared, 0, 2);
const current = () => Buffer.from(new Uint8Array(shared, 8, Math.min(head[1], maxInput)));

let execs = 0;
let found = 0;

function keep(kind, place, input) {
  const name = kind + '-' + crypto.createHash('sha256').update(place).digest('hex').slice(0, 12);
  for (let i = 0; i < perPlace; i++) {
    const file = path.join(out, 'candidates', name + '-' + i);
    try { fs.writeFileSync(file, input, { flag: 'wx' }); } catch { continue; }
    found++;
    console.log(`candidate ${file} ${JSON.stringify(place).slice(0, 200)}`);
    return;
  }
}

let worker = null;
let lastSeq = -1;
let cpuAt = 0;

function start() {
  seed++;
  lastSeq = -1;
  worker = new Worker(path.join(__dirname, 'fuzz-worker.js'), {
    workerData: { shared, corpus, seed, symptom, scratch, maxInput },
    resourceLimits: { maxOldGenerationSizeMb: 768 }, stdout: true, stderr: true,
  });
  worker.stdout.resume();
  worker.stderr.resume();
  worker.on('message', (m) => {
    if (m.execs) execs += m.execs;
    if (m.fresh) {
      const b = Buffer.from(m.fresh);
      corpus.push(b);
      fs.writeFileSync(path.join(out, 'corpus', crypto.createHash('sha256').update(b).digest('hex').slice(0, 16)), b);
    }
    if (m.kind) keep(m.kind, m.place, Buffer.from(m.input));
  });
  worker.on('error', (err) => {
    const memory = err && err.code === 'ERR_WORKER_OUT_OF_MEMORY';
    if (memory) keep('memory', 'heap', current());
    else if (symptom === 'crash') keep('exception', site(err), current());
  });
  worker.on('exit', start);
}

// site is where an error came from: its first frame, or its words.
function site(err) {
  const line = String((err && err.stack) || err).split('\n').find((l) => l.startsWith('    at '));
  return line || String(err);
}

setInterval(() => {
  const { user, system } = process.cpuUsage();
  const seq = Atomics.load(head, 0);
  if (seq !== lastSeq) {
    lastSeq = seq;
    cpuAt = user + system;
  } else if (seq > 0 && user + system - cpuAt > hangCPU) {
    keep('hang', 'length ' + Math.round(Math.log2(1 + head[1])), current());
    cpuAt = user + system;
    worker.terminate();
  }
}, 100);

setInterval(() => console.log(`execs: ${execs} corpus: ${corpus.length} candidates: ${found}`), 3000);

start();
