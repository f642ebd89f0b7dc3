"""Packs the environment that runs this, with its Python, into a folder for `--agent-dir`: /agent/python in the box is its interpreter.

usage: VENV/bin/python boxed.py OUT [PACKAGE...]   what the agent never imports and OUT is better without
"""

import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

out, without = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
real = pathlib.Path(sys.executable).resolve()
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
skip = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "turtledemo", "lib2to3", "config-*", "site-packages", "dist-packages")

shutil.rmtree(out, ignore_errors=True)
(out / "bin").mkdir(parents=True)
shutil.copy(real, out / "bin" / "python3")
shutil.copytree(sysconfig.get_path("stdlib"), out / "lib" / version, ignore=skip, symlinks=False, ignore_dangling_symlinks=True)
for item in pathlib.Path(sysconfig.get_path("purelib")).iterdir():
    if item.name in without or item.name == "__pycache__":
        continue
    if item.is_dir():
        shutil.copytree(item, out / "site" / item.name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    else:
        (out / "site").mkdir(exist_ok=True)
        shutil.copy(item, out / "site" / item.name)

libraries = out / "so"
libraries.mkdir()
for binary in [out / "bin" / "python3", *out.glob(f"lib/{version}/lib-dynload/*.so")]:
    told = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    for name, path in re.findall(r"(\S+) => (/\S+)", told):
        if not re.match(r"(libc|libm|libpthread|libdl|librt|ld-linux.*)\.", name):
            shutil.copy(path, libraries / name)
(out / "python").write_text('#!/bin/sh\nexport PYTHONHOME=/agent PYTHONPATH=/agent/site LD_LIBRARY_PATH=/agent/so PYTHONDONTWRITEBYTECODE=1\nexec /agent/bin/python3 "$@"\n')
(out / "python").chmod(0o755)
