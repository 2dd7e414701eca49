//! AI calls: requests, tokens, cost and latency by model; the GenAI client metrics of the semantic conventions.
//!
//! Only inference and embedding leaves count, each once ([`once`]). Counters are weighted by what a head-sampled span
//! stands for; percentiles are not.

mod answer;
pub mod once;
mod report;
pub mod windows;

pub use answer::ModelAnswer;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::once::{Fingerprint, Once};
use self::windows::{Lengths, Windows};
use super::identities::IdentityId;
use super::spans::{self, StoredExemplar};
use crate::config;
use crate::observe::genai::model::name_and_version;
use crate::observe::genai::price::{Cost, CostSource, PriceMemo, Priceable, Prices};
use crate::observe::{Call, Role, Span, Text, Tokens};
use crate::series::{Bounds, Distribution, Key, Merge, Table, parts, text_hash};
use crate::units::{PicoUsd, UnixNanos, nanos};

/// Error types kept for one model; the rest are counted as `other`.
const MAX_ERROR_TYPES: usize = 32;
/// The name and version of models beyond `ai.max_models`.
const OTHER: &str = "other";

/// One label set of the client metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientSeries {
    duration: Distribution,
    input: Distribution,
    output: Distribution,
    first_chunk: Distribution,
    output_chunk: Distribution,
    exemplar: Option<StoredExemplar>,
}

impl Merge for ClientSeries {
    fn merge(&mut self, other: &Self) {
        self.duration.merge(&other.duration);
        self.input.merge(&other.input);
        self.output.merge(&other.output);
        self.first_chunk.merge(&other.first_chunk);
        self.output_chunk.merge(&other.output_chunk);
        self.exemplar = self.exemplar.max(other.exemplar);
    }
}

/// One model as one app uses it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSeries {
    pub requests: u64,
    pub errors: BTreeMap<Box<str>, u64>,
    /// Input, output, cache read, cache write, reasoning.
    pub tokens: [u64; 5],
    pub cost: PicoUsd,
    pub priced_requests: u64,
    pub priced_tokens: u64,
    pub unpriced_tokens: u64,
    /// Requests whose cost was reported, calculated, overridden.
    pub sources: [u64; 3],
    pub duration_sum_ns: u128,
    pub latency: Windows,
    pub first_chunk: Windows,
}

impl Merge for ModelSeries {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        for (mine, theirs) in self.tokens.iter_mut().zip(other.tokens) {
            *mine += theirs;
        }
        self.cost += other.cost;
        self.priced_requests += other.priced_requests;
        self.priced_tokens += other.priced_tokens;
        self.unpriced_tokens += other.unpriced_tokens;
        for (mine, theirs) in self.sources.iter_mut().zip(other.sources) {
            *mine += theirs;
        }
        self.duration_sum_ns += other.duration_sum_ns;
        self.latency.merge(&other.latency);
        self.first_chunk.merge(&other.first_chunk);
    }
}

/// A call with its texts, to be counted now or when its hold ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counting<'a> {
    identity: IdentityId,
    provider: Cow<'a, str>,
    request_model: Cow<'a, str>,
    response_model: Cow<'a, str>,
    operation: Cow<'a, str>,
    /// Empty: it did not fail.
    error_type: Cow<'a, str>,
    tokens: [Option<u64>; 5],
    reported: Option<PicoUsd>,
    duration_ns: u64,
    first_chunk_ns: Option<u64>,
    output_chunk_ns: Option<u64>,
    end: UnixNanos,
    times: u64,
    exemplar: Option<StoredExemplar>,
}

impl Counting<'_> {
    /// A copy that outlives the record.
    fn into_owned(self) -> Counting<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Counting {
            provider: owned(self.provider),
            request_model: owned(self.request_model),
            response_model: owned(self.response_model),
            operation: owned(self.operation),
            error_type: owned(self.error_type),
            ..self
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Counted,
    Held,
    Repeated,
    /// A tool, an agent: no call of a model.
    NoCall,
}

