'use strict';
// Mutations of inputs: bytes, tokens of a dictionary, long repeats, and the
// structure of JSON. Nothing here knows a target.

// generic holds what breaks programs of a class: names on the prototype chain,
// ways out of a folder, shell and template syntax around a command or an
// expression that makes the canary file, and edges of numbers and encodings.
const shell = 'touch $CANARY';
const script = "require('fs').writeFileSync(process.env.CANARY,'')";
const inner = "process.mainModule." + script;
const generic = [
  '__proto__', 'constructor', 'prototype', 'constructor.prototype', '__proto__.x', '"__proto__":{"x":1}', '"constructor":{"prototype":{"x":1}}', '[__proto__]', '[constructor][prototype]',
  'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'length', 'then',
  '../', '../../', '../../../', '..\\', '/', '/../', '%2e%2e/', './', '/tmp/x', '\0',
  `$(${shell})`, '`' + shell + '`', `;${shell};`, `|${shell}`, `&&${shell}`, `\n${shell}\n`, `';${shell};'`, `";${shell};"`, '${IFS}', '>$CANARY', ' -- ',
  `<%= ${inner} %>`, `{{${inner}}}`, '${' + inner + '}', `#{${inner}}`, `*/${inner}/*`, `');${inner}//`, `");${inner}//`, `}${inner}{`, `)${inner}(`, inner, script,
  "this.constructor.constructor('return process')().mainModule." + script,
  '<%', '%>', '{{', '}}', '${', '}', '<', '>', '&', "'", '"', '\\', '#', '*', '+', '?', '(', ')', '[', ']', '{', ':', ';', ',', '=', '-', '--', '@', '!', '^', '$', '|', '~', '%', '.', ' ', '\t', '\n', '\r\n',
  '0', '-1', '1e999', '-0', '9007199254740993', '2147483648', '4294967295', 'NaN', 'null', 'true', 'false', '[]', '{}', '""', '\ufeff', '\ud800', '\u2028', '\x1b[', '\x00', '\xff',
].map((s) => Buffer.from(s));

// literals are the short string constants in a program's text.
function literals(text) {
  const out = new Set();
  for (const m of text.matchAll(/'([^'\\\n]{1,24})'|"([^"\\\n]{1,24})"/g)) out.add(m[1] ?? m[2]);
  return [...out].map((s) => Buffer.from(s));
}

// random is mulberry32: small, seeded, good enough to mutate with.
function random(seed) {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (n) => (n > 0 ? next() % n : 0);
  return { below, pick: (list) => list[below(list.length)], one: (n) => below(n) === 0 };
}

// mutator makes mutations of at most max bytes; long ones are common only where
// slow says that time or memory is what is looked for.
exports.mutator = function (seed, text, max, slow) {
  const r = random(seed);
  const learnt = literals(text);
  const token = () => (learnt.length && r.one(2) ? r.pick(learnt) : r.pick(generic));
  const splice = (b, at, cut, put) => Buffer.concat([b.subarray(0, at), put, b.subarray(Math.min(b.length, at + cut))]);
  const part = (b) => {
    const at = r.below(b.length);
    return b.subarray(at, at + 1 + r.below(Math.min(32, b.length - at)));
  };
  const repeat = (b, n) => Buffer.alloc(Math.min(max, b.length * n), b);

  const bytes = [
    (b) => { const c = Buffer.from(b); if (c.length) c[r.below(c.length)] ^= 1 << r.below(8); return c; },
    (b) => { const c = Buffer.from(b); if (c.length) c[r.below(c.length)] = r.below(256); return c; },
    (b) => splice(b, r.below(b.length), 1 + r.below(Math.min(16, b.length)), Buffer.alloc(0)),
    (b) => splice(b, r.below(b.length + 1), 0, token()),
    (b) => splice(b, r.below(b.length + 1), 0, Buffer.concat([token(), token()])),
    (b) => splice(b, r.below(b.length + 1), 1 + r.below(8), token()),
    (b) => (b.length ? splice(b, r.below(b.length + 1), 0, part(b)) : b),
    (b) => (b.length ? splice(b, r.below(b.length), r.below(8), part(b)) : b),
    (b, other) => Buffer.concat([b.subarray(0, r.below(b.length + 1)), other.subarray(r.below(other.length))]),
    (b, other) => (other.length ? splice(b, r.below(b.length + 1), 0, part(other)) : b),
  ];
  // grow repeats a part or a token many times: what is quadratic or worse
  // shows only at length.
  const grow = (b) => splice(b, r.below(b.length + 1), 0, repeat(b.length && r.one(2) ? part(b) : token(), 1 << (3 + r.below(slow ? 13 : 7))));

  return function (b, other) {
    if (r.one(3)) {
      const j = json(b, r, token);
      if (j) return j.subarray(0, max);
    }
    let out = b;
    for (let n = 1 + r.below(4); n > 0; n--) out = r.pick(bytes)(out, other);
    if (r.one(slow ? 6 : 32)) out = grow(out);
    return out.subarray(0, max);
  };
};
exports.random = random;

// json mutates one place of a JSON text, or returns null for another text.
// Objects are lists of pairs here, so that any name may be used as a key.
function json(b, r, token) {
  let v;
  try { v = [pairs(JSON.parse(b.toString()))]; } catch { return null; }
  const places = [];
  collect({ list: v }, places);
  const { list, at, key } = r.pick(places);
  const chain = [['__proto__'], ['constructor', 'prototype']];
  const under = (keys, leaf) => keys.reduceRight((acc, k) => ({ pairs: [[k, acc]] }), leaf);
  const leaf = () => r.pick([1, 'x', true, null, [], { pairs: [] }, token().toString(), { pairs: [['x', 1]] }]);
  const set = (x) => { if (key) list[at][1] = x; else list[at] = x; };
  const get = () => (key ? list[at][1] : list[at]);
  switch (r.below(7)) {
    case 0: set(leaf()); break;
    case 1: if (key) list[at][0] = token().toString(); break;
    case 2: if (key) list[at][0] = r.pick(['__proto__', 'constructor', 'prototype']); break;
    case 3: set(under(r.pick(chain), { pairs: [['x', leaf()]] })); break;
    case 4: { const o = get(); if (o && o.pairs) o.pairs.push([token().toString(), leaf()]); else set([o, leaf()]); break; }
    case 5: { const o = get(); if (o && o.pairs) o.pairs.push(...under(r.pick(chain), { pairs: [['x', leaf()]] }).pairs); else set({ pairs: [['x', o]] }); break; }
    default: set(token().toString());
  }
  return Buffer.from(text(v[0]));
}

function pairs(v) {
  if (Array.isArray(v)) return v.map(pairs);
  if (v && typeof v === 'object') return { pairs: Object.entries(v).map(([k, x]) => [k, pairs(x)]) };
  return v;
}

function collect(holder, out) {
  holder.list.forEach((v, at) => {
    const value = holder.key ? v[1] : v;
    out.push({ list: holder.list, at, key: holder.key });
    if (Array.isArray(value)) collect({ list: value }, out);
    else if (value && value.pairs) collect({ list: value.pairs, key: true }, out);
  });
}

function text(v) {
  if (Array.isArray(v)) return '[' + v.map(text).join(',') + ']';
  if (v && v.pairs) return '{' + v.pairs.map(([k, x]) => JSON.stringify(k) + ':' + text(x)).join(',') + '}';
  return JSON.stringify(v);
}
