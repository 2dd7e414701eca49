//! The scrape model: what one scrape shows, whatever the measures reported.
//!
//! - A family's series stand together, each name and set of labels once; every family has at least one series.
//! - No sample name belongs to two families, in any format: a family takes its own name and all that its type derives
//!   from it (`_total`, `_bucket` …). Of two families that want one name the first stays and the newcomer is left out
//!   whole.
//! - Values fit their type: counters are not negative and not NaN, buckets ascend and add up to the count,
//!   quantiles ascend within 0 … 1.
//! - The order depends on what is shown alone: families by name, series by labels (as they are encoded).
//!
//! What does not fit is left out and counted in [`LeftOut`]; a scrape never fails.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::series::{Exemplar, Family, Histogram, Identity, Kind, Point, Summary, Value};
use crate::units::UnixNanos;

use super::labels::{BlockWriter, Context, Form, write_job};
use super::naming::{MetricName, Namer};

/// What one scrape shows.
#[derive(Debug)]
pub struct Scrape<'a> {
    /// By name.
    pub families: Vec<Exposed<'a>>,
    pub left_out: LeftOut,
    blocks: Vec<u8>,
}

/// A family under its exposed name.
#[derive(Debug)]
pub struct Exposed<'a> {
    pub name: MetricName,
    pub kind: Type,
    pub help: &'a str,
    /// By labels.
    pub series: Vec<Series<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
    Summary,
    /// `target_info`.
    Info,
}

/// One series; of a histogram, all its buckets, of a summary, all its quantiles.
#[derive(Debug)]
pub struct Series<'a> {
    block: Range<usize>,
    /// Zero: not known.
    pub start: UnixNanos,
    pub value: Shown<'a>,
    pub exemplars: &'a [Exemplar],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown<'a> {
    Int(i64),
    Float(f64),
    Histogram(&'a Histogram),
    Summary(&'a Summary),
}

/// Series that a scrape does not show, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Of families whose name another family has.
    pub name_conflict: u64,
    /// Of families with nothing in their name that Prometheus can show.
    pub invalid_name: u64,
    /// Same name and same labels as another series.
    pub duplicate: u64,
    /// A value that does not fit the family's type.
    pub invalid_value: u64,
    /// The OTLP names of the families left out whole.
    pub families: Vec<String>,
}

impl LeftOut {
    /// The counts with the value of their label `reason`.
    pub fn by_reason(&self) -> [(&'static str, u64); 4] {
        [
            ("name_conflict", self.name_conflict),
            ("invalid_name", self.invalid_name),
            ("duplicate", self.duplicate),
            ("invalid_value", self.invalid_value),
        ]
    }
}

impl Scrape<'_> {
    /// A series' labels in the form that was asked for.
    pub fn labels(&self, series: &Series<'_>) -> &[u8] {
        self.blocks.get(series.block.clone()).unwrap_or_default()
    }
}

impl Type {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::UpDownCounter | Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
            Kind::Summary => Self::Summary,
        }
    }

    /// The label that tells the samples of one series apart.
    fn label(self) -> Option<&'static str> {
        match self {
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
            Self::Counter | Self::Gauge | Self::Info => None,
        }
    }

    /// What a family's samples may end in, in any of the formats.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["", "_total", "_created"],
            Self::Gauge => &[""],
            Self::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
            Self::Summary => &["", "_sum", "_count", "_created"],
            Self::Info => &["", "_info"],
        }
    }
}

/// Builds the scrape, with labels in `form`. Of two families that clash the earlier one stays.
pub fn assemble(families: &[Family], namer: Namer, form: Form) -> Scrape<'_> {
    let mut assembly = Assembly {
        namer,
        form,
        families: Vec::new(),
        taken: HashMap::new(),
        blocks: Vec::new(),
        left_out: LeftOut::default(),
    };
    assembly.add_targets(families);
    for family in families {
        assembly.add(family);
    }
    assembly.finish()
}

struct Assembly<'a> {
    namer: Namer,
    form: Form,
    families: Vec<Exposed<'a>>,
    /// Every sample name that a family has taken, with the family's index.
    taken: HashMap<String, usize>,
    blocks: Vec<u8>,
    left_out: LeftOut,
}

impl<'a> Assembly<'a> {
    fn add(&mut self, family: &'a Family) {
        if family.points.is_empty() {
            return;
        }
        let points = family.points.len() as u64;
        let Some(name) = self.namer.metric(&family.name, &family.unit, family.kind) else {
            self.left_out.invalid_name += points;
            self.left_out.families.push(family.name.clone().into_owned());
            return;
        };
        let Some(index) = self.place(name, Type::of(family.kind), &family.description) else {
            self.left_out.name_conflict += points;
            self.left_out.families.push(family.name.clone().into_owned());
            return;
        };
        let Some(exposed) = self.families.get_mut(index) else { return };
        let context =
            Context { scope: &family.scope.name, scope_version: &family.scope.version, of_type: exposed.kind.label() };
        let mut writer = BlockWriter::new(self.namer, self.form, context);
        exposed.series.reserve(family.points.len());
        for point in &family.points {
            let Some(value) = fitting(exposed.kind, point) else {
                self.left_out.invalid_value += 1;
                continue;
            };
            let start = self.blocks.len();
            writer.write(&mut self.blocks, point.identity.as_deref(), &point.labels);
            let block = start..self.blocks.len();
            exposed.series.push(Series { block, start: point.start, value, exemplars: &point.exemplars });
        }
    }

