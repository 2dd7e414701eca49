//! From a span's attributes to a call.

use std::borrow::Cow;

use crate::observe::names::Field;
use crate::observe::observations::{Call, Role, Text, Tokens};
use crate::otlp::Range32;
use crate::otlp::visit::{AnyValue, Span};
use crate::units::PicoUsd;

use super::{operation, provider};

/// More tokens than any call has: a count beyond it is an error of the sender.
const MAX_TOKENS: u64 = 1_000_000_000;
/// A cost beyond it is an error of the sender.
const MAX_COST_USD: f64 = 1_000_000.0;
/// The longest believable time to a first chunk.
const MAX_CHUNK_SECONDS: f64 = 86_400.0;

/// The best value seen for each field of the span being read.
pub struct Slots<'a> {
    values: [(u8, AnyValue<'a>); Field::COUNT],
    filled: u32,
    first_chunk_event_ns: u64,
    /// Type of a recorded exception; it failed the call only if the span's status says so.
    exception: &'a [u8],
    pub implausible: u32,
}

impl<'a> Slots<'a> {
    pub fn new() -> Self {
        Self {
            values: [(u8::MAX, AnyValue::Empty); Field::COUNT],
            filled: 0,
            first_chunk_event_ns: 0,
            exception: &[],
            implausible: 0,
        }
    }

    /// Keeps `value` unless a better spelling of the field was seen. An empty value is absent.
    #[inline]
    pub fn offer(&mut self, field: Field, rank: u8, value: AnyValue<'a>) {
        if matches!(value, AnyValue::Empty | AnyValue::Text([]) | AnyValue::Array([]) | AnyValue::List([])) {
            return;
        }
        let bit = 1 << field as u32;
        if let Some(slot) = self.values.get_mut(field as usize)
            && (self.filled & bit == 0 || rank < slot.0)
        {
            *slot = (rank, value);
            self.filled |= bit;
        }
    }

    /// A span event that marks the first chunk of a streamed answer.
    pub fn first_chunk_event(&mut self, time_ns: u64) {
        let earlier = self.first_chunk_event_ns != 0 && self.first_chunk_event_ns <= time_ns;
        if !earlier {
            self.first_chunk_event_ns = time_ns;
        }
    }

    /// An exception that was recorded on the span.
    pub fn exception(&mut self, kind: &'a [u8]) {
        self.exception = kind;
    }

    pub fn clear(&mut self) {
        self.filled = 0;
        self.exception = &[];
        self.first_chunk_event_ns = 0;
    }

    fn get(&self, field: Field) -> AnyValue<'a> {
        let filled = self.filled & 1 << field as u32 != 0;
        self.values.get(field as usize).filter(|_| filled).map_or(AnyValue::Empty, |(_, value)| *value)
    }

    fn text(&self, field: Field) -> &'a [u8] {
        match self.get(field) {
            AnyValue::Text(text) => text,
            _ => &[],
        }
    }

    /// True where nothing on the span says that it has to do with a model.
    #[inline]
    pub fn is_ordinary(&self) -> bool {
        self.filled & Field::MARKS == 0
    }

    /// The call that `span` is; `None` for an ordinary span.
    pub fn call(&mut self, record: &'a [u8], scope: &'a [u8], span: &Span<'a>) -> Option<Call> {
        if self.is_ordinary() {
            return None;
        }
        let range = |text: &'a [u8]| match text {
            [] => Text::Absent,
            text => Text::Range(Range32::of(record, text)),
        };
        let request_model = match (self.text(Field::RequestModel), self.text(Field::InvocationParameters)) {
            ([], []) => Text::Absent,
            ([], parameters) => model_of_parameters(parameters).map_or(Text::Absent, |model| Text::Owned(model.into())),
            (model, _) => range(model),
        };
        let response_model = range(self.text(Field::ResponseModel));
        let model = if request_model.is_absent() { &response_model } else { &request_model };
        let provider = self.provider(record, model);
        let tokens = self.tokens();
        let (operation, role) = self.operation(record, &provider, model, &tokens)?;
        let error_type = self.error_type(record, span);
        let reported_cost = self.cost();
        let (first_chunk_ns, output_chunk_ns) = (self.first_chunk(span), self.seconds(Field::OutputChunkSeconds));
        Some(Call {
            span: 0,
            parent_span_id: Range32::of(record, span.parent_span_id),
            scope: Range32::of(record, scope),
            role,
            operation,
            provider,
            request_model,
            response_model,
            response_id: range(self.text(Field::ResponseId)),
            error_type,
            tokens,
            reported_cost,
            first_chunk_ns,
            output_chunk_ns,
        })
    }

    fn provider(&self, record: &'a [u8], model: &Text) -> Text {
        let by_model =
            || provider::of_model(model.get(record)).map_or(Text::Absent, |name| Text::Owned(Cow::Borrowed(name)));
        match self.text(Field::Provider) {
            [] => by_model(),
            sent => match provider::read(sent) {
                provider::Named::AsSent => Text::Range(Range32::of(record, sent)),
                provider::Named::Normalised(name) => Text::Owned(name),
                provider::Named::Framework => match self.text(Field::ProviderBehindFramework) {
                    [] => by_model(),
                    behind => match provider::read(behind) {
                        provider::Named::AsSent => Text::Range(Range32::of(record, behind)),
                        provider::Named::Normalised(name) => Text::Owned(name),
                        provider::Named::Framework => by_model(),
                    },
                },
            },
        }
    }

    /// What the span is. `None`: it only carries names that AI calls carry too.
    fn operation(&self, record: &[u8], provider: &Text, model: &Text, tokens: &Tokens) -> Option<(Text, Role)> {
        let framework_kind = self.text(Field::FrameworkKind);
        let sent = self.text(Field::Operation);
        let word = if framework_kind.is_empty() { sent } else { framework_kind };
        // A framework's `workflow` or `task` says less than an operation that is a call.
        let known = operation::read(word).or_else(|| operation::read(sent));
        let named = !provider.is_absent() || !model.is_absent();
        match known {
            Some((_, Role::Leaf)) if !named => None,
            Some((name, role)) => Some((Text::Owned(name.into()), role)),
            None if !sent.is_empty() && !model.is_absent() => {
                // An operation we have not met, on a model: its usage may repeat that of calls under it.
                Some((Text::Range(Range32::of(record, sent)), Role::Carrier))
            }
            None if tokens.any() && !model.is_absent() => Some((Text::Absent, Role::Carrier)),
            None => None,
        }
    }

    fn error_type(&self, record: &'a [u8], span: &Span<'a>) -> Text {
        const STATUS_ERROR: i32 = 2;
        match self.text(Field::ErrorType) {
            [] if span.status_code != STATUS_ERROR => Text::Absent,
            [] if self.exception.is_empty() => Text::Owned("_OTHER".into()),
            [] => Text::Range(Range32::of(record, self.exception)),
            error => Text::Range(Range32::of(record, error)),
        }
    }

    fn tokens(&mut self) -> Tokens {
        Tokens {
            input: self.count(Field::InputTokens),
            output: self.count(Field::OutputTokens),
            cache_read: self.count(Field::CacheReadTokens),
            cache_write: self.count(Field::CacheWriteTokens),
            reasoning: self.count(Field::ReasoningTokens),
        }
    }

    /// A count: an integer, a double or a decimal string.
    fn count(&mut self, field: Field) -> Option<u64> {
        let number = match self.get(field) {
            AnyValue::Empty => return None,
            AnyValue::Int(int) => u64::try_from(int).ok(),
            value => number(value).filter(|number| *number >= 0.0 && number.fract() == 0.0).map(|number| number as u64),
        };
        let plausible = number.filter(|number| *number <= MAX_TOKENS);
        self.implausible += u32::from(plausible.is_none());
        plausible
    }

    fn cost(&mut self) -> Option<PicoUsd> {
        let sent = match self.get(Field::CostUsd) {
            AnyValue::Empty => return None,
            value => number(value),
        };
        let plausible = sent.filter(|usd| (0.0..=MAX_COST_USD).contains(usd)).and_then(PicoUsd::from_usd);
        self.implausible += u32::from(plausible.is_none());
        plausible
    }

    fn first_chunk(&mut self, span: &Span<'a>) -> Option<u64> {
        if let Some(seconds) = self.seconds(Field::FirstChunkSeconds) {
            return Some(seconds);
        }
        if let Some(millis) = self.seconds(Field::FirstChunkMillis) {
            return Some(millis / 1000);
        }
        let event_ns = self.first_chunk_event_ns;
        (event_ns >= span.start_time_unix_nano && event_ns != 0).then(|| event_ns - span.start_time_unix_nano)
    }

    /// A duration in seconds, as nanoseconds.
    fn seconds(&mut self, field: Field) -> Option<u64> {
        let sent = match self.get(field) {
            AnyValue::Empty => return None,
            value => number(value),
        };
        let limit = if field == Field::FirstChunkMillis { MAX_CHUNK_SECONDS * 1e3 } else { MAX_CHUNK_SECONDS };
        let plausible = sent.filter(|seconds| (0.0..=limit).contains(seconds));
        self.implausible += u32::from(plausible.is_none());
        plausible.map(|seconds| (seconds * 1e9).round() as u64)
    }
}

fn number(value: AnyValue<'_>) -> Option<f64> {
    match value {
        AnyValue::Int(int) => Some(int as f64),
        AnyValue::Double(double) => Some(double),
        AnyValue::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// The `model` of a JSON object of request parameters.
fn model_of_parameters(json: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Parameters {
        model: Option<String>,
        model_name: Option<String>,
    }
    let parameters: Parameters = serde_json::from_slice(json).ok()?;
    parameters.model.or(parameters.model_name).filter(|model| !model.is_empty())
}
