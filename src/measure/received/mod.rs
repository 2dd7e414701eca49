//! Metrics that were received, as families for the endpoint: the app's own, and the host's.
//!
//! Invariants:
//! - a series is (identity, scope, name, unit, shape, attributes); its identity, not its resource, tells apps apart;
//! - a point that cannot be kept is counted under a [`Reason`] and changes nothing;
//! - the budget bounds series and metrics. What is beyond has no overflow series, as values of others' metrics do not add
//!   up: such points are counted, and forwarded like all others;
//! - a metric that we derive under the same name from the same app's spans is not shown beside ours.
//!
//! How it works: a record's metrics are read where they lie; the name, unit, shape and scope of each make a hash that is
//! the same in every process, so a series' key is (identity, that hash, attributes). What adds up is [`cumulative`];
//! gauges and summaries keep their last point.

mod amount;
pub mod cumulative;
mod explicit;
mod labels;
mod native;
mod point;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::amount::Amount;
use self::cumulative::{Cumulative, Taken, Times};
use self::explicit::Explicit;
use self::labels::Collected;
use self::native::Native;
pub use self::point::Reason;
use self::point::{Gauge, Last, Read, Sent, Shape, StoredExemplar, Summary};
use super::identities::{Feed, Identities, IdentityId};
use crate::observe::Observations;
use crate::otlp::view::{self, Read as _, Temporality};
use crate::series::{Family, Key, Merge, Point, Scope, Series, Stored, Table, Value, parts, stable_hash};
use crate::units::UnixNanos;

/// Counts of what was not used, by the reason's name.
pub type Ignored = BTreeMap<&'static str, u64>;

/// What is kept of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    value: Held,
    /// Those of the last point that had any.
    exemplars: Box<[StoredExemplar]>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Held {
    Gauge(Last<Gauge>),
    Sum(Cumulative<Amount>),
    Explicit(Box<Cumulative<Explicit>>),
    Native(Box<Cumulative<Native>>),
    Summary(Last<Box<Summary>>),
}

impl Held {
    /// Of a value's shape, with nothing in it; a value of which the last counts is in already.
    fn new(value: &Read, start: UnixNanos, time: UnixNanos) -> Self {
        match value {
            Read::Gauge(value) => Self::Gauge(Last { start, time, value: *value }),
            Read::Sum(_) => Self::Sum(Cumulative::default()),
            Read::Explicit(_) => Self::Explicit(Box::default()),
            Read::Native(_) => Self::Native(Box::default()),
            Read::Summary(value) => Self::Summary(Last { start, time, value: value.clone() }),
        }
    }
}

impl Merge for Kept {
    fn merge(&mut self, other: &Self) {
        match (&mut self.value, &other.value) {
            (Held::Gauge(mine), Held::Gauge(theirs)) => mine.merge(theirs),
            (Held::Sum(mine), Held::Sum(theirs)) => mine.merge(theirs),
            (Held::Explicit(mine), Held::Explicit(theirs)) => mine.merge(theirs),
            (Held::Native(mine), Held::Native(theirs)) => mine.merge(theirs),
            (Held::Summary(mine), Held::Summary(theirs)) => mine.merge(theirs),
            // The shape is part of the key.
            _ => {}
        }
        let newest = |of: &Self| of.exemplars.iter().map(|exemplar| exemplar.time).max();
        if (newest(other), &other.exemplars) > (newest(self), &self.exemplars) {
            self.exemplars = other.exemplars.clone();
        }
    }
}

/// What the series of one metric share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Metric {
    /// When it was first seen: of two metrics that want one exposed name the elder has it.
    first: UnixNanos,
    name: Box<str>,
    scope: Box<str>,
    version: Box<str>,
    unit: Box<str>,
    shape: Shape,
    /// The first that was told.
    description: Box<str>,
}

/// The measure.
pub struct Received {
    table: Table<Kept>,
    /// By their hash: each metric that has a series, and until the next sweep those that had one.
    metrics: HashMap<u64, Metric>,
    budget: usize,
    /// Whose metrics these are, if not an app's: then points have no identity and this scope.
    own_scope: Option<&'static str>,
    key: Key,
}

