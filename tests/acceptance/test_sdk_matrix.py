"""The Python SDK, each way it can export: every item arrives downstream attribute for attribute, and is counted."""

import pytest

from testbed import otlp, sdk, wire
from testbed.waiting import eventually

# Each way in is paired with one way out, so that both protocols and every compression are used by every signal.
WAYS = [
    ("grpc", "none", "grpc", "gzip"),
    ("grpc", "gzip", "http/protobuf", "zstd"),
    ("http/protobuf", "none", "http/protobuf", "none"),
    ("http/protobuf", "gzip", "grpc", "none"),
    ("http/json", "none", "grpc", "gzip"),
    ("http/json", "gzip", "http/protobuf", "gzip"),
]


def points(signal: str, message) -> int:
    """What the sidecar counts of a request: spans, log records, and for metrics their data points."""
    items = [
        item
        for outer in getattr(message, otlp.SERVICES[signal].resources)
        for scope in getattr(outer, otlp.SERVICES[signal].scopes)
        for item in getattr(scope, otlp.SERVICES[signal].items)
    ]
    if signal != "metrics":
        return len(items)
    return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in items)


@pytest.mark.parametrize("signal", otlp.SIGNALS)
@pytest.mark.parametrize(("transport", "compression", "onward", "onward_compression"), WAYS)
def test_every_item_arrives(start, listen, transport, compression, onward, onward_compression, signal):
    downstream = listen(onward)
    sidecar = start({"forward": [downstream.destination(compression=onward_compression)]})
    data = sdk.RICH[signal](sdk.unique("matrix"))
    sent = sdk.encoded(signal, data)

    sdk.send(transport, compression, signal, data, sidecar.otlp_grpc, sidecar.otlp_http)

    expected = otlp.items(signal, [sent])
    assert downstream.wait_for_items(signal, expected.total()) == expected
    if transport != "http/json":
        # One request came in, so one goes out, and enrichment is off: its bytes are the SDK's own.
        assert [export.body for export in downstream.exports(signal)] == [sent.SerializeToString()]

    label = "grpc" if transport == "grpc" else "http"

    def counted():
        scrape = sidecar.scrape()
        assert scrape.total("qiyas_receiver_accepted_total", signal=signal, transport=label) == points(signal, sent)
        assert scrape.total("qiyas_forward_sent_total", destination="downstream", signal=signal) == points(signal, sent)

    eventually(counted)


@pytest.mark.parametrize("onward", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_zstd_and_gzip_are_read_on_both_transports(start, listen, encoding, onward):
    """No SDK for Python sends zstd: raw clients do."""
    downstream = listen(onward)
    sidecar = start({"forward": [downstream.destination()]})
    sent = {signal: sdk.encoded(signal, sdk.RICH[signal](sdk.unique(encoding))) for signal in otlp.SIGNALS}

    for signal, message in sent.items():
        body = message.SerializeToString()
        over_grpc = wire.grpc_call(sidecar.ports["grpc"], signal, wire.compressed(body, encoding), encoding)
        assert over_grpc.status == 0, over_grpc
        over_http = wire.post(sidecar.ports["http"], signal, body, encoding=encoding)
        assert (over_http.status, over_http.headers["content-type"]) == (200, wire.PROTOBUF), over_http
        as_json = wire.post(sidecar.ports["http"], signal, otlp.to_json(message).encode(), wire.JSON, encoding)
        assert (as_json.status, as_json.headers["content-type"]) == (200, wire.JSON), as_json

        expected = otlp.items(signal, [message] * 3)
        assert downstream.wait_for_items(signal, expected.total()) == expected


def test_full_success_leaves_partial_success_unset(sidecar):
    for signal in otlp.SIGNALS:
        body = sdk.encoded(signal, sdk.RICH[signal](sdk.unique("success"))).SerializeToString()
        for answer in (
            wire.grpc_call(sidecar.ports["grpc"], signal, body),
            wire.post(sidecar.ports["http"], signal, body),
        ):
            response = otlp.SERVICES[signal].response.FromString(answer.body)
            assert not response.HasField("partial_success"), response
        empty = wire.post(sidecar.ports["http"], signal, b"")
        assert empty.status == 200, f"an empty request succeeds, got {empty}"
        assert wire.grpc_call(sidecar.ports["grpc"], signal, b"").status == 0


def test_json_is_read_as_leniently_as_the_specification_asks(start, listen):
    """Ids in any case, 64-bit integers as string or number, unknown fields ignored, enums as integers."""
    downstream = listen("grpc")
    sidecar = start({"forward": [downstream.destination()]})
    body = b"""{"unknown": [1, {"x": null}], "resourceSpans": [{"resource": {"attributes": [
        {"key": "service.name", "value": {"stringValue": "lenient"}}]}, "scopeSpans": [{"spans": [
        {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "name": "a", "kind": 2,
         "startTimeUnixNano": 1795545928000000000, "endTimeUnixNano": "1795545928500000000", "future": {"field": true},
         "attributes": [{"key": "quoted", "value": {"intValue": "-9007199254740993"}},
                        {"key": "bare", "value": {"intValue": 42}},
                        {"key": "double", "value": {"doubleValue": 1}},
                        {"key": "bytes", "value": {"bytesValue": "AP+A"}},
                        {"key": "empty", "value": {}}]}]}]}]}"""
    answer = wire.request(sidecar.ports["http"], "/v1/traces", body, "application/json; charset=utf-8")
    assert answer.status == 200, answer

    downstream.wait_for_items("traces", 1)
    [span] = otlp.spans(downstream.requests("traces"))
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1795545928000000000, 1795545928500000000)
    assert otlp.attributes(span) == {
        "quoted": -9007199254740993,
        "bare": 42,
        "double": 1.0,
        "bytes": b"\x00\xff\x80",
        "empty": None,
    }


def test_browsers_are_answered_by_cors(start):
    sidecar = start({"receivers": {"otlp": {"http": {"cors": {"allowed_origins": ["https://shop.example"]}}}}})
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    allowed = wire.request(sidecar.ports["http"], "/v1/traces", None, None, method="OPTIONS", headers=asked)
    assert allowed.status in (200, 204)
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    refused = wire.request(
        sidecar.ports["http"],
        "/v1/traces",
        None,
        None,
        method="OPTIONS",
        headers=asked | {"Origin": "https://evil.example"},
    )
    assert refused.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")
