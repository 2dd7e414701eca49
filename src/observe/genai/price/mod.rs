//! What a call costs, by the `genai-prices` data.
//!
//! Invariants: an unknown price is `None`, never zero; a cost that the instrumentation reports wins, unless it is zero
//! while tokens are not; the price is that of the call's end, to the second.
//!
//! Price = Σ (leaf count × rate), a leaf being its parent less its priced children: uncached input is input less both
//! caches. The calculator does that; we map providers to its ids and give it the time.

mod memo;

use std::time::{Duration, UNIX_EPOCH};

use genai_prices::{Calculator, PriceRequest, Usage, UsageKey};

pub use memo::PriceMemo;

use crate::config;
use crate::observe::observations::Tokens;
use crate::units::{PicoUsd, UnixNanos};

/// Where a cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    Reported,
    Calculated,
    Override,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub usd: PicoUsd,
    pub source: CostSource,
}

/// The call to be priced.
#[derive(Clone, Copy, Debug)]
pub struct Priceable<'a> {
    /// Empty where unknown: the model's name then decides.
    pub provider: &'a str,
    pub request_model: &'a str,
    pub response_model: &'a str,
    pub tokens: Tokens,
    pub reported: Option<PicoUsd>,
    pub end: UnixNanos,
}

/// The price data and its overrides.
pub struct Prices {
    overrides: Vec<config::PriceOverride>,
    /// `None`: the bundled data, decoded when the first call is priced.
    calculator: Option<Calculator>,
}

#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    #[error("cannot read the price file {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("the price file {path} is not genai-prices data: {source}")]
    Parse { path: String, source: genai_prices::Error },
}

impl Prices {
    /// Reads the configured price file, if there is one. The bundled data is decoded when the first call is priced.
    pub fn new(settings: &config::Prices) -> Result<Self, PricesError> {
        let from_file = match &settings.file {
            None => None,
            Some(file) => {
                let path = file.display().to_string();
                let json = std::fs::read(file).map_err(|source| PricesError::Read { path: path.clone(), source })?;
                Some(Calculator::from_json(json).map_err(|source| PricesError::Parse { path, source })?)
            }
        };
        Ok(Self { overrides: settings.overrides.clone(), calculator: from_file })
    }

    /// The cost of a call; `None` where neither the instrumentation nor the price data knows it, or no usage was told.
    pub fn cost(&self, call: &Priceable<'_>) -> Option<Cost> {
        let tokens = call.tokens.input.unwrap_or_default() + call.tokens.output.unwrap_or_default();
        match call.reported {
            Some(usd) if usd.0 > 0 || (tokens == 0 && call.tokens.any()) => {
                return Some(Cost { usd, source: CostSource::Reported });
            }
            _ if !call.tokens.any() => return None,
            _ => {}
        }
        if let Some(usd) = self.overridden(call) {
            return Some(Cost { usd, source: CostSource::Override });
        }
        let (input, output) = self.parts(call)?;
        Some(Cost { usd: PicoUsd::from_usd(input + output)?, source: CostSource::Calculated })
    }

    /// What the input and what the output costs by the price data, in dollars: the response's model, else the request's.
    fn parts(&self, call: &Priceable<'_>) -> Option<(f64, f64)> {
        let models = [call.response_model, call.request_model];
        models.iter().filter(|model| !model.is_empty()).find_map(|model| self.calculated(call, model))
    }

    fn overridden(&self, call: &Priceable<'_>) -> Option<PicoUsd> {
        let matches = |price: &&config::PriceOverride| {
            let provider = price.provider.as_deref().is_none_or(|provider| provider == call.provider);
            provider && (price.model == call.request_model || price.model == call.response_model)
        };
        let price = self.overrides.iter().find(matches)?;
        let count = |count: Option<u64>| count.unwrap_or_default() as f64;
        let (read, write) = (count(call.tokens.cache_read), count(call.tokens.cache_write));
        let input_rate = price.input_mtok.unwrap_or_default();
        // Without a rate of their own, cached tokens cost what input costs.
        let usd_per_million = (count(call.tokens.input) - read - write).max(0.0) * input_rate
            + read * price.cache_read_mtok.unwrap_or(input_rate)
            + write * price.cache_write_mtok.unwrap_or(input_rate)
            + count(call.tokens.output) * price.output_mtok.unwrap_or_default();
        PicoUsd::from_usd(usd_per_million / 1e6)
    }

