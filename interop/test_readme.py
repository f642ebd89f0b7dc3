"""The README's walk-through of a lent key, typed as it stands there, with the official client, before a scripted server."""

import os
import re
import signal
import subprocess
import sys
import time

from scripted import Upstream, events

HEADING = "**A key that ends in the middle of a stream.**"


def chunk(text):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "titan-7-preview", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def steps(readme: str) -> list[tuple[str, list[str]]]:
    """What is typed, and what the README shows after it."""
    block = readme.split(HEADING)[1].split("```\n")[1]
    return [(s.split("\n")[0], s.split("\n")[1:-1]) for s in re.split(r"^\$ ", block, flags=re.M)[1:]]


def wait_for(path, what: str) -> str:
    for _ in range(600):
        if found := re.search(what, path.read_text()):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{what} never came: {path.read_text()}")


def figures(text: str) -> str:
    """The text with every count and time as one mark."""
    return re.sub(r"\d+(\.\d+)?(ms|µs|s\b)?", "#", text)


def test_walk_through(proofhouse, checkout, tmp_path_factory):
    work = tmp_path_factory.mktemp("w")
    if len(str(work)) > 60:  # a socket's path must be short
        work = type(work)(subprocess.check_output(["mktemp", "-d", "/tmp/readme-XXXX"], text=True).strip())
    upstream = Upstream()
    upstream.answer = lambda r: events(chunk("Once upon "), chunk("a time"), named=False, stall=True)
    env = {**os.environ, "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]}
    swaps = {"bin/proofhouse": proofhouse, "http://127.0.0.1:8080": upstream.url, "NAME": "titan-7-preview", "python3": "exec python3"}
    running, said = [], work / "none"
    try:
        for typed, shown in steps((checkout / "README.md").read_text()):
            for old, new in swaps.items():
                typed = typed.replace(old, new)
            if typed.startswith("cat "):
                (work / typed.split()[1]).write_text("\n".join(shown) + "\n")
            elif typed.startswith("export "):
                env |= dict(pair.split("=", 1) for pair in typed.split()[1:])
            elif typed.endswith("&"):
                said = work / f"said-{len(running)}"
                with said.open("w") as out:
                    running.append(subprocess.Popen(["bash", "-c", "exec " + typed[:-1].removeprefix("exec ")], cwd=work, env=env, stdout=out, stderr=out))
                if "gate serve" in typed:
                    swaps[re.search(r"phk_\w+", "\n".join(shown))[0]] = wait_for(said, r"phk_\w+")
                    swaps[re.search(r"http://\S+?:\d+", shown[0])[0]] = wait_for(said, r"http://\S+?:\d+")
                else:
                    wait_for(said, shown[0])
            else:
                done = subprocess.run(["bash", "-c", typed], cwd=work, env=env, capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, (typed, done.stderr)
                if "..." in shown:  # then what the client says that runs meanwhile
                    wait_for(said, re.escape(shown[-1]))
                    shown = shown[: shown.index("...")]
                assert figures(done.stdout.rstrip("\n")) == figures("\n".join(shown)), typed
                if "grep" in typed:
                    assert done.stdout == shown[0] + "\n" and "Canary 51c2e0" in upstream.requests[0].body.decode()
        assert len(running) == 2 and running[1].wait(30) == 1
    finally:
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(30)
        upstream.close()
