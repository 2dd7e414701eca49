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
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use qiyas::config::Config;
use qiyas::journal::{Behind, Entry, Journal, Origin, Payload, Wants};
use qiyas::measure::{Mode, State};
use qiyas::observe::Observer;
use qiyas::observe::genai::price::Prices;
use qiyas::otlp::{self, Signal, visit};
use qiyas::units::UnixNanos;

#[path = "spans/mod.rs"]
mod spans;

/// Makes the span of an index and an end time.
type MakeSpan = fn(usize, u64) -> Span;

const SPANS: usize = 100;
const NOW: u64 = 1_795_521_600_000_000_000;

fn batch(span: MakeSpan, from: usize) -> bytes::Bytes {
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
    let kinds: [(&str, MakeSpan); 2] = [("http", spans::http), ("ai", spans::ai)];
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
