//! The stage as a whole: lanes against a scripted destination under paused time, clients against real servers.

mod grpc;
mod http;
mod lanes;
mod properties;
mod rounds;
mod server;
mod tls;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Export;
use super::outcome::{Blame, Outcome};
use super::payload::Payload;
use super::{Forwarder, Lent};
use crate::config::{self, Compression, Forward};
use crate::journal::{Entry, Full, Journal, Origin, Payload as JournalPayload};
use crate::otlp::Signal;
use crate::telemetry::OwnMetrics;
use crate::units::UnixNanos;

/// The seed of every test's jitter.
const SEED: u64 = 42;

/// A trace request of spans with these names.
fn spans(names: &[&str]) -> Bytes {
    let spans = names.iter().map(|name| Span { name: (*name).to_owned(), ..Span::default() }).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

/// The names of a trace request's spans, in order.
fn span_names(request: &[u8]) -> Vec<String> {
    let request = ExportTraceServiceRequest::decode(request).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
}

fn log(text: &str) -> Bytes {
    let log_records = vec![LogRecord { event_name: text.to_owned(), ..LogRecord::default() }];
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
        .encode_to_vec()
        .into()
}

/// A metrics request of one gauge with this many points.
fn gauge(points: usize) -> Bytes {
    let gauge =
        Gauge { data_points: vec![NumberDataPoint { time_unix_nano: 1, ..NumberDataPoint::default() }; points] };
    let metric = Metric { name: "g".into(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
    .encode_to_vec()
    .into()
}

fn accepted() -> Outcome {
    Outcome::Accepted { rejected: 0, message: String::new() }
}

fn retry(after: Option<Duration>) -> Outcome {
    Outcome::Retry { after, reason: "busy".into() }
}

fn refused(blame: Blame) -> Outcome {
    Outcome::Permanent { blame, reason: "no".into() }
}

/// A destination that answers by a script, and takes everything when the script is over.
#[derive(Clone, Default)]
struct Script(Arc<ScriptState>);

#[derive(Default)]
struct ScriptState {
    answers: Mutex<VecDeque<Outcome>>,
    /// Answers every attempt after the script.
    always: Mutex<Option<Outcome>>,
    /// Requests that have this text in them are refused.
    poison: Mutex<Option<&'static str>>,
    /// Attempts for these signals never end.
    hanging: Mutex<Vec<Signal>>,
    attempts: Mutex<Vec<Attempt>>,
    attempted: Notify,
}

#[derive(Clone, Debug)]
struct Attempt {
    at: Instant,
    signal: Signal,
    body: Bytes,
    outcome: Option<Outcome>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Outcome>) -> Self {
        let script = Self::default();
        script.0.answers.lock().unwrap().extend(answers);
        script
    }

    fn always(outcome: Outcome) -> Self {
        let script = Self::default();
        script.then_always(Some(outcome));
        script
    }

    fn hanging(signals: &[Signal]) -> Self {
        let script = Self::default();
        *script.0.hanging.lock().unwrap() = signals.to_vec();
        script
    }

    fn then_always(&self, outcome: Option<Outcome>) {
        *self.0.always.lock().unwrap() = outcome;
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.0.attempts.lock().unwrap().clone()
    }

    /// The bodies of what was taken.
    fn taken(&self) -> Vec<Bytes> {
        let attempts = self.attempts().into_iter();
        attempts.filter(|a| matches!(a.outcome, Some(Outcome::Accepted { .. }))).map(|a| a.body).collect()
    }

    /// The names of all spans taken, in order.
    fn taken_spans(&self) -> Vec<String> {
        self.taken().iter().flat_map(|body| span_names(body)).collect()
    }

    async fn attempts_reach(&self, count: usize) {
        loop {
            let attempted = self.0.attempted.notified();
            if self.attempts().len() >= count {
                return;
            }
            attempted.await;
        }
    }
}

impl Export for Script {
    async fn export(&self, signal: Signal, payload: Payload) -> Outcome {
        assert_eq!(payload.compression, Compression::None, "scripted destinations read bodies as they are");
        let hangs = self.0.hanging.lock().unwrap().contains(&signal);
        let poison = *self.0.poison.lock().unwrap();
        let is_poisoned =
            poison.is_some_and(|text| payload.body.windows(text.len()).any(|window| window == text.as_bytes()));
        let outcome = if hangs {
            None
        } else if is_poisoned {
            Some(refused(Blame::Records))
        } else {
            let next = self.0.answers.lock().unwrap().pop_front();
            Some(next.or_else(|| self.0.always.lock().unwrap().clone()).unwrap_or_else(accepted))
        };
        let attempt = Attempt { at: Instant::now(), signal, body: payload.body, outcome: outcome.clone() };
        self.0.attempts.lock().unwrap().push(attempt);
        self.0.attempted.notify_waiters();
        match outcome {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }
}

/// A journal with forwarders on it.
struct Road {
    journal: Journal<()>,
    own: Arc<OwnMetrics>,
    forwarder: Forwarder,
    start: Instant,
}

impl Road {
    fn with_budget(budget_bytes: usize) -> Self {
        let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
        let forwarder = Forwarder::new(Arc::clone(&own), SEED - 1);
        Self { journal: Journal::in_memory(budget_bytes), own, forwarder, start: Instant::now() }
    }

    fn new() -> Self {
        Self::with_budget(64 << 20)
    }

    /// With one destination, `d`, for traces.
    fn to(script: &Script) -> Self {
        let mut road = Self::new();
        road.add(&traces_to("d"), script);
        road
    }

    fn add(&mut self, config: &Forward, script: &Script) {
        self.forwarder.add_with(config, &self.journal, Lent { enrich: None, derive: None }, script.clone());
    }

    fn try_append(&self, origin: Origin, signal: Signal, items: u32, bytes: Bytes) -> Result<u64, Full> {
        let payload = JournalPayload::Otlp(signal);
        let entry = Entry { origin, payload, items, bytes, rides: None, rides_bytes: 0 };
        self.journal.append(entry, UnixNanos(5))
    }

    fn append(&self, names: &[&str]) {
        self.try_append(Origin::App, Signal::Traces, names.len() as u32, spans(names)).unwrap();
    }

    fn sent(&self) -> u64 {
        self.own.forward_sent.total(&["d"])
    }

    fn failed(&self) -> u64 {
        self.own.forward_failed.total(&["d"])
    }

    fn dropped(&self) -> u64 {
        self.own.forward_dropped.total(&["d"])
    }

    /// Stops with an hour to drain.
    async fn drain(self) -> Drained {
        self.drain_within(Duration::from_secs(3600)).await
    }

    async fn drain_within(self, time: Duration) -> Drained {
        let started = Instant::now();
        self.forwarder.drain(started + time).await;
        Drained {
            took: started.elapsed(),
            sent: self.own.forward_sent.total(&["d"]),
            failed: self.own.forward_failed.total(&["d"]),
            dropped: self.own.forward_dropped.total(&["d"]),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Drained {
    took: Duration,
    sent: u64,
    failed: u64,
    dropped: u64,
}

/// A destination's configuration for scripted destinations.
fn traces_to(name: &str) -> Forward {
    Forward {
        name: name.into(),
        signals: vec![config::Signal::Traces],
        compression: Compression::None,
        ..Forward::default()
    }
}

/// Lets every task run until it waits for something.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
