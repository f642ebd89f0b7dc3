"""The official OpenAI and Anthropic clients, unchanged but for base URL and key, in front of `proofhouse gate serve`."""

import json
import subprocess

import anthropic
import httpx2  # what both clients are built on
import openai
import pytest

from scripted import CODENAME, MODEL, Gate, document, events

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}


class Tries(httpx2.Client):
    """Counts what a client sends, retries included."""

    def __init__(self):
        self.tries = 0
        super().__init__(event_hooks={"request": [self.count]})

    def count(self, _):
        self.tries += 1


def openai_client(gate: Gate, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=gate.url + "/v1", api_key=gate.key, **more)


def anthropic_client(gate: Gate, **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gate.url, api_key=gate.key, **more)


def chunk(delta=None, finish=None, **more) -> dict:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}] if delta is not None or finish else []
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices, **more}


CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
CHAT = {"id": "c1", "object": "chat.completion", "created": 1, "model": MODEL, "usage": CHAT_USAGE,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "one two"}}]}


def chat(request):
    asked = json.loads(request.body)
    assert asked["model"] == MODEL
    if not asked.get("stream"):
        return document(CHAT)
    if asked.get("tools"):
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        parts = [{"role": "assistant", "tool_calls": [call]},
                 {"tool_calls": [{"index": 0, "function": {"arguments": '{"pla'}}]}, {"tool_calls": [{"index": 0, "function": {"arguments": 'ce":"Oslo"}'}}]}]
        return events(*[chunk(p) for p in parts], chunk(finish="tool_calls"), chunk(usage=CHAT_USAGE), named=False)
    return events(chunk({"role": "assistant", "content": "one "}), chunk({"content": "two"}), chunk(finish="stop"), chunk(usage=CHAT_USAGE), named=False)


def test_openai_chat(start, upstream):
    upstream.answer = chat
    gate = start(upstream.url)
    client = openai_client(gate)
    plain = client.chat.completions.create(model=CODENAME, messages=HELLO)
    assert plain.choices[0].message.content == "one two" and plain.model == CODENAME and plain.usage.prompt_tokens == 12
    parts = list(client.chat.completions.create(model=CODENAME, messages=HELLO, stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts) == "one two"
    assert all(p.usage is None and p.model == CODENAME for p in parts), "usage that was not asked for is hidden"
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    with client.chat.completions.stream(model=CODENAME, messages=HELLO, tools=[tool], stream_options={"include_usage": True}) as stream:
        done = stream.get_final_completion()
    called = done.choices[0].message.tool_calls[0].function
    assert (called.name, json.loads(called.arguments), done.usage.completion_tokens) == ("weather", {"place": "Oslo"}, 7)
    assert [m.id for m in client.models.list()] == [CODENAME]
    assert gate.spent() == (3, 36, 21)
    assert upstream.requests[0].headers["authorization"] == "Bearer upstream-key"


RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": MODEL, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "one two", "annotations": []}]}],
            "usage": {"input_tokens": 12, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 19}}


def responses(request):
    if not json.loads(request.body).get("stream"):
        return document(RESPONSE)
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    return events({"type": "response.created", "sequence_number": 0, "response": begun},
                  {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "one two", "logprobs": []},
                  {"type": "response.completed", "sequence_number": 2, "response": RESPONSE}, named=True)


def test_openai_responses(start, upstream):
    upstream.answer = responses
    gate = start(upstream.url)
    client = openai_client(gate)
    plain = client.responses.create(model=CODENAME, input="hello")
    assert plain.output_text == "one two" and plain.model == CODENAME
    got = list(client.responses.create(model=CODENAME, input="hello", stream=True))
    assert [e.type for e in got] == ["response.created", "response.output_text.delta", "response.completed"]
    assert got[-1].response.model == CODENAME and gate.spent() == (2, 24, 14)


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [{"type": "text", "text": "one two"}],
           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 7}}
TOOL_STREAM = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 12, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"place":'}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '"Oslo"}'}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]


