//! Number points that Qiyas itself receives (host metrics): the last value of each series, as it came.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observe::Observations;
use crate::otlp::view::{self, AnyValue, Read as _};
use crate::series::{Family, Key, Kind, Label, LabelValue, Merge, Point, Table, Value, parts};
use crate::units::UnixNanos;

/// The newest point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Last {
    start: UnixNanos,
    time: UnixNanos,
    value: Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Number {
    Int(i64),
    Double(f64),
}

impl Merge for Last {
    fn merge(&mut self, other: &Self) {
        let order = |last: &Self| (last.time, last.value.order());
        if order(other) > order(self) {
            *self = *other;
        }
    }
}

impl Number {
    /// Orders values of one time, so that merging does not depend on who merges.
    fn order(self) -> u64 {
        match self {
            Number::Int(int) => int as u64,
            Number::Double(double) => double.to_bits(),
        }
    }
}

#[derive(Clone, Debug)]
struct Metric {
    description: Box<str>,
    unit: Box<str>,
    kind: Kind,
}

/// The measure.
pub struct Points {
    scope: &'static str,
    table: Table<Option<Last>>,
    /// By name; bounded, as every metric here has a series in the table or one that expired from it.
    metrics: BTreeMap<Box<str>, Metric>,
    key: Key,
}

impl Merge for Option<Last> {
    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, theirs) => *mine = *theirs,
            (Some(_), None) => {}
        }
    }
}

impl Points {
    pub fn new(scope: &'static str, budget: usize, seed: u64) -> Self {
        Self { scope, table: Table::new(budget, seed), metrics: BTreeMap::new(), key: Key::default() }
    }

    /// Takes the gauges and sums of a request.
    pub fn fold(&mut self, record: &[u8], seen: &Observations, now: UnixNanos) {
        for (_, range) in &seen.metrics {
            let metric = view::Metric::read(range.get(record));
            let (points, kind) = match metric.data {
                view::Data::Gauge(gauge) => (gauge.points(), Kind::Gauge),
                view::Data::Sum(sum) if sum.is_monotonic => (sum.points(), Kind::Counter),
                view::Data::Sum(sum) => (sum.points(), Kind::UpDownCounter),
                _ => continue,
            };
            self.describe(&metric, kind);
            for point in points {
                let value = match point.value {
                    Some(view::Number::Int(int)) => Number::Int(int),
                    Some(view::Number::Double(double)) => Number::Double(double),
                    None => continue,
                };
                self.key.clear().push(metric.name);
                for attribute in point.attributes() {
                    push(&mut self.key, attribute.key, attribute.value);
                }
                let last =
                    Last { start: UnixNanos(point.start_time_unix_nano), time: UnixNanos(point.time_unix_nano), value };
                self.table.entry(self.key.as_bytes(), now, || None).value = Some(last);
            }
        }
    }

    fn describe(&mut self, metric: &view::Metric<'_>, kind: Kind) {
        let name = view::text(metric.name);
        if !self.metrics.contains_key(name) {
            let described = Metric {
                description: view::text(metric.description).into(),
                unit: view::text(metric.unit).into(),
                kind,
            };
            self.metrics.insert(name.into(), described);
        }
    }

    pub fn expire(&mut self, now: UnixNanos, expiry: Duration) {
        self.table.expire(now, expiry);
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub fn overflowed(&self) -> u64 {
        self.table.overflowed()
    }

    pub fn families(&self, now: UnixNanos) -> Vec<Family> {
        let mut families: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
        for series in self.table.iter() {
            let mut key = parts(&series.key);
            let name = view::text(key.part());
            let (Some(last), Some(metric)) = (series.value, self.metrics.get(name)) else { continue };
            let mut labels = Vec::new();
            while let Some(label) = take(&mut key) {
                labels.push(label);
            }
            families.entry(name).or_default().push(Point {
                identity: None,
                labels,
                start: if metric.kind == Kind::Gauge { UnixNanos(0) } else { last.start },
                time: now,
                value: match last.value {
                    Number::Int(int) => Value::Int(int),
                    Number::Double(double) => Value::Float(double),
                },
                exemplars: Vec::new(),
            });
        }
        let described = families.into_iter().filter_map(|(name, points)| {
            let metric = self.metrics.get(name)?;
            Some(Family {
                name: name.to_owned().into(),
                description: metric.description.to_string().into(),
                unit: metric.unit.to_string().into(),
                kind: metric.kind,
                scope: self.scope.into(),
                points,
            })
        });
        described.collect()
    }
}

fn push(key: &mut Key, name: &[u8], value: AnyValue<'_>) {
    key.push(name);
    match value {
        AnyValue::Text(text) => key.push(b"s").push(text),
        AnyValue::Int(int) => key.push(b"i").push(&int.to_le_bytes()),
        AnyValue::Bool(flag) => key.push(b"b").push(&[u8::from(flag)]),
        AnyValue::Double(double) => key.push(b"d").push(&double.to_bits().to_le_bytes()),
        AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::List(_) => key.push(&[]).push(&[]),
    };
}

fn take(key: &mut crate::series::Parts<'_>) -> Option<Label> {
    let name = key.next()?;
    let value = super::spans::take_scalar(key).unwrap_or_else(|| LabelValue::Text("".into()));
    Some(Label { key: view::text(name).to_owned().into(), value })
}
