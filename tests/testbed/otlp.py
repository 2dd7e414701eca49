"""OTLP messages: the three services, JSON to protobuf, and a form in which two exports can be compared item by item."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

SIGNALS = ("traces", "metrics", "logs")


@dataclass(frozen=True)
class Service:
    """One OTLP export service."""

    signal: str
    request: type[Message]
    response: type[Message]
    grpc_method: str
    http_path: str
    # The repeated fields from the request down to its items, in protobuf's and in JSON's spelling.
    resources: str
    scopes: str
    items: str
    rejected: str


SERVICES = {
    "traces": Service(
        "traces",
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/v1/traces",
        "resource_spans",
        "scope_spans",
        "spans",
        "rejected_spans",
    ),
    "metrics": Service(
        "metrics",
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "/v1/metrics",
        "resource_metrics",
        "scope_metrics",
        "metrics",
        "rejected_data_points",
    ),
    "logs": Service(
        "logs",
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        "/v1/logs",
        "resource_logs",
        "scope_logs",
        "log_records",
        "rejected_log_records",
    ),
}
BY_GRPC_METHOD = {service.grpc_method: service for service in SERVICES.values()}
BY_HTTP_PATH = {service.http_path: service for service in SERVICES.values()}


def parse(signal: str, body: bytes) -> Message:
    message = SERVICES[signal].request()
    message.ParseFromString(body)
    return message


def parse_json(signal: str, text: str | bytes) -> Message:
    """OTLP/JSON, whose ids are hex where protobuf's own JSON mapping has base64."""
    decoded = with_ids(
        json.loads(text), lambda hexadecimal: base64.b64encode(bytes.fromhex(hexadecimal)).decode("ascii")
    )
    return json_format.ParseDict(decoded, SERVICES[signal].request())


def to_json(message: Message) -> str:
    """The OTLP/JSON form of an export request."""
    encoded = json_format.MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(with_ids(encoded, lambda text: base64.b64decode(text).hex()))


def with_ids(value: Any, convert: Callable[[str], str]) -> Any:
    """A JSON value with every trace and span id converted."""
    if isinstance(value, list):
        return [with_ids(entry, convert) for entry in value]
    if isinstance(value, dict):
        return {
            key: convert(entry) if key in ("traceId", "spanId", "parentSpanId") else with_ids(entry, convert)
            for key, entry in value.items()
        }
    return value


@dataclass(frozen=True)
class Item:
    """One span, metric or log record with everything that it stood under; equal items are equal byte for byte."""

    resource: bytes
    resource_schema: str
    scope: bytes
    scope_schema: str
    item: bytes


def items(signal: str, requests: Iterable[Message]) -> Counter[Item]:
    """Every item of these requests, however they are cut into requests, resources and scopes."""
    service = SERVICES[signal]
    counted: Counter[Item] = Counter()
    for request in requests:
        for under_resource in getattr(request, service.resources):
            for under_scope in getattr(under_resource, service.scopes):
                for item in getattr(under_scope, service.items):
                    counted[
                        Item(
                            under_resource.resource.SerializeToString(deterministic=True),
                            under_resource.schema_url,
                            under_scope.scope.SerializeToString(deterministic=True),
                            under_scope.schema_url,
                            item.SerializeToString(deterministic=True),
                        )
                    ] += 1
    return counted


def spans(requests: Iterable[Message]) -> list[Any]:
    return [span for request in requests for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans]


def attributes(holder: Any) -> dict[str, Any]:
    """A span's, resource's or point's attributes as Python values."""
    return {pair.key: any_value(pair.value) for pair in holder.attributes}


def any_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [any_value(entry) for entry in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: any_value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)
