//! Metric families: what measures report and every encoder reads.
//!
//! A family carries OTLP's names and units; the Prometheus encoders translate. Values are floats here for the first
//! time: inside the measures they were integers.

use std::borrow::Cow;
use std::sync::Arc;

use crate::units::UnixNanos;

/// A metric with all its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// OTLP name, such as `traces.span.metrics.duration`.
    pub name: Cow<'static, str>,
    pub description: Cow<'static, str>,
    /// UCUM code, such as `s` or `{token}`; empty for none.
    pub unit: Cow<'static, str>,
    pub kind: Kind,
    /// The instrumentation scope, such as `qiyas/spans`.
    pub scope: Scope,
    pub points: Vec<Point>,
}

/// An instrumentation scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Empty: none was named.
    pub name: Cow<'static, str>,
    /// Empty: not known.
    pub version: Cow<'static, str>,
}

/// A scope of ours, `qiyas/<measure>`, has the package's version; of others none is known.
impl From<&'static str> for Scope {
    fn from(name: &'static str) -> Self {
        let version = if name.starts_with("qiyas/") { env!("CARGO_PKG_VERSION") } else { "" };
        Self { name: name.into(), version: version.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cumulative sum that only grows.
    Counter,
    /// A cumulative sum that may fall.
    UpDownCounter,
    Gauge,
    /// A cumulative histogram.
    Histogram,
    /// Quantiles that the sender computed, with a cumulative count and sum.
    Summary,
}

/// One series' value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The observed app's resource; `None`: the sidecar's own.
    pub identity: Option<Arc<Identity>>,
    /// In the order in which they are shown; keys are unique.
    pub labels: Vec<Label>,
    /// Since when a cumulative value counts; zero for gauges.
    pub start: UnixNanos,
    pub time: UnixNanos,
    pub value: Value,
    pub exemplars: Vec<Exemplar>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(i64),
    Float(f64),
    Histogram(Histogram),
    Summary(Summary),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub count: u64,
    pub sum: f64,
    /// (quantile in 0 … 1, value), ascending, each quantile once.
    pub quantiles: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    pub count: u64,
    /// NaN: the sender told none.
    pub sum: f64,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Ascending upper bounds (inclusive), without +Inf.
    pub bounds: Arc<[f64]>,
    /// One count a bucket, not cumulative: `bounds.len() + 1`.
    pub buckets: Vec<u64>,
    /// The native form beside the buckets, where configured.
    pub exponential: Option<Exponential>,
}

/// A base-2 exponential histogram: bucket `i` holds (2^(i/2^scale), 2^((i+1)/2^scale)], a negative one the same range
/// below zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exponential {
    pub scale: i8,
    /// Values of at most `zero_threshold`, whatever their sign.
    pub zero_count: u64,
    pub zero_threshold: f64,
    /// Index of the first bucket.
    pub offset: i32,
    pub buckets: Vec<u64>,
    /// Index of the first negative bucket.
    pub negative_offset: i32,
    pub negative_buckets: Vec<u64>,
}

/// An attribute of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub key: Cow<'static, str>,
    pub value: LabelValue,
}

impl Label {
    pub fn text(key: impl Into<Cow<'static, str>>, value: impl Into<Arc<str>>) -> Self {
        Self { key: key.into(), value: LabelValue::Text(value.into()) }
    }
}

/// An attribute value with its OTLP type. Prometheus shows all of them as text.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelValue {
    Text(Arc<str>),
    Int(i64),
    Bool(bool),
    Double(f64),
}

/// A sample that a series points at.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub value: f64,
    pub time: UnixNanos,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

/// The observed app: (`service.namespace`, `service.name`, `service.instance.id`), and its newest resource attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// Empty: none was sent.
    pub namespace: Arc<str>,
    /// Never empty: `unknown_service` where none was sent.
    pub name: Arc<str>,
    /// Empty: none was sent.
    pub instance: Arc<str>,
    /// The other attributes of the newest resource with this identity, as sent.
    pub attributes: Vec<Label>,
}
