//! The journal's own figures as families.

use crate::series::{Family, Kind, Label, Point, Value};
use crate::units::UnixNanos;

use super::ring::Stats;

const SCOPE: &str = "qiyas/self";

impl Stats {
    /// `qiyas.journal.*`; counters count since `started`.
    pub fn families(&self, started: UnixNanos, now: UnixNanos) -> Vec<Family> {
        let point = |labels: Vec<Label>, start: UnixNanos, count: u64| Point {
            identity: None,
            labels,
            start,
            time: now,
            value: Value::Int(i64::try_from(count).unwrap_or(i64::MAX)),
            exemplars: Vec::new(),
        };
        let family = |name: &'static str, description: &'static str, kind: Kind, points: Vec<Point>| Family {
            name: name.into(),
            description: description.into(),
            unit: "".into(),
            kind,
            scope: SCOPE.into(),
            points,
        };
        let lags = self.readers.iter().map(|reader| {
            point(vec![Label::text("reader", std::sync::Arc::clone(&reader.name))], UnixNanos(0), reader.lag)
        });
        vec![
            family(
                "qiyas.journal.records",
                "Records appended to the journal.",
                Kind::Counter,
                vec![point(Vec::new(), started, self.records)],
            ),
            family(
                "qiyas.journal.bytes",
                "Bytes that the journal holds.",
                Kind::Gauge,
                vec![point(Vec::new(), UnixNanos(0), self.bytes)],
            ),
            family("qiyas.journal.lag", "Records that a reader has not finished with.", Kind::Gauge, lags.collect()),
        ]
    }
}
