//! What one span, and one data point, costs on the road: check and observe in one pass, then the fold.
//! `cargo bench --bench road`.
//!
//! The span is the one the design speaks of: 14 attributes, about 500 bytes; half of the batch are HTTP server spans and
//! half AI calls, from one service.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use qiyas::config::Config;
use qiyas::journal::{Behind, Entry, Journal, Origin, Payload, Record, Wants};
use qiyas::measure::{Mode, State};
use qiyas::observe::Observer;
use qiyas::observe::genai::price::Prices;
use qiyas::otlp::{self, Signal, visit};
use qiyas::units::UnixNanos;

#[path = "spans/mod.rs"]
mod spans;

const SPANS: usize = 100;
const NOW: u64 = 1_795_521_600_000_000_000;

/// Makes the span of an index, which ends at a time in Unix nanoseconds.
type Make = fn(usize, u64) -> Span;

fn batch(span: Make, from: usize) -> bytes::Bytes {
    spans::request((from..from + SPANS).map(|index| span(index, NOW)).collect()).encode_to_vec().into()
}

fn state() -> (Arc<Observer>, State) {
    let config = Config::default();
    let observer = Arc::new(Observer::new(&config.spans));
    let prices = Arc::new(Prices::new(&config.ai.prices).expect("bundled prices"));
    let state = State::new(&config, Arc::clone(&observer), prices, Mode::Live, 7);
    (observer, state)
}

fn road(criterion: &mut Criterion) {
    let kinds: [(&str, Make); 2] = [("http", spans::http), ("ai", spans::ai)];
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

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn request(data: Data) -> bytes::Bytes {
    let metric = Metric { name: "http.server.requests".into(), data: Some(data), ..Metric::default() };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    request.encode_to_vec().into()
}

fn point_attributes(index: usize) -> Vec<KeyValue> {
    vec![
        text("http.request.method", "GET"),
        text("http.route", format!("/api/orders/{index}")),
        attribute("http.response.status_code", Value::IntValue(200)),
    ]
}

/// Check, observe and fold of cumulative points, 100 series of one metric.
fn received(criterion: &mut Criterion) {
    const CUMULATIVE: i32 = 2;
    let number = |index: usize| NumberDataPoint {
        attributes: point_attributes(index),
        start_time_unix_nano: NOW - 1_000_000_000,
        time_unix_nano: NOW,
        value: Some(number_data_point::Value::AsInt(index as i64)),
        ..NumberDataPoint::default()
    };
    let histogram = |index: usize| HistogramDataPoint {
        attributes: point_attributes(index),
        start_time_unix_nano: NOW - 1_000_000_000,
        time_unix_nano: NOW,
        count: 15,
        sum: Some(1.5),
        bucket_counts: vec![1; 15],
        explicit_bounds: (0..14).map(f64::from).collect(),
        ..HistogramDataPoint::default()
    };
    let sum =
        Sum { data_points: (0..SPANS).map(number).collect(), aggregation_temporality: CUMULATIVE, is_monotonic: true };
    let histogram = Histogram { data_points: (0..SPANS).map(histogram).collect(), aggregation_temporality: CUMULATIVE };
    let mut group = criterion.benchmark_group("received");
    group.throughput(Throughput::Elements(SPANS as u64));
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).sample_size(30);
    for (kind, data) in [("sum", Data::Sum(sum)), ("histogram", Data::Histogram(histogram))] {
        let request = request(data);
        let (observer, mut state) = state();
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let seen = observer.observe(Signal::Metrics, black_box(&request)).expect("valid");
                let payload = Payload::Otlp(Signal::Metrics);
                state.fold(&Record::replayed(1, UnixNanos(NOW), Origin::App, payload, request.clone(), seen));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, road, received);
criterion_main!(benches);
