//! What one span costs on the road: check and observe in one pass, then the fold. `cargo bench --bench road`.
//!
//! The span is the one the design speaks of: 14 attributes, about 500 bytes; half of the batch are HTTP server spans and
//! half AI calls, from one service.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use qiyas::config::Config;
use qiyas::journal::{Behind, Entry, Journal, Origin, Payload, Wants};
use qiyas::measure::{Mode, State};
use qiyas::observe::Observer;
use qiyas::observe::genai::price::Prices;
use qiyas::otlp::{self, Signal, visit};
use qiyas::units::UnixNanos;

const SPANS: usize = 100;
const NOW: u64 = 1_795_521_600_000_000_000;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(index: usize, name: &str, kind: i32, attributes: Vec<KeyValue>) -> Span {
    let id = (index as u64 + 1) * 0x9e37_79b9_7f4a_7c15;
    Span {
        trace_id: [id.to_be_bytes(), id.to_le_bytes()].concat(),
        span_id: id.to_be_bytes().into(),
        parent_span_id: (id ^ 1).to_be_bytes().into(),
        name: name.into(),
        kind,
        start_time_unix_nano: NOW - 1_000_000 * (index as u64 % 97 + 1),
        end_time_unix_nano: NOW,
        attributes,
        status: Some(Status { message: String::new(), code: i32::from(index.is_multiple_of(50)) * 2 }),
        ..Span::default()
    }
}

fn http_span(index: usize) -> Span {
    span(
        index,
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

fn ai_span(index: usize) -> Span {
    span(
        index,
        "chat gpt-4o-mini",
        3,
        vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            text("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
            text("gen_ai.response.id", format!("chatcmpl-{index}")),
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

fn batch(span: impl Fn(usize) -> Span, from: usize) -> bytes::Bytes {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", "shop"),
                    text("service.namespace", "demo"),
                    text("service.instance.id", "pod-1"),
                    text("telemetry.sdk.language", "python"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope { name: "bench".into(), ..InstrumentationScope::default() }),
                spans: (from..from + SPANS).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

fn state() -> (Arc<Observer>, State) {
    let config = Config::default();
    let observer = Arc::new(Observer::new(&config.spans));
    let prices = Arc::new(Prices::new(&config.ai.prices).expect("bundled prices"));
    let state = State::new(&config, Arc::clone(&observer), prices, Mode::Live, 7);
    (observer, state)
}

type MakeSpan = fn(usize) -> Span;

fn road(criterion: &mut Criterion) {
    let kinds: [(&str, MakeSpan); 2] = [("http", http_span), ("ai", ai_span)];
    for (kind, make) in kinds {
        let request = batch(make, 0);
        let mut group = criterion.benchmark_group(kind);
        group.throughput(Throughput::Elements(SPANS as u64));
        group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).sample_size(30);
        eprintln!("{kind}: {} bytes a span", request.len() / SPANS);

        group.bench_function("prost_decode_encode", |bencher| {
            bencher.iter(|| ExportTraceServiceRequest::decode(black_box(&request[..])).map(|r| r.encode_to_vec()));
        });
        group.bench_function("check", |bencher| {
            bencher.iter(|| otlp::visit(Signal::Traces, black_box(&request), &mut visit::Check));
        });
        let (observer, mut state) = state();
        group.bench_function("check_observe", |bencher| {
            bencher.iter(|| observer.observe(Signal::Traces, black_box(&request)));
        });
        // Each batch has ids of its own, or the AI measure would rightly call it a repeat.
        let requests: Vec<bytes::Bytes> = (0..200).map(|index| batch(make, index * SPANS)).collect();
        let mut next = (0..requests.len()).cycle();
        let clock = Cell::new(NOW);
        group.bench_function("check_observe_fold", |bencher| {
            bencher.iter_batched(
                || {
                    clock.set(clock.get() + 1_000_000_000);
                    let request = requests[next.next().unwrap_or_default()].clone();
                    let journal = Journal::in_memory(1 << 30);
                    let reader = journal.reader("bench", Behind::Refuse, Wants::ALL, || {});
                    (request, journal, reader)
                },
                |(request, journal, mut reader)| {
                    let seen = observer.observe(Signal::Traces, &request).expect("valid");
                    let rides_bytes = seen.heap_bytes();
                    let entry = Entry {
                        origin: Origin::App,
                        payload: Payload::Otlp(Signal::Traces),
                        items: SPANS as u32,
                        bytes: request,
                        rides: Some(seen),
                        rides_bytes,
                    };
                    journal.append(entry, UnixNanos(clock.get())).expect("room");
                    let record = reader.read().expect("appended");
                    state.fold(&record);
                    reader.commit(record.sequence);
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, road);
criterion_main!(benches);
