//! What the wire costs a span: the check pass, a walk by views, a splice; beside prost's decode and encode of the same.
//!
//! The request is one export of a busy service: 100 spans of about 500 bytes with 14 attributes each. Times are for the
//! whole request; the throughput line is spans a second.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status},
};
use prost::Message as _;
use qiyas::otlp::splice::{Attribute, Edits, ItemEdit, splice};
use qiyas::otlp::visit::{self, Check, Visitor};
use qiyas::otlp::{Range32, Signal, view};

const SPANS: u64 = 100;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn span(n: u64) -> Span {
    let start = 1_795_545_600_000_000_000 + n * 1_000_000;
    Span {
        trace_id: u128::from(n).to_be_bytes().to_vec(),
        span_id: n.to_be_bytes().to_vec(),
        parent_span_id: (n + 1).to_be_bytes().to_vec(),
        name: "POST /v1/orders/{order_id}".into(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_234_567,
        attributes: vec![
            text("http.request.method", "POST"),
            text("url.scheme", "https"),
            text("url.path", format!("/v1/orders/{n:08}")),
            text("http.route", "/v1/orders/{order_id}"),
            int("http.response.status_code", 200),
            text("server.address", "shop.example.com"),
            int("server.port", 443),
            text("client.address", "203.0.113.77"),
            text("network.protocol.version", "1.1"),
            text("network.peer.address", "10.42.0.17"),
            int("network.peer.port", 51_612),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
            text("user.id", format!("user-{n:06}")),
            int("thread.id", 17),
        ],
        status: Some(Status { message: String::new(), code: 1 }),
        flags: 0x101,
        ..Default::default()
    }
}

fn request() -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text("service.name", "shop"),
            text("service.instance.id", "shop-7d9f8b6c5-x2x9v"),
            text("telemetry.sdk.language", "python"),
        ],
        ..Default::default()
    };
    let scope = InstrumentationScope { name: "http".into(), version: "1.2.3".into(), ..Default::default() };
    let spans = (0..SPANS).map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }],
    }
}

/// Keeps where the spans lie, and looks at what it is shown.
#[derive(Default)]
struct Look<'a> {
    request: &'a [u8],
    spans: Vec<Range32>,
    sum: usize,
}

impl<'a> Visitor<'a> for Look<'a> {
    fn attribute(&mut self, key: &'a [u8], value: visit::AnyValue<'a>) {
        self.sum += key.len() + usize::from(matches!(value, visit::AnyValue::Text(_)));
    }

    fn span(&mut self, span: visit::Span<'a>) {
        self.spans.push(Range32::of(self.request, span.body));
    }
}

fn walk(request: &[u8]) -> u64 {
    let mut sum = 0;
    for span in view::traces(request).flat_map(|resource| resource.scopes()).flat_map(|scope| scope.items()) {
        sum += span.end_time_unix_nano - span.start_time_unix_nano + span.name.len() as u64;
        for attribute in span.attributes() {
            sum += attribute.key.len() as u64;
            if let view::AnyValue::Text(text) = attribute.value {
                sum += text.len() as u64;
            }
        }
    }
    sum
}

fn edits(spans: &[Range32]) -> Edits<'static> {
    let items = spans.iter().map(|at| {
        let attributes: Vec<Attribute<'_>> = vec![
            ("gen_ai.provider.name".into(), "openai".into()),
            ("gen_ai.request.model".into(), "gpt-5".into()),
            ("qiyas.cost_usd".into(), 0.003_347_5.into()),
        ];
        ItemEdit { at: *at, attributes }
    });
    Edits { items: items.collect(), ..Edits::default() }
}

fn wire(c: &mut Criterion) {
    let bytes = Bytes::from(request().encode_to_vec());
    let mut look = Look { request: &bytes, ..Look::default() };
    visit::traces(&bytes, &mut look).expect("valid");
    assert_eq!(look.spans.len() as u64, SPANS);
    println!("{} bytes a span", bytes.len() as u64 / SPANS);
    let edits = edits(&look.spans);

    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Elements(SPANS));
    group.bench_function("check", |b| b.iter(|| visit::traces(black_box(&bytes), &mut Check)));
    group.bench_function("check and look", |b| {
        let mut look = Look { request: &bytes, ..Look::default() };
        b.iter(|| {
            look.spans.clear();
            visit::traces(black_box(&bytes), &mut look)
        });
    });
    group.bench_function("views walk", |b| b.iter(|| walk(black_box(&bytes))));
    group.bench_function("splice", |b| b.iter(|| splice(Signal::Traces, black_box(&bytes), &edits)));
    group.bench_function("prost decode", |b| b.iter(|| ExportTraceServiceRequest::decode(black_box(&*bytes))));
    group.bench_function("prost decode and encode", |b| {
        b.iter(|| ExportTraceServiceRequest::decode(black_box(&*bytes)).map(|request| request.encode_to_vec()));
    });
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