    fn calculated(&self, call: &Priceable<'_>, model: &str) -> Option<(f64, f64)> {
        let mut usage = Usage::new();
        let counts = [
            (UsageKey::INPUT_TOKENS, call.tokens.input),
            (UsageKey::CACHE_READ_TOKENS, call.tokens.cache_read),
            (UsageKey::CACHE_WRITE_TOKENS, call.tokens.cache_write),
            (UsageKey::OUTPUT_TOKENS, call.tokens.output),
            (UsageKey::OUTPUT_REASONING_TOKENS, call.tokens.reasoning),
        ];
        for (key, count) in counts {
            if let Some(count) = count {
                usage.insert(key, count as f64);
            }
        }
        let end = UNIX_EPOCH + Duration::from_secs(call.end.0 / 1_000_000_000);
        let mut request = PriceRequest::new(model, &usage).with_timestamp(end);
        if !call.provider.is_empty() {
            request = request.with_provider_id(provider_id(call.provider));
        }
        let calculator = self.calculator.as_ref().unwrap_or_else(|| Calculator::bundled());
        let price = calculator.calculate(&request).ok()?;
        // Input and output are all there is to a call's tokens; a difference would be a price for the request itself.
        let rest = price.total_price - price.input_price - price.output_price;
        Some((price.input_price + rest, price.output_price))
    }
}

/// genai-prices' id of a provider.
fn provider_id(provider: &str) -> &str {
    match provider {
        "x_ai" => "x-ai",
        "aws.bedrock" => "aws",
        "mistral_ai" => "mistral",
        "moonshot_ai" => "moonshotai",
        azure if azure.starts_with("azure.ai.") => "azure",
        google if google.starts_with("gcp.") => "google",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixNanos = UnixNanos(1_795_521_600_000_000_000);

    fn prices() -> Prices {
        Prices::new(&config::Prices::default()).unwrap()
    }

    fn call<'a>(provider: &'a str, model: &'a str, tokens: Tokens) -> Priceable<'a> {
        Priceable { provider, request_model: model, response_model: "", tokens, reported: None, end: NOON }
    }

    fn tokens(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Tokens {
        let some = |count: u64| (count > 0).then_some(count);
        Tokens {
            input: Some(input),
            output: Some(output),
            cache_read: some(cache_read),
            cache_write: some(cache_write),
            reasoning: None,
        }
    }

    #[test]
    fn worked_examples() {
        let claude = prices().cost(&call("anthropic", "claude-sonnet-4-5", tokens(2302, 0, 2284, 158))).unwrap();
        assert_eq!(claude.usd, PicoUsd(10_989_000_000));
        let gpt = prices().cost(&call("openai", "gpt-5", tokens(2006, 1920, 0, 300))).unwrap();
        assert_eq!(gpt.usd, PicoUsd(3_347_500_000));
        assert_eq!(gpt.source, CostSource::Calculated);
    }

    #[test]
    fn an_unknown_price_is_not_zero() {
        assert_eq!(prices().cost(&call("openai", "no-such-model", tokens(10, 0, 0, 10))), None);
        assert_eq!(prices().cost(&call("openai", "gpt-5", Tokens::default())), None);
    }

    #[test]
    fn a_reported_cost_wins_unless_it_is_zero_beside_tokens() {
        let mut reported = call("openai", "gpt-5", tokens(2006, 1920, 0, 300));
        reported.reported = Some(PicoUsd(5));
        let cost = prices().cost(&reported).unwrap();
        assert_eq!((cost.usd, cost.source), (PicoUsd(5), CostSource::Reported));
        reported.reported = Some(PicoUsd(0));
        let cost = prices().cost(&reported).unwrap();
        assert_eq!((cost.usd, cost.source), (PicoUsd(3_347_500_000), CostSource::Calculated));
    }

    #[test]
    fn an_override_beats_the_price_data() {
        let settings = config::Prices {
            file: None,
            overrides: vec![config::PriceOverride {
                provider: Some("openai".into()),
                model: "gpt-5".into(),
                input_mtok: Some(1.0),
                output_mtok: Some(2.0),
                cache_read_mtok: Some(0.5),
                cache_write_mtok: None,
            }],
        };
        let prices = Prices::new(&settings).unwrap();
        let cost = prices.cost(&call("openai", "gpt-5", tokens(1000, 400, 0, 100))).unwrap();
        assert_eq!((cost.usd, cost.source), (PicoUsd(1_000_000_000), CostSource::Override));
    }
}
