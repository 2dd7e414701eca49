//! The text formats: Prometheus text (0.0.4 and 1.0.0) and OpenMetrics (0.0.1 and 1.0.0).
//!
//! - Every byte is UTF-8 without NUL; every line ends in a line feed; OpenMetrics ends in `# EOF`.
//! - Metadata stands once, before a family's samples; the samples of one histogram or summary stand together, buckets ascending
//!   and cumulative up to `+Inf`, which equals `_count`.
//! - The numbers of `le` are canonical in every format, so that a series keeps its identity when a scraper changes
//!   format.
//!
//! The two formats share everything but the metadata, exemplars and `_created`; version 1.0.0 of each differs from its
//! elder only in what [`naming`](super::naming) and [`mod@super::escaping`] did to the names before.

use crate::series::{Exemplar, Histogram};
use crate::units::UnixNanos;

use super::assemble::{Exposed, Scrape, Series, Shown, Type, monotonic_sum};
use super::escaping;
use super::exemplars;
use super::labels::push_escaped;
use super::number::{canonical, push_f64, push_i64, push_seconds, push_u64};

/// What tells the text formats apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Prometheus,
    OpenMetrics {
        /// Adds `_created` to counters, histograms and summaries: one more series each.
        created: bool,
    },
}

/// The exposition of a whole scrape.
pub fn encode(scrape: &Scrape<'_>, dialect: Dialect) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(expected_len(scrape)), scrape, dialect, bounds: None };
    for family in &scrape.families {
        writer.family(family);
    }
    if dialect != Dialect::Prometheus {
        writer.out.extend_from_slice(b"# EOF\n");
    }
    writer.out
}

/// About how many bytes the scrape takes, so that the buffer is allocated once.
fn expected_len(scrape: &Scrape<'_>) -> usize {
    let series_len = |family: &Exposed<'_>, series: &Series<'_>| {
        let lines = match series.value {
            Shown::Int(_) | Shown::Float(_) => 1,
            Shown::Histogram(histogram) => histogram.bounds.len() + 4,
            Shown::Summary(summary) => summary.quantiles.len() + 3,
        };
        lines * (family.name.full.len() + scrape.labels(series).len() + 32) + series.exemplars.len() * 120
    };
    let family_len = |family: &Exposed<'_>| {
        let series: usize = family.series.iter().map(|series| series_len(family, series)).sum();
        series + 3 * family.name.full.len() + family.help.len() + 64
    };
    scrape.families.iter().map(family_len).sum::<usize>() + 64
}

struct Writer<'a> {
    out: Vec<u8>,
    scrape: &'a Scrape<'a>,
    dialect: Dialect,
    /// The last bounds written and their `le="…"} `, which most histograms of a scrape share.
    bounds: Option<(&'a [f64], Vec<Vec<u8>>)>,
}

impl<'a> Writer<'a> {
    fn family(&mut self, family: &'a Exposed<'a>) {
        self.metadata(family);
        match family.kind {
            Type::Gauge | Type::Info => self.simple(family),
            Type::Counter => self.counter(family),
            Type::Histogram => self.histograms(family),
            Type::Summary => self.summaries(family),
        }
    }

    fn metadata(&mut self, family: &Exposed<'_>) {
        let openmetrics = self.dialect != Dialect::Prometheus;
        let (name, kind) = if openmetrics {
            (family.name.family(), openmetrics_type(family))
        } else {
            (family.name.full.as_str(), prometheus_type(family.kind))
        };
        let name = quoted(name);
        if !family.help.is_empty() {
            self.comment("HELP", &name);
            self.help(family.help);
        }
        self.comment("TYPE", &name);
        self.out.extend_from_slice(kind.as_bytes());
        self.out.push(b'\n');
        if let Some(unit) = family.name.unit.as_ref().filter(|_| openmetrics) {
            self.comment("UNIT", &name);
            self.out.extend_from_slice(unit.as_bytes());
            self.out.push(b'\n');
        }
    }

    fn comment(&mut self, keyword: &str, name: &[u8]) {
        for part in [b"# ", keyword.as_bytes(), b" ", name, b" "] {
            self.out.extend_from_slice(part);
        }
    }

