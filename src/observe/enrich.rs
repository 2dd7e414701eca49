//! What a destination gets beside what the app sent: cost and canonical names on AI spans.
//!
//! A pure function of bytes and configuration, like observing. Only leaves are enriched: a cost on a carrier would be
//! added up with its children's. A key that the span carries already is left as it is.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::genai::price::{PriceMemo, Priceable, Prices};
use super::{Call, Observations, Observer, Role, Span};
use crate::otlp::Signal;
use crate::otlp::splice::{Attribute, Edits, ItemEdit, Value, splice};
use crate::units::UnixNanos;

/// Enriches requests by one configuration.
pub struct Enricher {
    observer: Arc<Observer>,
    prices: Mutex<PriceMemo>,
}

impl Enricher {
    pub fn new(observer: Arc<Observer>, prices: Arc<Prices>) -> Self {
        Self { observer, prices: Mutex::new(PriceMemo::new(prices)) }
    }

    /// The request with what is known added to its AI spans; the same bytes where there is nothing to add. `seen`: what
    /// was observed of it, where that is still at hand.
    pub fn enrich(&self, signal: Signal, request: &Bytes, seen: Option<&Observations>, received: UnixNanos) -> Bytes {
        if signal != Signal::Traces {
            return request.clone();
        }
        let anew;
        let seen = match seen {
            Some(seen) => seen,
            None => {
                // It was checked when it was accepted; were it not, it leaves as it came.
                let Ok(observed) = self.observer.observe(signal, request) else { return request.clone() };
                anew = observed;
                &anew
            }
        };
        let leaves = seen.calls.iter().filter(|call| call.role == Role::Leaf);
        let items = leaves.filter_map(|call| {
            let span = seen.spans.get(call.span as usize)?;
            Some(ItemEdit { at: span.body, attributes: self.attributes(request, call, span, received) })
        });
        let edits = Edits { items: items.collect(), ..Edits::default() };
        splice(signal, request, &edits).unwrap_or_else(|_| request.clone())
    }

    fn attributes<'a>(&self, record: &'a [u8], call: &'a Call, span: &Span, received: UnixNanos) -> Vec<Attribute<'a>> {
        let mut added = Vec::with_capacity(8);
        let texts = [
            ("gen_ai.operation.name", &call.operation),
            ("gen_ai.provider.name", &call.provider),
            ("gen_ai.request.model", &call.request_model),
            ("gen_ai.response.model", &call.response_model),
            ("gen_ai.response.id", &call.response_id),
        ];
        for (key, text) in texts {
            let text = text.get(record);
            if !text.is_empty() {
                added.push((key.into(), Value::Text(String::from_utf8_lossy(text))));
            }
        }
        let counts = [
            ("gen_ai.usage.input_tokens", call.tokens.input),
            ("gen_ai.usage.output_tokens", call.tokens.output),
            ("gen_ai.usage.cache_read.input_tokens", call.tokens.cache_read),
            ("gen_ai.usage.cache_write.input_tokens", call.tokens.cache_write),
            ("gen_ai.usage.reasoning.output_tokens", call.tokens.reasoning),
        ];
        for (key, count) in counts {
            if let Some(count) = count.and_then(|count| i64::try_from(count).ok()) {
                added.push((key.into(), Value::Int(count)));
            }
        }
        let text = |text: &'a super::Text| String::from_utf8_lossy(text.get(record));
        let (provider, request_model, response_model): (Cow<'a, str>, Cow<'a, str>, Cow<'a, str>) =
            (text(&call.provider), text(&call.request_model), text(&call.response_model));
        let end = if span.end_ns == 0 { received } else { UnixNanos(span.end_ns) };
        let cost = self.prices.lock().unwrap_or_else(PoisonError::into_inner).cost(&Priceable {
            provider: &provider,
            request_model: &request_model,
            response_model: &response_model,
            tokens: call.tokens,
            reported: call.reported_cost,
            end,
        });
        if let Some(cost) = cost {
            added.push(("gen_ai.usage.cost".into(), Value::Double(cost.usd.as_usd())));
        }
        added
    }
}
