//! A data point, checked and ready to be kept; or the reason why it cannot be.

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::explicit::Explicit;
use super::native::Native;
use crate::measure::time::event_time;
use crate::otlp::view::{
    self, Attributes, Data, ExponentialHistogramPoint, HistogramPoint, Number, NumberPoint, Repeated, SummaryPoint,
    Temporality,
};
use crate::series::{self, Kind, stable_hash};
use crate::units::UnixNanos;

/// Quantiles of one summary at most: each is a series to Prometheus.
const MAX_QUANTILES: usize = 64;
/// Exemplars of one point at most.
const MAX_EXEMPLARS: usize = 16;

/// Why a point, or what it said, was not used: the `reason` of `qiyas.observations.ignored`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The metric has no name.
    NoName,
    /// A sum or histogram that is neither cumulative nor delta.
    NoTemporality,
    /// A number point without a number.
    NoValue,
    /// NaN or an infinity where values add up.
    NotFinite,
    /// A counter, or a delta of one, below zero.
    BelowZero,
    /// Bounds that do not ascend, counts that do not fit them or do not add up, a scale that does not exist.
    BadBuckets,
    /// More explicit bounds or quantiles than are kept.
    TooManyBuckets,
    /// A quantile outside 0 … 1.
    BadQuantile,
    /// Older than what the same sender said last.
    OutOfOrder,
    /// Another start time of its series was folded for it; the point itself counts.
    FoldedStart,
    /// We derive the same metric from the same app's spans.
    Repeated,
    /// The budget of series is used up.
    SeriesOverflow,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoName => "no_name",
            Self::NoTemporality => "no_temporality",
            Self::NoValue => "no_value",
            Self::NotFinite => "not_finite",
            Self::BelowZero => "below_zero",
            Self::BadBuckets => "bad_buckets",
            Self::TooManyBuckets => "too_many_buckets",
            Self::BadQuantile => "bad_quantile",
            Self::OutOfOrder => "out_of_order",
            Self::FoldedStart => "folded_start",
            Self::Repeated => "repeated",
            Self::SeriesOverflow => "series_overflow",
        }
    }
}

/// What a metric's points are. Part of a series' identity: a name that changes its type is another series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Shape {
    Gauge,
    /// A sum that only grows.
    Counter,
    /// A sum that may fall.
    Level,
    Explicit,
    Native,
    Summary,
}

impl Shape {
    pub fn kind(self) -> Kind {
        match self {
            Self::Gauge => Kind::Gauge,
            Self::Counter => Kind::Counter,
            Self::Level => Kind::UpDownCounter,
            Self::Explicit | Self::Native => Kind::Histogram,
            Self::Summary => Kind::Summary,
        }
    }
}

/// A metric's points with their shape; `None`: it has none.
pub fn points<'a>(data: Data<'a>) -> Option<(Shape, Temporality, Points<'a>)> {
    Some(match data {
        Data::None => return None,
        Data::Gauge(gauge) => (Shape::Gauge, Temporality::Cumulative, Points::Numbers(gauge.points())),
        Data::Sum(sum) => {
            let shape = if sum.is_monotonic { Shape::Counter } else { Shape::Level };
            (shape, sum.temporality, Points::Numbers(sum.points()))
        }
        Data::Histogram(histogram) => (Shape::Explicit, histogram.temporality, Points::Explicit(histogram.points())),
        Data::ExponentialHistogram(histogram) => {
            (Shape::Native, histogram.temporality, Points::Native(histogram.points()))
        }
        Data::Summary(summary) => (Shape::Summary, Temporality::Cumulative, Points::Summaries(summary.points())),
    })
}

/// Points of one metric, as they stand in the record.
#[derive(Clone, Debug)]
pub enum Points<'a> {
    Numbers(Repeated<'a, NumberPoint<'a>>),
    Explicit(Repeated<'a, HistogramPoint<'a>>),
    Native(Repeated<'a, ExponentialHistogramPoint<'a>>),
    Summaries(Repeated<'a, SummaryPoint<'a>>),
}

