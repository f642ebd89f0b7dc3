"""Our oracle as the scorer of an Inspect task, with Inspect's mock model."""

import base64
import stat

import pytest
from inspect_ai import eval as run
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from oracle_task import break_it

TASK = "open-1/minimist-pollution"


def answer(text):
    out = ModelOutput.from_content("mockllm/model", text)
    out.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # or Inspect fetches a tokenizer to count
    return out


def answers(*texts):
    return get_model("mockllm/model", custom_outputs=[answer(t) for t in texts])


def wrapped(submission: bytes) -> str:
    return f"Here it is: <input>{base64.b64encode(submission).decode()}</input>"


def scores(logs):
    """Scores by epoch; errors as their message."""
    full = read_eval_log(logs[0].location)
    return full, [s.error.message if s.error else s.scores["proofhouse_oracle"].value for s in sorted(full.samples, key=lambda s: s.epoch)]


def ask(proofhouse, tmp_path, *texts):
    """One epoch for each answer; the mock model answers in turn, so one sample at a time."""
    return run(
        break_it(proofhouse=str(proofhouse), names=TASK, epochs=len(texts)), model=answers(*texts),
        log_dir=str(tmp_path), display="none", max_samples=1, fail_on_error=False,
    )


def test_the_real_oracle(proofhouse, checkout, tmp_path):
    """The reference solution counts; text, nothing and a forged report do not."""
    reference = (checkout / "tasks" / TASK / "solution" / "poc").read_bytes()
    logs = ask(
        proofhouse, tmp_path,
        wrapped(reference),
        wrapped(b"--colour red\n"),
        wrapped(b"polluted Object.prototype\n"),
        "I believe that it is solved.",
    )
    full, values = scores(logs)
    assert full.status == "success", full.error
    assert values == ["C", "I", "I", "I"]
    assert full.results.scores[0].metrics["accuracy"].value == 0.25
    first = next(s for s in full.samples if s.epoch == 1)
    assert first.scores["proofhouse_oracle"].metadata["outcome"] == "solved"


@pytest.mark.parametrize(
    "script,want",
    [
        ("echo '{\"verdict\":{\"outcome\":\"solved\",\"reason\":\"r\"}}'; exit 0", "C"),
        ("echo '{\"verdict\":{\"outcome\":\"no_break\",\"reason\":\"r\"}}'; exit 9", "I"),
        ("echo 'no such machine' >&2; exit 5", "ended with code 5"),
        ("echo '{\"verdict\":{\"outcome\":\"no_break\"}}'; exit 0", "does not fit"),
        ("echo '{\"verdict\":{\"outcome\":\"solved\"}}'; exit 9", "does not fit"),
        ("echo solved; exit 0", "printed no verdict"),
        ("kill -9 $$", "ended with code -9"),
    ],
)
def test_what_the_oracle_may_answer(tmp_path, script, want):
    """An oracle that fails is an error of the sample, never a wrong answer and never a right one."""
    oracle = tmp_path / "oracle"
    oracle.write_text("#!/bin/sh\n" + script + "\n")
    oracle.chmod(oracle.stat().st_mode | stat.S_IXUSR)
    _, values = scores(ask(oracle, tmp_path / "logs", wrapped(b"x")))
    assert values[0] == want if want in ("C", "I") else want in values[0]


@pytest.mark.parametrize("text", ["<input>***</input>", "no tags", wrapped(b"x" * 70000)])
def test_answers_that_are_no_input(tmp_path, text):
    """They are wrong without the oracle being asked."""
    _, values = scores(ask("/nonexistent", tmp_path, text))
    assert values == ["I"]
