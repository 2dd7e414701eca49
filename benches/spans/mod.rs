//! The spans that the benchmarks send: 14 attributes and about 500 bytes each, of 10,000 users.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(index: usize, end_ns: u64, name: &str, kind: i32, attributes: Vec<KeyValue>) -> Span {
    let id = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Span {
        trace_id: [id.to_be_bytes(), id.to_le_bytes()].concat(),
        span_id: id.to_be_bytes().into(),
        parent_span_id: (id ^ 1).to_be_bytes().into(),
        name: name.into(),
        kind,
        start_time_unix_nano: end_ns - 1_000_000 * (index as u64 % 97 + 1),
        end_time_unix_nano: end_ns,
        attributes,
        status: Some(Status { message: String::new(), code: i32::from(index.is_multiple_of(50)) * 2 }),
        ..Span::default()
    }
}

/// A server's span of a request over HTTP.
pub fn http(index: usize, end_ns: u64) -> Span {
    span(
        index,
        end_ns,
        "GET /api/orders/{id}",
        2,
        vec![
            text("http.request.method", "GET"),
            text("url.scheme", "https"),
            text("url.path", format!("/api/orders/{index}")),
            text("http.route", "/api/orders/{id}"),
            int("http.response.status_code", 200),
            text("network.protocol.version", "1.1"),
            text("server.address", "shop.example.com"),
            int("server.port", 443),
            text("client.address", "203.0.113.7"),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux)"),
            text("user.id", format!("user-{}", index % 10_000)),
            text("session.id", format!("session-{}", index % 5_000)),
            int("thread.id", 7),
            text("thread.name", "worker-7"),
        ],
    )
}

/// A client's span of a call to a model.
pub fn ai(index: usize, end_ns: u64) -> Span {
    span(
        index,
        end_ns,
        "chat gpt-4o-mini",
        3,
        vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            text("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
            text("gen_ai.response.id", format!("chatcmpl-{index:016x}")),
            int("gen_ai.usage.input_tokens", 1000 + index as i64),
            int("gen_ai.usage.output_tokens", 100 + index as i64 % 40),
            int("gen_ai.usage.cache_read.input_tokens", 512),
            attribute("gen_ai.request.temperature", Value::DoubleValue(0.7)),
            int("gen_ai.request.max_tokens", 512),
            text("server.address", "api.openai.com"),
            int("server.port", 443),
            text("user.id", format!("user-{}", index % 10_000)),
            text("gen_ai.conversation.id", format!("conversation-{}", index % 5_000)),
        ],
    )
}

/// One request of one service.
pub fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text("service.name", "shop"),
            text("service.namespace", "demo"),
            text("service.instance.id", "pod-1"),
            text("telemetry.sdk.language", "python"),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "bench".into(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}
