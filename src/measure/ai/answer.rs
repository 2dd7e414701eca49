//! A model's answer over REST and in `replay`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Ai, ModelSeries};
use crate::series::{Merge, parts};
use crate::units::UnixNanos;

/// `ai/models/{name}/{version}`. `null`: not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelAnswer {
    pub model_name: String,
    pub model_version: String,
    pub model_type: Option<String>,
    pub provider: Option<String>,
    /// Failed ones included.
    pub total_inferences: u64,
    pub errors: Errors,
    pub latency: Latency,
    pub time_to_first_token_ms: FirstToken,
    pub tokens: TokenTotals,
    pub cost: CostAnswer,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Errors {
    pub total: u64,
    pub by_type: BTreeMap<Box<str>, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
    pub mean_ms: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FirstToken {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
}

/// Input includes both caches, output includes reasoning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenTotals {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub reasoning: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostAnswer {
    pub total_usd: Option<f64>,
    pub per_request_usd: Option<f64>,
    pub per_1k_tokens_usd: Option<f64>,
    pub unpriced_tokens: u64,
    /// `reported`, `calculated`, `override`, or `mixed`.
    pub source: Option<&'static str>,
}

impl Ai {
    /// Every model over all apps, by name and version; percentiles of the longest window.
    pub fn models(&self, now: UnixNanos) -> Vec<ModelAnswer> {
        let mut models: BTreeMap<(String, String), (String, ModelSeries)> = BTreeMap::new();
        for series in self.models.iter() {
            let mut key = parts(&series.key);
            let _identity = key.part();
            let (provider, _request, name, version) = (key.text(), key.text(), key.text(), key.text());
            let id = (name.into_owned(), version.into_owned());
            models
                .entry(id)
                .and_modify(|(_, model)| model.merge(&series.value))
                .or_insert_with(|| (provider.into_owned(), series.value.clone()));
        }
        models
            .into_iter()
            .map(|((name, version), (provider, model))| self.answer(name, version, provider, &model, now))
            .collect()
    }

    fn answer(
        &self,
        name: String,
        version: String,
        provider: String,
        model: &ModelSeries,
        now: UnixNanos,
    ) -> ModelAnswer {
        const MS: f64 = 1e6;
        let longest = self.windows.len().saturating_sub(1);
        let ms = |value_ns: u64| Some(value_ns as f64 / MS);
        let mean_ms = (model.requests > 0).then(|| model.duration_sum_ns as f64 / model.requests as f64 / MS);
        let latency = model.latency.quantiles(&self.lengths, longest, [0.5, 0.95, 0.99, 0.999], now);
        let first = model.first_chunk.quantiles(&self.lengths, longest, [0.5, 0.95], now);
        let [input, output, cache_read, cache_write, reasoning] = model.tokens;
        ModelAnswer {
            model_name: name,
            model_version: version,
            model_type: None,
            provider: (!provider.is_empty()).then_some(provider),
            total_inferences: model.requests,
            errors: Errors { total: model.errors.values().sum(), by_type: model.errors.clone() },
            latency: latency.map_or(Latency { mean_ms, ..Latency::default() }, |[p50, p95, p99, p999]| Latency {
                p50_ms: ms(p50),
                p95_ms: ms(p95),
                p99_ms: ms(p99),
                p999_ms: ms(p999),
                mean_ms,
            }),
            time_to_first_token_ms: first
                .map_or_else(FirstToken::default, |[p50, p95]| FirstToken { p50: ms(p50), p95: ms(p95) }),
            tokens: TokenTotals { input, output, cache_read, cache_write, reasoning },
            cost: CostAnswer {
                total_usd: (model.priced_requests > 0).then(|| model.cost.as_usd()),
                per_request_usd: model.cost_per_request_usd(),
                per_1k_tokens_usd: model.cost_per_1k_tokens_usd(),
                unpriced_tokens: model.unpriced_tokens,
                source: source(model.sources),
            },
        }
    }
}

fn source(sources: [u64; 3]) -> Option<&'static str> {
    match sources {
        [0, 0, 0] => None,
        [_, 0, 0] => Some("reported"),
        [0, _, 0] => Some("calculated"),
        [0, 0, _] => Some("override"),
        _ => Some("mixed"),
    }
}
