"""Counts, sums, buckets and percentiles on `/metrics` equal what was sent."""

import math
import time
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanKind

from testbed import sdk, wire
from testbed.sidecar import Sidecar
from testbed.waiting import eventually

SPAN_BUCKETS = [0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1.4, 2, 5, 10, 15]
GEN_AI_DURATION_BUCKETS = [0.01 * 2**n for n in range(14)]
GEN_AI_TOKEN_BUCKETS = [4.0**n for n in range(14)]


def send(sidecar: Sidecar, maker: sdk.SpanMaker) -> None:
    sdk.send("grpc", "none", "traces", maker.take(), sidecar.otlp_grpc, sidecar.otlp_http)


def cumulative(values: list[float], bounds: list[float]) -> list[float]:
    """A histogram's cumulative counts: `le` includes its bound; the last is +Inf."""
    return [float(sum(value <= bound for value in values)) for bound in bounds] + [float(len(values))]


def call(
    maker: sdk.SpanMaker, seconds: float, model: str, dated: str | None, provider: str = "openai", **attributes
) -> None:
    """One inference span in the current convention."""
    named = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
    } | ({"gen_ai.response.model": dated} if dated else {})
    maker.span(f"chat {model}", round(seconds * sdk.NS), SpanKind.CLIENT, named | attributes)


def test_span_calls_and_durations(sidecar):
    maker = sdk.SpanMaker("shop", "pod-1", **{"service.namespace": "retail", "deployment.environment.name": "prod"})
    milliseconds = [1, 2, 2.000001, 3, 7, 9.5, 10, 49, 50, 51, 450, 1400, 1401, 16_000]
    for each in milliseconds:
        maker.span("GET /cart", round(each * 1_000_000), SpanKind.SERVER)
    for _ in range(3):
        maker.span("GET /cart", 20_000_000, SpanKind.SERVER, error="boom")
    maker.span("query", 5_000_000, SpanKind.CLIENT)
    send(sidecar, maker)

    ours = {"job": "retail/shop", "instance": "pod-1", "service_name": "shop", "otel_scope_name": "qiyas/spans"}
    server = ours | {"span_name": "GET /cart", "span_kind": "SPAN_KIND_SERVER"}

    def measured():
        scrape = sidecar.scrape()
        name = "traces_span_metrics_calls_total"
        assert scrape.value(name, **server, status_code="STATUS_CODE_UNSET") == len(milliseconds)
        assert scrape.value(name, **server, status_code="STATUS_CODE_ERROR") == 3
        assert scrape.value(name, **ours, span_name="query", span_kind="SPAN_KIND_CLIENT") == 1
        assert scrape.total(name) == len(milliseconds) + 4
        return scrape

    scrape = eventually(measured)
    name, unset = "traces_span_metrics_duration_seconds", server | {"status_code": "STATUS_CODE_UNSET"}
    seconds = [each / 1000 for each in milliseconds]
    assert scrape.value(f"{name}_count", **unset) == len(seconds)
    assert scrape.value(f"{name}_sum", **unset) == pytest.approx(math.fsum(seconds), rel=1e-12)
    buckets = scrape.buckets(name, **unset)
    assert [bound for bound, _ in buckets] == SPAN_BUCKETS + [math.inf]
    assert [count for _, count in buckets] == cumulative(seconds, SPAN_BUCKETS)

    about = scrape.samples("target_info", job="retail/shop", instance="pod-1")
    assert len(about) == 1 and about[0].labels["deployment_environment_name"] == "prod", about


def test_configured_dimensions_become_labels(start):
    sidecar = start({"spans": {"dimensions": ["http.route", "deployment.environment.name"]}})
    maker = sdk.SpanMaker("shop", **{"deployment.environment.name": "prod"})
    maker.span("GET", 1_000_000, SpanKind.SERVER, {"http.route": "/a", "other": "x"})
    maker.span("GET", 1_000_000, SpanKind.SERVER, {"http.route": "/b"})
    maker.span("GET", 1_000_000, SpanKind.SERVER, {"http.route": "/b"})
    send(sidecar, maker)

    def measured():
        scrape, name = sidecar.scrape(), "traces_span_metrics_calls_total"
        assert scrape.value(name, http_route="/a", deployment_environment_name="prod") == 1
        assert scrape.value(name, http_route="/b", deployment_environment_name="prod") == 2
        assert all("other" not in sample.labels for sample in scrape.samples(name))

    eventually(measured)


