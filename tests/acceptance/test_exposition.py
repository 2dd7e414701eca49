"""`/metrics` as any scraper may ask for it, read by the parsers of PyPI's `prometheus_client`."""

import gzip
import re

import pytest
from opentelemetry.trace import SpanKind

from testbed import sdk
from testbed.exposition import OPENMETRICS, TEXT, fetch, scrape
from testbed.waiting import eventually

NASTY = 'quote " backslash \\ newline \n tab \t größe 日本 {a="b"} # HELP'


@pytest.fixture
def measured(start):
    """A sidecar that has measured spans with awkward names, AI calls and its host."""
    sidecar = start({"receivers": {"host": {"enabled": True}}})
    maker = sdk.SpanMaker('shop "north"', "pod\\1", **{"1st.weird-key/ä": NASTY})
    maker.span(NASTY, 5_000_000, SpanKind.SERVER)
    maker.span("nul \x00 here", 5_000_000, SpanKind.SERVER)
    maker.span(
        "chat gpt-5",
        5_000_000,
        SpanKind.CLIENT,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.response.model": "gpt-5-2025-08-07",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
        },
    )
    sdk.send("grpc", "none", "traces", maker.take(), sidecar.otlp_grpc, sidecar.otlp_http)

    def counted():
        answer = sidecar.scrape()
        assert answer.total("traces_span_metrics_calls_total") == 3
        assert answer.total("qiyas_ai_requests_total") == 1

    eventually(counted)
    return sidecar


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4;q=0.2, */*;q=0.1", TEXT),
        ("application/openmetrics-text", "application/openmetrics-text"),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            OPENMETRICS,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("text/html, application/json", TEXT),
    ],
)
def test_the_format_follows_accept(measured, accept, content_type):
    answer = scrape(measured.metrics_url, accept)
    given = answer.headers["content-type"]
    assert given.startswith(content_type), f"{accept} is answered by {given}"
    assert "charset=utf-8" in given.lower()
    if "escaping=allow-utf-8" in (accept or ""):
        assert "escaping=" in given, "a version of at least 1.0.0 names its escaping"
    ends = answer.text.endswith("# EOF\n")
    assert ends == content_type.startswith("application/openmetrics-text")
    assert answer.total("traces_span_metrics_calls_total") == 3


@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_awkward_labels_survive(measured, accept):
    answer = scrape(measured.metrics_url, accept)
    names = {sample.labels["span_name"] for sample in answer.samples("traces_span_metrics_calls_total")}
    # A NUL would end Prometheus's lexer.
    assert names == {NASTY, "nul \ufffd here", "chat gpt-5"}
    [about] = answer.samples("target_info", job='shop "north"', instance="pod\\1")
    [weird] = [key for key in about.labels if key.startswith("key_1st_weird_key_")]
    assert about.labels[weird] == NASTY


def test_both_formats_say_the_same(measured):
    text, openmetrics = scrape(measured.metrics_url), scrape(measured.metrics_url, OPENMETRICS)

    def derived(answer):
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for name, samples in answer.by_name.items()
            if name.startswith(("traces_", "gen_ai_", "qiyas_ai_")) and not name.endswith("_created")
            for sample in samples
        }

    assert derived(text) == derived(openmetrics) != {}


def test_openmetrics_keeps_its_own_rules(measured):
    text = scrape(measured.metrics_url, OPENMETRICS).text
    lines = text.splitlines()
    described = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described)), "TYPE stands once a family"
    # A family's unit is its name's suffix, and families do not interleave (the parser checks the order itself).
    for line in lines:
        if line.startswith("# UNIT"):
            _, _, family, unit = line.split(" ")
            assert family.endswith(f"_{unit}"), line
    for bound in re.findall(r'le="([^"]*)"', text):
        assert bound == "+Inf" or "." in bound or "e" in bound, f"le={bound!r} is not canonical"
    exemplars = [line for line in lines if " # {" in line]
    assert exemplars, "histogram buckets carry exemplars"
    assert all("trace_id=" in line for line in exemplars)


def test_le_and_quantile_are_canonical_in_text_too(measured):
    text = measured.scrape().text
    bounds = set(re.findall(r'le="([^"]*)"', text))
    assert {"2.0", "0.002", "+Inf"} <= bounds
    assert "1.0" in bounds and "1" not in bounds


def test_gzip_on_request_only(measured):
    status, headers, body = fetch(measured.metrics_url, {"Accept-Encoding": "gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert b"traces_span_metrics_calls_total" in gzip.decompress(body)
    _, plain, body = fetch(measured.metrics_url)
    assert "content-encoding" not in plain and b"traces_span_metrics_calls_total" in body
    _, refused, _ = fetch(measured.metrics_url, {"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in refused


def test_concurrent_scrapes_all_parse(measured):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: scrape(measured.metrics_url, OPENMETRICS if n % 2 else None), range(64)))
    assert all(answer.total("traces_span_metrics_calls_total") == 3 for answer in answers)


def test_host_metrics_stand_there_with_no_app_at_all(start):
    sidecar = start({"receivers": {"host": {"enabled": True, "interval": "1s"}}})

    def seen():
        answer = sidecar.scrape()
        for family in (
            "system_cpu_time_seconds",
            "system_memory_usage_bytes",
            "system_filesystem_usage_bytes",
            "system_network_io_bytes",
            "system_uptime_seconds",
            "system_cpu_load_average_1m",
        ):
            assert any(name.startswith(family) for name in answer.by_name), f"no {family}*: {sorted(answer.by_name)}"

    eventually(seen)


def test_probes_are_answered_on_both_listeners(sidecar):
    for port in (sidecar.ports["api"], sidecar.ports["prometheus"]):
        for path in ("/healthz", "/readyz"):
            status, _, _ = fetch(f"http://127.0.0.1:{port}{path}", {"Host": "elsewhere.example"})
            assert status == 200, f"{path} on {port} answers {status}"
