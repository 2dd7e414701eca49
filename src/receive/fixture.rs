//! What the tests of both transports share: an intake over a real journal, and requests of each kind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::{Intake, IntakeLimits, Observe, Observed};
use crate::journal::{Behind, Journal, Reader, Wants};
use crate::otlp::{self, Signal, visit};
use crate::telemetry::OwnMetrics;
use crate::units::UnixNanos;

pub(super) struct Fixture {
    pub intake: Intake<&'static str>,
    pub own: Arc<OwnMetrics>,
    /// The fold: it never reads, unless a test does.
    pub fold: Reader<&'static str>,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(IntakeLimits {
            max_request_bytes: 1 << 20,
            in_flight_bytes: 4 << 20,
            request_time: Duration::from_secs(10),
        })
    }

    pub fn with(limits: IntakeLimits) -> Self {
        Self::with_journal(limits, 64 << 20, count(None))
    }

    pub fn with_journal(limits: IntakeLimits, budget_bytes: usize, observe: Observe<&'static str>) -> Self {
        let journal = Journal::in_memory(budget_bytes);
        let fold = journal.reader("fold", Behind::Refuse, Wants::ALL, || {});
        let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
        let intake = Intake::new(limits, observe, journal, Arc::clone(&own));
        Self { intake, own, fold }
    }

    /// The bytes of all journaled records not seen before.
    pub fn journaled(&mut self) -> Vec<(Signal, u32, Bytes)> {
        std::iter::from_fn(|| self.fold.read())
            .map(|record| {
                assert_eq!(record.rides(), Some(&"rides"));
                (record.signal().unwrap(), record.items, record.bytes.clone())
            })
            .collect()
    }
}

/// Checks a request and counts its items.
pub(super) fn count(warning: Option<&'static str>) -> Observe<&'static str> {
    Arc::new(move |signal, request: &Bytes| {
        let mut counter = Counter(0);
        otlp::visit(signal, request, &mut counter)?;
        let warning = warning.map(str::to_owned);
        Ok(Observed { rides: "rides", rides_bytes: 16, items: counter.0, warning })
    })
}

struct Counter(u32);

impl<'a> visit::Visitor<'a> for Counter {
    fn span(&mut self, _: visit::Span<'a>) {
        self.0 += 1;
    }
    fn log(&mut self, _: visit::Log<'a>) {
        self.0 += 1;
    }
    fn metric(&mut self, _: &'a [u8]) {
        self.0 += 1;
    }
}

/// A request of two items, whose names are `name_bytes` long.
pub(super) fn request(signal: Signal, name_bytes: usize) -> Vec<u8> {
    let name = "x".repeat(name_bytes);
    match signal {
        Signal::Traces => {
            let span = Span { name, trace_id: vec![7; 16], span_id: vec![9; 8], ..Span::default() };
            let scope = ScopeSpans { spans: vec![span.clone(), span], ..ScopeSpans::default() };
            let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
            ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
        }
        Signal::Metrics => {
            let metric = Metric { name, ..Metric::default() };
            let scope = ScopeMetrics { metrics: vec![metric.clone(), metric], ..ScopeMetrics::default() };
            let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
            ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
        }
        Signal::Logs => {
            let log = LogRecord { event_name: name, ..LogRecord::default() };
            let scope = ScopeLogs { log_records: vec![log.clone(), log], ..ScopeLogs::default() };
            let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
            ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
        }
    }
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

/// A body that never ends and brings nothing.
pub(super) struct Stuck;

impl http_body::Body for Stuck {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}
