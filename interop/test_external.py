"""mini-swe-agent, unchanged, as `run --agent external`: its Python and all it needs in the box, the model at the end of the bridge."""

import json
import os
import subprocess
from pathlib import Path

from scripted import MODEL, document

COMMAND = ("MSWEA_CONFIGURED=true MSWEA_COST_TRACKING=ignore_errors MSWEA_GLOBAL_CONFIG_DIR=/tmp/mini LITELLM_LOCAL_MODEL_COST_MAP=True "
           '/agent/python -m minisweagent -m openai/$MODEL -t "$(cat $PROMPT_FILE)" -y --exit-immediately --agent-class default -o /tmp/trajectory.json')
STEPS = ["ls /task /src; env", r"printf '%s\n' '--_.map.constructor.prototype.proofed 1' >poc && /task/submit poc", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"]


def answer(request):
    asked = json.loads(request.body)
    turn = sum(m["role"] == "assistant" for m in asked["messages"])
    message = {"role": "assistant", "content": "It is I."}
    if asked.get("tools"):
        call = {"name": "bash", "arguments": json.dumps({"command": STEPS[min(turn, 2)]})}
        message = {"role": "assistant", "content": "A step.", "tool_calls": [{"id": f"c{turn}", "type": "function", "function": call}]}
    return document({"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
                     "choices": [{"index": 0, "finish_reason": "tool_calls" if "tool_calls" in message else "stop", "message": message}]})


def test_mini_swe_agent(proofhouse, checkout, upstream, tmp_path):
    upstream.answer = answer
    python, out = os.environ["INTEROP_MINI_PYTHON"], tmp_path / "out"
    subprocess.run([python, str(checkout / "interop" / "boxed.py"), str(tmp_path / "agent"), "pip"], check=True)
    done = subprocess.run(
        [proofhouse, "--json", "run", "--suite", "open-1", "--task", "minimist-pollution", "--agent", "external", "--agent-dir", str(tmp_path / "agent"),
         "--command", COMMAND, "--model", MODEL, "--upstream", upstream.url, "--time", "5m", "--out", str(out)],
        env={**os.environ, "OPENAI_API_KEY": "sk-canary"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    [sample] = result["samples"]
    assert sample["score"]["solved"] and sample["model"]["turns"] == 3 and sample["model"]["usage"]["input"] == 300, sample
    assert all(r.headers["authorization"] == "Bearer sk-canary" for r in upstream.requests), "the gate has the key, and nobody else"
    told = b"".join(r.body for r in upstream.requests)
    assert b"OPENAI_API_KEY=proofhouse" in told and b"Submission 1 accepted" in told and b"sk-canary" not in told and upstream.url.encode() not in told
    for file in out.rglob("*"):
        assert not file.is_file() or not any(s in file.read_bytes() for s in (MODEL.encode(), b"sk-canary")), f"{file} has a secret"
    assert Path(out / "report.html").exists()
