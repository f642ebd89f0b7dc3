"""A model's server that answers what a test tells it to, and the gate in front of it as a process of its own."""

import dataclasses
import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

MODEL, CODENAME = "titan-7-preview", "meadow"


@dataclasses.dataclass
class Request:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclasses.dataclass
class Answer:
    chunks: list[str]
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=lambda: {"Content-Type": "application/json"})
    stall: bool = False  # after the chunks, until the caller leaves


def document(value, status: int = 200, **headers: str) -> Answer:
    extra = {name.replace("_", "-"): v for name, v in headers.items()}
    return Answer([json.dumps(value)], status, {"Content-Type": "application/json", **extra})


def events(*values, named: bool, stall: bool = False) -> Answer:
    """A stream of the values; named events carry their type beside the data, as Anthropic's and those of responses do."""
    chunks = [(f"event: {v['type']}\n" if named else "") + f"data: {json.dumps(v)}\n\n" for v in values]
    if not named and not stall:
        chunks.append("data: [DONE]\n\n")
    return Answer(chunks, 200, {"Content-Type": "text/event-stream"}, stall)


class Upstream:
    def __init__(self):
        self.requests: list[Request] = []
        self.answer = lambda request: document({})
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                upstream.requests.append(request)
                answer = upstream.answer(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    for chunk in answer.chunks:
                        data = chunk.encode()
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                        self.wfile.flush()
                    while answer.stall and self.connection.recv(1):
                        pass
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    pass  # the caller left
                self.close_connection = answer.stall

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Gate:
    """`proofhouse gate serve` with a data folder of its own; url, key and grant are what it printed."""

    def __init__(self, proofhouse: str, upstream: str, *flags: str, key: str = "upstream-key", model: str = MODEL, codename: str = CODENAME):
        self.proofhouse = proofhouse
        self.data = tempfile.mkdtemp(prefix="gate-", dir="/tmp")  # a socket's path must be short
        self.env = {**os.environ, "PROOFHOUSE_DATA": self.data}
        key_file = os.path.join(self.data, "upstream.key")
        with open(os.open(key_file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write(key + "\n")
        self.process = subprocess.Popen(
            [proofhouse, "gate", "serve", "--json", "--upstream", upstream, "--model", model, "--codename", codename, "--key-file", key_file, *flags],
            env=self.env, stdout=subprocess.PIPE, text=True)
        said = ""
        for line in self.process.stdout:
            said += line
            try:
                ready = json.loads(said)
                break
            except json.JSONDecodeError:
                continue
        else:
            raise RuntimeError(f"the gate ended with {self.process.wait()}: {said}")
        self.url, self.key, self.grant = ready["url"], ready["key"], ready["grant"]

    def run(self, *command: str) -> str:
        return subprocess.run([self.proofhouse, "gate", *command], env=self.env, check=True, capture_output=True, text=True).stdout

    def spent(self) -> tuple[int, int, int]:
        """Requests, input and output tokens, once no call is open."""
        for _ in range(200):
            [use] = json.loads(self.run("list", "--json"))
            account = use["account"]
            if not account.get("open"):
                spent = account["spent"]
                return spent.get("requests", 0), spent.get("input", 0), spent.get("output", 0)
            time.sleep(0.05)
        raise AssertionError(f"a call stays open: {account}")

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process.stdout.close()
        shutil.rmtree(self.data)
