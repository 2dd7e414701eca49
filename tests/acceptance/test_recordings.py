"""Recordings of real instrumentations: what the sidecar counts equals what the model server handed out.

`corpus/truth.json` tells for each call what was handed out and, under `in_telemetry`, which of those numbers the
instrumentation sends at all. What is not sent cannot be counted; everything else must be exact.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from testbed import otlp, wire
from testbed.sidecar import ROOT, qiyas
from testbed.waiting import eventually

CORPUS = ROOT / "tests" / "corpus"
TRUTH = json.loads((CORPUS / "truth.json").read_text(encoding="utf-8"))
# The truth's names for tokens, and the sidecar's.
TOKENS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "reasoning": "reasoning",
}


def expected(recording: str) -> dict[str, Counter]:
    """By model name: calls, errors and tokens by type, as far as the recording carries them."""
    models: dict[str, Counter] = defaultdict(Counter)
    for call in TRUTH[recording]["calls"]:
        carried = call["in_telemetry"]
        if not carried["call"]:
            continue
        counts = models[call["model"]]
        counts["requests"] += 1
        counts["errors"] += call["error"]
        for told, kind in TOKENS.items():
            counts[kind] += call[told] if carried.get(told) else 0
    return {model: +counts for model, counts in models.items()}


def replayed(output: str) -> dict[str, Counter]:
    models: dict[str, Counter] = defaultdict(Counter)
    for model in json.loads(output)["ai"]["models"]:
        counts = models[model["model_name"]]
        counts["requests"] += model["total_inferences"]
        counts["errors"] += model["errors"]["total"]
        for kind in TOKENS.values():
            counts[kind] += model["tokens"][kind] or 0
    return {model: +counts for model, counts in models.items()}


@pytest.mark.parametrize("recording", sorted(TRUTH))
def test_replay_agrees_with_the_truth(recording):
    run = qiyas("replay", CORPUS / f"{recording}.jsonl", "--format", "json")
    assert run.returncode == 0, run.stderr
    assert replayed(run.stdout) == expected(recording)


@pytest.mark.parametrize("recording", sorted(TRUTH))
def test_versions_and_cost_by_model(recording):
    """A model's version is what the response adds to the request's name; a failed call knows none."""
    models = json.loads(qiyas("replay", CORPUS / f"{recording}.jsonl", "--format", "json").stdout)["ai"]["models"]
    versions = {(model["model_name"], model["model_version"]) for model in models}
    wanted = set()
    for call in TRUTH[recording]["calls"]:
        if call["in_telemetry"]["call"]:
            dated = call["response_model"]
            wanted.add(
                (
                    call["model"],
                    dated.removeprefix(call["model"]).lstrip("-") or "unversioned" if dated else "unversioned",
                )
            )
    assert versions == wanted
    for model in models:
        if model["tokens"]["input"]:
            assert model["cost"]["total_usd"] > 0, model
            assert model["cost"]["unpriced_tokens"] == 0, model


@pytest.mark.parametrize("recording", sorted(TRUTH))
def test_live_agrees_with_the_truth_and_forwards_every_item(start, listen, recording):
    downstream = listen("grpc")
    sidecar = start({"forward": [downstream.destination()]})
    sent: dict[str, list] = {signal: [] for signal in otlp.SIGNALS}
    for line in (CORPUS / f"{recording}.jsonl").read_text(encoding="utf-8").splitlines():
        signal = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}[
            next(iter(json.loads(line)))
        ]
        sent[signal].append(otlp.parse_json(signal, line))
        answer = wire.post(sidecar.ports["http"], signal, line.encode(), wire.JSON)
        assert answer.status == 200, answer
    wanted = expected(recording)

    def counted():
        scrape = sidecar.scrape()
        got: dict[str, Counter] = defaultdict(Counter)
        for sample in scrape.samples("qiyas_ai_requests_total"):
            got[sample.labels["model_name"]]["requests"] += int(sample.value)
        for sample in scrape.samples("qiyas_ai_tokens_total"):
            got[sample.labels["model_name"]][sample.labels["gen_ai_token_type"]] += int(sample.value)
        for sample in scrape.samples("gen_ai_client_operation_duration_seconds_count"):
            if sample.labels.get("error_type"):
                got[sample.labels["gen_ai_request_model"]]["errors"] += int(sample.value)
        assert {model: +counts for model, counts in got.items()} == wanted

    eventually(counted)
    for signal, messages in sent.items():
        items = otlp.items(signal, messages)
        assert downstream.wait_for_items(signal, items.total()) == items


def test_several_recordings_replay_as_one():
    files = sorted(CORPUS.glob("*.jsonl"))
    run = qiyas("replay", *files, "--format", "json")
    assert run.returncode == 0, run.stderr
    total: dict[str, Counter] = defaultdict(Counter)
    for recording in TRUTH:
        for model, counts in expected(recording).items():
            total[model] += counts
    assert replayed(run.stdout) == dict(total)


def test_replay_reads_standard_input_and_prints_a_table():
    recording = CORPUS / "genai-openai.jsonl"
    piped = qiyas("replay", "-", "--format", "json", stdin=recording.read_bytes())
    assert piped.returncode == 0, piped.stderr
    assert replayed(piped.stdout) == expected("genai-openai")
    table = qiyas("replay", recording, "--format", "table")
    assert table.returncode == 0 and "gpt-4o-mini" in table.stdout and "text-embedding-3-small" in table.stdout


def test_replay_is_deterministic():
    files = [str(path) for path in sorted(CORPUS.glob("*.jsonl"))]
    first, second = (qiyas("replay", *files, "--format", "json").stdout for _ in range(2))
    assert json.loads(first)["ai"] == json.loads(second)["ai"]


def test_replay_says_which_line_it_cannot_read(tmp_path: Path):
    spoiled = tmp_path / "spoiled.jsonl"
    lines = (CORPUS / "openai-v2.jsonl").read_text(encoding="utf-8").splitlines()
    spoiled.write_text("\n".join([lines[0], "{not json", *lines[1:]]) + "\n", encoding="utf-8")
    run = qiyas("replay", spoiled, "--format", "json")
    assert "spoiled.jsonl:2" in run.stderr, run.stderr
    assert qiyas("replay", tmp_path / "absent.jsonl").returncode in (1, 2)