    /// `target_info`, once for each `job` and `instance`, with the attributes of the newest point.
    fn add_targets(&mut self, families: &'a [Family]) {
        let mut targets: HashMap<(Vec<u8>, &str), (UnixNanos, &'a Identity)> = HashMap::new();
        let mut add = |identity: &'a Identity, time: UnixNanos| {
            let mut job = Vec::new();
            write_job(&mut job, Form::Protobuf, identity);
            let newest = targets.entry((job, &identity.instance)).or_insert((time, identity));
            if time >= newest.0 {
                *newest = (time, identity);
            }
        };
        // The points of one app mostly stand together and share one allocation.
        let mut run: Option<(&'a Arc<Identity>, UnixNanos)> = None;
        for point in families.iter().flat_map(|family| &family.points) {
            let Some(identity) = &point.identity else { continue };
            match &mut run {
                Some((running, newest)) if Arc::ptr_eq(running, identity) => *newest = point.time.max(*newest),
                _ => {
                    if let Some((ended, newest)) = run.replace((identity, point.time)) {
                        add(ended, newest);
                    }
                }
            }
        }
        if let Some((ended, newest)) = run {
            add(ended, newest);
        }
        if targets.is_empty() {
            return;
        }
        let help = "Attributes of the observed app's resource.";
        let Some(index) = self.place(MetricName::target_info(), Type::Info, help) else { return };
        let Some(exposed) = self.families.get_mut(index) else { return };
        let mut writer =
            BlockWriter::new(self.namer, self.form, Context { scope: "", scope_version: "", of_type: None });
        for (_, identity) in targets.into_values() {
            let start = self.blocks.len();
            writer.write(&mut self.blocks, Some(identity), &identity.attributes);
            let block = start..self.blocks.len();
            let value = Shown::Int(1);
            exposed.series.push(Series { block, start: UnixNanos::default(), value, exemplars: &[] });
        }
    }

    /// The family of that name and type, new or already there; `None` where the name is another's.
    fn place(&mut self, name: MetricName, kind: Type, help: &'a str) -> Option<usize> {
        let known = self.taken.get(name.family()).and_then(|index| Some((*index, self.families.get(*index)?)));
        if let Some((index, known)) = known {
            return (known.kind == kind && known.name.full == name.full).then_some(index);
        }
        let names: Vec<String> = kind.suffixes().iter().map(|suffix| format!("{}{suffix}", name.family())).collect();
        if names.iter().any(|name| self.taken.contains_key(name)) {
            return None;
        }
        let index = self.families.len();
        self.taken.extend(names.into_iter().map(|name| (name, index)));
        self.families.push(Exposed { name, kind, help, series: Vec::new() });
        Some(index)
    }

    fn finish(mut self) -> Scrape<'a> {
        let blocks = &self.blocks;
        let labels = |series: &Series<'_>| blocks.get(series.block.clone()).unwrap_or_default();
        for family in &mut self.families {
            let before = family.series.len();
            // Stable, so of two equal series the earlier one comes first and stays.
            family.series.sort_by(|a, b| labels(a).cmp(labels(b)));
            family.series.dedup_by(|later, earlier| labels(later) == labels(earlier));
            self.left_out.duplicate += (before - family.series.len()) as u64;
        }
        self.families.retain(|family| !family.series.is_empty());
        self.families.sort_by(|a, b| a.name.family().cmp(b.name.family()));
        Scrape { families: self.families, left_out: self.left_out, blocks: self.blocks }
    }
}

/// The point's value, if the type can show it.
fn fitting(kind: Type, point: &Point) -> Option<Shown<'_>> {
    match (kind, &point.value) {
        (Type::Counter, Value::Int(value)) => (*value >= 0).then_some(Shown::Int(*value)),
        (Type::Counter, Value::Float(value)) => (*value >= 0.0).then_some(Shown::Float(*value)),
        (Type::Gauge, Value::Int(value)) => Some(Shown::Int(*value)),
        (Type::Gauge, Value::Float(value)) => Some(Shown::Float(*value)),
        (Type::Histogram, Value::Histogram(histogram)) => {
            is_consistent(histogram).then_some(Shown::Histogram(histogram))
        }
        (Type::Summary, Value::Summary(summary)) => is_plausible(summary).then_some(Shown::Summary(summary)),
        _ => None,
    }
}

fn is_plausible(summary: &Summary) -> bool {
    let ascend = summary.quantiles.windows(2).all(|pair| matches!(pair, [(low, _), (high, _)] if low < high));
    ascend
        && summary.quantiles.iter().all(|(quantile, _)| (0.0..=1.0).contains(quantile))
        && (summary.sum.is_nan() || summary.sum >= 0.0)
}

fn is_consistent(histogram: &Histogram) -> bool {
    let bounds = &histogram.bounds;
    let ascend = bounds.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
    let numbers = bounds.iter().all(|bound| !bound.is_nan() && *bound != f64::NEG_INFINITY);
    let none = bounds.is_empty() && histogram.buckets.is_empty();
    let total = histogram.buckets.iter().map(|count| u128::from(*count)).sum::<u128>();
    let adds_up = histogram.buckets.len() == bounds.len() + 1 && total == u128::from(histogram.count);
    ascend && numbers && (none || adds_up)
}

/// The sum of the observed values where it only grows; it may not stand beside buckets of negative values.
pub fn monotonic_sum(histogram: &Histogram) -> Option<f64> {
    let negative_buckets = histogram.bounds.first().is_some_and(|bound| *bound < 0.0);
    (histogram.sum >= 0.0 && !negative_buckets).then_some(histogram.sum)
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
