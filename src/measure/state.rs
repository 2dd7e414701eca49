//! All derived state, and what one record does to it.
//!
//! Invariants: the state is a function of the records folded, in order, and of the configuration. Time comes from the
//! records: the state's clock is the largest receive time folded. No clock is read here and nothing waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::ai::{Ai, ModelAnswer, Outcome, Seen};
use super::identities::{Feed, Identities, IdentityId, Notice};
use super::received::{Received, Showing};
use super::spans::{self, Spans};
use super::time::SpanTime;
use crate::config::Config;
use crate::journal::{Origin, Payload, Record};
use crate::observe::genai::price::Prices;
use crate::observe::{Observations, Observer, Scalar};
use crate::otlp::Signal;
use crate::series::{Family, Identity, Kind, Label, Point, Value, stable_hash};
use crate::units::UnixNanos;

/// How often expired series are looked for, in fold time: at least so often, and eight times within the expiry.
const SWEEP: Duration = Duration::from_secs(60);
const SCOPE: &str = "qiyas/self";

/// What kind of state is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A running sidecar: windows trail, idle series expire.
    Live,
    /// A recording: totals and percentiles cover all of it, nothing expires.
    Recording,
}

pub struct State {
    observer: Arc<Observer>,
    mode: Mode,
    expiry: Duration,
    dimensions: usize,
    now: UnixNanos,
    started: UnixNanos,
    swept: UnixNanos,
    second: u64,
    identities: Identities,
    pub(super) spans: Spans,
    pub(super) ai: Ai,
    host: Received,
    /// The apps' own metrics; `None`: not wanted on the endpoint.
    received: Option<Received>,
    received_expiry: Duration,
    observed: BTreeMap<&'static str, u64>,
    ignored: BTreeMap<&'static str, u64>,
    shared_identities: Vec<IdentityId>,
}

impl State {
    /// `seed` varies between processes so that label sets which collide cannot be chosen.
    pub fn new(config: &Config, observer: Arc<Observer>, prices: Arc<Prices>, mode: Mode, seed: u64) -> Self {
        let series = config.limits.series;
        Self {
            observer,
            mode,
            expiry: config.limits.series_expiry.into(),
            dimensions: config.spans.dimensions.len(),
            now: UnixNanos(0),
            started: UnixNanos(0),
            swept: UnixNanos(0),
            second: 0,
            identities: Identities::new((series / 4).max(1)),
            spans: Spans::new(&config.spans, series / 2, seed),
            ai: Ai::new(config, prices, series / 4, seed, mode == Mode::Recording),
            host: Received::own("qiyas/host", series / 16, seed),
            received: config.prometheus.received.enabled.then(|| Received::new(series / 16 * 3, seed)),
            received_expiry: config.prometheus.received.expiry.into(),
            observed: BTreeMap::new(),
            ignored: BTreeMap::new(),
            shared_identities: Vec::new(),
        }
    }

    /// Folds one record in.
    pub fn fold(&mut self, record: &Record<Observations>) {
        self.advance(record.received);
        match record.payload {
            Payload::Tick => {}
            Payload::Otlp(signal) => {
                // What rode along is there unless the record comes from a replay; then it is observed anew.
                if let Some(seen) = record.rides() {
                    return self.fold_request(signal, record.origin, &record.bytes, seen);
                }
                match self.observer.observe(signal, &record.bytes) {
                    Ok(seen) => self.fold_request(signal, record.origin, &record.bytes, &seen),
                    Err(_) => self.ignore("malformed", 1),
                }
            }
        }
    }

    /// Moves the clock; what follows from time alone happens once a second.
    fn advance(&mut self, received: UnixNanos) {
        self.now = self.now.max(received);
        if self.started.0 == 0 {
            self.started = self.now;
            self.swept = self.now;
        }
        let second = self.now.0 / 1_000_000_000;
        if second == self.second {
            return;
        }
        self.second = second;
        let counted = self.ai.advance(self.now);
        self.observe_kind("ai_calls", counted);
        if self.mode == Mode::Live && self.now.since(self.swept) >= SWEEP.min(self.expiry / 8) {
            self.swept = self.now;
            self.identities.expire(self.now, self.expiry);
            self.spans.table_mut().expire(self.now, self.expiry);
            self.ai.expire(self.now, self.expiry);
            self.host.expire(self.now, self.expiry);
            if let Some(received) = &mut self.received {
                received.expire(self.now, self.received_expiry);
            }
        }
    }