def test_ai_requests_tokens_cost_and_latency(sidecar):
    """The worked costs of two models, an unpriced one, an error, and percentiles over a thousand known latencies."""
    maker = sdk.SpanMaker("assistant")
    call(
        maker,
        1.0,
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        "anthropic",
        **{
            "gen_ai.usage.input_tokens": 2302,
            "gen_ai.usage.cache_creation.input_tokens": 2284,
            "gen_ai.usage.output_tokens": 158,
        },
    )
    call(
        maker,
        2.0,
        "gpt-5",
        "gpt-5-2025-08-07",
        **{
            "gen_ai.usage.input_tokens": 2006,
            "gen_ai.usage.cache_read.input_tokens": 1920,
            "gen_ai.usage.output_tokens": 300,
            "gen_ai.usage.reasoning.output_tokens": 128,
        },
    )
    call(
        maker,
        0.5,
        "our-own-model",
        None,
        "in-house",
        **{
            "gen_ai.usage.input_tokens": 70,
            "gen_ai.usage.output_tokens": 7,
        },
    )
    call(maker, 0.1, "gpt-5", None, **{"error.type": "RateLimitError"})
    send(sidecar, maker)

    def measured():
        scrape = sidecar.scrape()
        assert scrape.total("qiyas_ai_requests_total") == 4
        return scrape

    scrape = eventually(measured)
    claude = {
        "gen_ai_provider_name": "anthropic",
        "gen_ai_request_model": "claude-sonnet-4-5",
        "model_name": "claude-sonnet-4-5",
        "model_version": "20250929",
    }
    gpt = {
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-5",
        "model_name": "gpt-5",
        "model_version": "2025-08-07",
    }
    house = {"gen_ai_provider_name": "in-house", "model_name": "our-own-model", "model_version": "unversioned"}
    failed = gpt | {"model_version": "unversioned"}
    for model in (claude, gpt, house, failed):
        assert scrape.value("qiyas_ai_requests_total", job="assistant", **model) == 1

    def tokens(model: dict[str, str]) -> dict[str, float]:
        samples = scrape.samples("qiyas_ai_tokens_total", **model)
        return {sample.labels["gen_ai_token_type"]: sample.value for sample in samples if sample.value}

    assert tokens(claude) == {"input": 2302, "cache_write": 2284, "output": 158}
    assert tokens(gpt) == {"input": 2006, "cache_read": 1920, "output": 300, "reasoning": 128}
    assert tokens(house) == {"input": 70, "output": 7}
    assert tokens(failed) == {}

    assert scrape.value("qiyas_ai_cost_usd_total", **claude) == pytest.approx(0.010989, rel=1e-9)
    assert scrape.value("qiyas_ai_cost_usd_total", **gpt) == pytest.approx(0.0033475, rel=1e-9)
    assert scrape.value("qiyas_ai_cost_per_request_usd", **claude) == pytest.approx(0.010989, rel=1e-9)
    assert scrape.value("qiyas_ai_cost_per_1k_tokens_usd", **claude) == pytest.approx(0.010989 / 2460 * 1000, rel=1e-9)
    # No price is not a price of 0: nothing is added, and the tokens are told.
    assert scrape.total("qiyas_ai_cost_usd_total", **house) == 0
    assert scrape.samples("qiyas_ai_cost_per_request_usd", **house) == []
    assert scrape.value("qiyas_ai_unpriced_tokens_total", **house) == 77
    assert scrape.total("qiyas_ai_unpriced_tokens_total", **claude) == 0