    fn help(&mut self, help: &str) {
        if self.dialect == Dialect::Prometheus {
            // Here a double quote is not escaped.
            for (index, part) in help.split('"').enumerate() {
                if index > 0 {
                    self.out.push(b'"');
                }
                push_escaped(&mut self.out, part);
            }
        } else {
            push_escaped(&mut self.out, help);
        }
        self.out.push(b'\n');
    }

    fn simple(&mut self, family: &Exposed<'_>) {
        let opening = Opening::new(&family.name.full);
        for series in &family.series {
            self.sample(&opening, series);
            self.value(series.value);
            self.out.push(b'\n');
        }
    }

    fn counter(&mut self, family: &Exposed<'_>) {
        let opening = Opening::new(&family.name.full);
        let created = self.created_opening(family);
        let exemplars = openmetrics_type(family) == "counter";
        for series in &family.series {
            self.sample(&opening, series);
            self.value(series.value);
            if exemplars {
                self.exemplar(exemplars::newest(series.exemplars));
            }
            self.out.push(b'\n');
            self.created(created.as_ref(), series);
        }
    }

    fn histograms(&mut self, family: &'a Exposed<'a>) {
        let bucket = Opening::new(&format!("{}_bucket", family.name.full));
        let sum = Opening::new(&format!("{}_sum", family.name.full));
        let count = Opening::new(&format!("{}_count", family.name.full));
        let created = self.created_opening(family);
        let mut in_buckets = Vec::new();
        for series in &family.series {
            let Shown::Histogram(histogram) = series.value else { continue };
            self.buckets(&bucket, series, histogram, &mut in_buckets);
            let monotonic = monotonic_sum(histogram);
            // OpenMetrics has both or neither.
            if monotonic.is_some() || self.dialect == Dialect::Prometheus {
                if let Some(value) = monotonic {
                    self.sample(&sum, series);
                    push_f64(&mut self.out, value);
                    self.out.push(b'\n');
                }
                self.sample(&count, series);
                push_u64(&mut self.out, histogram.count);
                self.out.push(b'\n');
            }
            self.created(created.as_ref(), series);
        }
    }

    fn summaries(&mut self, family: &Exposed<'_>) {
        let quantile = Opening::new(&family.name.full);
        let sum = Opening::new(&format!("{}_sum", family.name.full));
        let count = Opening::new(&format!("{}_count", family.name.full));
        let created = self.created_opening(family);
        for series in &family.series {
            let Shown::Summary(summary) = series.value else { continue };
            for (at, value) in &summary.quantiles {
                let labels = self.scrape.labels(series);
                self.out.extend_from_slice(&quantile.with_labels);
                self.out.extend_from_slice(labels);
                if !labels.is_empty() {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(format!("quantile=\"{}\"}} ", canonical(*at)).as_bytes());
                push_f64(&mut self.out, *value);
                self.out.push(b'\n');
            }
            // A sum that is not a number is one that nobody told.
            if !summary.sum.is_nan() {
                self.sample(&sum, series);
                push_f64(&mut self.out, summary.sum);
                self.out.push(b'\n');
            }
            self.sample(&count, series);
            push_u64(&mut self.out, summary.count);
            self.out.push(b'\n');
            self.created(created.as_ref(), series);
        }
    }

    fn buckets(
        &mut self,
        opening: &Opening,
        series: &Series<'a>,
        histogram: &'a Histogram,
        in_buckets: &mut Vec<Option<&'a Exemplar>>,
    ) {
        let scrape = self.scrape;
        let labels = scrape.labels(series);
        let bounds: &'a [f64] = &histogram.bounds;
        let endings = match self.bounds.take() {
            Some((known, endings)) if std::ptr::eq(known, bounds) => endings,
            _ => bucket_endings(bounds),
        };
        let with_exemplars = self.dialect != Dialect::Prometheus && !series.exemplars.is_empty();
        if with_exemplars {
            exemplars::sort_into_buckets(series.exemplars, bounds, in_buckets);
        }
        let mut cumulative = 0_u64;
        let last = endings.len().saturating_sub(1);
        for (index, ending) in endings.iter().enumerate() {
            let inside = histogram.buckets.get(index).copied().unwrap_or_default();
            cumulative = cumulative.saturating_add(inside);
            self.out.extend_from_slice(&opening.with_labels);
            self.out.extend_from_slice(labels);
            if !labels.is_empty() {
                self.out.push(b',');
            }
            self.out.extend_from_slice(ending);
            push_u64(&mut self.out, if index == last { histogram.count } else { cumulative });
            if with_exemplars {
                self.exemplar(in_buckets.get(index).copied().flatten());
            }
            self.out.push(b'\n');
        }
        self.bounds = Some((bounds, endings));
    }

    fn created_opening(&self, family: &Exposed<'_>) -> Option<Opening> {
        let wanted = self.dialect == (Dialect::OpenMetrics { created: true }) && openmetrics_type(family) != "unknown";
        wanted.then(|| Opening::new(&format!("{}_created", family.name.family())))
    }

    fn created(&mut self, opening: Option<&Opening>, series: &Series<'_>) {
        let Some(opening) = opening.filter(|_| series.start != UnixNanos::default()) else { return };
        self.sample(opening, series);
        push_seconds(&mut self.out, series.start);
        self.out.push(b'\n');
    }

    /// A sample's name and labels, and the blank before its value.
    fn sample(&mut self, opening: &Opening, series: &Series<'_>) {
        let labels = self.scrape.labels(series);
        if labels.is_empty() {
            self.out.extend_from_slice(&opening.without_labels);
        } else {
            self.out.extend_from_slice(&opening.with_labels);
            self.out.extend_from_slice(labels);
            self.out.extend_from_slice(b"} ");
        }
    }

    fn value(&mut self, value: Shown<'_>) {
        match value {
            Shown::Int(value) => push_i64(&mut self.out, value),
            Shown::Float(value) => push_f64(&mut self.out, value),
            // These have lines of their own.
            Shown::Histogram(histogram) => push_u64(&mut self.out, histogram.count),
            Shown::Summary(summary) => push_u64(&mut self.out, summary.count),
        }
    }

    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        if self.dialect == Dialect::Prometheus {
            return;
        }
        let Some(exemplar) = exemplar else { return };
        let out = &mut self.out;
        out.extend_from_slice(b" # {");
        for (index, (name, id)) in exemplars::labels(exemplar).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            exemplars::push_hex(out, id);
            out.push(b'"');
        }
        out.extend_from_slice(b"} ");
        push_f64(out, exemplar.value);
        if exemplar.time != UnixNanos::default() {
            out.push(b' ');
            push_seconds(out, exemplar.time);
        }
    }
}

