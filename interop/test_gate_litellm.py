"""LiteLLM with a scoped key: its own client, and its proxy in front of ours as a partner would run one."""

import json
import os
import socket
import subprocess
import time

import openai
import pytest

from scripted import CODENAME, MODEL
from test_gate_sdk import HELLO, chat, messages

PYTHON = os.environ.get("INTEROP_LITELLM_PYTHON", "")
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}

ASK = """
import json, sys, litellm
base, key, prefix, model = sys.argv[1:]
asked = dict(model=prefix + model, api_base=base, api_key=key, messages=[{"role": "user", "content": "hello"}], max_tokens=64)
plain = litellm.completion(**asked)
parts = list(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
print(json.dumps({
    "text": plain.choices[0].message.content, "usage": [plain.usage.prompt_tokens, plain.usage.completion_tokens],
    "streamed": "".join((d.content or "") + "".join(c.function.arguments for c in d.tool_calls or []) for d in (p.choices[0].delta for p in parts if p.choices)), "all": plain.model_dump_json() + "".join(p.model_dump_json() for p in parts)}))
"""


@pytest.mark.parametrize("prefix, path, streamed", [("openai/", "/v1", "one two"), ("anthropic/", "", "Oslo")])  # Anthropic's stream is a call of a tool
def test_client(start, upstream, prefix, path, streamed):
    upstream.answer = lambda r: messages(r) if r.path == "/v1/messages" else chat(r)
    gate = start(upstream.url)
    done = subprocess.run([PYTHON, "-c", ASK, gate.url + path, gate.key, prefix, CODENAME], env={**os.environ, **QUIET}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["text"] == "one two" and streamed in said["streamed"] and said["usage"] == [12, 7]
    assert MODEL not in said["all"] + done.stderr
    assert gate.spent() == (2, 24, 14)


@pytest.fixture
def proxy(tmp_path):
    """Starts LiteLLM's proxy in front of a gate; gives its address."""
    running = []

    def proxy(gate) -> str:
        config = tmp_path / "litellm.yaml"
        config.write_text(json.dumps({
            "model_list": [{"model_name": "partner", "litellm_params": {"model": "openai/" + CODENAME, "api_base": gate.url + "/v1", "api_key": gate.key}}],
            "general_settings": {"master_key": "sk-partner"}, "litellm_settings": {"telemetry": False}}))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        running.append(subprocess.Popen(
            [os.path.join(os.path.dirname(PYTHON), "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **QUIET, "HOME": str(tmp_path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(1200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}/v1"
            time.sleep(0.1)
        raise AssertionError("LiteLLM's proxy did not start")

    yield proxy
    for process in running:
        process.kill()
        process.wait()


def test_proxy(start, upstream, proxy):
    upstream.answer = chat
    gate = start(upstream.url)
    client = openai.OpenAI(base_url=proxy(gate), api_key="sk-partner", max_retries=0, timeout=60)
    assert client.chat.completions.create(model="partner", messages=HELLO, max_tokens=64).choices[0].message.content == "one two"
    parts = list(client.chat.completions.create(model="partner", messages=HELLO, max_tokens=64, stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == "one two"
    assert gate.spent() == (2, 24, 14)
    gate.run("revoke", "--all")
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="partner", messages=HELLO, max_tokens=64)
    assert len(upstream.requests) == 2, "nothing passed after the end of the key"
