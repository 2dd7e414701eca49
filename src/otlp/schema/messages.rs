//! The tables themselves: every message of the three signals' requests and responses, by ascending field number.

use opentelemetry_proto::tonic::{logs::v1::SeverityNumber, metrics::v1::AggregationTemporality, trace::v1 as trace};

use super::super::Signal;
use super::{Field, Kind, Message, many, once, one, optional};

const ATTRIBUTES: Option<Field> = many("attributes", Kind::Message(&KEY_VALUE));
const DROPPED_ATTRIBUTES: Option<Field> = one("droppedAttributesCount", Kind::Uint32);
const SCHEMA_URL: Option<Field> = one("schemaUrl", Kind::Text);
const START_TIME: Option<Field> = one("startTimeUnixNano", Kind::Fixed64);
const TIME: Option<Field> = one("timeUnixNano", Kind::Fixed64);
const COUNT: Option<Field> = one("count", Kind::Fixed64);
const FLAGS: Option<Field> = one("flags", Kind::Uint32);
const EXEMPLARS: Option<Field> = many("exemplars", Kind::Message(&EXEMPLAR));
const TEMPORALITY: Option<Field> = one("aggregationTemporality", Kind::Enum(temporality));

fn temporality(name: &str) -> Option<i32> {
    AggregationTemporality::from_str_name(name).map(i32::from)
}

fn span_kind(name: &str) -> Option<i32> {
    trace::span::SpanKind::from_str_name(name).map(i32::from)
}

fn status_code(name: &str) -> Option<i32> {
    trace::status::StatusCode::from_str_name(name).map(i32::from)
}

fn severity(name: &str) -> Option<i32> {
    SeverityNumber::from_str_name(name).map(i32::from)
}

/// The request of a signal.
pub(in crate::otlp) fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    }
}

/// The message whose every field may be absent and still mean something: an empty value.
pub(in crate::otlp) fn any_value() -> &'static Message {
    &ANY_VALUE
}

/// The response to it.
pub(in crate::otlp) fn response(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES_RESPONSE,
        Signal::Metrics => &METRICS_RESPONSE,
        Signal::Logs => &LOGS_RESPONSE,
    }
}

static TRACES: Message = Message {
    name: "ExportTraceServiceRequest",
    fields: &[None, many("resourceSpans", Kind::Message(&RESOURCE_SPANS))],
};

static METRICS: Message = Message {
    name: "ExportMetricsServiceRequest",
    fields: &[None, many("resourceMetrics", Kind::Message(&RESOURCE_METRICS))],
};

static LOGS: Message =
    Message { name: "ExportLogsServiceRequest", fields: &[None, many("resourceLogs", Kind::Message(&RESOURCE_LOGS))] };

static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        None,
        once(0, "resource", Kind::Message(&RESOURCE)),
        many("scopeSpans", Kind::Message(&SCOPE_SPANS)),
        SCHEMA_URL,
    ],
};

static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        None,
        once(0, "resource", Kind::Message(&RESOURCE)),
        many("scopeMetrics", Kind::Message(&SCOPE_METRICS)),
        SCHEMA_URL,
    ],
};

static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        None,
        once(0, "resource", Kind::Message(&RESOURCE)),
        many("scopeLogs", Kind::Message(&SCOPE_LOGS)),
        SCHEMA_URL,
    ],
};

static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[None, once(0, "scope", Kind::Message(&SCOPE)), many("spans", Kind::Message(&SPAN)), SCHEMA_URL],
};

static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[None, once(0, "scope", Kind::Message(&SCOPE)), many("metrics", Kind::Message(&METRIC)), SCHEMA_URL],
};

static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[
        None,
        once(0, "scope", Kind::Message(&SCOPE)),
        many("logRecords", Kind::Message(&LOG_RECORD)),
        SCHEMA_URL,
    ],
};

static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[None, ATTRIBUTES, DROPPED_ATTRIBUTES, many("entityRefs", Kind::Message(&ENTITY_REF))],
};

static SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[None, one("name", Kind::Text), one("version", Kind::Text), ATTRIBUTES, DROPPED_ATTRIBUTES],
};

pub(in crate::otlp) static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        None,
        SCHEMA_URL,
        one("type", Kind::Text),
        many("idKeys", Kind::Text),
        many("descriptionKeys", Kind::Text),
    ],
};

static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        None,
        once(0, "stringValue", Kind::Text),
        once(0, "boolValue", Kind::Bool),
        once(0, "intValue", Kind::Int64),
        once(0, "doubleValue", Kind::Double),
        once(0, "arrayValue", Kind::Message(&ARRAY_VALUE)),
        once(0, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
        once(0, "bytesValue", Kind::Bytes),
        once(0, "stringValueStrindex", Kind::Int32),
    ],
};

pub(in crate::otlp) static ARRAY_VALUE: Message =
    Message { name: "ArrayValue", fields: &[None, many("values", Kind::Message(&ANY_VALUE))] };

pub(in crate::otlp) static KEY_VALUE_LIST: Message =
    Message { name: "KeyValueList", fields: &[None, many("values", Kind::Message(&KEY_VALUE))] };

static KEY_VALUE: Message = Message {
    name: "KeyValue",
    fields: &[
        None,
        one("key", Kind::Text),
        once(0, "value", Kind::Message(&ANY_VALUE)),
        one("keyStrindex", Kind::Int32),
    ],
};

static SPAN: Message = Message {
    name: "Span",
    fields: &[
        None,
        one("traceId", Kind::Id),
        one("spanId", Kind::Id),
        one("traceState", Kind::Text),
        one("parentSpanId", Kind::Id),
        one("name", Kind::Text),
        one("kind", Kind::Enum(span_kind)),
        START_TIME,
        one("endTimeUnixNano", Kind::Fixed64),
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
        many("events", Kind::Message(&EVENT)),
        one("droppedEventsCount", Kind::Uint32),
        many("links", Kind::Message(&LINK)),
        one("droppedLinksCount", Kind::Uint32),
        once(0, "status", Kind::Message(&STATUS)),
        one("flags", Kind::Fixed32),
    ],
};

static EVENT: Message =
    Message { name: "Span.Event", fields: &[None, TIME, one("name", Kind::Text), ATTRIBUTES, DROPPED_ATTRIBUTES] };

pub(in crate::otlp) static LINK: Message = Message {
    name: "Span.Link",
    fields: &[
        None,
        one("traceId", Kind::Id),
        one("spanId", Kind::Id),
        one("traceState", Kind::Text),
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
        one("flags", Kind::Fixed32),
    ],
};

static STATUS: Message =
    Message { name: "Status", fields: &[None, None, one("message", Kind::Text), one("code", Kind::Enum(status_code))] };

static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        None,
        TIME,
        one("severityNumber", Kind::Enum(severity)),
        one("severityText", Kind::Text),
        None,
        once(0, "body", Kind::Message(&ANY_VALUE)),
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
        one("flags", Kind::Fixed32),
        one("traceId", Kind::Id),
        one("spanId", Kind::Id),
        one("observedTimeUnixNano", Kind::Fixed64),
        one("eventName", Kind::Text),
    ],
};

pub(in crate::otlp) static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        None,
        one("name", Kind::Text),
        one("description", Kind::Text),
        one("unit", Kind::Text),
        None,
        once(0, "gauge", Kind::Message(&GAUGE)),
        None,
        once(0, "sum", Kind::Message(&SUM)),
        None,
        once(0, "histogram", Kind::Message(&HISTOGRAM)),
        once(0, "exponentialHistogram", Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        once(0, "summary", Kind::Message(&SUMMARY)),
        many("metadata", Kind::Message(&KEY_VALUE)),
    ],
};

static GAUGE: Message =
    Message { name: "Gauge", fields: &[None, many("dataPoints", Kind::Message(&NUMBER_DATA_POINT))] };

static SUM: Message = Message {
    name: "Sum",
    fields: &[None, many("dataPoints", Kind::Message(&NUMBER_DATA_POINT)), TEMPORALITY, one("isMonotonic", Kind::Bool)],
};

