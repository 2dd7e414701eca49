"""The example program under its real instrumentations, run as its README says, against the stand-in's known answers."""

import json
import shutil
import subprocess
import sys
import urllib.request

import pytest

from testbed.sidecar import ROOT, quiet_environment
from testbed.waiting import eventually

EXAMPLE = ROOT / "examples" / "python-chat"


@pytest.fixture
def model_server():
    server = subprocess.Popen(
        [sys.executable, EXAMPLE / "model_server.py", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = server.stdout.readline().rsplit(" ", 1)[-1].strip()
    yield url
    server.terminate()
    server.wait(5)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("instrumentation", ["openai-v2", "openinference"])
def test_the_chat_program_is_measured(sidecar, model_server, instrumentation, protocol):
    endpoint = f"http://{sidecar.otlp_grpc}" if protocol == "grpc" else sidecar.otlp_http
    subprocess.run(
        [sys.executable, EXAMPLE / "chat.py", "--instrumentation", instrumentation, "--base-url", model_server],
        env=quiet_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}),
        check=True,
        timeout=40,
        capture_output=True,
    )
    with urllib.request.urlopen(f"{model_server.removesuffix('/v1')}/ledger", timeout=5) as answer:
        calls = json.load(answer)
    assert len(calls) == 11
    job = f"python-chat-{instrumentation}"

    def measured():
        scrape = sidecar.scrape()
        for model in {call["model"] for call in calls}:
            its = [call for call in calls if call["model"] == model]
            of = {"job": job, "model_name": model}
            assert scrape.total("qiyas_ai_requests_total", **of) == len(its)
            # openai-v2 never sends cached or reasoning tokens; OpenInference sends both.
            kinds = {"input": "input_tokens", "output": "output_tokens"}
            if instrumentation == "openinference":
                kinds |= {"cache_read": "cached_tokens", "reasoning": "reasoning_tokens"}
            for kind, told in kinds.items():
                total = scrape.total("qiyas_ai_tokens_total", gen_ai_token_type=kind, **of)
                assert total == sum(call[told] for call in its), (model, kind)
            failed = [call for call in its if call["status"] != 200]
            failures = [
                sample.value
                for sample in scrape.samples(
                    "gen_ai_client_operation_duration_seconds_count", job=job, gen_ai_request_model=model
                )
                if sample.labels.get("error_type")
            ]
            assert sum(failures) == len(failed), (model, failures)
            seconds = scrape.total("gen_ai_client_operation_duration_seconds_sum", job=job, gen_ai_request_model=model)
            # The client cannot have waited less than the server took.
            assert seconds >= sum(call["seconds"] for call in its) * 0.9
        assert scrape.total("qiyas_ai_cost_usd_total", job=job) > 0
        assert scrape.total("qiyas_ai_unpriced_tokens_total", job=job) == 0
        return scrape

    scrape = eventually(measured)
    if instrumentation == "openinference":
        # Two answers of gpt-5 at the worked price, and nothing for the one refused.
        assert scrape.total("qiyas_ai_cost_usd_total", job=job, model_name="gpt-5") == pytest.approx(
            2 * 0.0033475, rel=1e-9
        )


def test_one_call_by_curl(sidecar):
    if not shutil.which("curl"):
        pytest.skip("curl: not installed")
    sent = subprocess.run(
        [ROOT / "examples" / "curl.sh"],
        env=quiet_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": sidecar.otlp_http}),
        check=True,
        timeout=20,
        capture_output=True,
        text=True,
    )
    assert sent.stdout.startswith("{}"), sent.stdout

    def measured():
        scrape = sidecar.scrape()
        of = {"job": "curl", "model_name": "gpt-4o-mini"}
        assert scrape.total("qiyas_ai_requests_total", **of) == 1
        assert scrape.total("qiyas_ai_tokens_total", gen_ai_token_type="input", **of) == 1000
        assert scrape.total("qiyas_ai_tokens_total", gen_ai_token_type="output", **of) == 200
        # 1000 tokens at 0.15 and 200 at 0.60 dollars a million.
        assert scrape.total("qiyas_ai_cost_usd_total", job="curl") == pytest.approx(0.00027, rel=1e-9)

    eventually(measured)
