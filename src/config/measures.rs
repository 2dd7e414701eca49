//! What is measured from spans and AI calls.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Dur;

/// Span metrics.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spans {
    /// Further span or resource attributes as labels.
    pub dimensions: Vec<String>,
    /// The form of every derived histogram. `exponential`: the native form beside the buckets in Prometheus protobuf,
    /// and over OTLP the one `forward[].histogram` names. `explicit`: buckets alone, everywhere.
    pub histogram: Histogram,
    /// Head-sampled spans (`tracestate` `ot=th`) count for what they stand for.
    pub adjusted_count: bool,
    /// Upper bounds of the explicit buckets, ascending.
    pub buckets: Vec<Dur>,
    /// The unit of `traces.span.metrics.duration`.
    pub unit: DurationUnit,
    /// Keeps a trace id with a bucket.
    pub exemplars: bool,
}

/// The default bounds of explicit buckets, in milliseconds.
const DEFAULT_BUCKETS_MS: [u64; 16] =
    [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1_000, 1_400, 2_000, 5_000, 10_000, 15_000];

impl Default for Spans {
    fn default() -> Self {
        Self {
            dimensions: Vec::new(),
            histogram: Histogram::Exponential,
            adjusted_count: true,
            buckets: DEFAULT_BUCKETS_MS.map(Dur::from_millis).to_vec(),
            unit: DurationUnit::Seconds,
            exemplars: true,
        }
    }
}

/// The form of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Histogram {
    #[default]
    Exponential,
    Explicit,
}

/// The unit durations are reported in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum DurationUnit {
    #[default]
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
}

/// AI calls: cost, latency, quality, drift, fairness.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ai {
    pub prices: Prices,
    /// The windows of the percentile gauges.
    pub windows: Vec<Dur>,
    /// Whether Qiyas itself keeps prompt and answer text (state, API); it is scored either way. What is forwarded is
    /// decided by `forward[].content`.
    pub capture_content: bool,
    pub drift: Drift,
    pub agents: Agents,
    /// How long an inference waits for its ground truth.
    pub join_ttl: Dur,
    /// How long a span that may repeat its children's usage waits for them.
    pub hold: Dur,
    /// What the quality metrics cover.
    pub quality_window: Dur,
    /// Models told apart; the rest stand under `other`.
    pub max_models: usize,
    pub fairness: Fairness,
}

impl Default for Ai {
    fn default() -> Self {
        Self {
            prices: Prices::default(),
            windows: vec![Dur::from_secs(300), Dur::from_hours(1)],
            capture_content: false,
            drift: Drift::default(),
            agents: Agents::default(),
            join_ttl: Dur::from_hours(24),
            hold: Dur::from_secs(30),
            quality_window: Dur::from_hours(24),
            max_models: 200,
            fairness: Fairness::default(),
        }
    }
}

/// What a token costs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// A price list in the form of `genai-prices`, in place of the built-in one.
    pub file: Option<PathBuf>,
    /// Prices that win over the list.
    pub overrides: Vec<PriceOverride>,
}

/// The price of one model, in USD per million tokens. A rate left out is not priced apart: cached tokens then cost what
/// input costs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["model"]))]
pub struct PriceOverride {
    /// The provider as in `gen_ai.provider.name`; left out: any.
    pub provider: Option<String>,
    /// The model as it is requested or answered; a trailing `*` matches any ending.
    pub model: String,
    /// Input that is not cached.
    pub input_mtok: Option<f64>,
    /// Output, reasoning included.
    pub output_mtok: Option<f64>,
    /// Input read from the cache.
    pub cache_read_mtok: Option<f64>,
    /// Input written to the cache.
    pub cache_write_mtok: Option<f64>,
}

/// Drift of a model's inputs and outputs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drift {
    /// The baseline is the first so long seen, unless `baseline_file` gives it.
    pub baseline: Dur,
    /// The window that is compared with the baseline.
    pub window: Dur,
    /// A window with fewer samples grows instead of being judged.
    pub min_samples: u64,
    /// A file that holds the baseline.
    pub baseline_file: Option<PathBuf>,
}

impl Default for Drift {
    fn default() -> Self {
        Self { baseline: Dur::from_hours(1), window: Dur::from_secs(900), min_samples: 200, baseline_file: None }
    }
}

/// Coding agents.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// Which shape of an agent's call counts, where it sends the same call in several.
    pub source: AgentSource,
}

/// Which shape of a coding agent's call counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentSource {
    #[default]
    Events,
    Spans,
    Metrics,
}

/// Fairness between groups.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fairness {
    /// A smaller group is not judged.
    pub min_group: u64,
}

impl Default for Fairness {
    fn default() -> Self {
        Self { min_group: 30 }
    }
}
