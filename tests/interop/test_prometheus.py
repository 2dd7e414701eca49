"""A real Prometheus scrapes the sidecar: no warning in its log, and PromQL answers with what was sent."""

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from opentelemetry.trace import SpanKind

from testbed import sdk
from testbed.ports import free_port
from testbed.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def send(sidecar) -> None:
    """Two priced calls, an error and plain spans, under an identity with every part."""
    maker = sdk.SpanMaker("assistant", "pod-1", **{"service.namespace": "shop", "deployment.environment.name": "prod"})
    common = {"gen_ai.operation.name": "chat"}
    maker.span(
        "chat claude-sonnet-4-5",
        1 * sdk.NS,
        SpanKind.CLIENT,
        common
        | {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.response.model": "claude-sonnet-4-5-20250929",
            "gen_ai.usage.input_tokens": 2302,
            "gen_ai.usage.cache_creation.input_tokens": 2284,
            "gen_ai.usage.output_tokens": 158,
        },
    )
    for _ in range(3):
        maker.span(
            "chat gpt-5",
            2 * sdk.NS,
            SpanKind.CLIENT,
            common
            | {
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-5",
                "gen_ai.response.model": "gpt-5-2025-08-07",
                "gen_ai.usage.input_tokens": 2006,
                "gen_ai.usage.cache_read.input_tokens": 1920,
                "gen_ai.usage.output_tokens": 300,
            },
        )
    maker.span(
        "chat gpt-5",
        sdk.NS // 2,
        SpanKind.CLIENT,
        common | {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5", "error.type": "RateLimitError"},
        error="429",
    )
    for _ in range(11):
        maker.span("GET /cart", 30_000_000, SpanKind.SERVER)
    sdk.send("grpc", "gzip", "traces", maker.take(), sidecar.otlp_grpc, sidecar.otlp_http)


class Server:
    """A Prometheus with an empty store, scraping the sidecar every second."""

    def __init__(self, binary: Path, directory: Path, target: str):
        self.port = free_port()
        self.log_file = directory / "prometheus.log"
        config = directory / "prometheus.yml"
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                    # The sidecar speaks for the app: its job and instance labels are the app's own.
                    "scrape_configs": [
                        {"job_name": "qiyas", "honor_labels": True, "static_configs": [{"targets": [target]}]}
                    ],
                }
            ),
            encoding="utf-8",
        )
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
            )

    def ask(self, route: str, **parameters: str) -> list:
        url = f"http://127.0.0.1:{self.port}/api/v1/{route}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            data = json.load(answer)["data"]
        return data["result"] if isinstance(data, dict) and "result" in data else data

    def value(self, query: str) -> float:
        result = self.ask("query", query=query)
        assert len(result) == 1, f"{query} gives {result}"
        return float(result[0]["value"][1])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def warnings(self) -> list[str]:
        lines = self.log_file.read_text(encoding="utf-8").splitlines()
        return [
            line
            for line in lines
            if "level=warn" in line or "level=error" in line or "level=WARN" in line or "level=ERROR" in line
        ]


@pytest.fixture
def scraped(prometheus, start, tmp_path):
    sidecar = start({"receivers": {"host": {"enabled": True, "interval": "1s"}}})
    server = Server(prometheus, tmp_path, f"127.0.0.1:{sidecar.ports['prometheus']}")
    yield sidecar, server
    if server.process.poll() is None:
        server.stop()


def test_promql_answers_with_what_was_sent(scraped):
    sidecar, server = scraped
    eventually(lambda: server.value('up{job="qiyas"}'), 20)
    assert server.value('up{job="qiyas"}') == 1
    send(sidecar)

    app = 'job="shop/assistant", instance="pod-1"'

    def answered():
        assert server.value(f"sum(qiyas_ai_cost_usd_total{{{app}}})") == pytest.approx(
            0.010989 + 3 * 0.0033475, rel=1e-9
        )
        assert server.value(f'sum(traces_span_metrics_calls_total{{{app}, span_name="GET /cart"}})') == 11

    eventually(answered, 20)
    duration = "gen_ai_client_operation_duration_seconds"
    assert server.value(f"sum({duration}_count{{{app}}})") == 5
    assert server.value(f"sum({duration}_sum{{{app}}})") == pytest.approx(7.5, rel=1e-12)
    assert server.value(f'sum({duration}_count{{{app}, error_type="RateLimitError"}})') == 1
    assert server.value(f'{duration}_bucket{{{app}, le="1.28", gen_ai_request_model="claude-sonnet-4-5"}}') == 1
    # All three answers of gpt-5 took 2 s: within the bucket that ends at 2.56 s.
    quantile = server.value(
        f'histogram_quantile(0.5, sum by (le) ({duration}_bucket{{{app}, gen_ai_response_model="gpt-5-2025-08-07"}}))'
    )
    assert 1.28 < quantile <= 2.56
    assert server.value(
        f'qiyas_ai_cost_usd_total{{{app}, model_name="gpt-5", model_version="2025-08-07"}}'
    ) == pytest.approx(3 * 0.0033475, rel=1e-9)
    [about] = server.ask("query", query=f"target_info{{{app}}}")
    assert about["value"][1] == "1"
    assert about["metric"]["deployment_environment_name"] == "prod"
    joined = server.ask(
        "query",
        query=f"traces_span_metrics_calls_total{{{app}}} * on (job, instance) "
        f"group_left (deployment_environment_name) target_info",
    )
    assert joined and all(series["metric"]["deployment_environment_name"] == "prod" for series in joined)
    exemplars = server.ask(
        "query_exemplars",
        query="traces_span_metrics_duration_seconds_bucket",
        start="2020-01-01T00:00:00Z",
        end="2100-01-01T00:00:00Z",
    )
    assert any("trace_id" in one["labels"] for series in exemplars for one in series["exemplars"])

    # Asked before it is stopped: Prometheus warns of its own SIGTERM.
    assert server.warnings() == []


def test_promtool_finds_nothing_but_the_committed_lints(promtool, start):
    sidecar = start({"receivers": {"host": {"enabled": True, "interval": "1s"}}})
    send(sidecar)

    def measured():
        scrape = sidecar.scrape()
        assert scrape.total("qiyas_ai_requests_total") == 5
        assert any(name.startswith("system_cpu") for name in scrape.by_name)
        return scrape.body

    body = eventually(measured)
    checked = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False, timeout=30)
    said = [line for line in (checked.stdout + checked.stderr).decode().splitlines() if line.strip()]
    allowed = [
        line
        for line in (Path(__file__).parent / "promtool-lints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert sorted(set(said) - set(allowed)) == []
