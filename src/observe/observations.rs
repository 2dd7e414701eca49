//! What one request says, as offsets into its bytes.
//!
//! Observations ride beside a journal record until the fold has taken them, so they hold no borrow: text is a range of
//! the record, or owned where it had to be normalised.

use std::borrow::Cow;

use super::sampling::AdjustedCount;
use crate::otlp::Range32;
use crate::units::{PicoUsd, UnixNanos};

/// Everything that the measures need of one request.
#[derive(Debug, Default)]
pub struct Observations {
    /// One for each `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    pub resources: Vec<Resource>,
    pub spans: Vec<Span>,
    pub calls: Vec<Call>,
    pub metrics: Vec<Metric>,
    /// Their data points.
    pub points: u32,
    pub logs: u32,
    /// The latest time of a log record.
    pub latest_log: UnixNanos,
    /// Values of the configured dimensions: as many for each resource, then for each span, as are configured.
    pub resource_dimensions: Vec<Scalar>,
    pub span_dimensions: Vec<Scalar>,
    /// Numbers that could not be used: a count below zero or beyond belief, a cost that is no number.
    pub implausible: u32,
}

impl Observations {
    /// Spans, data points or log records.
    pub fn items(&self) -> usize {
        self.spans.len() + self.points as usize + self.logs as usize
    }

    /// The earliest event time, and the latest of those not after `latest_plausible`.
    pub fn time_span(&self, latest_plausible: UnixNanos) -> (Option<UnixNanos>, Option<UnixNanos>) {
        let times = || self.spans.iter().map(|span| UnixNanos(span.end_ns)).filter(|time| time.0 > 0);
        let latest_log = Some(self.latest_log).filter(|time| time.0 > 0);
        let plausible = times().chain(latest_log).filter(|time| *time <= latest_plausible).max();
        (times().min(), plausible)
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(self.resources.as_slice())
            + self.spans.capacity() * size_of::<Span>()
            + self.calls.capacity() * size_of::<Call>()
            + self.metrics.capacity() * size_of::<Metric>()
            + (self.resource_dimensions.capacity() + self.span_dimensions.capacity()) * size_of::<Scalar>()
    }
}

/// A resource's identity, and where its attributes stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource {
    pub namespace: Range32,
    pub name: Range32,
    pub instance: Range32,
    /// The encoded `Resource`.
    pub body: Range32,
}

/// A metric with all its points.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Index of its resource.
    pub resource: u32,
    /// The encoded `InstrumentationScope`; empty: none was sent.
    pub scope: Range32,
    /// The encoded message.
    pub body: Range32,
}

#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub resource: u32,
    /// The encoded message.
    pub body: Range32,
    pub name: Range32,
    /// OTLP's enum value.
    pub kind: u8,
    /// OTLP's enum value.
    pub status: u8,
    pub start_ns: u64,
    pub end_ns: u64,
    pub trace_id: Range32,
    pub span_id: Range32,
    pub stands_for: AdjustedCount,
}

/// The scalar value of a dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scalar {
    #[default]
    Absent,
    Text(Range32),
    Int(i64),
    Bool(bool),
    Double(f64),
}

/// Text of a call: where it stands in the record, or what it was normalised to.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Text {
    #[default]
    Absent,
    Range(Range32),
    Owned(Cow<'static, str>),
}

impl Text {
    /// The text's bytes, UTF-8; empty where absent.
    pub fn get<'a>(&'a self, record: &'a [u8]) -> &'a [u8] {
        match self {
            Text::Absent => &[],
            Text::Range(range) => range.get(record),
            Text::Owned(text) => text.as_bytes(),
        }
    }

    pub fn is_absent(&self) -> bool {
        *self == Text::Absent
    }
}

/// How a span takes part in AI calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One call of a model: inference or embedding. Counts at once.
    Leaf,
    /// May repeat the usage of the calls under it. Counts only if none of them reports.
    Carrier,
    /// A tool, an agent, a retrieval: neither tokens nor a call of a model.
    Other,
}

/// A model call, or a span around some.
#[derive(Clone, Debug)]
pub struct Call {
    /// Index of its span.
    pub span: u32,
    pub parent_span_id: Range32,
    /// Name of the instrumentation scope.
    pub scope: Range32,
    pub role: Role,
    pub operation: Text,
    pub provider: Text,
    pub request_model: Text,
    pub response_model: Text,
    pub response_id: Text,
    /// Absent: the call did not fail.
    pub error_type: Text,
    pub tokens: Tokens,
    /// What the instrumentation says the call cost.
    pub reported_cost: Option<PicoUsd>,
    pub first_chunk_ns: Option<u64>,
    pub output_chunk_ns: Option<u64>,
}

/// Tokens of one call. Input includes both caches, output includes reasoning; `None`: not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
    pub reasoning: Option<u64>,
}

impl Tokens {
    /// Any usage at all. A call without is still a call.
    pub fn any(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }
}