static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[None, many("dataPoints", Kind::Message(&HISTOGRAM_DATA_POINT)), TEMPORALITY],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[None, many("dataPoints", Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT)), TEMPORALITY],
};

static SUMMARY: Message =
    Message { name: "Summary", fields: &[None, many("dataPoints", Kind::Message(&SUMMARY_DATA_POINT))] };

static NUMBER_DATA_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        None,
        None,
        START_TIME,
        TIME,
        once(0, "asDouble", Kind::Double),
        EXEMPLARS,
        once(0, "asInt", Kind::Sfixed64),
        ATTRIBUTES,
        FLAGS,
    ],
};

static HISTOGRAM_DATA_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        None,
        None,
        START_TIME,
        TIME,
        COUNT,
        optional("sum", Kind::Double),
        many("bucketCounts", Kind::Fixed64),
        many("explicitBounds", Kind::Double),
        EXEMPLARS,
        ATTRIBUTES,
        FLAGS,
        optional("min", Kind::Double),
        optional("max", Kind::Double),
    ],
};

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        None,
        ATTRIBUTES,
        START_TIME,
        TIME,
        COUNT,
        optional("sum", Kind::Double),
        one("scale", Kind::Sint32),
        one("zeroCount", Kind::Fixed64),
        once(0, "positive", Kind::Message(&BUCKETS)),
        once(1, "negative", Kind::Message(&BUCKETS)),
        FLAGS,
        EXEMPLARS,
        optional("min", Kind::Double),
        optional("max", Kind::Double),
        one("zeroThreshold", Kind::Double),
    ],
};

static BUCKETS: Message = Message {
    name: "ExponentialHistogramDataPoint.Buckets",
    fields: &[None, one("offset", Kind::Sint32), many("bucketCounts", Kind::Uint64)],
};

static SUMMARY_DATA_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        None,
        None,
        START_TIME,
        TIME,
        COUNT,
        one("sum", Kind::Double),
        many("quantileValues", Kind::Message(&VALUE_AT_QUANTILE)),
        ATTRIBUTES,
        FLAGS,
    ],
};

static VALUE_AT_QUANTILE: Message = Message {
    name: "SummaryDataPoint.ValueAtQuantile",
    fields: &[None, one("quantile", Kind::Double), one("value", Kind::Double)],
};

static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        None,
        None,
        TIME,
        once(0, "asDouble", Kind::Double),
        one("spanId", Kind::Id),
        one("traceId", Kind::Id),
        once(0, "asInt", Kind::Sfixed64),
        many("filteredAttributes", Kind::Message(&KEY_VALUE)),
    ],
};

static TRACES_RESPONSE: Message = Message {
    name: "ExportTraceServiceResponse",
    fields: &[None, once(0, "partialSuccess", Kind::Message(&TRACES_PARTIAL_SUCCESS))],
};

static METRICS_RESPONSE: Message = Message {
    name: "ExportMetricsServiceResponse",
    fields: &[None, once(0, "partialSuccess", Kind::Message(&METRICS_PARTIAL_SUCCESS))],
};

static LOGS_RESPONSE: Message = Message {
    name: "ExportLogsServiceResponse",
    fields: &[None, once(0, "partialSuccess", Kind::Message(&LOGS_PARTIAL_SUCCESS))],
};

static TRACES_PARTIAL_SUCCESS: Message = Message {
    name: "ExportTracePartialSuccess",
    fields: &[None, one("rejectedSpans", Kind::Int64), one("errorMessage", Kind::Text)],
};

static METRICS_PARTIAL_SUCCESS: Message = Message {
    name: "ExportMetricsPartialSuccess",
    fields: &[None, one("rejectedDataPoints", Kind::Int64), one("errorMessage", Kind::Text)],
};

static LOGS_PARTIAL_SUCCESS: Message = Message {
    name: "ExportLogsPartialSuccess",
    fields: &[None, one("rejectedLogRecords", Kind::Int64), one("errorMessage", Kind::Text)],
};