/// The measure.
pub struct Ai {
    prices: PriceMemo,
    client: Table<ClientSeries>,
    models: Table<ModelSeries>,
    known_models: BTreeSet<(Box<str>, Box<str>)>,
    max_models: usize,
    once: Once<Counting<'static>>,
    exponential: bool,
    exemplars: bool,
    bounds: ClientBounds,
    /// Ascending; the lengths are those of the windows here.
    windows: Vec<config::Dur>,
    lengths: Lengths,
    key: Key,
}

struct ClientBounds {
    tokens: Bounds,
    durations: Bounds,
    first_chunk: Bounds,
    output_chunk: Bounds,
}

impl ClientBounds {
    fn new() -> Self {
        let seconds =
            |bounds: &[f64]| Bounds::new(bounds.iter().map(|bound| (bound * 1e9).round() as u64).collect(), 1e9);
        Self {
            tokens: Bounds::new((0..14).map(|power| 4_u64.pow(power)).collect(), 1.0),
            durations: Bounds::new((0..14).map(|power| 10_000_000 << power).collect(), 1e9),
            first_chunk: seconds(&[
                0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
            ]),
            output_chunk: seconds(&[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5]),
        }
    }
}

impl Ai {
    /// `whole`: percentiles cover everything folded, not a trailing window (for recordings).
    pub fn new(config: &config::Config, prices: Arc<Prices>, budget: usize, seed: u64, whole: bool) -> Self {
        let mut windows = config.ai.windows.clone();
        windows.sort_unstable();
        windows.dedup();
        let lengths = match whole {
            true => Lengths::endless(windows.len()),
            false => Lengths::new(windows.iter().map(|window| nanos((*window).into()))),
        };
        Self {
            prices: PriceMemo::new(prices),
            client: Table::new(budget / 2, seed),
            models: Table::new(budget - budget / 2, seed),
            known_models: BTreeSet::new(),
            max_models: config.ai.max_models,
            once: Once::new(nanos(config.ai.hold.into())),
            exponential: config.spans.histogram == config::Histogram::Exponential,
            exemplars: config.spans.exemplars,
            bounds: ClientBounds::new(),
            windows,
            lengths,
            key: Key::default(),
        }
    }

    /// Takes a call in.
    pub fn fold(&mut self, record: &[u8], seen: &Seen<'_>, now: UnixNanos) -> Outcome {
        let Seen { call, span, service } = seen;
        let fingerprint = fingerprint(record, call, span.span, *service);
        match call.role {
            Role::Other => {
                self.once.link(&fingerprint, now);
                Outcome::NoCall
            }
            Role::Leaf if !self.once.count_leaf(fingerprint, now) => Outcome::Repeated,
            Role::Leaf => {
                let counting = counting(record, call, span);
                self.count(&counting, now);
                Outcome::Counted
            }
            Role::Carrier if call.tokens.any() => {
                let counting = counting(record, call, span);
                self.once.hold(fingerprint, counting.into_owned(), now);
                Outcome::Held
            }
            Role::Carrier => {
                self.once.link(&fingerprint, now);
                Outcome::NoCall
            }
        }
    }

    /// Decides what was held long enough; gives how many carriers were counted.
    pub fn advance(&mut self, now: UnixNanos) -> u64 {
        let ended = self.once.expire(now);
        self.count_all(&ended, now)
    }

    /// Decides everything held: a recording is over.
    pub fn flush(&mut self, now: UnixNanos) -> u64 {
        let ended = self.once.flush(now);
        self.count_all(&ended, now)
    }