def test_standard_gen_ai_metrics(sidecar):
    maker = sdk.SpanMaker("assistant")
    seconds = [0.005, 0.01, 0.02, 0.3, 0.64, 5.0, 81.92, 100.0]
    inputs = [1, 4, 5, 64, 1000, 1024, 1025, 70_000_000]
    for each, count in zip(seconds, inputs, strict=True):
        call(
            maker,
            each,
            "gpt-4o-mini",
            "gpt-4o-mini-2024-07-18",
            **{"gen_ai.usage.input_tokens": count, "gen_ai.usage.output_tokens": 16},
        )
    call(maker, 0.25, "gpt-4o-mini", None, **{"error.type": "429"})
    send(sidecar, maker)
    standard = {
        "job": "assistant",
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-4o-mini",
    }
    good = standard | {"gen_ai_response_model": "gpt-4o-mini-2024-07-18"}

    def measured():
        scrape = sidecar.scrape()
        name = "gen_ai_client_operation_duration_seconds"
        assert scrape.value(f"{name}_count", **good) == len(seconds)
        assert scrape.value(f"{name}_count", **standard, error_type="429") == 1
        return scrape

    scrape = eventually(measured)
    name = "gen_ai_client_operation_duration_seconds"
    assert scrape.value(f"{name}_sum", **good) == pytest.approx(math.fsum(seconds), rel=1e-12)
    bounds, counts = zip(*scrape.buckets(name, **good), strict=True)
    assert bounds == pytest.approx(GEN_AI_DURATION_BUCKETS + [math.inf])
    assert list(counts) == cumulative(seconds, list(bounds[:-1]))

    name = "gen_ai_client_token_usage"
    given = good | {"gen_ai_token_type": "input"}
    assert scrape.value(f"{name}_count", **given) == len(inputs)
    assert scrape.value(f"{name}_sum", **given) == sum(inputs)
    bounds, counts = zip(*scrape.buckets(name, **given), strict=True)
    assert list(bounds) == GEN_AI_TOKEN_BUCKETS + [math.inf]
    assert list(counts) == cumulative(inputs, GEN_AI_TOKEN_BUCKETS)
    assert scrape.value(f"{name}_sum", **good, gen_ai_token_type="output") == 16 * len(inputs)


