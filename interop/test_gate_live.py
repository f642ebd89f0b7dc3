"""A small real model behind the gate: real tokens, real streams, and Inspect with a scoped key."""

import json
import os
import subprocess

import openai
import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message

from scripted import CODENAME, Gate

REAL = "smollm2-135m"
ASK = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def model(checkout):
    """The address of llama.cpp's own server."""
    server = subprocess.Popen([os.environ["INTEROP_MODEL_PYTHON"], str(checkout / "interop" / "llama.py")],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = server.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:"), "the model's server did not start"
    yield url
    server.kill()
    server.wait()


@pytest.fixture
def gate(proofhouse, model):
    g = Gate(proofhouse, model, model=REAL)
    yield g
    g.close()


def test_chat(gate, model):
    client = openai.OpenAI(base_url=gate.url + "/v1", api_key=gate.key, timeout=300)
    asked = dict(model=CODENAME, messages=ASK, max_tokens=12, temperature=0)
    raw = client.chat.completions.with_raw_response.create(**asked)
    plain = raw.parse()
    assert plain.choices[0].message.content and plain.model == CODENAME
    assert REAL not in raw.text + str(raw.headers), "the real name is nowhere"
    parts = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == plain.choices[0].message.content
    assert len(parts) > 5 and {p.model for p in parts} == {CODENAME} and REAL not in "".join(p.model_dump_json() for p in parts)
    streamed = parts[-1].usage
    direct = openai.OpenAI(base_url=model + "/v1", api_key="-", timeout=300).chat.completions.create(**{**asked, "model": REAL})
    assert direct.usage.prompt_tokens == plain.usage.prompt_tokens == streamed.prompt_tokens > 10
    assert direct.usage.completion_tokens == plain.usage.completion_tokens == streamed.completion_tokens > 3
    assert gate.spent() == (2, 2 * plain.usage.prompt_tokens, 2 * plain.usage.completion_tokens)
    with pytest.raises(openai.APIStatusError) as failed:
        client.chat.completions.create(model=CODENAME, messages=[{"role": "user", "content": "x " * 20000}], max_tokens=4)
    assert REAL not in failed.value.response.text


def test_inspect(gate, monkeypatch, tmp_path):
    """Inspect's own "hello world" with two samples more, a scoped key in the place of a provider's."""
    monkeypatch.setenv("GATE_BASE_URL", gate.url + "/v1")
    monkeypatch.setenv("GATE_API_KEY", gate.key)
    samples = [Sample(input="Just reply with Hello World", target="Hello World"), Sample(input="Say yes.", target="yes"), Sample(input="What is 2 + 2?", target="4")]
    task = Task(name="hello_world", dataset=samples, solver=[system_message("Answer in one sentence."), generate()], scorer=includes())
    [log] = eval(task, model=f"openai-api/gate/{CODENAME}", log_dir=str(tmp_path), display="none", max_connections=1, temperature=0, max_tokens=12)
    assert log.status == "success", log.error
    assert len(log.samples) == 3 and all(s.output.completion for s in log.samples)
    [usage] = log.stats.model_usage.values()
    read = usage.input_tokens + (usage.input_tokens_cache_read or 0)  # Inspect counts what came from the server's cache apart
    assert (3, read, usage.output_tokens) == gate.spent() and usage.output_tokens > 0
    assert REAL not in json.dumps([e.model_dump(mode="json") for s in log.samples for e in s.events], default=str)