    fn count_all(&mut self, ended: &[Counting<'_>], now: UnixNanos) -> u64 {
        for counting in ended {
            self.count(counting, now);
        }
        ended.len() as u64
    }

    pub fn expire(&mut self, now: UnixNanos, expiry: std::time::Duration) {
        self.client.expire(now, expiry);
        self.models.expire(now, expiry);
        let live = self.models.iter().map(|series| {
            let mut key = parts(&series.key);
            let (_identity, _provider, _request) = (key.part(), key.part(), key.part());
            (Box::from(&*key.text()), Box::from(&*key.text()))
        });
        self.known_models = live.collect();
    }

    /// The client metrics' series.
    pub fn client(&self) -> &Table<ClientSeries> {
        &self.client
    }

    /// The models' series.
    pub fn model_table(&self) -> &Table<ModelSeries> {
        &self.models
    }

    pub fn series(&self) -> usize {
        self.client.len() + self.models.len()
    }

    pub fn overflowed(&self) -> u64 {
        self.client.overflowed() + self.models.overflowed()
    }

    /// Carriers that left their hold early and were not counted.
    pub fn held_evicted(&self) -> u64 {
        self.once.held_evicted
    }

    fn count(&mut self, call: &Counting<'_>, now: UnixNanos) {
        let tokens = tokens(call);
        let cost = self.prices.cost(&Priceable {
            provider: &call.provider,
            request_model: &call.request_model,
            response_model: &call.response_model,
            tokens,
            reported: call.reported,
            end: call.end,
        });
        self.count_client(call, tokens, now);
        self.count_model(call, tokens, cost, now);
    }

    fn count_client(&mut self, call: &Counting<'_>, tokens: Tokens, now: UnixNanos) {
        self.key.clear().push(&call.identity.to_bytes());
        for text in [&call.operation, &call.provider, &call.request_model, &call.response_model, &call.error_type] {
            self.key.push(text.as_bytes());
        }
        let (bounds, exponential) = (&self.bounds, self.exponential);
        let series = self.client.entry(self.key.as_bytes(), now, || ClientSeries {
            duration: Distribution::new(&bounds.durations, exponential),
            input: Distribution::new(&bounds.tokens, exponential),
            output: Distribution::new(&bounds.tokens, exponential),
            first_chunk: Distribution::new(&bounds.first_chunk, exponential),
            output_chunk: Distribution::new(&bounds.output_chunk, exponential),
            exemplar: None,
        });
        let value = &mut series.value;
        value.duration.record(&bounds.durations, call.duration_ns, call.times);
        let parts = [
            (&mut value.input, &bounds.tokens, tokens.input),
            (&mut value.output, &bounds.tokens, tokens.output),
            (&mut value.first_chunk, &bounds.first_chunk, call.first_chunk_ns),
            (&mut value.output_chunk, &bounds.output_chunk, call.output_chunk_ns),
        ];
        for (distribution, bounds, observed) in parts {
            if let Some(observed) = observed {
                distribution.record(bounds, observed, call.times);
            }
        }
        if self.exemplars {
            value.exemplar = value.exemplar.max(call.exemplar);
        }
    }

    fn count_model(&mut self, call: &Counting<'_>, tokens: Tokens, cost: Option<Cost>, now: UnixNanos) {
        let (name, version) = name_and_version(&call.request_model, &call.response_model);
        let mut labels = [&*call.provider, &*call.request_model, name, version];
        self.pack_model(call.identity, labels);
        if !self.models.contains(self.key.as_bytes()) {
            let model = (Box::from(name), Box::from(version));
            let is_known = self.known_models.contains(&model)
                || (self.known_models.len() < self.max_models && self.known_models.insert(model));
            if !is_known {
                labels = [OTHER; 4];
                self.pack_model(call.identity, labels);
            }
        }
        let series = self.models.entry(self.key.as_bytes(), now, ModelSeries::default);
        series.value.count(call, tokens, cost, &self.lengths, now);
    }

    fn pack_model(&mut self, identity: IdentityId, labels: [&str; 4]) {
        self.key.clear().push(&identity.to_bytes());
        for label in labels {
            self.key.push(label.as_bytes());
        }
    }
}

impl ModelSeries {
    fn count(&mut self, call: &Counting<'_>, tokens: Tokens, cost: Option<Cost>, lengths: &Lengths, now: UnixNanos) {
        let times = call.times;
        self.requests += times;
        if !call.error_type.is_empty() {
            let is_kept = self.errors.contains_key(&*call.error_type) || self.errors.len() < MAX_ERROR_TYPES;
            let error = if is_kept { &*call.error_type } else { OTHER };
            *self.errors.entry(error.into()).or_default() += times;
        }
        for (sum, count) in self.tokens.iter_mut().zip(call.tokens) {
            *sum = sum.saturating_add(count.unwrap_or_default().saturating_mul(times));
        }
        let total = tokens.input.unwrap_or_default() + tokens.output.unwrap_or_default();
        match cost {
            Some(Cost { usd, source }) => {
                self.cost += PicoUsd(usd.0.saturating_mul(i128::from(times)));
                self.priced_requests += times;
                self.priced_tokens = self.priced_tokens.saturating_add(total.saturating_mul(times));
                let [reported, calculated, overridden] = &mut self.sources;
                *match source {
                    CostSource::Reported => reported,
                    CostSource::Calculated => calculated,
                    CostSource::Override => overridden,
                } += times;
            }
            None => self.unpriced_tokens = self.unpriced_tokens.saturating_add(total.saturating_mul(times)),
        }
        self.duration_sum_ns += u128::from(call.duration_ns) * u128::from(times);
        self.latency.record(lengths, call.duration_ns, now);
        if let Some(first_chunk_ns) = call.first_chunk_ns {
            self.first_chunk.record(lengths, first_chunk_ns, now);
        }
    }
}

/// A call as the fold sees it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub call: &'a Call,
    pub span: spans::Seen<'a>,
    /// A hash of the service's namespace and name.
    pub service: u64,
}

