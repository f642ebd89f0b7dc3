"""The logs that Proofhouse writes, read by Inspect's own reader."""

import json
import math
import zipfile
from pathlib import Path

import pytest
from inspect_ai.log import (
    list_eval_logs,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
    write_eval_log,
)
from inspect_ai.scorer import SampleScore, Score, accuracy, stderr


def test_header(log):
    header = read_eval_log(log, header_only=True)
    assert header.version == 2
    assert header.status in ("success", "cancelled", "error")
    assert header.eval.model == ("violet" if Path(log).parent.name == "model" else "none/none")
    assert header.eval.sandbox.type.startswith("proofhouse-")
    assert header.samples is None
    assert header.results.total_samples >= header.results.completed_samples
    assert {s.name for s in header.results.scores} == {"oracle", "oracle_same_fix", "oracle_any"}
    if header.status == "error":
        assert header.error.message


def test_samples(log):
    full = read_eval_log(log)
    summaries = read_eval_log_sample_summaries(log)
    samples = full.samples or []
    assert {(s.id, s.epoch) for s in samples} == {(s.id, s.epoch) for s in summaries} and len(samples) == len(summaries)
    assert sum(1 for s in samples if s.scores) == full.results.completed_samples
    for s in samples:
        one = read_eval_log_sample(log, s.id, s.epoch)
        assert one.model_dump() == s.model_dump()
        assert (s.scores is None) == (s.error is not None or s.limit is not None and s.limit.type == "operator"), "an error of ours must have no score"
        assert s.metadata["task"] and s.metadata["cluster"] and "probe" in s.metadata
        kinds = [e.event for e in s.events]
        assert kinds[:3] == ["span_begin", "sample_init", "span_end"]
        assert kinds.count("span_begin") == kinds.count("span_end")
        times = [e.timestamp for e in s.events]
        assert min(times) == times[0]
        if s.scores:
            assert s.scores["oracle"].value in ("C", "I")
            if s.scores["oracle"].value == "C":
                assert s.scores["oracle"].metadata["outcome"] == "solved"
                assert any(o["broke"] for o in s.scores["oracle"].metadata["observations"])
                assert not any(o["broke"] for o in s.scores["oracle"].metadata["observations"] if o["side"] == "fixed")


def test_metrics_are_what_inspect_computes(log):
    """Accuracy and stderr, from the scores, by Inspect's own functions."""
    full = read_eval_log(log)
    for written in full.results.scores:
        by_task = {}
        for s in full.samples or []:
            if s.scores:
                by_task.setdefault(s.id, []).append(1.0 if s.scores[written.name].value == "C" else 0.0)
        means = [SampleScore(score=Score(value=sum(v) / len(v)), sample_id=k) for k, v in by_task.items()]
        if not means:
            continue
        assert math.isclose(written.metrics["accuracy"].value, accuracy()(means), abs_tol=1e-9)
        if len(means) > 1:
            assert math.isclose(written.metrics["stderr"].value, stderr()(means), abs_tol=1e-9)


def test_reductions(log):
    full = read_eval_log(log)
    for reduction in full.reductions or []:
        assert reduction.reducer == "mean"
        assert {s.sample_id for s in reduction.samples} == {s.id for s in full.samples or [] if s.scores}


def test_round_trip(log, tmp_path):
    """Inspect can write what it read, in both of its formats, and nothing of the scores is lost."""
    full = read_eval_log(log)
    for name in ("copy.eval", "copy.json"):
        copy = str(tmp_path / name)
        write_eval_log(full, copy)
        again = read_eval_log(copy)
        assert again.eval.model_dump() == full.eval.model_dump()
        assert again.results.model_dump() == full.results.model_dump()
        assert [s.scores for s in again.samples or []] == [s.scores for s in full.samples or []]


def test_listing(log):
    names = [Path(x.name.removeprefix("file://")).name for x in list_eval_logs(str(Path(log).parent))]
    assert names == [Path(log).name]


def test_nothing_of_the_fixed_side_survives(log):
    with zipfile.ZipFile(log) as z:
        assert z.testzip() is None
        for name in z.namelist():
            assert b"survives_fix" not in z.read(name)
            json.loads(z.read(name))


def test_broken_log_is_refused(log, tmp_path):
    """The reader is strict enough for these tests to mean something."""
    bad = tmp_path / Path(log).name
    with zipfile.ZipFile(log) as z, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as out:
        for name in z.namelist():
            data = z.read(name)
            if name == "header.json":
                header = json.loads(data)
                header["results"]["scores"][0]["metrics"] = 1
                data = json.dumps(header).encode()
            out.writestr(name, data)
    with pytest.raises(Exception):
        read_eval_log(str(bad))


def test_conversation(log):
    """What a model was asked at each turn, put together by Inspect from the references of our events."""
    if Path(log).parent.name != "model":
        return
    read = read_eval_log(log, resolve_attachments=True)
    sample = next(s for s in read.samples if s.id == "cjson-parse")
    asked = [[m.text for m in e.input] for e in sample.events if e.event == "model"]
    assert asked == [["You are careful.", "Find it."], ["You are careful.", "I look.", "(cleared)", ""], ["You are careful.", "I look.", "(cleared)", "", "It is \\x1b[31mthis.", "Please proceed."]]
    assert [e.function for e in sample.events if e.event == "tool"] == ["bash", "bash"]
    assert read.stats.model_usage["violet"].total_tokens == 480 and sample.model_usage["violet"].total_cost == 0.000465