/// How a sample's line begins: `name{` and `name `, or `{"näme",` and `{"näme"} ` for a name outside the legacy set.
struct Opening {
    with_labels: Vec<u8>,
    without_labels: Vec<u8>,
}

impl Opening {
    fn new(name: &str) -> Self {
        let name_bytes = quoted(name);
        let legacy = escaping::is_legacy_metric(name);
        let surrounded = |before: &[u8], after: &[u8]| [before, &name_bytes, after].concat();
        if legacy {
            Self { with_labels: surrounded(b"", b"{"), without_labels: surrounded(b"", b" ") }
        } else {
            Self { with_labels: surrounded(b"{", b","), without_labels: surrounded(b"{", b"} ") }
        }
    }
}

/// A metric name, in quotes where it is outside the legacy set.
fn quoted(name: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    if escaping::is_legacy_metric(name) {
        quoted.extend_from_slice(name.as_bytes());
    } else {
        quoted.push(b'"');
        push_escaped(&mut quoted, name);
        quoted.push(b'"');
    }
    quoted
}

fn prometheus_type(kind: Type) -> &'static str {
    match kind {
        Type::Counter => "counter",
        Type::Gauge | Type::Info => "gauge",
        Type::Histogram => "histogram",
        Type::Summary => "summary",
    }
}

fn openmetrics_type(family: &Exposed<'_>) -> &'static str {
    match family.kind {
        // A strategy without suffixes leaves a counter without the `_total` that OpenMetrics demands of the type.
        Type::Counter if family.name.family() == family.name.full => "unknown",
        Type::Info => "info",
        kind @ (Type::Counter | Type::Gauge | Type::Histogram | Type::Summary) => prometheus_type(kind),
    }
}

/// `le="…"} ` of every bucket, the last one `+Inf`.
fn bucket_endings(bounds: &[f64]) -> Vec<Vec<u8>> {
    let finite = bounds.iter().copied().filter(|bound| bound.is_finite());
    finite.chain([f64::INFINITY]).map(|bound| format!("le=\"{}\"}} ", canonical(bound)).into_bytes()).collect()
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