    fn fold_request(&mut self, signal: Signal, origin: Origin, bytes: &[u8], seen: &Observations) {
        self.observe_kind(signal.as_str(), seen.items() as u64);
        self.ignore("implausible", u64::from(seen.implausible));
        match (signal, origin) {
            (Signal::Traces, _) => self.fold_spans(bytes, seen),
            (Signal::Metrics, Origin::Own) => {
                self.host.fold(bytes, seen, &[], |_, _| false, self.now, &mut self.ignored);
            }
            (Signal::Metrics, Origin::App) if self.received.is_some() => self.fold_received(bytes, seen),
            (Signal::Metrics, Origin::App) | (Signal::Logs, _) => {}
        }
    }

    fn fold_received(&mut self, bytes: &[u8], seen: &Observations) {
        let ids: Vec<IdentityId> = seen.resources.iter().map(|resource| self.resolve(bytes, resource).0).collect();
        let fed_since = self.fed_since();
        let Self { received: Some(received), identities, ignored, now, .. } = self else { return };
        let is_fed = |id, feed| identities.feeds(id, feed, fed_since);
        received.fold(bytes, seen, &ids, is_fed, *now, ignored);
    }

    /// What was fed before has left what we derive, or leaves it with the next sweep.
    fn fed_since(&self) -> UnixNanos {
        match self.mode {
            Mode::Live => self.now.saturating_sub(self.expiry + SWEEP),
            Mode::Recording => UnixNanos(0),
        }
    }

    fn fold_spans(&mut self, bytes: &[u8], seen: &Observations) {
        let identities: Vec<(IdentityId, u64)> =
            seen.resources.iter().map(|resource| self.resolve(bytes, resource)).collect();
        let watches_feeds = self.received.is_some() && !seen.spans.is_empty();
        if watches_feeds {
            for (id, _) in &identities {
                self.identities.feed(*id, Feed::Spans, self.now);
            }
        }
        let mut calls_from = None;
        let mut calls = seen.calls.iter().peekable();
        for (index, span) in seen.spans.iter().enumerate() {
            let resource = span.resource as usize;
            let (identity, service) = identities.get(resource).copied().unwrap_or((IdentityId::NONE, 0));
            let time = SpanTime::of(span, self.now);
            if let Some(reason) = time.odd {
                self.ignore(reason, 1);
            }
            let times = span.stands_for.round(span.trace_id.get(bytes), span.span_id.get(bytes));
            let dimensions = (0..self.dimensions).map(|dimension| {
                let of = |values: &[Scalar], row: usize| values.get(row * self.dimensions + dimension).copied();
                match of(&seen.span_dimensions, index) {
                    None | Some(Scalar::Absent) => of(&seen.resource_dimensions, resource).unwrap_or_default(),
                    Some(value) => value,
                }
            });
            let seen_span = spans::Seen { identity, span, time, times };
            self.spans.fold(bytes, &seen_span, dimensions, self.now);
            while let Some(call) = calls.next_if(|call| call.span as usize == index) {
                let outcome = self.ai.fold(bytes, &Seen { call, span: seen_span, service }, self.now);
                if watches_feeds && outcome != Outcome::NoCall && calls_from.replace(identity) != Some(identity) {
                    self.identities.feed(identity, Feed::Calls, self.now);
                }
                match outcome {
                    Outcome::Counted => self.observe_kind("ai_calls", 1),
                    Outcome::Repeated => self.ignore("repeated", 1),
                    Outcome::Held | Outcome::NoCall => {}
                }
            }
        }
    }

    /// A resource's identity, and a hash of its service alone.
    fn resolve(&mut self, bytes: &[u8], resource: &crate::observe::Resource) -> (IdentityId, u64) {
        if resource.name.is_empty() {
            self.ignore("no_service_name", 1);
        }
        let (identity, notice) = self.identities.resolve(bytes, resource, self.now);
        match notice {
            Notice::Same | Notice::New => {}
            Notice::Overflowed => self.ignore("identity_overflow", 1),
            Notice::Changed => {
                self.ignore("shared_identity", 1);
                if !self.shared_identities.contains(&identity) && self.shared_identities.len() < 1024 {
                    self.shared_identities.push(identity);
                    let name = String::from_utf8_lossy(resource.name.get(bytes)).into_owned();
                    tracing::warn!(
                        service.name = name,
                        "two resources share one identity (service.namespace, service.name, service.instance.id); \
                         set service.instance.id to tell them apart"
                    );
                }
            }
        }
        (identity, stable_hash(&[resource.namespace.get(bytes), resource.name.get(bytes)]))
    }

