//! Prices remembered as rates, for the hot path.
//!
//! Matching a model's name against the price data takes microseconds; a price is nearly always a sum of count × rate. So
//! the rates of a model are asked for once and then multiplied. Invariants:
//! - the answer is the calculator's, to the rounding of a sum of five products. Where rates might not hold, the
//!   calculator is asked: they are taken at both ends of a quarter of an hour and of an octave of total input tokens (price
//!   tiers start at some input, prices change at some time of day), and used only if all four agree and give back what
//!   the calculator says for the call at hand;
//! - bounded: [`MAX_MODELS`] models, forgotten together when there are more.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Cost, CostSource, Priceable, Prices};
use crate::observe::observations::Tokens;
use crate::units::{PicoUsd, UnixNanos};

const MAX_MODELS: usize = 1024;
/// Rates are taken anew so often, in nanoseconds of event time.
const QUARTER_NS: u64 = 15 * 60 * 1_000_000_000;
/// Octaves of total input tokens: up to 2³⁰, beyond what a call can have.
const OCTAVES: usize = 32;

/// Dollars for a token of each kind.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    input: f64,
    cache_read: f64,
    cache_write: f64,
    output: f64,
    reasoning: f64,
}

#[derive(Clone, Copy, Debug, Default)]
enum Known {
    #[default]
    Unasked,
    Rates(Rates),
    /// No price in this octave: the model or its provider is unknown.
    Unpriced,
    /// Rates differ within the octave or the quarter of an hour.
    Ask,
}

struct Model {
    provider: Box<str>,
    request: Box<str>,
    response: Box<str>,
    quarter: u64,
    octaves: [Known; OCTAVES],
}

/// Prices with their memory; one for each thread that prices.
pub struct PriceMemo {
    prices: Arc<Prices>,
    models: HashMap<u64, Model, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
}

impl PriceMemo {
    pub fn new(prices: Arc<Prices>) -> Self {
        Self { prices, models: HashMap::default(), hasher: foldhash::fast::RandomState::default() }
    }

    /// As [`Prices::cost`].
    pub fn cost(&mut self, call: &Priceable<'_>) -> Option<Cost> {
        if call.reported.is_some() || !call.tokens.any() || !self.prices.overrides.is_empty() {
            return self.prices.cost(call);
        }
        let Some(known) = self.known(call) else { return self.prices.cost(call) };
        match known {
            Known::Rates(rates) => rates
                .price(&call.tokens)
                .map_or_else(|| self.prices.cost(call), |usd| Some(Cost { usd, source: CostSource::Calculated })),
            Known::Unpriced => None,
            Known::Ask | Known::Unasked => self.prices.cost(call),
        }
    }

    /// What is known of the model at the call's time and size.
    fn known(&mut self, call: &Priceable<'_>) -> Option<Known> {
        use std::hash::BuildHasher as _;
        let key = self.hasher.hash_one((call.provider, call.request_model, call.response_model));
        let quarter = call.end.0 / QUARTER_NS;
        let octave = octave(call.tokens.input.unwrap_or_default());
        if self.models.len() >= MAX_MODELS && !self.models.contains_key(&key) {
            self.models.clear();
        }
        let model = self.models.entry(key).or_insert_with(|| Model {
            provider: call.provider.into(),
            request: call.request_model.into(),
            response: call.response_model.into(),
            quarter,
            octaves: [Known::Unasked; OCTAVES],
        });
        let is_same = *model.provider == *call.provider
            && *model.request == *call.request_model
            && *model.response == *call.response_model;
        if !is_same {
            return None;
        }
        if model.quarter != quarter {
            model.quarter = quarter;
            model.octaves = [Known::Unasked; OCTAVES];
        }
        let known = model.octaves.get_mut(octave)?;
        if matches!(known, Known::Unasked) {
            *known = learn(&self.prices, call, quarter, octave);
        }
        Some(*known)
    }
}

impl Rates {
    /// `None` where the counts contradict each other; the calculator then decides.
    fn price(&self, tokens: &Tokens) -> Option<PicoUsd> {
        let count = |count: Option<u64>| count.unwrap_or_default();
        let (read, write, reasoning) = (count(tokens.cache_read), count(tokens.cache_write), count(tokens.reasoning));
        let uncached = count(tokens.input).checked_sub(read + write)?;
        let visible = count(tokens.output).checked_sub(reasoning)?;
        let usd = uncached as f64 * self.input
            + read as f64 * self.cache_read
            + write as f64 * self.cache_write
            + visible as f64 * self.output
            + reasoning as f64 * self.reasoning;
        PicoUsd::from_usd(usd)
    }

