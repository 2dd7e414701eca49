//! Calls and durations of spans: what the Collector's span metrics connector counts, by its names and values.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::identities::{Identities, IdentityId};
use super::time::SpanTime;
use crate::config;
use crate::observe::{Scalar, Span};
use crate::series::{
    Bounds, Distribution, Exemplar, Family, Key, Kind, Label, LabelValue, Merge, Parts, Point, Series, Stored, Table,
    Value, parts,
};
use crate::units::{UnixNanos, nanos};

const SCOPE: &str = "qiyas/spans";

/// What is kept of one label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanSeries {
    durations: Distribution,
    exemplar: Option<StoredExemplar>,
}

/// The newest span of a series that had a trace id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoredExemplar {
    pub time: UnixNanos,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub value: u64,
}

impl StoredExemplar {
    /// `None` where the span carries no valid ids.
    pub fn of(record: &[u8], span: &Span, time: UnixNanos, value: u64) -> Option<Self> {
        let trace_id = span.trace_id.get(record).try_into().ok()?;
        let span_id = span.span_id.get(record).try_into().ok()?;
        Some(Self { time, trace_id, span_id, value })
    }

    pub fn show(&self, per_shown: f64) -> Exemplar {
        Exemplar {
            value: self.value as f64 / per_shown,
            time: self.time,
            trace_id: self.trace_id,
            span_id: self.span_id,
        }
    }
}

impl Merge for SpanSeries {
    fn merge(&mut self, other: &Self) {
        self.durations.merge(&other.durations);
        self.exemplar = self.exemplar.max(other.exemplar);
    }
}

/// A span as the fold sees it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub identity: IdentityId,
    pub span: &'a Span,
    pub time: SpanTime,
    /// How many spans it stands for.
    pub times: u64,
}

/// The measure.
pub struct Spans {
    table: Table<SpanSeries>,
    bounds: Bounds,
    unit: &'static str,
    exponential: bool,
    exemplars: bool,
    dimensions: Vec<String>,
    key: Key,
}

impl Spans {
    pub fn new(settings: &config::Spans, budget: usize, seed: u64) -> Self {
        let (per_shown, unit) = match settings.unit {
            config::DurationUnit::Seconds => (1e9, "s"),
            config::DurationUnit::Milliseconds => (1e6, "ms"),
        };
        let bounds = settings.buckets.iter().map(|bound| nanos((*bound).into())).collect();
        Self {
            table: Table::new(budget, seed),
            bounds: Bounds::new(bounds, per_shown),
            unit,
            exponential: settings.histogram == config::Histogram::Exponential,
            exemplars: settings.exemplars,
            dimensions: settings.dimensions.clone(),
            key: Key::default(),
        }
    }

    /// Counts a span. `dimensions` are its configured dimensions, each the span's value or else its resource's.
    #[inline]
    pub fn fold(&mut self, record: &[u8], seen: &Seen<'_>, dimensions: impl Iterator<Item = Scalar>, now: UnixNanos) {
        let Seen { identity, span, time, times } = *seen;
        self.key.clear().push(&identity.to_bytes()).push(&[span.kind, span.status]).push(span.name.get(record));
        for dimension in dimensions {
            push_scalar(&mut self.key, record, dimension);
        }
        let (bounds, exponential) = (&self.bounds, self.exponential);
        let series = self.table.entry(self.key.as_bytes(), now, || SpanSeries {
            durations: Distribution::new(bounds, exponential),
            exemplar: None,
        });
        series.value.durations.record(bounds, time.duration_ns, times);
        if self.exemplars
            && let Some(exemplar) = StoredExemplar::of(record, span, time.event, time.duration_ns)
        {
            series.value.exemplar = series.value.exemplar.max(Some(exemplar));
        }
    }

    pub fn table(&self) -> &Table<SpanSeries> {
        &self.table
    }

    pub fn table_mut(&mut self) -> &mut Table<SpanSeries> {
        &mut self.table
    }

    pub fn store(&self) -> Stored<SpanSeries> {
        self.table.store()
    }