def messages(request):
    if "count_tokens" in request.path:
        return document({"input_tokens": 12})
    return events(*TOOL_STREAM, named=True) if json.loads(request.body).get("stream") else document(MESSAGE)


def test_anthropic(start, upstream):
    upstream.answer = messages
    gate = start(upstream.url)
    client = anthropic_client(gate)
    plain = client.messages.create(model=CODENAME, max_tokens=64, messages=HELLO)
    assert plain.content[0].text == "one two" and plain.model == CODENAME
    with client.messages.stream(model=CODENAME, max_tokens=64, messages=HELLO, tools=[{"name": "weather", "input_schema": WEATHER}]) as stream:
        done = stream.get_final_message()
    assert done.content[0].input == {"place": "Oslo"} and done.model == CODENAME and done.usage.output_tokens == 7
    assert client.messages.count_tokens(model=CODENAME, messages=HELLO).input_tokens == 12
    assert gate.spent() == (3, 24, 14)
    assert upstream.requests[0].headers["x-api-key"] == "upstream-key"


def test_anthropic_gateway_contract(start, upstream):
    """What Anthropic's published protocol of gateways asks for, but for the time-outs."""
    upstream.answer = messages
    gate = start(upstream.url)
    system = [{"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "a"}]
    body = {"model": CODENAME, "max_tokens": 64, "stream": True, "system": system, "messages": HELLO, "zz_new": {"x": 1.0}, "aa_big": 12345678901234567890}
    sent = json.dumps(body, indent=1)
    headers = {"x-api-key": gate.key, "anthropic-version": "2023-06-01", "anthropic-beta": "one-2026,two-2026", "anthropic-new-thing": "yes", "content-type": "application/json"}
    with httpx2.Client() as client:
        got = client.post(gate.url + "/v1/messages?beta=true", content=sent, headers=headers)
        [request] = upstream.requests
        assert request.path == "/v1/messages?beta=true"
        assert request.body.decode() == sent.replace(CODENAME, MODEL), "every other byte passes, the order of system too"
        assert {k: v for k, v in request.headers.items() if k.startswith("anthropic-")} == {k: v for k, v in headers.items() if k.startswith("anthropic-")}
        assert got.text == "".join(events(*TOOL_STREAM, named=True).chunks).replace(MODEL, CODENAME), "pings too"
        failure = '{"type": "error",  "error": {"type": "overloaded_error", "message": "Overloaded", "zz": 1.0}}'
        kept = {"x-should-retry": "true", "retry-after": "17", "anthropic-ratelimit-unified-status": "allowed"}
        upstream.answer = lambda _: raw(failure, 529, kept)
        got = client.post(gate.url + "/v1/messages", content=sent, headers=headers)
    assert (got.status_code, got.text) == (529, failure)
    assert {k: got.headers.get(k) for k in kept} == kept
    assert MODEL not in str(got.headers)


def raw(body: str, status: int, headers: dict):
    answer = document({}, status)
    answer.chunks, answer.headers = [body], {"Content-Type": "application/json", **headers}
    return answer


@pytest.mark.parametrize("flag, limit", [("--output-tokens", "10"), ("--input-tokens", "3")])
def test_spent_budget_is_not_retried(start, upstream, flag, limit):
    gate = start(upstream.url, flag, limit)
    tries = Tries()
    with pytest.raises(openai.RateLimitError) as failed:
        openai_client(gate, http_client=tries).chat.completions.create(model=CODENAME, messages=HELLO)
    assert failed.value.code == "insufficient_quota"
    with pytest.raises(anthropic.APIStatusError) as failed:
        anthropic_client(gate, http_client=tries).messages.create(model=CODENAME, max_tokens=64, messages=HELLO)
    assert failed.value.status_code == 429
    assert tries.tries == 2
    assert [r.path for r in upstream.requests if "count_tokens" not in r.path] == [], "counting is asked where bytes do not fit; nothing generates"


def test_a_busy_upstream_is_retried(start, upstream):
    """That the count of tries above can see a retry at all."""
    upstream.answer = lambda _: document({"error": {"message": "slow down"}}, 429, retry_after="0") if len(upstream.requests) == 1 else document(CHAT)
    gate = start(upstream.url)
    tries = Tries()
    assert openai_client(gate, http_client=tries).chat.completions.create(model=CODENAME, messages=HELLO).model == CODENAME
    assert tries.tries == 2 and gate.spent() == (2, 12, 7)


def test_names_stay_secret(start, upstream):
    upstream.answer = lambda _: document({"error": {"message": f"{MODEL} is down", "type": "server_error", "param": None, "code": None}}, 500, x_served_by=MODEL)
    gate = start(upstream.url)
    with pytest.raises(openai.InternalServerError) as failed:
        openai_client(gate, max_retries=0).chat.completions.create(model=CODENAME, messages=HELLO)
    told = str(failed.value) + failed.value.response.text + str(failed.value.response.headers)
    assert MODEL not in told and f"{CODENAME} is down" in told
    with pytest.raises(openai.NotFoundError):
        openai_client(gate).chat.completions.create(model=MODEL, messages=HELLO)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=gate.url + "/v1", api_key="sk-wrong").chat.completions.create(model=CODENAME, messages=HELLO)


def test_revoked_in_a_stream(start, upstream):
    """A canary prompt, a key in two clients, and its end in the middle of a stream (README, "Lend a model")."""
    canary = "canary-5d1f0c"
    upstream.answer = lambda r: events(*TOOL_STREAM[:4], named=True, stall=True) if r.path == "/v1/messages" else events(chunk({"content": "one"}), named=False, stall=True)
    gate = start(upstream.url)
    first = openai_client(gate).chat.completions.create(model=CODENAME, messages=[{"role": "user", "content": canary}], stream=True)
    second = anthropic_client(gate).messages.create(model=CODENAME, max_tokens=64, messages=[{"role": "user", "content": canary}], stream=True)
    assert next(first).choices[0].delta.content == "one" and next(second).type == "message_start"
    gate.run("revoke", gate.grant)
    with pytest.raises(openai.APIError, match="access was revoked"):
        list(first)
    with pytest.raises(anthropic.APIStatusError, match="access was revoked"):
        list(second)
    for client, failure in (openai_client(gate).chat.completions, openai.AuthenticationError), (anthropic_client(gate).messages, anthropic.AuthenticationError):
        with pytest.raises(failure):
            client.create(model=CODENAME, max_tokens=8, messages=HELLO)
    assert canary in upstream.requests[0].body.decode() and canary in upstream.requests[1].body.decode()
    for secret in canary, gate.key:
        found = subprocess.run(["grep", "-rlaF", secret, gate.data], capture_output=True, text=True)
        assert (found.returncode, found.stdout) == (1, ""), f"{secret} is on disk"
    assert "entries" in gate.run("verify")


@pytest.mark.parametrize("end", ["inner", "outer"])
def test_gates_in_series(start, upstream, end):
    upstream.answer = chat
    inner = start(upstream.url, codename="heath")
    outer = start(inner.url, key=inner.key, model="heath")
    client = openai_client(outer, max_retries=0)
    assert client.chat.completions.create(model=CODENAME, messages=HELLO).model == CODENAME
    parts = list(client.chat.completions.create(model=CODENAME, messages=HELLO, stream=True))
    assert {p.model for p in parts} == {CODENAME} and all(p.usage is None for p in parts)
    assert inner.spent() == outer.spent() == (2, 24, 14)
    upstream.answer = lambda _: events(chunk({"content": "one"}), named=False, stall=True)
    stream = client.chat.completions.create(model=CODENAME, messages=HELLO, stream=True)
    assert next(stream).choices[0].delta.content == "one"
    (inner if end == "inner" else outer).run("revoke", "--all")
    with pytest.raises(openai.APIError, match="access was revoked"):
        list(stream)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model=CODENAME, messages=HELLO)
    assert len(upstream.requests) == 3
