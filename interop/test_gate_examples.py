"""The own examples of the OpenAI and Anthropic clients and of Inspect, file by file as their projects ship them (interop/examples): a
scoped key and the gate's address come by the variables that every client reads, and the key's codename is the name that the example asks for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log

from scripted import MODEL, document, events

GPT, OLD_GPT, CLAUDE = "gpt-5.5", "gpt-4o-2024-08-06", "claude-sonnet-5-5"  # as the examples have them

MATH = json.dumps({"steps": [{"explanation": "Take 31 from both sides.", "output": "8x = -29"}], "final_answer": "x = -29/8"})
QUERY = {"table_name": "orders", "columns": ["id"], "conditions": [{"column": "status", "operator": "=", "value": "fulfilled"}], "order_by": "asc"}
ORDER = json.dumps({"product_name": "Green Tea", "price": 5.5, "quantity": 2})
TEXT = "all is well"


@pytest.fixture(scope="session")
def examples() -> Path:
    if "INTEROP_EXAMPLES" not in os.environ:
        pytest.fail("INTEROP_EXAMPLES is not set: run interop/run instead of pytest")
    return Path(os.environ["INTEROP_EXAMPLES"])


# What a model would say: the calls of tools, as (name, arguments), that are asked for and not made yet, else a text of the form that is asked for.


def wanted(asked: dict) -> tuple[list[tuple[str, dict]], str]:
    """Of a request of any of the protocols."""
    tools = [t.get("function", t)["name"] for t in asked.get("tools", [])]
    past = json.dumps(asked.get("messages", asked.get("input")))
    made = any(word in past for word in ('"tool_result"', '"role": "tool"', '"function_call_output"'))
    arguments = {
        "Query": [QUERY], "get_weather": [{"city": "San Francisco", "country": "US"}, {"city": "New York", "country": "US"}] if "New York" in past else
        [{"location": "San Francisco", "units": "c"}], "add": [{"x": 1, "y": 1}, {"x": 2, "y": 2}] if "2+2" in past else [{"x": 1, "y": 1}],
    }
    if tools and not made:
        return [(name, a) for name in tools for a in arguments[name]], ""
    if "final_answer" in json.dumps(asked.get("response_format", asked.get("text", ""))):
        return [], MATH
    if "Green Tea" in past:
        return [], ORDER
    if '"add"' in json.dumps(asked.get("tools", "")):
        return [], "2 4" if "2+2" in past else "2"
    return [], "Hello World" if "Hello World" in past else TEXT


def pieces(text: str) -> list[str]:
    return [text[i:i + 7] for i in range(0, len(text), 7)]


CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}


def chat(asked: dict):
    calls, text = wanted(asked)
    tools = [{"index": i, "id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(a)}} for i, (name, a) in enumerate(calls)]
    finish = "tool_calls" if tools else "stop"
    head = {"id": "c1", "created": 1, "model": MODEL}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": text or None, "tool_calls": tools} if tools else {"role": "assistant", "content": text}
        return document({**head, "object": "chat.completion", "usage": CHAT_USAGE, "choices": [{"index": 0, "finish_reason": finish, "message": message}]},
                        x_request_id="req_1")
    deltas = [{"role": "assistant", "content": ""}] + [{"content": p} for p in pieces(text)]
    for t in tools:
        deltas.append({"tool_calls": [{**t, "function": {"name": t["function"]["name"], "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": t["index"], "function": {"arguments": p}}]} for p in pieces(t["function"]["arguments"])]
    chunks = [{**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": CHAT_USAGE})
    return events(*chunks, named=False)


RESPONSE_USAGE = {"input_tokens": 12, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 19}


def responses(asked: dict):
    calls, text = wanted(asked)
    output = [{"type": "function_call", "id": f"fc_{i}", "call_id": f"call_{i}", "status": "completed", "name": name, "arguments": json.dumps(a)} for i, (name, a) in enumerate(calls)]
    if not calls:
        output = [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}]
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": MODEL, "parallel_tool_calls": True, "tool_choice": "auto",
             "tools": [], "output": output, "usage": RESPONSE_USAGE}
    if not asked.get("stream"):
        return document(whole)
    all = [{"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}]
    for i, item in enumerate(output):
        at = {"item_id": item["id"], "output_index": i}
        if item["type"] == "function_call":
            all.append({"type": "response.output_item.added", "output_index": i, "item": {**item, "status": "in_progress", "arguments": ""}})
            all += [{"type": "response.function_call_arguments.delta", **at, "delta": p} for p in pieces(item["arguments"])]
            all.append({"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]})
        else:
            part, at = item["content"][0], {**at, "content_index": 0}
            all.append({"type": "response.output_item.added", "output_index": i, "item": {**item, "status": "in_progress", "content": []}})
            all.append({"type": "response.content_part.added", **at, "part": {**part, "text": ""}})
            all += [{"type": "response.output_text.delta", **at, "delta": p, "logprobs": []} for p in pieces(text)]
            all.append({"type": "response.output_text.done", **at, "text": text, "logprobs": []})
            all.append({"type": "response.content_part.done", **at, "part": part})
        all.append({"type": "response.output_item.done", "output_index": i, "item": item})
    all.append({"type": "response.completed", "response": whole})
    return events(*[{**e, "sequence_number": n} for n, e in enumerate(all)], named=True)


def messages(asked: dict):
    calls, text = wanted(asked)
    content = [{"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": a} for i, (name, a) in enumerate(calls)] or [{"type": "text", "text": text}]
    if asked.get("thinking"):
        content.insert(0, {"type": "thinking", "thinking": "five, seven, five", "signature": "c2ln"})
    stop = "tool_use" if calls else "end_turn"
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content, "stop_reason": stop, "stop_sequence": None,
             "usage": {"input_tokens": 12, "output_tokens": 7}}
    if not asked.get("stream"):
        return document(whole)
    all = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": {"input_tokens": 12, "output_tokens": 1}}}]
    for i, block in enumerate(content):
        empty, deltas = {
            "text": lambda b: ({**b, "text": ""}, [{"type": "text_delta", "text": p} for p in pieces(b["text"])]),
            "tool_use": lambda b: ({**b, "input": {}}, [{"type": "input_json_delta", "partial_json": p} for p in pieces(json.dumps(b["input"]))]),
            "thinking": lambda b: ({**b, "thinking": "", "signature": ""}, [{"type": "thinking_delta", "thinking": p} for p in pieces(b["thinking"])] +
                                   [{"type": "signature_delta", "signature": b["signature"]}]),
        }[block["type"]](block)
        all.append({"type": "content_block_start", "index": i, "content_block": empty})
        all += [{"type": "content_block_delta", "index": i, "delta": d} for d in deltas]
        all.append({"type": "content_block_stop", "index": i})
    all.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 7}})
    all.append({"type": "message_stop"})
    return events(*all, named=True)


def model(request):
    asked = json.loads(request.body)
    assert asked["model"] == MODEL, "the codename went to the upstream"
    path = request.path.split("?")[0]
    if path in ("/v1/responses/input_tokens", "/v1/messages/count_tokens"):
        return document({"object": "response.input_tokens", "input_tokens": 12})
    return {"/v1/chat/completions": chat, "/v1/responses": responses, "/v1/messages": messages}[path](asked)


def environment(gate) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "ANTHROPIC_"))}
    return {**own, "OPENAI_BASE_URL": gate.url + "/v1", "OPENAI_API_KEY": gate.key, "ANTHROPIC_BASE_URL": gate.url, "ANTHROPIC_API_KEY": gate.key}


# The example, the name that it asks for, how many answers it is metered for, and what it then prints.
CLIENTS = [
    ("openai/demo.py", GPT, 3, [f"----- standard request -----\n{TEXT}\n", f"----- streaming request -----\n{TEXT}", f"req_1\n{TEXT}\n"]),
    ("openai/streaming.py", GPT, 2, ["got response data: ", '"finish_reason": "stop"']),
    ("openai/async_demo.py", GPT, 1, [TEXT + "\n"]),
    ("openai/parsing.py", OLD_GPT, 1, ["Step(explanation='Take 31 from both sides.'", "answer:  x = -29/8"]),
    ("openai/parsing_stream.py", OLD_GPT, 1, [MATH, "answer: x = -29/8"]),
    ("openai/parsing_tools.py", OLD_GPT, 1, ["name='Query'", "Table.orders"]),
    ("openai/parsing_tools_stream.py", OLD_GPT, 1, ["GetWeather(city='San Francisco'", "GetWeather(city='New York'"]),
    ("openai/responses/streaming.py", OLD_GPT, 1, ["ResponseTextDeltaEvent", "final_answer='x = -29/8'"]),
    ("openai/responses/streaming_tools.py", OLD_GPT, 1, ["ResponseFunctionCallArgumentsDeltaEvent", "Table.orders"]),
    ("openai/responses/structured_outputs.py", OLD_GPT, 1, ["answer:  x = -29/8"]),
    ("openai/responses/structured_outputs_tools.py", OLD_GPT, 1, ["table name: Table.orders"]),
    ("openai/responses_input_tokens.py", "gpt-5", 0, ["input tokens: 12"]),
    ("anthropic/messages.py", CLAUDE, 2, [TEXT]),
    ("anthropic/messages_stream.py", CLAUDE, 1, [TEXT + "\n", "content block finished accumulating:"]),
    ("anthropic/images.py", CLAUDE, 1, [TEXT]),
    ("anthropic/thinking.py", CLAUDE, 1, ["Thinking: five, seven, five", "Text: " + TEXT]),
    ("anthropic/thinking_stream.py", CLAUDE, 1, ["Thinking:\n---------\nfive, seven, five", "Text:\n-----\n" + TEXT]),
    ("anthropic/tools.py", CLAUDE, 2, ['"stop_reason": "tool_use"', "Final response: ", TEXT]),
    ("anthropic/tools_stream.py", CLAUDE, 1, ["delta: '{\"locat'", "snapshot: {'location': 'San Francisco', 'units': 'c'}"]),
    ("anthropic/tools_runner.py", CLAUDE, 2, ["Fetching weather for San Francisco in c", TEXT]),
    ("anthropic/structured_outputs.py", CLAUDE, 1, ["product_name='Green Tea' price=5.5 quantity=2"]),
    ("anthropic/structured_outputs_streaming.py", CLAUDE, 1, ["Final parsed order: product_name='Green Tea' price=5.5 quantity=2"]),
]


@pytest.mark.parametrize("example, name, answers, says", CLIENTS, ids=[c[0] for c in CLIENTS])
def test_client(start, upstream, examples, tmp_path, example, name, answers, says):
    upstream.answer = model
    gate = start(upstream.url, "--output-cap", "16000", codename=name)  # thinking.py asks for so many
    ran = subprocess.run([sys.executable, examples / example], env=environment(gate), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for text in says:
        assert text in ran.stdout, ran.stdout
    assert MODEL not in ran.stdout + ran.stderr, "the real name is nowhere"
    requests = max(answers, 1)  # a question that only counts is a request as well
    assert gate.spent() == (requests, 12 * answers, 7 * answers) and len(upstream.requests) == requests


INSPECT = [
    ("hello_world.py@hello_world", "openai/gpt-4o", 1),
    ("tool_use.py@addition_problem", "openai-api/gate/meadow", 2),
    ("tool_use.py@parallel_add", "anthropic/claude-sonnet-5-5", 2),
]


@pytest.mark.parametrize("example, provider, answers", INSPECT, ids=[i[0] for i in INSPECT])
def test_inspect(start, upstream, examples, tmp_path, example, provider, answers):
    upstream.answer = model
    gate = start(upstream.url, "--output-cap", "32000", codename=provider.split("/")[-1])  # what it asks of Anthropic's models
    env = {**environment(gate), "GATE_BASE_URL": gate.url + "/v1", "GATE_API_KEY": gate.key}
    command = [sys.executable, "-m", "inspect_ai", "eval", examples / "inspect_ai" / example, "--model", provider, "--log-dir", tmp_path / "logs", "--display", "none"]
    ran = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [file] = (tmp_path / "logs").glob("*.eval")
    log = read_eval_log(str(file))
    assert log.status == "success", log.error
    [sample] = log.samples
    assert [s.value for s in sample.scores.values()] == ["C"], "the example's own scorer calls it right"
    [usage] = log.stats.model_usage.values()
    assert (usage.input_tokens, usage.output_tokens) == gate.spent()[1:] == (12 * answers, 7 * answers)
    assert len([r for r in upstream.requests if "count_tokens" not in r.path]) == answers, "Inspect also counts, which generates nothing"
    assert MODEL not in log.model_dump_json() + ran.stdout + ran.stderr
