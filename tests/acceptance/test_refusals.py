"""Requests that must be refused: each with the right status, a body in the request's own type, and no harm to others."""

import random

import pytest

from testbed import otlp, sdk, wire

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, OUT_OF_RANGE = 3, 8, 12, 11


@pytest.fixture(scope="module")
def valid() -> bytes:
    return sdk.encoded("traces", sdk.rich_spans("valid")).SerializeToString()


def field(number: int, wire_type: int, payload: bytes) -> bytes:
    tag = number << 3 | wire_type
    assert tag < 128
    return bytes([tag]) + payload


def sized(number: int, payload: bytes) -> bytes:
    length = len(payload)
    encoded = bytearray()
    while True:
        encoded.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
        if not length:
            return field(number, 2, bytes(encoded) + payload)


def span(payload: bytes) -> bytes:
    """A whole trace export around the fields of one span."""
    return sized(1, sized(2, sized(2, payload)))


def nested(depth: int) -> bytes:
    """A span with one attribute whose value is a list in a list in a list …"""
    value = sized(1, b"x")
    for _ in range(depth):
        value = sized(5, sized(1, value))
    return span(sized(9, sized(1, b"k") + sized(2, value)))


MALFORMED = {
    "a varint that never ends": b"\x80" * 11,
    "field number 0": b"\x02\x00",
    "a length beyond the end": b"\x0a\x7f\x00",
    "a length of 2^63": b"\x0a" + b"\xff" * 8 + b"\x7f",
    "resource spans as a varint": field(1, 0, b"\x05"),
    "a name as a varint": span(field(5, 0, b"\x05")),
    "a start time as text": span(sized(7, b"yesterday")),
    "attributes as fixed32": span(field(9, 5, b"\x00" * 4)),
    "an attribute value as a varint": span(sized(9, sized(1, b"k") + field(2, 0, b"\x01"))),
    "a group": span(field(9, 3, b"") + field(9, 4, b"")),
    "wire type 6": span(field(5, 6, b"\x00")),
    "a name that is not UTF-8": span(sized(5, b"\xff\xfe")),
    "an attribute key that is not UTF-8": span(sized(9, sized(1, b"\xc3\x28"))),
    "an overlong encoding": span(sized(5, b"\xc0\xaf")),
    "a surrogate": span(sized(5, b"\xed\xa0\x80")),
    "nested 10,000 deep": nested(10_000),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_protobuf(sidecar, name):
    body = MALFORMED[name]
    over_http = wire.post(sidecar.ports["http"], "traces", body)
    assert over_http.status == 400, over_http
    assert over_http.headers["content-type"] == wire.PROTOBUF
    status = over_http.error()
    assert status.code == INVALID_ARGUMENT and status.message
    over_grpc = wire.grpc_call(sidecar.ports["grpc"], "traces", body)
    assert over_grpc.status == INVALID_ARGUMENT and over_grpc.message, over_grpc
    scrape = sidecar.scrape()
    assert scrape.total("qiyas_receiver_refused_total", signal="traces", transport="http") == 1
    assert scrape.total("qiyas_receiver_refused_total", signal="traces", transport="grpc") == 1
    assert scrape.total("traces_span_metrics_calls_total") == 0


def test_nesting_within_reason_is_accepted(sidecar):
    assert wire.post(sidecar.ports["http"], "traces", nested(30)).status == 200


@pytest.mark.parametrize("signal", otlp.SIGNALS)
def test_truncation_at_every_byte(sidecar, signal):
    """A prefix is accepted only where protobuf itself can read it; nothing of a refused one is counted."""
    whole = sdk.encoded(signal, sdk.RICH[signal]("cut")).SerializeToString()
    cuts = range(0, len(whole), max(1, len(whole) // 150))
    for cut in cuts:
        body = whole[:cut]
        try:
            otlp.parse(signal, body)
            readable = True
        except Exception:
            readable = False
        answer = wire.post(sidecar.ports["http"], signal, body)
        assert answer.status == (200 if readable else 400), f"cut at {cut}: {answer}"


@pytest.mark.parametrize("signal", otlp.SIGNALS)
def test_random_bytes(sidecar, signal, valid):
    noise = random.Random(20_26)
    for turn in range(120):
        if turn % 2:
            body = noise.randbytes(noise.randrange(1, 2000))
        else:
            # A valid message with a few bytes changed comes further than noise.
            body = bytearray(sdk.encoded(signal, sdk.RICH[signal]("noise")).SerializeToString() if turn == 0 else valid)
            for _ in range(noise.randrange(1, 8)):
                body[noise.randrange(len(body))] = noise.randrange(256)
            body = bytes(body)
        answer = wire.post(sidecar.ports["http"], signal, body)
        assert answer.status in (200, 400), f"{body.hex()}: {answer}"
        over_grpc = wire.grpc_call(sidecar.ports["grpc"], signal, body)
        assert over_grpc.status == (0 if answer.status == 200 else INVALID_ARGUMENT), f"{body.hex()}: {over_grpc}"


@pytest.mark.parametrize(
    ("name", "body"),
    {
        "nothing": b"",
        "cut off": b'{"resourceSpans": [',
        "not an object": b"[]",
        "a number for a list": b'{"resourceSpans": 5}',
        "lists nested 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
        "an unknown field nested 10,000 deep": b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "values nested 10,000 deep": b'{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":'
        + b'{"arrayValue":{"values":[' * 10_000
        + b'{"intValue":1}'
        + b"]}}" * 10_000
        + b"}]}}]}",
        "invalid UTF-8": b'{"resourceSpans":[{"resource":{"attributes":[{"key":"\xff\xfe"}]}}]}',
        "an id that is not hex": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}',
        "an integer beyond 64 bits": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"99999999999999999999999"}]}]}]}',
        "trailing rubbish": b'{"resourceSpans":[]} {}',
    }.items(),
)
def test_malformed_json(sidecar, name, body):
    answer = wire.post(sidecar.ports["http"], "traces", body, wire.JSON)
    if name == "an unknown field nested 10,000 deep" and answer.status == 200:
        # Unknown fields are ignored: skipping this one without a stack is as good as refusing it.
        return
    assert answer.status == 400, f"{name}: {answer}"
    assert answer.headers["content-type"] == wire.JSON
    assert answer.error().code == INVALID_ARGUMENT and answer.error().message