@pytest.mark.parametrize("window", ["5m", "1h"])
def test_latency_percentiles(sidecar, window):
    maker = sdk.SpanMaker("assistant")
    for millisecond in range(1, 1001):
        call(maker, millisecond / 1000, "gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    send(sidecar, maker)

    def measured():
        scrape = sidecar.scrape()
        assert scrape.total("qiyas_ai_requests_total") == 1000
        return scrape

    scrape = eventually(measured)
    for quantile, expected in (("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99), ("0.999", 0.999)):
        # Three digits: a bucket of the histogram is at most a thousandth of the value wide.
        value = scrape.value("qiyas_ai_latency_seconds", quantile=quantile, window=window, model_name="gpt-4o-mini")
        assert value == pytest.approx(expected, rel=1e-3)


def test_a_reported_cost_wins_over_the_price_list(sidecar):
    maker = sdk.SpanMaker("assistant")
    call(
        maker,
        1,
        "gpt-5",
        "gpt-5-2025-08-07",
        **{"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100, "gen_ai.usage.cost": 0.25},
    )
    # A reported 0 beside tokens is no cost: it is priced.
    call(
        maker,
        1,
        "gpt-5-mini",
        "gpt-5-mini-2025-08-07",
        **{"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0, "gen_ai.usage.cost": 0.0},
    )
    send(sidecar, maker)

    def measured():
        scrape = sidecar.scrape()
        assert scrape.value("qiyas_ai_cost_usd_total", model_name="gpt-5") == pytest.approx(0.25, rel=1e-12)
        assert scrape.value("qiyas_ai_cost_usd_total", model_name="gpt-5-mini") > 0

    eventually(measured)


def test_a_carrier_does_not_count_its_childrens_tokens_again(sidecar):
    maker = sdk.SpanMaker("agent")
    usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    agent = maker.span(
        "invoke_agent helper",
        3 * sdk.NS,
        SpanKind.INTERNAL,
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 200,
            "gen_ai.usage.output_tokens": 20,
        },
    )
    for _ in range(2):
        maker.span(
            "chat gpt-4o-mini",
            sdk.NS,
            SpanKind.CLIENT,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            }
            | usage,
            parent=agent,
        )
    send(sidecar, maker)

    def measured():
        scrape = sidecar.scrape()
        assert scrape.total("qiyas_ai_requests_total") == 2
        assert scrape.total("qiyas_ai_tokens_total", gen_ai_token_type="input") == 200
        assert scrape.total("traces_span_metrics_calls_total") == 3

    eventually(measured)


def raw_spans(service: str | None, spans: list[dict[str, Any]]) -> bytes:
    """An export of spans that no SDK would let a test write: field by field."""
    request = ExportTraceServiceRequest()
    under = request.resource_spans.add()
    if service is not None:
        under.resource.attributes.add(key="service.name").value.string_value = service
    scope = under.scope_spans.add()
    for number, fields in enumerate(spans, start=1):
        ids = {"trace_id": number.to_bytes(16, "big"), "span_id": number.to_bytes(8, "big"), "kind": 1}
        scope.spans.add(**ids | fields)
    return request.SerializeToString()


def test_sampled_spans_count_for_what_they_stand_for(sidecar):
    """`ot=th:8`: half were kept, so each stands for two; `th:c` for four; without a threshold for itself."""
    now = time.time_ns()
    times = {"start_time_unix_nano": now - 10_000_000, "end_time_unix_nano": now}
    spans = [
        {"name": name, "trace_state": state} | times
        for name, state in (("half", "ot=th:8"), ("quarter", "vendor=x,ot=rv:6e6d1a75832a2f;th:c"), ("all", "vendor=x"))
        for _ in range(5)
    ]
    assert wire.post(sidecar.ports["http"], "traces", raw_spans("sampled", spans)).status == 200

    def measured():
        scrape = sidecar.scrape()
        for name, count in (("half", 10), ("quarter", 20), ("all", 5)):
            assert scrape.value("traces_span_metrics_calls_total", span_name=name) == count
            assert scrape.value("traces_span_metrics_duration_seconds_count", span_name=name) == count
            total = scrape.value("traces_span_metrics_duration_seconds_sum", span_name=name)
            assert total == pytest.approx(0.01 * count, rel=1e-9)

    eventually(measured)


def test_without_a_service_name_spans_are_measured_all_the_same(sidecar):
    now = time.time_ns()
    span = {"name": "nameless", "start_time_unix_nano": now - 1000, "end_time_unix_nano": now}
    assert wire.post(sidecar.ports["http"], "traces", raw_spans(None, [span])).status == 200

    def measured():
        assert sidecar.scrape().value("traces_span_metrics_calls_total", span_name="nameless") == 1

    eventually(measured)


def test_a_silent_series_expires_and_returns_from_zero(start):
    sidecar = start({"limits": {"series_expiry": "2s"}})
    name = "traces_span_metrics_calls_total"

    def send_three() -> None:
        maker = sdk.SpanMaker("fleeting")
        for _ in range(3):
            maker.span("now and then", 1_000_000)
        send(sidecar, maker)

    def shows(count: int | None) -> None:
        samples = sidecar.scrape().samples(name, span_name="now and then")
        assert [sample.value for sample in samples] == ([] if count is None else [count])

    send_three()
    eventually(lambda: shows(3))
    eventually(lambda: shows(None))
    send_three()
    eventually(lambda: shows(3))


def test_odd_times_are_counted_and_still_measured(sidecar):
    """A zero time, the future, the far past, an end before the start: each span still counts once."""
    now = time.time_ns()
    day = 86_400 * sdk.NS
    times = {
        "no time": (0, 0),
        "future": (now + day, now + day + 1000),
        "ancient": (now - 100 * day, now - 100 * day + 1),
        "backwards": (now, now - 5_000_000),
        "fine": (now - 1_000_000, now),
    }
    spans = [
        {"name": name, "start_time_unix_nano": begin, "end_time_unix_nano": end} for name, (begin, end) in times.items()
    ]
    assert wire.post(sidecar.ports["http"], "traces", raw_spans("odd", spans)).status == 200

    def measured():
        scrape = sidecar.scrape()
        for name in times:
            assert scrape.value("traces_span_metrics_calls_total", job="odd", span_name=name) == 1
        assert scrape.value("traces_span_metrics_duration_seconds_sum", span_name="backwards") == 0
        for reason in ("no_time", "future", "ancient"):
            assert scrape.total("qiyas_observations_ignored_total", reason=reason) >= 1, reason

    eventually(measured)


def test_a_budget_of_series_overflows_into_one(start):
    sidecar = start({"limits": {"series": 100}})
    maker = sdk.SpanMaker("cardinal")
    for number in range(1000):
        maker.span(f"span {number}", 1_000_000, SpanKind.SERVER)
    send(sidecar, maker)

    def measured():
        scrape = sidecar.scrape()
        name = "traces_span_metrics_calls_total"
        assert scrape.total(name) == 1000
        assert scrape.total(name, otel_metric_overflow="true") >= 900
        assert len(scrape.samples(name)) <= 101
        assert scrape.total("qiyas_series_overflowed_total") > 0

    eventually(measured)