    /// Decides what is still held: a recording is over.
    pub fn finish(&mut self) {
        let counted = self.ai.flush(self.now);
        self.observe_kind("ai_calls", counted);
    }

    /// Counts items that the reader of a recording left out.
    pub fn leave_out(&mut self, reason: &'static str, items: u64) {
        self.ignore(reason, items);
    }

    fn observe_kind(&mut self, kind: &'static str, count: u64) {
        if count > 0 {
            *self.observed.entry(kind).or_default() += count;
        }
    }

    fn ignore(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.ignored.entry(reason).or_default() += count;
        }
    }

    /// The fold's clock.
    pub fn now(&self) -> UnixNanos {
        self.now
    }

    /// Everything derived, as families; `now` is their points' time.
    pub fn families(&self, now: UnixNanos) -> Vec<Family> {
        let mut families = self.spans.families(&self.identities, now);
        families.extend(self.ai.families(&self.identities, self.now));
        families.extend(self.host.families(self.showing(now, self.expiry)));
        families.extend(self.own_families(now));
        families
    }

    /// The apps' own metrics, for the endpoint alone: they are forwarded as they came.
    pub fn received_families(&self, now: UnixNanos) -> Vec<Family> {
        let showing = self.showing(now, self.received_expiry);
        self.received.as_ref().map(|received| received.families(showing)).unwrap_or_default()
    }

    fn showing(&self, now: UnixNanos, expiry: Duration) -> Showing<'_> {
        let heard_since = match self.mode {
            Mode::Live => self.now.saturating_sub(expiry),
            Mode::Recording => UnixNanos(0),
        };
        Showing { identities: &self.identities, heard_since, fed_since: self.fed_since(), now }
    }

    /// Each observed app, for `target_info`.
    pub fn identities(&self) -> Vec<Arc<Identity>> {
        let mut identities: Vec<Arc<Identity>> = self.identities.iter().cloned().collect();
        identities
            .sort_unstable_by(|a, b| (&a.namespace, &a.name, &a.instance).cmp(&(&b.namespace, &b.name, &b.instance)));
        identities
    }

    pub fn models(&self) -> Vec<ModelAnswer> {
        self.ai.models(self.now)
    }

    /// Items not used as they came, by reason.
    pub fn ignored(&self) -> BTreeMap<&'static str, u64> {
        let mut ignored = self.ignored.clone();
        if self.ai.held_evicted() > 0 {
            ignored.insert("held_evicted", self.ai.held_evicted());
        }
        ignored
    }

    fn own_families(&self, now: UnixNanos) -> Vec<Family> {
        let counter = |name: &'static str,
                       description: &'static str,
                       key: &'static str,
                       counts: &BTreeMap<&'static str, u64>| Family {
            name: name.into(),
            description: description.into(),
            unit: "".into(),
            kind: Kind::Counter,
            scope: SCOPE.into(),
            points: counts
                .iter()
                .map(|(label, count)| self.own_point(vec![Label::text(key, *label)], *count, self.started, now))
                .collect(),
        };
        let single = |name: &'static str, description: &'static str, kind: Kind, count: u64| Family {
            name: name.into(),
            description: description.into(),
            unit: "".into(),
            kind,
            scope: SCOPE.into(),
            points: vec![self.own_point(
                Vec::new(),
                count,
                if kind == Kind::Gauge { UnixNanos(0) } else { self.started },
                now,
            )],
        };
        let points = || [&self.host].into_iter().chain(&self.received);
        let series = self.spans.table().len() + self.ai.series() + points().map(Received::len).sum::<usize>();
        let overflowed =
            self.spans.table().overflowed() + self.ai.overflowed() + points().map(Received::overflowed).sum::<u64>();
        vec![
            counter("qiyas.observations", "What was observed, by kind.", "kind", &self.observed),
            counter(
                "qiyas.observations.ignored",
                "Items not used, or not used as they came.",
                "reason",
                &self.ignored(),
            ),
            single("qiyas.series", "Label sets held by all measures.", Kind::Gauge, series as u64),
            single(
                "qiyas.series.overflowed",
                "Observations beyond the budget: counted in an overflow series, or, received ones, not shown.",
                Kind::Counter,
                overflowed,
            ),
        ]
    }

    fn own_point(&self, labels: Vec<Label>, count: u64, start: UnixNanos, now: UnixNanos) -> Point {
        Point {
            identity: None,
            labels,
            start,
            time: now,
            value: Value::Int(i64::try_from(count).unwrap_or(i64::MAX)),
            exemplars: Vec::new(),
        }
    }
}
