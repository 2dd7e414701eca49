//! What the measure reports: families, and a model's answer.

use std::sync::Arc;

use super::{Ai, ClientSeries, ModelSeries};
use crate::measure::identities::{Identities, IdentityId};
use crate::measure::spans::overflow_label;
use crate::series::{Bounds, Distribution, Exemplar, Family, Identity, Kind, Label, Point, Series, Value, parts};
use crate::units::UnixNanos;

const SCOPE: &str = "qiyas/ai";
const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 0.999];
const QUANTILE_LABELS: [&str; 4] = ["0.5", "0.95", "0.99", "0.999"];
const TOKEN_TYPES: [&str; 5] = ["input", "output", "cache_read", "cache_write", "reasoning"];

/// A family being collected.
struct Collecting {
    family: Family,
    now: UnixNanos,
}

impl Collecting {
    fn new(name: &'static str, description: &'static str, unit: &'static str, kind: Kind, now: UnixNanos) -> Self {
        let family = Family {
            name: name.into(),
            description: description.into(),
            unit: unit.into(),
            kind,
            scope: SCOPE.into(),
            points: Vec::new(),
        };
        Self { family, now }
    }

    fn push(&mut self, base: &Base, more: &[(&'static str, &str)], value: Value) {
        self.push_with(base, more, value, None);
    }

    fn push_with(&mut self, base: &Base, more: &[(&'static str, &str)], value: Value, exemplar: Option<Exemplar>) {
        let mut labels = base.labels.clone();
        labels.extend(more.iter().map(|(key, value)| Label::text(*key, *value)));
        let cumulative = self.family.kind != Kind::Gauge;
        self.family.points.push(Point {
            identity: base.identity.clone(),
            labels,
            start: if cumulative { base.start } else { UnixNanos(0) },
            time: self.now,
            value,
            exemplars: exemplar.into_iter().collect(),
        });
    }

    fn count(&mut self, base: &Base, more: &[(&'static str, &str)], count: u64) {
        self.push(base, more, Value::Int(i64::try_from(count).unwrap_or(i64::MAX)));
    }

    fn distribution(
        &mut self,
        base: &Base,
        more: &[(&'static str, &str)],
        distribution: &Distribution,
        bounds: &Bounds,
        exemplar: Option<Exemplar>,
    ) {
        if distribution.count() > 0 {
            self.push_with(base, more, Value::Histogram(distribution.show(bounds)), exemplar);
        }
    }
}

/// What the points of one series share.
struct Base {
    identity: Option<Arc<Identity>>,
    labels: Vec<Label>,
    start: UnixNanos,
}

impl Base {
    /// From a packed key: the identity, then one part for each name; empty parts are left out.
    fn of<V>(series: &Series<V>, names: &[&'static str], identities: &Identities) -> Self {
        if series.key.is_empty() {
            return Self { identity: None, labels: vec![overflow_label()], start: series.start };
        }
        let mut key = parts(&series.key);
        let identity = identities.get(IdentityId::from_bytes(key.part()));
        let named = names.iter().zip(key).filter(|(_, part)| !part.is_empty());
        let labels = named.map(|(name, part)| Label::text(*name, String::from_utf8_lossy(part))).collect();
        Self { identity, labels, start: series.start }
    }
}

impl Ai {
    pub fn families(&self, identities: &Identities, now: UnixNanos) -> Vec<Family> {
        let mut families = self.client_families(identities, now);
        families.extend(self.model_families(identities, now));
        families
    }

    fn client_families(&self, identities: &Identities, now: UnixNanos) -> Vec<Family> {
        const NAMES: [&str; 5] = [
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.response.model",
            "error.type",
        ];
        let new = |name, description, unit| Collecting::new(name, description, unit, Kind::Histogram, now);
        let mut duration = new("gen_ai.client.operation.duration", "Duration of GenAI operations.", "s");
        let mut usage = new("gen_ai.client.token.usage", "Tokens used by one GenAI operation.", "{token}");
        let mut first_chunk =
            new("gen_ai.client.operation.time_to_first_chunk", "Time from request to first chunk.", "s");
        let mut output_chunk =
            new("gen_ai.client.operation.time_per_output_chunk", "Time for one output chunk after the first.", "s");
        for series in self.client.iter().chain(self.client.overflow()) {
            let base = Base::of(series, &NAMES, identities);
            let ClientSeries { duration: durations, input, output, first_chunk: first, output_chunk: per, exemplar } =
                &series.value;
            let exemplar = exemplar.as_ref().map(|exemplar| exemplar.show(1e9));
            duration.distribution(&base, &[], durations, &self.bounds.durations, exemplar);
            usage.distribution(&base, &[("gen_ai.token.type", "input")], input, &self.bounds.tokens, None);
            usage.distribution(&base, &[("gen_ai.token.type", "output")], output, &self.bounds.tokens, None);
            first_chunk.distribution(&base, &[], first, &self.bounds.first_chunk, None);
            output_chunk.distribution(&base, &[], per, &self.bounds.output_chunk, None);
        }
        [duration, usage, first_chunk, output_chunk].map(|collecting| collecting.family).into()
    }

    fn model_families(&self, identities: &Identities, now: UnixNanos) -> Vec<Family> {
        const NAMES: [&str; 4] = ["gen_ai.provider.name", "gen_ai.request.model", "model.name", "model.version"];
        let counter = |name, description| Collecting::new(name, description, "", Kind::Counter, now);
        let gauge = |name, description, unit| Collecting::new(name, description, unit, Kind::Gauge, now);
        let mut requests = counter("qiyas.ai.requests", "Model calls, failed ones included.");
        let mut tokens =
            counter("qiyas.ai.tokens", "Tokens by type; input includes both caches, output includes reasoning.");
        let mut cost = counter("qiyas.ai.cost_usd", "What calls with a known price cost, in US dollars.");
        let mut unpriced = counter("qiyas.ai.unpriced_tokens", "Input and output tokens of calls without a price.");
        let mut latency = gauge("qiyas.ai.latency", "Quantiles of call duration over a trailing window.", "s");
        let mut per_request =
            gauge("qiyas.ai.cost_per_request_usd", "Cost of a priced call on average, in US dollars.", "");
        let mut per_tokens =
            gauge("qiyas.ai.cost_per_1k_tokens_usd", "Cost of 1000 priced tokens on average, in US dollars.", "");
        for series in self.models.iter().chain(self.models.overflow()) {
            let base = Base::of(series, &NAMES, identities);
            let model = &series.value;
            requests.count(&base, &[], model.requests);
            for (kind, count) in TOKEN_TYPES.into_iter().zip(model.tokens) {
                // A type that no call of this model ever told is absent, not zero; input and output are every call's.
                if count > 0 || matches!(kind, "input" | "output") {
                    tokens.count(&base, &[("gen_ai.token.type", kind)], count);
                }
            }
            if model.priced_requests > 0 {
                cost.push(&base, &[], Value::Float(model.cost.as_usd()));
            }
            unpriced.count(&base, &[], model.unpriced_tokens);
            if let Some(usd) = model.cost_per_request_usd() {
                per_request.push(&base, &[], Value::Float(usd));
            }
            if let Some(usd) = model.cost_per_1k_tokens_usd() {
                per_tokens.push(&base, &[], Value::Float(usd));
            }
            for (index, window) in self.windows.iter().enumerate() {
                let Some(quantiles) = model.latency.quantiles(&self.lengths, index, QUANTILES, now) else { continue };
                let window = window.to_string();
                for (label, value_ns) in QUANTILE_LABELS.into_iter().zip(quantiles) {
                    let value = Value::Float(value_ns as f64 / 1e9);
                    latency.push(&base, &[("quantile", label), ("window", &window)], value);
                }
            }
        }
        [requests, tokens, cost, unpriced, latency, per_request, per_tokens].map(|collecting| collecting.family).into()
    }
}

impl ModelSeries {
    /// Cost ÷ priced requests; `None` where none is priced.
    pub fn cost_per_request_usd(&self) -> Option<f64> {
        (self.priced_requests > 0).then(|| self.cost.as_usd() / self.priced_requests as f64)
    }

    /// Cost ÷ priced tokens × 1000; `None` where none is priced.
    pub fn cost_per_1k_tokens_usd(&self) -> Option<f64> {
        (self.priced_tokens > 0).then(|| self.cost.as_usd() / self.priced_tokens as f64 * 1000.0)
    }
}
