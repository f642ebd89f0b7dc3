'use strict';
// The thread of fuzz.js that runs the harness. It ends itself after a find
// that leaves the thread changed, and is started anew.
const fs = require('fs');
const path = require('path');
const inspector = require('inspector');
const { parentPort, workerData } = require('worker_threads');
const { snapshot } = require('./prototypes.js');
const { mutator, random } = require('./mutate.js');

const { shared, seed, symptom, scratch, maxInput } = workerData;
const corpus = workerData.corpus.map((b) => Buffer.from(b));
const head = new Int32Array(shared, 0, 2);
const body = new Uint8Array(shared, 8);
const canary = process.env.CANARY;
const batchSize = 16;
const watched = 14; // prototypes compared after each input; all are after each batch

// Coverage is taken by V8's blocks, once for a batch, since taking it costs
// more than most inputs; only where a batch reached something new are its
// inputs run again one by one.
const session = new inspector.Session();
session.connect();
const post = (method, params) => {
  let result;
  session.post(method, params, (err, r) => { result = r; });
  return result;
};
post('Profiler.enable');
post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

const harness = require(path.join(__dirname, 'harness', 'harness.js'));
const text = sources();
const slow = symptom === 'hang' || symptom === 'memory';
const mutate = mutator(seed, text, slow ? maxInput : 4096, slow);
const r = random(seed * 31 + 7);
const compare = snapshot();
const seen = new Set();

// sources is the text of the harness and of the packages that it loaded.
function sources() {
  let all = '';
  for (const name of Object.keys(require.cache)) {
    if (name.startsWith(__dirname) && path.dirname(name) !== __dirname && all.length < 1 << 20) all += fs.readFileSync(name, 'latin1') + '\n';
  }
  return all;
}

// reached lists the blocks that ran since the last call, with how often in
// powers of two if counts.
function reached(counts) {
  const out = [];
  const cov = post('Profiler.takePreciseCoverage');
  for (const s of cov ? cov.result : []) {
    if (!s.url.includes('/node_modules/') && !s.url.includes('/harness/')) continue;
    for (const f of s.functions) {
      for (const b of f.ranges) {
        if (b.count > 0) out.push(s.scriptId + ':' + b.startOffset + ':' + b.endOffset + (counts ? ':' + Math.min(8, 31 - Math.clz32(b.count)) : ''));
      }
    }
  }
  return out;
}

const fresh = (blocks) => {
  let n = 0;
  for (const b of blocks) {
    if (!seen.has(b)) {
      seen.add(b);
      n++;
    }
  }
  return n;
};

function tell(kind, place, input) {
  parentPort.postMessage({ kind, place: String(place), input });
}

const ends = () => new Promise((done) => setImmediate(done));
const soon = (ms) => new Promise((done) => setTimeout(done, ms).unref());

let root = '';
let rooms = 0;
function room() {
  const top = path.join(scratch, 'r' + seed + '-' + rooms++);
  root = path.join(top, 'a', 'b', 'c', 'root');
  fs.mkdirSync(root, { recursive: true });
}
room();

// outside is a file that appeared beside the root.
function outside() {
  for (let dir = path.dirname(root); dir.length > scratch.length; dir = path.dirname(dir)) {
    const names = fs.readdirSync(dir);
    if (names.length > 1) return path.relative(root, path.join(dir, names.find((n) => !root.startsWith(path.join(dir, n)))));
  }
  return '';
}

// looks says whether a property is looked at: without a symptom, all are.
const looks = (what) => symptom === '' || symptom === what;

// execute runs the harness on one input and looks at what it left; true means
// that the thread is spoilt.
async function execute(input) {
  body.set(input);
  head[1] = input.length;
  Atomics.add(head, 0, 1);
  let caught = null;
  try {
    const done = harness(Buffer.from(input), { root, report: (kind, detail) => tell(kind, detail, input) });
    if (done && typeof done.then === 'function') await Promise.race([done, soon(2000)]);
  } catch (err) {
    caught = err || new Error('a thrown nothing');
  }
  const polluted = looks('pollution') ? compare(watched) : [];
  if (polluted.length > 0) {
    tell('polluted', polluted[0].split('.')[0], input);
    return true;
  }
  if (caught && symptom === 'crash') {
    const line = String(caught.stack || caught).split('\n').find((l) => l.startsWith('    at '));
    tell('exception', line || caught, input);
  }
  if (looks('canary')) {
    if (fs.existsSync(canary)) {
      fs.unlinkSync(canary);
      tell('canary', 'canary', input);
    }
  }
  if (looks('escape')) {
    const what = outside();
    if (what) tell('escape', path.dirname(what), input);
    if (what || fs.readdirSync(root).length > 0) {
      fs.rmSync(path.join(scratch, 'r' + seed + '-' + (rooms - 1)), { recursive: true, force: true });
      room();
    }
  }
  return false;
}

// slowness makes inputs that take longer than any before count as new, so
// that a search for what takes too long has a slope to climb.
function slowness(input, ms) {
  return 'slow:' + Math.floor(2 * Math.log2(1 + ms)) + ':' + Math.round(Math.log2(1 + input.length));
}

async function main() {
  for (const input of corpus) {
    if (await execute(input)) return;
    fresh(reached(true));
    fresh(reached(false));
  }
  for (;;) {
    const batch = [];
    for (let i = 0; i < batchSize; i++) {
      // Half of the inputs come from what was found last.
      const from = r.one(2) ? r.pick(corpus) : corpus[corpus.length - 1 - r.below(Math.min(8, corpus.length))];
      const input = mutate(from, r.pick(corpus));
      const at = performance.now();
      if (await execute(input)) return;
      const ms = performance.now() - at;
      batch.push(input);
      if (slow && ms > 4 && fresh([slowness(input, ms)])) add(input);
    }
    parentPort.postMessage({ execs: batchSize });
    const other = looks('pollution') ? compare(Infinity) : [];
    if (other.length > 0) {
      tell('polluted', other[0].split('.')[0], batch[batchSize - 1]);
      return;
    }
    const blocks = reached(false);
    if (r.one(8) || fresh(blocks)) {
      for (const input of batch) {
        if (await execute(input)) return;
        if (fresh(reached(true))) add(input);
      }
    }
    await ends();
  }
}

function add(input) {
  corpus.push(Buffer.from(input));
  parentPort.postMessage({ fresh: input });
}

process.on('uncaughtException', (err) => {
  if (symptom === 'crash') tell('exception', String(err && err.stack).split('\n')[1] || err, Buffer.from(body.subarray(0, head[1])));
});
process.on('unhandledRejection', () => {});
main().then(() => process.exit(0));