fn tokens(call: &Counting<'_>) -> Tokens {
    let [input, output, cache_read, cache_write, reasoning] = call.tokens;
    Tokens { input, output, cache_read, cache_write, reasoning }
}

fn fingerprint(record: &[u8], call: &Call, span: &Span, service: u64) -> Fingerprint {
    // Trace and span ids are random already; other texts are hashed.
    let id = |bytes: &[u8]| match bytes {
        none if none.iter().all(|byte| *byte == 0) => 0,
        bytes => bytes.last_chunk::<8>().map_or_else(|| text_hash(bytes), |last| u64::from_le_bytes(*last)).max(1),
    };
    let hash = |bytes: &[u8]| if bytes.is_empty() { 0 } else { text_hash(bytes).max(1) };
    Fingerprint {
        service,
        trace: id(span.trace_id.get(record)),
        span: id(span.span_id.get(record)),
        parent: id(call.parent_span_id.get(record)),
        scope: hash(call.scope.get(record)),
        response: hash(call.response_id.get(record)),
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        usage: (call.tokens.input, call.tokens.output),
        failed: !call.error_type.is_absent(),
    }
}

fn counting<'a>(record: &'a [u8], call: &'a Call, seen: &spans::Seen<'_>) -> Counting<'a> {
    let spans::Seen { identity, span, time, times } = *seen;
    let text = |text: &'a Text| String::from_utf8_lossy(text.get(record));
    let Tokens { input, output, cache_read, cache_write, reasoning } = call.tokens;
    Counting {
        identity,
        provider: text(&call.provider),
        request_model: text(&call.request_model),
        response_model: text(&call.response_model),
        operation: text(&call.operation),
        error_type: text(&call.error_type),
        tokens: [input, output, cache_read, cache_write, reasoning],
        reported: call.reported_cost,
        duration_ns: time.duration_ns,
        first_chunk_ns: call.first_chunk_ns,
        output_chunk_ns: call.output_chunk_ns,
        end: time.event,
        times,
        exemplar: StoredExemplar::of(record, span, time.event, time.duration_ns),
    }
}