/// One point as it stands in the record.
#[derive(Clone, Copy, Debug)]
pub enum Sent<'a> {
    Number(NumberPoint<'a>),
    Explicit(HistogramPoint<'a>),
    Native(ExponentialHistogramPoint<'a>),
    Summary(SummaryPoint<'a>),
}

impl<'a> Iterator for Points<'a> {
    type Item = Sent<'a>;

    #[inline]
    fn next(&mut self) -> Option<Sent<'a>> {
        match self {
            Self::Numbers(points) => points.next().map(Sent::Number),
            Self::Explicit(points) => points.next().map(Sent::Explicit),
            Self::Native(points) => points.next().map(Sent::Native),
            Self::Summaries(points) => points.next().map(Sent::Summary),
        }
    }
}

/// A checked value.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    Gauge(Gauge),
    Sum(Amount),
    Explicit(Box<Explicit>),
    Native(Box<Native>),
    Summary(Box<Summary>),
}

impl<'a> Sent<'a> {
    /// The point's value, checked for a metric of this shape.
    pub fn read(&self, shape: Shape) -> Result<Read, Reason> {
        match self {
            Self::Number(point) => {
                let number = point.value.ok_or(Reason::NoValue)?;
                if shape == Shape::Gauge {
                    // A gauge may be anything, as it adds up with nothing.
                    return Ok(Read::Gauge(Gauge::of(number)));
                }
                let amount = Amount::of(number).ok_or(Reason::NotFinite)?;
                if shape == Shape::Counter && amount.is_negative() {
                    return Err(Reason::BelowZero);
                }
                Ok(Read::Sum(amount))
            }
            Self::Explicit(point) => Ok(Read::Explicit(Box::new(Explicit::read(point)?))),
            Self::Native(point) => Ok(Read::Native(Box::new(Native::read(point)?))),
            Self::Summary(point) => Ok(Read::Summary(Box::new(Summary::read(point)?))),
        }
    }

    /// Whether the point says that its series has ended.
    pub fn ends(&self) -> bool {
        match self {
            Self::Number(point) => point.no_recorded_value(),
            Self::Explicit(point) => point.no_recorded_value(),
            Self::Native(point) => point.no_recorded_value(),
            Self::Summary(point) => point.no_recorded_value(),
        }
    }

    /// Start (zero: not told) and time; a time that cannot be is the receive time, with the reason.
    pub fn times(&self, received: UnixNanos) -> (UnixNanos, UnixNanos, Option<&'static str>) {
        let (start, time) = match self {
            Self::Number(point) => (point.start_time_unix_nano, point.time_unix_nano),
            Self::Explicit(point) => (point.start_time_unix_nano, point.time_unix_nano),
            Self::Native(point) => (point.start_time_unix_nano, point.time_unix_nano),
            Self::Summary(point) => (point.start_time_unix_nano, point.time_unix_nano),
        };
        let (time, odd) = event_time(UnixNanos(time), received);
        (UnixNanos(start), time, odd)
    }

    pub fn attributes(&self) -> Attributes<'a> {
        match self {
            Self::Number(point) => point.attributes(),
            Self::Explicit(point) => point.attributes(),
            Self::Native(point) => point.attributes(),
            Self::Summary(point) => point.attributes(),
        }
    }

    /// Exemplars that lead to a trace.
    pub fn exemplars(&self) -> Vec<StoredExemplar> {
        let sent = match self {
            Self::Number(point) => point.exemplars(),
            Self::Explicit(point) => point.exemplars(),
            Self::Native(point) => point.exemplars(),
            Self::Summary(_) => return Vec::new(),
        };
        sent.filter_map(|exemplar| StoredExemplar::of(&exemplar)).take(MAX_EXEMPLARS).collect()
    }
}

/// The value of a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Gauge {
    Int(i64),
    Double(f64),
}

impl Gauge {
    fn of(number: Number) -> Self {
        match number {
            Number::Int(int) => Self::Int(int),
            Number::Double(double) => Self::Double(double),
        }
    }

    pub fn show(self) -> series::Value {
        match self {
            Self::Int(int) => series::Value::Int(int),
            Self::Double(double) => series::Value::Float(double),
        }
    }
}

/// A summary as it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    count: u64,
    sum: f64,
    /// (quantile, value), ascending.
    quantiles: Box<[(f64, f64)]>,
}

impl Summary {
    fn read(point: &SummaryPoint<'_>) -> Result<Self, Reason> {
        let sent = point.quantiles().take(MAX_QUANTILES + 1);
        let mut quantiles: Vec<(f64, f64)> = sent.map(|at| (at.quantile + 0.0, at.value)).collect();
        if quantiles.len() > MAX_QUANTILES {
            return Err(Reason::TooManyBuckets);
        }
        if quantiles.iter().any(|(quantile, _)| !(0.0..=1.0).contains(quantile)) {
            return Err(Reason::BadQuantile);
        }
        if !point.sum.is_finite() {
            return Err(Reason::NotFinite);
        }
        if point.sum < 0.0 {
            return Err(Reason::BelowZero);
        }
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        quantiles.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(Self { count: point.count, sum: point.sum, quantiles: quantiles.into() })
    }

    pub fn show(&self) -> series::Summary {
        series::Summary { count: self.count, sum: self.sum, quantiles: self.quantiles.to_vec() }
    }
}

/// A value of which only the newest counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Last<V> {
    pub start: UnixNanos,
    pub time: UnixNanos,
    pub value: V,
}

/// Orders values of one time, so that merging does not depend on who merges.
pub trait Ordered {
    fn order(&self) -> u64;
}

impl Ordered for Gauge {
    fn order(&self) -> u64 {
        match self {
            Self::Int(int) => *int as u64,
            Self::Double(double) => double.to_bits(),
        }
    }
}

impl Ordered for Box<Summary> {
    fn order(&self) -> u64 {
        let mut bits: Vec<u8> = self.count.to_le_bytes().into();
        bits.extend(self.sum.to_bits().to_le_bytes());
        for (quantile, value) in &self.quantiles {
            bits.extend(quantile.to_bits().to_le_bytes());
            bits.extend(value.to_bits().to_le_bytes());
        }
        stable_hash(&[&bits])
    }
}

impl<V: Ordered + Clone> Last<V> {
    /// Keeps the newer. `false`: `newer` is not.
    pub fn replace(&mut self, newer: Self) -> bool {
        let is_newer = newer.time >= self.time;
        if is_newer {
            *self = newer;
        }
        is_newer
    }

    pub fn merge(&mut self, other: &Self) {
        let order = |last: &Self| (last.time, last.value.order(), last.start);
        if order(other) > order(self) {
            *self = other.clone();
        }
    }
}

/// A sample that an app's series points at.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct StoredExemplar {
    pub time: UnixNanos,
    value: f64,
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

impl StoredExemplar {
    /// `None`: without a trace, or without a finite value.
    fn of(sent: &view::Exemplar<'_>) -> Option<Self> {
        let value = sent.value?.as_f64();
        let trace_id: [u8; 16] = sent.trace_id.try_into().ok().filter(|id| *id != [0; 16])?;
        let span_id = sent.span_id.try_into().unwrap_or_default();
        value.is_finite().then_some(Self { time: UnixNanos(sent.time_unix_nano), value, trace_id, span_id })
    }

    pub fn show(&self) -> series::Exemplar {
        series::Exemplar { value: self.value, time: self.time, trace_id: self.trace_id, span_id: self.span_id }
    }
}