/// The measure as it is stored.
#[derive(Serialize, Deserialize)]
pub struct StoredReceived {
    series: Stored<Kept>,
    metrics: BTreeMap<u64, Metric>,
}

/// What is shown of it.
#[derive(Clone, Copy, Debug)]
pub struct Showing<'a> {
    pub identities: &'a Identities,
    /// Series and senders not heard since are left out.
    pub heard_since: UnixNanos,
    /// Apps whose spans were seen since have those metrics from us.
    pub fed_since: UnixNanos,
    /// The time of the points.
    pub now: UnixNanos,
}

impl Received {
    /// Of apps.
    pub fn new(budget: usize, seed: u64) -> Self {
        Self { table: Table::new(budget, seed), metrics: HashMap::new(), budget, own_scope: None, key: Key::default() }
    }

    /// Of Qiyas itself: shown under `scope`, without an identity.
    pub fn own(scope: &'static str, budget: usize, seed: u64) -> Self {
        Self { own_scope: Some(scope), ..Self::new(budget, seed) }
    }

    /// Takes a request's metrics. `identities`: one for each of its resources. `is_fed`: whether we derive such a metric
    /// from that app's spans.
    pub fn fold(
        &mut self,
        record: &[u8],
        seen: &Observations,
        identities: &[IdentityId],
        is_fed: impl Fn(IdentityId, Feed) -> bool,
        now: UnixNanos,
        ignored: &mut Ignored,
    ) {
        let mut collected = Collected::default();
        let mut collected_scope = None;
        for metric in &seen.metrics {
            let identity = identities.get(metric.resource as usize).copied().unwrap_or(IdentityId::NONE);
            // An app beyond the budget of identities was counted with its resource; without one its series would mix
            // with others'.
            if identity == IdentityId::NONE && self.own_scope.is_none() {
                continue;
            }
            let scope = view::Scope::read(metric.scope.get(record));
            if collected_scope.replace(metric.scope) != Some(metric.scope) {
                collected.of_scope(scope.attributes().filter(|_| self.own_scope.is_none()));
            }
            let metric = view::Metric::read(metric.body.get(record));
            let refused = if metric.name.is_empty() {
                Some(Reason::NoName)
            } else if derived(metric.name).is_some_and(|feed| is_fed(identity, feed)) {
                Some(Reason::Repeated)
            } else {
                None
            };
            match refused {
                Some(reason) => count(ignored, reason.as_str(), metric.point_count() as u64),
                None => self.fold_metric(identity, &scope, &metric, &mut collected, now, ignored),
            }
        }
    }