    pub fn families(&self, identities: &Identities, now: UnixNanos) -> Vec<Family> {
        let mut calls = Vec::with_capacity(self.table.len());
        let mut durations = Vec::with_capacity(self.table.len());
        for series in self.table.iter().chain(self.table.overflow()) {
            let (identity, labels) = self.labels(series, identities);
            let count = i64::try_from(series.value.durations.count()).unwrap_or(i64::MAX);
            let point = |value, exemplars| Point {
                identity: identity.clone(),
                labels: labels.clone(),
                start: series.start,
                time: now,
                value,
                exemplars,
            };
            let exemplar = series.value.exemplar.map(|exemplar| exemplar.show(self.bounds.per_shown));
            calls.push(point(Value::Int(count), Vec::new()));
            let shown = series.value.durations.show(&self.bounds);
            durations.push(point(Value::Histogram(shown), exemplar.into_iter().collect()));
        }
        vec![
            Family {
                name: "traces.span.metrics.calls".into(),
                description: "Spans, each counted for as many as it stands for.".into(),
                unit: "".into(),
                kind: Kind::Counter,
                scope: SCOPE.into(),
                points: calls,
            },
            Family {
                name: "traces.span.metrics.duration".into(),
                description: "Duration of spans.".into(),
                unit: self.unit.into(),
                kind: Kind::Histogram,
                scope: SCOPE.into(),
                points: durations,
            },
        ]
    }

    fn labels(
        &self,
        series: &Series<SpanSeries>,
        identities: &Identities,
    ) -> (Option<Arc<crate::series::Identity>>, Vec<Label>) {
        if series.key.is_empty() {
            return (None, vec![overflow_label()]);
        }
        let mut key = parts(&series.key);
        let identity = identities.get(IdentityId::from_bytes(key.part()));
        let (kind, status) = match key.part() {
            [kind, status] => (*kind, *status),
            _ => (0, 0),
        };
        let name = identity.as_ref().map_or_else(|| Arc::from(""), |identity| Arc::clone(&identity.name));
        let mut labels = vec![
            Label::text("service.name", name),
            Label::text("span.name", &*key.text()),
            Label::text("span.kind", kind_name(kind)),
            Label::text("status.code", status_name(status)),
        ];
        let values = self.dimensions.iter().filter_map(|dimension| {
            let value = take_scalar(&mut key)?;
            Some(Label { key: dimension.clone().into(), value })
        });
        labels.extend(values);
        (identity, labels)
    }
}

/// The label of a measure's overflow series.
pub fn overflow_label() -> Label {
    Label::text("otel.metric.overflow", "true")
}

fn push_scalar(key: &mut Key, record: &[u8], scalar: Scalar) {
    match scalar {
        Scalar::Absent => key.push(&[]).push(&[]),
        Scalar::Text(range) => key.push(b"s").push(range.get(record)),
        Scalar::Int(int) => key.push(b"i").push(&int.to_le_bytes()),
        Scalar::Bool(flag) => key.push(b"b").push(&[u8::from(flag)]),
        Scalar::Double(double) => key.push(b"d").push(&double.to_bits().to_le_bytes()),
    };
}

pub fn take_scalar(key: &mut Parts<'_>) -> Option<LabelValue> {
    let (kind, value) = (key.part(), key.part());
    let word = || value.try_into().map_or(0, u64::from_le_bytes);
    match kind {
        b"s" => Some(LabelValue::Text(String::from_utf8_lossy(value).into())),
        b"i" => Some(LabelValue::Int(word() as i64)),
        b"b" => Some(LabelValue::Bool(value == [1])),
        b"d" => Some(LabelValue::Double(f64::from_bits(word()))),
        _ => None,
    }
}

fn kind_name(kind: u8) -> &'static str {
    match kind {
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "SPAN_KIND_UNSPECIFIED",
    }
}

fn status_name(status: u8) -> &'static str {
    match status {
        1 => "STATUS_CODE_OK",
        2 => "STATUS_CODE_ERROR",
        _ => "STATUS_CODE_UNSET",
    }
}
