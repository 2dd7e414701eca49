//! Metric families of one scrape, as OTLP.
//!
//! Invariants:
//! - a family without points is left out: what could not be read is absent, not zero;
//! - no point starts after it ends, also when the wall clock stands before the boot time;
//! - sums are cumulative.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, Sum, metric, number_data_point,
};

use crate::units::UnixNanos;

/// A family's name, unit and one-sentence description.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub name: &'static str,
    pub unit: &'static str,
    pub description: &'static str,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attribute<'a> {
    Text(&'a str),
    Number(i64),
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Attribute<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

/// What a point says: whole numbers stay whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// The points of one family, before its instrument is chosen.
#[derive(Debug, Default)]
pub(super) struct Points {
    points: Vec<NumberDataPoint>,
    read_at: Option<UnixNanos>,
}

impl Points {
    pub(super) fn with_capacity(points: usize) -> Self {
        Self { points: Vec::with_capacity(points), read_at: None }
    }

    /// Says that the points were read earlier than this scrape.
    pub(super) fn read_at(mut self, time: UnixNanos) -> Self {
        self.read_at = Some(time);
        self
    }

    /// Adds a point of the family's own start time.
    pub(super) fn add(&mut self, value: impl Into<Number>, attributes: &[(&'static str, Attribute<'_>)]) {
        self.add_since(UnixNanos(0), value, attributes);
    }

    /// Adds a point of a series that started at `start`; zero stands for the family's own start time.
    pub(super) fn add_since(
        &mut self,
        start: UnixNanos,
        value: impl Into<Number>,
        attributes: &[(&'static str, Attribute<'_>)],
    ) {
        self.points.push(NumberDataPoint {
            attributes: attributes.iter().map(|(key, value)| key_value(key, *value)).collect(),
            start_time_unix_nano: start.0,
            value: Some(match value.into() {
                Number::Int(value) => number_data_point::Value::AsInt(value),
                Number::Double(value) => number_data_point::Value::AsDouble(value),
            }),
            ..NumberDataPoint::default()
        });
    }
}

/// The families of one scrape.
#[derive(Debug)]
pub(super) struct Families {
    now: UnixNanos,
    boot: UnixNanos,
    metrics: Vec<Metric>,
}

impl Families {
    pub(super) fn new(now: UnixNanos, boot: UnixNanos) -> Self {
        Self { now, boot: boot.min(now), metrics: Vec::with_capacity(32) }
    }

    pub(super) fn now(&self) -> UnixNanos {
        self.now
    }

    /// When the kernel began to count, never after [`Self::now`].
    pub(super) fn boot(&self) -> UnixNanos {
        self.boot
    }

    /// A value at this moment, that is no part of a sum.
    pub(super) fn gauge(&mut self, family: Family, points: Points) {
        let data_points = self.stamped(points, false);
        self.push(family, data_points, |data_points| metric::Data::Gauge(Gauge { data_points }));
    }

    /// A count since boot, that only grows.
    pub(super) fn counter(&mut self, family: Family, points: Points) {
        self.sum(family, points, true);
    }

    /// An amount at this moment that may be added up over its attributes.
    pub(super) fn up_down_counter(&mut self, family: Family, points: Points) {
        self.sum(family, points, false);
    }

    pub(super) fn into_metrics(self) -> Vec<Metric> {
        self.metrics
    }

    fn sum(&mut self, family: Family, points: Points, is_monotonic: bool) {
        let data_points = self.stamped(points, true);
        let aggregation_temporality = AggregationTemporality::Cumulative as i32;
        self.push(family, data_points, |data_points| {
            metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
        });
    }

    fn stamped(&self, points: Points, starts: bool) -> Vec<NumberDataPoint> {
        let time = points.read_at.unwrap_or(self.now);
        let mut points = points.points;
        for point in &mut points {
            point.time_unix_nano = time.0;
            point.start_time_unix_nano = match (starts, point.start_time_unix_nano) {
                (false, _) => 0,
                (true, 0) => self.boot.min(time).0,
                (true, start) => start.min(time.0),
            };
        }
        points
    }

    fn push(
        &mut self,
        family: Family,
        data_points: Vec<NumberDataPoint>,
        data: impl FnOnce(Vec<NumberDataPoint>) -> metric::Data,
    ) {
        if data_points.is_empty() {
            return;
        }
        self.metrics.push(Metric {
            name: family.name.to_owned(),
            description: family.description.to_owned(),
            unit: family.unit.to_owned(),
            metadata: Vec::new(),
            data: Some(data(data_points)),
        });
    }
}

fn key_value(key: &str, value: Attribute<'_>) -> KeyValue {
    let value = match value {
        Attribute::Text(text) => any_value::Value::StringValue(text.to_owned()),
        Attribute::Number(number) => any_value::Value::IntValue(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
