"""Enrichment: cost and canonical names are added to AI spans; nothing else changes, and nothing is taken away."""

import pytest
from opentelemetry.trace import SpanKind

from testbed import otlp, sdk, wire

OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "llm.model_name": "gpt-5-2025-08-07",
    "llm.invocation_parameters": '{"model": "gpt-5"}',
    "llm.token_count.prompt": 2006,
    "llm.token_count.prompt_details.cache_read": 1920,
    "llm.token_count.completion": 300,
}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_only_ai_spans_gain_attributes(start, listen, protocol):
    downstream = listen(protocol)
    sidecar = start({"forward": [downstream.destination(enrich=True)]})
    maker = sdk.SpanMaker("enriched")
    maker.span("GET /", 1_000_000, SpanKind.SERVER, sdk.EVERY_ATTRIBUTE_TYPE, events=[("happened", {"n": 1})])
    maker.span(
        "ChatCompletion",
        1_000_000_000,
        SpanKind.INTERNAL,
        OPENINFERENCE | {"mine": "stays"},
        events=[("chunk", {"n": 1})],
    )
    sent = sdk.encoded("traces", maker.take())
    assert wire.post(sidecar.ports["http"], "traces", sent.SerializeToString()).status == 200

    downstream.wait_for_items("traces", 2)
    [got] = downstream.requests("traces")
    before = {span.name: span for span in otlp.spans([sent])}
    after = {span.name: span for span in otlp.spans([got])}
    assert after["GET /"] == before["GET /"]

    plain, enriched = before["ChatCompletion"], after["ChatCompletion"]
    kept = len(plain.attributes)
    assert list(enriched.attributes)[:kept] == list(plain.attributes), "what the app said stands first, untouched"
    keys = [pair.key for pair in enriched.attributes]
    assert len(keys) == len(set(keys)), "no key is added twice"
    added = otlp.attributes(enriched)
    assert added["gen_ai.operation.name"] == "chat"
    assert added["gen_ai.provider.name"] == "openai"
    assert added["gen_ai.request.model"] == "gpt-5"
    assert added["gen_ai.response.model"] == "gpt-5-2025-08-07"
    assert added["gen_ai.usage.input_tokens"] == 2006
    assert added["gen_ai.usage.output_tokens"] == 300
    assert added["gen_ai.usage.cost"] == pytest.approx(0.0033475, rel=1e-9)
    del enriched.attributes[kept:]
    assert enriched == plain, "but for what was added the span is the same"
    for request in (sent, got):
        for under in request.resource_spans:
            for scope in under.scope_spans:
                del scope.spans[:]
    assert got == sent, "resources and scopes are the same"


def test_what_a_span_says_itself_is_not_overwritten(start, listen):
    downstream = listen("grpc")
    sidecar = start({"forward": [downstream.destination(enrich=True)]})
    maker = sdk.SpanMaker("enriched")
    maker.span(
        "chat gpt-5",
        1_000_000_000,
        SpanKind.CLIENT,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.response.model": "gpt-5-2025-08-07",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cost": 0.5,
        },
    )
    sent = sdk.encoded("traces", maker.take())
    assert wire.post(sidecar.ports["http"], "traces", sent.SerializeToString()).status == 200
    downstream.wait_for_items("traces", 1)
    [span] = otlp.spans(downstream.requests("traces"))
    keys = [pair.key for pair in span.attributes]
    assert len(keys) == len(set(keys))
    assert otlp.attributes(span)["gen_ai.usage.cost"] == 0.5


def test_enrichment_leaves_metrics_and_logs_alone(start, listen):
    downstream = listen("grpc")
    sidecar = start({"forward": [downstream.destination(enrich=True)]})
    for signal in ("metrics", "logs"):
        body = sdk.encoded(signal, sdk.RICH[signal]("plain")).SerializeToString()
        assert wire.post(sidecar.ports["http"], signal, body).status == 200
        downstream.wait_for_items(signal, 1)
        assert [export.body for export in downstream.exports(signal)] == [body]


def test_each_destination_has_its_own_mind(start, listen):
    enriched, untouched = listen("grpc"), listen("http/protobuf")
    sidecar = start({"forward": [enriched.destination("enriched", enrich=True), untouched.destination("untouched")]})
    maker = sdk.SpanMaker("two")
    maker.span("ChatCompletion", 1_000_000_000, SpanKind.INTERNAL, OPENINFERENCE)
    body = sdk.encoded("traces", maker.take()).SerializeToString()
    assert wire.post(sidecar.ports["http"], "traces", body).status == 200
    untouched.wait_for_items("traces", 1)
    enriched.wait_for_items("traces", 1)
    assert [export.body for export in untouched.exports("traces")] == [body]
    [span] = otlp.spans(enriched.requests("traces"))
    assert "gen_ai.usage.cost" in otlp.attributes(span)
