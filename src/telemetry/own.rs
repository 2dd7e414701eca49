//! Counters about the sidecar itself, shown beside the derived families.
//!
//! A counter's label values come from closed sets (signals, transports, reasons) or from the configuration
//! (destinations), so the number of series is bounded by construction.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::series::{Family, Kind, Label, Point, Value};
use crate::units::UnixNanos;

/// A monotonic counter by a fixed list of label keys.
pub struct Counter {
    name: &'static str,
    description: &'static str,
    keys: &'static [&'static str],
    series: RwLock<BTreeMap<Vec<String>, AtomicU64>>,
}

impl Counter {
    const fn new(name: &'static str, description: &'static str, keys: &'static [&'static str]) -> Self {
        Self { name, description, keys, series: RwLock::new(BTreeMap::new()) }
    }

    /// Adds `count` to the series with these label values, one for each key.
    pub fn add(&self, values: &[&str], count: u64) {
        debug_assert_eq!(values.len(), self.keys.len(), "{} takes {:?}", self.name, self.keys);
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let same = |key: &&Vec<String>| key.iter().eq(values.iter());
        if let Some(key) = known.keys().find(same)
            && let Some(cell) = known.get(key)
        {
            cell.fetch_add(count, Ordering::Relaxed);
            return;
        }
        drop(known);
        let key = values.iter().map(ToString::to_string).collect();
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.entry(key).or_default().fetch_add(count, Ordering::Relaxed);
    }

    /// The sum over all series whose label values start with `prefix`.
    pub fn total(&self, prefix: &[&str]) -> u64 {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let matching = series.iter().filter(|(key, _)| prefix.iter().zip(key.iter()).all(|(a, b)| a == b));
        matching.map(|(_, cell)| cell.load(Ordering::Relaxed)).sum()
    }

    fn family(&self, start: UnixNanos, time: UnixNanos) -> Family {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let points = series.iter().map(|(values, cell)| Point {
            identity: None,
            labels: self.keys.iter().zip(values).map(|(key, value)| Label::text(*key, value.as_str())).collect(),
            start,
            time,
            value: Value::Int(i64::try_from(cell.load(Ordering::Relaxed)).unwrap_or(i64::MAX)),
            exemplars: Vec::new(),
        });
        Family {
            name: self.name.into(),
            description: self.description.into(),
            unit: "".into(),
            kind: Kind::Counter,
            scope: "qiyas/self".into(),
            points: points.collect(),
        }
    }
}

/// All counters that the stages at the edge keep.
pub struct OwnMetrics {
    start: UnixNanos,
    pub receiver_accepted: Counter,
    pub receiver_refused: Counter,
    pub forward_sent: Counter,
    pub forward_failed: Counter,
    pub forward_dropped: Counter,
    pub expose_left_out: Counter,
}

impl OwnMetrics {
    /// `start` is when the process began to count.
    pub fn new(start: UnixNanos) -> Self {
        Self {
            start,
            receiver_accepted: Counter::new(
                "qiyas.receiver.accepted",
                "Items (spans, data points, log records) accepted and journaled.",
                &["signal", "transport"],
            ),
            receiver_refused: Counter::new(
                "qiyas.receiver.refused",
                "Export requests refused whole, by reason.",
                &["signal", "transport", "reason"],
            ),
            forward_sent: Counter::new(
                "qiyas.forward.sent",
                "Items that a destination acknowledged.",
                &["destination", "signal"],
            ),
            forward_failed: Counter::new(
                "qiyas.forward.failed",
                "Items that a destination refused for good, in whole batches or as a partial success.",
                &["destination", "signal"],
            ),
            forward_dropped: Counter::new(
                "qiyas.forward.dropped",
                "Items dropped because a destination was behind or away for too long.",
                &["destination", "signal"],
            ),
            expose_left_out: Counter::new(
                "qiyas.expose.left_out",
                "Series that a scrape could not show, by reason; counted by every scrape.",
                &["reason"],
            ),
        }
    }

    pub fn families(&self, now: UnixNanos) -> Vec<Family> {
        let counters = [
            &self.receiver_accepted,
            &self.receiver_refused,
            &self.forward_sent,
            &self.forward_failed,
            &self.forward_dropped,
            &self.expose_left_out,
        ];
        counters.map(|counter| counter.family(self.start, now)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_label_values() {
        let own = OwnMetrics::new(UnixNanos(1));
        own.receiver_accepted.add(&["traces", "grpc"], 2);
        own.receiver_accepted.add(&["traces", "grpc"], 3);
        own.receiver_accepted.add(&["logs", "http"], 7);
        assert_eq!(own.receiver_accepted.total(&["traces"]), 5);
        let families = own.families(UnixNanos(9));
        let accepted = families.iter().find(|family| family.name == "qiyas.receiver.accepted").unwrap();
        let values: Vec<_> = accepted.points.iter().map(|point| point.value.clone()).collect();
        assert_eq!(values, [Value::Int(7), Value::Int(5)]);
        assert_eq!(accepted.points[0].labels[1], Label::text("transport", "http"));
    }
}
