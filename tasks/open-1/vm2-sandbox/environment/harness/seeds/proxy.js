new Proxy({}, { get: (t, k) => String(k) }).name
