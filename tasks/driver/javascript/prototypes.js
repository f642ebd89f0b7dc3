'use strict';
// The prototypes that all code shares, and whether one of them has changed.
// What this file needs of the language is taken when it is loaded, before any
// code that may change it; no lookup below goes through a prototype.
const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Reflect;
const { is } = Object;
const show = String;

function builtins() {
  const out = [];
  const add = (name, proto) => {
    if (proto !== null && (typeof proto === 'object' || typeof proto === 'function') && !out.some((o) => o.proto === proto)) out.push({ name, proto });
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

// state is what a prototype owns.
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
    const a = after[i];
    let same = false;
    // The order of properties does not change, so the first look finds nearly all.
    for (let k = 0; k < before.length && !same; k++) {
      const b = before[(i + k) % before.length];
      same = b[0] === a[0] && is(b[1], a[1]) && b[2] === a[2] && b[3] === a[3];
    }
    if (!same) return show(a[0]);
  }
  return after.length < before.length ? 'a removed property' : '';
}

// snapshot returns a function that names what has changed since, of the first
// few prototypes or of all.
exports.snapshot = function () {
  const all = builtins();
  for (let i = 0; i < all.length; i++) all[i].before = state(all[i].proto);
  return function (few) {
    const out = [];
    for (let i = 0; i < all.length && i < few; i++) {
      const what = changed(all[i].before, state(all[i].proto));
      if (what) out[out.length] = all[i].name + '.' + what;
    }
    return out;
  };
};
