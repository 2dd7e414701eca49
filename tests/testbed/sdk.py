"""What the Python OpenTelemetry SDK sends: the six ways it exports, and telemetry rich enough to lose something of.

The data is made once by the SDK and handed to an exporter directly, so that what was sent is known exactly: the SDK's own
encoder gives the reference message.
"""

import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.common.http import Compression as JsonCompression
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter as JsonLogs
from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter as JsonMetrics
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonTraces
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcTraces
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpTraces
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

TRANSPORTS = ("grpc", "http/protobuf", "http/json")
COMPRESSIONS = ("none", "gzip")

NS = 1_000_000_000

_EXPORTERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("grpc", "traces"): GrpcTraces,
    ("grpc", "metrics"): GrpcMetrics,
    ("grpc", "logs"): GrpcLogs,
    ("http/protobuf", "traces"): HttpTraces,
    ("http/protobuf", "metrics"): HttpMetrics,
    ("http/protobuf", "logs"): HttpLogs,
    ("http/json", "traces"): JsonTraces,
    ("http/json", "metrics"): JsonMetrics,
    ("http/json", "logs"): JsonLogs,
}


def exporter(transport: str, compression: str, signal: str, grpc_address: str, http_url: str) -> Any:
    """The SDK's own exporter for this transport and signal, pointed at one receiver."""
    make = _EXPORTERS[transport, signal]
    gzip = compression == "gzip"
    if transport == "grpc":
        return make(
            endpoint=grpc_address,
            insecure=True,
            compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression,
        )
    if transport == "http/protobuf":
        compress: Any = HttpCompression.Gzip if gzip else HttpCompression.NoCompression
    else:
        compress = JsonCompression.GZIP if gzip else JsonCompression.NONE
    return make(endpoint=f"{http_url}/v1/{signal}", compression=compress)


def send(transport: str, compression: str, signal: str, data: Any, grpc_address: str, http_url: str) -> None:
    """Exports the data once; the SDK must report success."""
    client = exporter(transport, compression, signal, grpc_address, http_url)
    try:
        result = client.export(data)
    finally:
        client.shutdown()
    assert result.name == "SUCCESS", f"{transport} {compression} {signal}: the SDK reports {result}"


def encoded(signal: str, data: Any) -> Message:
    """What the SDK says on the wire for this data."""
    return {"traces": encode_spans, "metrics": encode_metrics, "logs": encode_logs}[signal](data)


def resource(service: str, instance: str = "one", **attributes: Any) -> Resource:
    return Resource.create({"service.name": service, "service.instance.id": instance} | attributes)


class SpanMaker:
    """Makes finished SDK spans whose start and duration the test chooses."""

    def __init__(self, service: str, instance: str = "one", scope: str = "acceptance", **attributes: Any):
        self._finished = InMemorySpanExporter()
        provider = TracerProvider(resource=resource(service, instance, **attributes))
        provider.add_span_processor(SimpleSpanProcessor(self._finished))
        self._tracer = provider.get_tracer(scope, "1.2.3", schema_url="https://opentelemetry.io/schemas/1.37.0")

    def span(
        self,
        name: str,
        duration_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, Any] | None = None,
        error: str | None = None,
        parent: Any = None,
        links: Sequence[Link] = (),
        events: Sequence[tuple[str, dict[str, Any]]] = (),
        end_ns: int | None = None,
    ) -> Any:
        """One finished span; it ends `end_ns`, or now."""
        end = end_ns if end_ns is not None else time.time_ns()
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(parent) if parent is not None else None,
            kind=kind,
            attributes=attributes,
            links=links,
            start_time=end - duration_ns,
        )
        for event, event_attributes in events:
            span.add_event(event, event_attributes, timestamp=end - duration_ns // 2)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(end)
        return span

    def take(self) -> tuple[ReadableSpan, ...]:
        """Every span finished since the last call."""
        spans = self._finished.get_finished_spans()
        self._finished.clear()
        return tuple(spans)


EVERY_ATTRIBUTE_TYPE: dict[str, Any] = {
    "text": "größer als 日本語 🦀",
    "empty": "",
    "truth": True,
    "falsehood": False,
    "integer": -(2**62),
    "zero": 0,
    "double": 0.1,
    "bytes": b"\x00\xff\x80",
    "texts": ["a", "", "c"],
    "integers": [1, -2, 3],
    "doubles": [1.5, float("inf")],
    "truths": [True, False],
    "nothing": [],
}


def rich_spans(service: str) -> tuple[ReadableSpan, ...]:
    """Spans with every kind, status, attribute type, events and links."""
    maker = SpanMaker(service, deployment="test", **{"host.cpu.count": 4})
    root = maker.span("root", 30_000_000, SpanKind.SERVER, EVERY_ATTRIBUTE_TYPE)
    elsewhere = SpanContext(0xABCDEF, 0x1234, is_remote=True, trace_flags=TraceFlags(1))
    for kind in SpanKind:
        maker.span(f"kind {kind.name}", 1_000_000, kind, parent=root)
    maker.span("failed", 5_000_000, SpanKind.CLIENT, error="it broke", parent=root)
    maker.span("linked", 5_000_000, links=[Link(elsewhere, {"why": "follows", "n": 3})])
    maker.span("eventful", 5_000_000, events=[("first", {"n": 1}), ("second", {"s": ["x", "y"]})])
    maker.span("instant", 0)
    return maker.take()


def rich_metrics(service: str) -> Any:
    """Counter, up-down counter, gauge, explicit and exponential histogram, with attributes and exemplars."""
    reader = InMemoryMetricReader()
    exponential = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider(metric_readers=[reader], resource=resource(service), views=[exponential])
    meter = provider.get_meter("acceptance", "1.2.3")
    meter.create_counter("requests", "1", "how many").add(7, {"route": "/a", "ok": True})
    meter.create_up_down_counter("depth").add(-3, {"queue": "x"})
    meter.create_gauge("temperature", "Cel").set(21.5, {"room": "größer"})
    explicit = meter.create_histogram("explicit", "ms")
    raised = meter.create_histogram("exponential", "s")
    for value in (0.0, 0.5, 3.0, 250.0, 1e6):
        explicit.record(value, {"n": 1})
        raised.record(value, {"n": 2})
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def rich_logs(service: str) -> Any:
    """Log records with every kind of body, severities, an event name and a trace context."""
    finished = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=resource(service))
    provider.add_log_record_processor(SimpleLogRecordProcessor(finished))
    logger = provider.get_logger("acceptance", "1.2.3")
    bodies: list[Any] = ["text", 17, 2.5, True, b"\x00\xff", ["a", 1, [2.0]], {"k": {"deep": ["er", None]}}]
    now = time.time_ns()
    for number, body in enumerate(bodies):
        logger.emit(
            LogRecord(
                timestamp=now + number,
                observed_timestamp=now + number + 1,
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                body=body,
                attributes=EVERY_ATTRIBUTE_TYPE,
                event_name="acceptance.event" if number % 2 else None,
            )
        )
    return [entry for entry in finished.get_finished_logs()]


RICH: dict[str, Callable[[str], Any]] = {"traces": rich_spans, "metrics": rich_metrics, "logs": rich_logs}

_numbers = itertools.count()


def unique(prefix: str) -> str:
    """A service name that no other test of this run uses."""
    return f"{prefix}-{next(_numbers)}-{random.randrange(1 << 32):08x}"