    fn agree(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
        same(self.input, other.input)
            && same(self.cache_read, other.cache_read)
            && same(self.cache_write, other.cache_write)
            && same(self.output, other.output)
            && same(self.reasoning, other.reasoning)
    }
}

/// The octave of a count: 0 for 0 and 1, then ⌊log₂⌋.
fn octave(count: u64) -> usize {
    count.max(1).ilog2() as usize
}

fn learn(prices: &Prices, call: &Priceable<'_>, quarter: u64, octave: usize) -> Known {
    let start = UnixNanos(quarter * QUARTER_NS);
    let end = UnixNanos(start.0 + QUARTER_NS - 1);
    let (smallest, largest) = (1_u64 << octave, (2_u64 << octave) - 1);
    let corners = [(smallest, start), (largest, start), (smallest, end), (largest, end)];
    let corners = corners.map(|(input, time)| rates(prices, call, input, time));
    let rates = match corners {
        [None, None, None, None] => return Known::Unpriced,
        [Some(a), Some(b), Some(c), Some(d)] if a.agree(&b) && a.agree(&c) && a.agree(&d) => a,
        _ => return Known::Ask,
    };
    // A price that is more than its rates (one for each request, say) shows here.
    let exact = prices.cost(call).map(|cost| cost.usd);
    let close = |a: PicoUsd, b: PicoUsd| (a.0 - b.0).abs() <= 1 + a.0.abs() / 1_000_000_000;
    match (rates.price(&call.tokens), exact) {
        (Some(ours), Some(exact)) if close(ours, exact) => Known::Rates(rates),
        _ => Known::Ask,
    }
}

/// The rates at one total input and time, from five prices of which each adds one kind of token.
fn rates(prices: &Prices, call: &Priceable<'_>, input: u64, end: UnixNanos) -> Option<Rates> {
    const OUTPUT: u64 = 1_000_000;
    let price = |cache_read, cache_write, output, reasoning| {
        let tokens = Tokens { input: Some(input), output, cache_read, cache_write, reasoning };
        prices.parts(&Priceable { tokens, end, ..*call })
    };
    let each_input = |cache_read, cache_write| Some(price(cache_read, cache_write, None, None)?.0 / input as f64);
    let each_output = |reasoning| Some(price(None, None, Some(OUTPUT), reasoning)?.1 / OUTPUT as f64);
    Some(Rates {
        input: each_input(None, None)?,
        cache_read: each_input(Some(input), None)?,
        cache_write: each_input(None, Some(input))?,
        output: each_output(None)?,
        reasoning: each_output(Some(OUTPUT))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use proptest::prelude::*;

    const MODELS: [(&str, &str); 12] = [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-5"),
        ("openai", "o3"),
        ("openai", "text-embedding-3-small"),
        ("anthropic", "claude-sonnet-4-5"),
        ("anthropic", "claude-3-5-haiku-20241022"),
        ("gcp.gemini", "gemini-2.5-pro"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("deepseek", "deepseek-chat"),
        ("x_ai", "grok-4"),
        ("mistral_ai", "mistral-large-latest"),
        ("openai", "no-such-model"),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_memory_answers_as_the_calculator(
            calls in prop::collection::vec((
                0..MODELS.len(),
                prop_oneof![0_u64..2_000, 100_000_u64..300_000, 0_u64..5_000_000],
                0_u64..20_000,
                (0_u64..100, 0_u64..100, 0_u64..110),
                1_730_000_000_u64..1_800_000_000,
            ), 1..40),
        ) {
            let prices = Arc::new(Prices::new(&config::Prices::default()).unwrap());
            let mut memo = PriceMemo::new(Arc::clone(&prices));
            for (model, input, output, (read, write, reasoning), seconds) in calls {
                let (provider, request_model) = MODELS[model];
                let tokens = Tokens {
                    input: Some(input),
                    output: Some(output),
                    cache_read: Some(input * read / 150),
                    cache_write: Some(input * write / 150),
                    reasoning: Some(output * reasoning / 100),
                };
                let end = UnixNanos(seconds * 1_000_000_000);
                let call = Priceable { provider, request_model, response_model: "", tokens, reported: None, end };
                let (ours, exact) = (memo.cost(&call), prices.cost(&call));
                prop_assert_eq!(ours.is_some(), exact.is_some(), "{:?}", call);
                if let (Some(ours), Some(exact)) = (ours, exact) {
                    let off = (ours.usd.0 - exact.usd.0).abs();
                    prop_assert!(off <= 1 + exact.usd.0 / 1_000_000_000, "{:?}: {:?} for {:?}", call, ours, exact);
                }
            }
        }
    }
}