    fn fold_metric<'a>(
        &mut self,
        identity: IdentityId,
        scope: &view::Scope<'a>,
        metric: &view::Metric<'a>,
        collected: &mut Collected<'a>,
        now: UnixNanos,
        ignored: &mut Ignored,
    ) {
        let Some((shape, temporality, points)) = point::points(metric.data) else { return };
        let is_delta = match temporality {
            Temporality::Delta => true,
            Temporality::Cumulative => false,
            Temporality::Unspecified | Temporality::Other(_) => {
                return count(ignored, Reason::NoTemporality.as_str(), points.count() as u64);
            }
        };
        let (scope_name, version) = match self.own_scope {
            Some(own) => (own.as_bytes(), &[][..]),
            None => (scope.name, scope.version),
        };
        let hash = stable_hash(&[metric.name, metric.unit, &[shape as u8], scope_name, version]);
        let mut is_described = self.metrics.contains_key(&hash);
        for sent in points {
            self.key.clear().push(&identity.to_bytes()).push(&hash.to_le_bytes());
            collected.pack(sent.attributes(), &mut self.key);
            if sent.ends() {
                self.table.remove(self.key.as_bytes());
                continue;
            }
            match self.fold_point(&sent, shape, is_delta, now, ignored) {
                Err(reason) => count(ignored, reason.as_str(), 1),
                Ok(()) if is_described => {}
                Ok(()) => {
                    is_described = true;
                    // Series that end at once leave their metrics behind.
                    if self.metrics.len() >= 2 * self.budget {
                        self.forget_metrics();
                    }
                    let text = |bytes| view::text(bytes).into();
                    self.metrics.entry(hash).or_insert_with(|| Metric {
                        first: now,
                        name: text(metric.name),
                        scope: text(scope_name),
                        version: text(version),
                        unit: text(metric.unit),
                        shape,
                        description: text(metric.description),
                    });
                }
            }
        }
    }

    /// Takes the point whose key stands in `self.key`.
    fn fold_point(
        &mut self,
        sent: &Sent<'_>,
        shape: Shape,
        is_delta: bool,
        now: UnixNanos,
        ignored: &mut Ignored,
    ) -> Result<(), Reason> {
        let value = sent.read(shape)?;
        let (start, time, odd) = sent.times(now);
        if let Some(reason) = odd {
            count(ignored, reason, 1);
        }
        let new = || Kept { value: Held::new(&value, start, time), exemplars: Box::default() };
        let series = self.table.entry_within(self.key.as_bytes(), now, new).ok_or(Reason::SeriesOverflow)?;
        let times = Times { start, time, heard: now };
        let monotonic = shape != Shape::Level;
        let taken = match (&mut series.value.value, value) {
            (Held::Gauge(held), Read::Gauge(value)) => last(held.replace(Last { start, time, value })),
            (Held::Summary(held), Read::Summary(value)) => last(held.replace(Last { start, time, value })),
            (Held::Sum(held), Read::Sum(value)) => add(held, times, value, is_delta, monotonic),
            (Held::Explicit(held), Read::Explicit(value)) => add(held, times, *value, is_delta, monotonic),
            (Held::Native(held), Read::Native(value)) => add(held, times, *value, is_delta, monotonic),
            // The shape is part of the key.
            _ => return Err(Reason::NoValue),
        };
        match taken {
            Taken::OutOfOrder => return Err(Reason::OutOfOrder),
            Taken::FoldedAnother => count(ignored, Reason::FoldedStart.as_str(), 1),
            Taken::Kept => {}
        }
        if !matches!(shape, Shape::Gauge | Shape::Level) {
            let exemplars = sent.exemplars();
            if !exemplars.is_empty() {
                series.value.exemplars = exemplars.into();
            }
        }
        Ok(())
    }

    /// Removes series without a point for `expiry`, and metrics without a series.
    pub fn expire(&mut self, now: UnixNanos, expiry: Duration) {
        self.table.expire(now, expiry);
        self.forget_metrics();
    }

    fn forget_metrics(&mut self) {
        let alive: HashSet<u64> = self.table.iter().map(|series| metric_hash(&series.key)).collect();
        self.metrics.retain(|hash, _| alive.contains(hash));
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

    pub fn store(&self) -> StoredReceived {
        let metrics = self.metrics.iter().map(|(hash, metric)| (*hash, metric.clone())).collect();
        StoredReceived { series: self.table.store(), metrics }
    }

    /// As it was stored; budget, seed and whose metrics they are stay this one's.
    pub fn restore(self, seed: u64, stored: StoredReceived) -> Self {
        let table = Table::restore(self.budget, seed, stored.series);
        Self { table, metrics: stored.metrics.into_iter().collect(), ..self }
    }

    /// One family for each metric, those first that were seen first.
    pub fn families(&self, showing: Showing<'_>) -> Vec<Family> {
        let mut points: HashMap<u64, Vec<Point>> = HashMap::with_capacity(self.metrics.len());
        let mut bounds = None;
        for series in self.table.iter().filter(|series| series.last >= showing.heard_since) {
            let hash = metric_hash(&series.key);
            let Some(metric) = self.metrics.get(&hash) else { continue };
            if let Some(point) = self.point(metric, series, &mut bounds, showing) {
                points.entry(hash).or_default().push(point);
            }
        }
        let of_metric = |(hash, points)| self.metrics.get(&hash).map(|metric| (metric, points));
        let mut described: Vec<(&Metric, Vec<Point>)> = points.into_iter().filter_map(of_metric).collect();
        described.sort_unstable_by(|a, b| a.0.cmp(b.0));
        described.into_iter().map(|(metric, points)| self.family(metric, points)).collect()
    }

    fn family(&self, metric: &Metric, points: Vec<Point>) -> Family {
        Family {
            name: metric.name.to_string().into(),
            description: metric.description.to_string().into(),
            unit: metric.unit.to_string().into(),
            kind: metric.shape.kind(),
            scope: self.own_scope.map_or_else(
                || Scope { name: metric.scope.to_string().into(), version: metric.version.to_string().into() },
                Scope::from,
            ),
            points,
        }
    }

    fn point(
        &self,
        metric: &Metric,
        series: &Series<Kept>,
        bounds: &mut Option<Arc<[f64]>>,
        showing: Showing<'_>,
    ) -> Option<Point> {
        let mut key = parts(&series.key);
        let id = IdentityId::from_bytes(key.part());
        let _hash = key.part();
        let feeds = |feed| showing.identities.feeds(id, feed, showing.fed_since);
        if derived(metric.name.as_bytes()).is_some_and(feeds) {
            return None;
        }
        // An app that is forgotten takes its series along; its identity lives longer than they do.
        let identity = match self.own_scope {
            Some(_) => None,
            None => Some(showing.identities.get(id)?),
        };
        let (value, start) = match &series.value.value {
            Held::Gauge(last) => (last.value.show(), None),
            Held::Sum(sum) if metric.shape == Shape::Level => (sum.level(showing.heard_since)?.show(), sum.start()),
            Held::Sum(sum) => (sum.total()?.show(), sum.start()),
            Held::Explicit(sum) => (Value::Histogram(sum.total()?.show(bounds)), sum.start()),
            Held::Native(sum) => (Value::Histogram(sum.total()?.show()), sum.start()),
            Held::Summary(last) => (Value::Summary(last.value.show()), Some(last.start).filter(|start| start.0 > 0)),
        };
        let start = match metric.shape {
            Shape::Gauge => UnixNanos(0),
            _ => start.unwrap_or(series.start),
        };
        let exemplars = series.value.exemplars.iter().map(StoredExemplar::show).collect();
        Some(Point { identity, labels: labels::take(&mut key), start, time: showing.now, value, exemplars })
    }
}