@pytest.mark.parametrize("kind", [wire.PROTOBUF, wire.JSON])
def test_unknown_path_and_wrong_method(sidecar, kind):
    port = sidecar.ports["http"]
    for path in ("/", "/v1", "/v1/nothing", "/v1/traces/x", "/v2/traces"):
        answer = wire.request(port, path, b"{}", kind)
        assert answer.status == 404, f"{path}: {answer}"
        assert answer.error().message and answer.headers["content-type"] == kind
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = wire.request(port, "/v1/traces", None if method == "GET" else b"{}", kind, method=method)
        assert answer.status == 405, f"{method}: {answer}"
        assert "POST" in answer.headers["allow"]
        assert answer.error().message and answer.headers["content-type"] == kind


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/grpc", "application/jsonp", "", None])
def test_other_content_types(sidecar, kind, valid):
    answer = wire.request(sidecar.ports["http"], "/v1/traces", valid, kind)
    assert answer.status == 415, answer


def test_other_encodings(sidecar, valid):
    for encoding in ("br", "deflate", "compress", "gzip, gzip", "nonsense"):
        answer = wire.request(sidecar.ports["http"], "/v1/traces", valid, encoding=encoding)
        assert answer.status in (400, 415), f"{encoding}: {answer}"
        assert answer.error().message
    assert wire.grpc_call(sidecar.ports["grpc"], "traces", valid, "br").status == UNIMPLEMENTED


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_rubbish(sidecar, encoding, valid):
    packed = wire.compressed(valid, encoding)
    for body in (b"rubbish", packed[:-5], packed[: len(packed) // 2], packed[:10] + b"\x00" * 20 + packed[30:]):
        answer = wire.request(sidecar.ports["http"], "/v1/traces", body, encoding=encoding)
        assert answer.status == 400, answer
        assert answer.error().code == INVALID_ARGUMENT
        over_grpc = wire.grpc_call(sidecar.ports["grpc"], "traces", body, encoding)
        assert over_grpc.status not in (0, 14), over_grpc


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_oversize_counts_after_decompression(start, encoding):
    sidecar = start({"receivers": {"otlp": {"max_request_size": "1MiB"}}})
    maker = sdk.SpanMaker("big")
    maker.span("fits", 1_000_000, attributes={"filler": "x" * 900_000})
    fits = sdk.encoded("traces", maker.take()).SerializeToString()
    maker.span("does not", 1_000_000, attributes={"filler": "x" * 1_100_000})
    oversize = sdk.encoded("traces", maker.take()).SerializeToString()

    assert wire.post(sidecar.ports["http"], "traces", fits, encoding=encoding).status == 200
    assert wire.grpc_call(sidecar.ports["grpc"], "traces", wire.compressed(fits, encoding), encoding).status == 0

    refused = wire.post(sidecar.ports["http"], "traces", oversize, encoding=encoding)
    assert refused.status == 413, refused
    assert refused.error().message
    assert "retry-after" not in refused.headers, "the same request would be refused again"
    over_grpc = wire.grpc_call(sidecar.ports["grpc"], "traces", wire.compressed(oversize, encoding), encoding)
    assert over_grpc.status == RESOURCE_EXHAUSTED, over_grpc
    assert over_grpc.retry_info() is None


def test_a_long_oversize_body_still_gets_its_answer(start):
    """A server that closes on unread data resets the connection, and the client never sees the 413."""
    sidecar = start({"receivers": {"otlp": {"max_request_size": "1MiB"}}})
    answer = wire.request(sidecar.ports["http"], "/v1/traces", b"\x00" * (8 << 20))
    assert answer.status == 413
    chunked = wire.request(sidecar.ports["http"], "/v1/traces", (b"\x00" * 65_536 for _ in range(100)))
    assert chunked.status == 413


def test_unknown_grpc_methods(sidecar):
    service = otlp.Service(
        "x", None, None, "/opentelemetry.proto.collector.trace.v1.TraceService/Nothing", "", "", "", "", ""
    )
    with wire.Http2(sidecar.ports["grpc"]) as connection:
        stream = connection.open_grpc(service.grpc_method)
        events = connection.send_all(stream, [wire.grpc_frame(b"", False)])
        trailers: dict = {}
        while "grpc-status" not in trailers:
            for event in events:
                trailers.update(getattr(event, "headers", None) or [])
            if "grpc-status" not in trailers:
                events = connection.receive()
                assert events, f"closed without a status: {trailers}"
    assert int(trailers["grpc-status"]) == UNIMPLEMENTED


def test_after_every_refusal_the_next_request_is_served(sidecar, valid):
    for body in MALFORMED.values():
        wire.post(sidecar.ports["http"], "traces", body)
        wire.grpc_call(sidecar.ports["grpc"], "traces", body)
    assert wire.post(sidecar.ports["http"], "traces", valid).status == 200
    assert wire.grpc_call(sidecar.ports["grpc"], "traces", valid).status == 0