impl Merge for Received {
    fn merge(&mut self, other: &Self) {
        self.table.merge(&other.table);
        for (hash, theirs) in &other.metrics {
            let mine = self.metrics.entry(*hash).or_insert_with(|| theirs.clone());
            if *theirs < *mine {
                *mine = theirs.clone();
            }
        }
    }
}

/// The metric's hash in a series' key.
fn metric_hash(key: &[u8]) -> u64 {
    let mut key = parts(key);
    let _identity = key.part();
    key.part().try_into().map_or(0, u64::from_le_bytes)
}

fn last(is_newer: bool) -> Taken {
    if is_newer { Taken::Kept } else { Taken::OutOfOrder }
}

fn add<V: cumulative::Adds>(
    held: &mut Cumulative<V>,
    times: Times,
    value: V,
    is_delta: bool,
    monotonic: bool,
) -> Taken {
    if is_delta {
        held.add_delta(times, &value);
        return Taken::Kept;
    }
    held.take(times, value, monotonic)
}

fn count(ignored: &mut Ignored, reason: &'static str, points: u64) {
    if points > 0 {
        *ignored.entry(reason).or_default() += points;
    }
}

/// The spans from which we derive a metric of this name, if we do.
pub fn derived(name: &[u8]) -> Option<Feed> {
    match name {
        b"traces.span.metrics.calls" | b"traces.span.metrics.duration" => Some(Feed::Spans),
        b"gen_ai.client.operation.duration"
        | b"gen_ai.client.token.usage"
        | b"gen_ai.client.operation.time_to_first_chunk"
        | b"gen_ai.client.operation.time_per_output_chunk" => Some(Feed::Calls),
        _ => None,
    }
}
