//! The protobuf format: `io.prometheus.client.MetricFamily` messages, each led by its length.
//!
//! The one format that carries native histograms, beside their classic buckets, and the start of every counter,
//! histogram and summary without a series of its own. Names are those of the text format: a counter's family ends in `_total`.
//!
//! Field numbers are those of `prometheus/client_model`, `io/prometheus/client/metrics.proto`. Messages are written
//! straight into the answer: the structs of a generated encoder would take a multiple of the answer's memory.

use crate::series::{Exemplar, Histogram, Summary};
use crate::units::UnixNanos;

use super::assemble::{Exposed, Scrape, Series, Shown, Type, monotonic_sum};
use super::exemplars;
use super::native::{Buckets, Native};
use super::wire::{bytes, double, nested, packed_zigzag, varint, zigzag};

/// The exposition of a whole scrape, whose labels are in protobuf form.
pub fn encode(scrape: &Scrape<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut family_bytes = Vec::new();
    for family in &scrape.families {
        // Its own buffer: the length before a family of megabytes would move them all.
        family_bytes.clear();
        write_family(&mut family_bytes, scrape, family);
        prost::encoding::encode_varint(family_bytes.len() as u64, &mut out);
        out.extend_from_slice(&family_bytes);
    }
    out
}

mod field {
    pub mod family {
        pub const NAME: u32 = 1;
        pub const HELP: u32 = 2;
        pub const TYPE: u32 = 3;
        pub const METRIC: u32 = 4;
        pub const UNIT: u32 = 5;
    }
    pub mod metric {
        pub const GAUGE: u32 = 2;
        pub const COUNTER: u32 = 3;
        pub const SUMMARY: u32 = 4;
        pub const HISTOGRAM: u32 = 7;
    }
    pub mod simple {
        pub const VALUE: u32 = 1;
        pub const EXEMPLAR: u32 = 2;
        pub const CREATED: u32 = 3;
    }
    pub mod summary {
        pub const COUNT: u32 = 1;
        pub const SUM: u32 = 2;
        pub const QUANTILE: u32 = 3;
        pub const CREATED: u32 = 4;
    }
    pub mod quantile {
        pub const QUANTILE: u32 = 1;
        pub const VALUE: u32 = 2;
    }
    pub mod histogram {
        pub const COUNT: u32 = 1;
        pub const SUM: u32 = 2;
        pub const BUCKET: u32 = 3;
        pub const SCHEMA: u32 = 5;
        pub const ZERO_THRESHOLD: u32 = 6;
        pub const ZERO_COUNT: u32 = 7;
        pub const NEGATIVE_SPAN: u32 = 9;
        pub const NEGATIVE_DELTA: u32 = 10;
        pub const POSITIVE_SPAN: u32 = 12;
        pub const POSITIVE_DELTA: u32 = 13;
        pub const CREATED: u32 = 15;
        pub const EXEMPLARS: u32 = 16;
    }
    pub mod bucket {
        pub const CUMULATIVE_COUNT: u32 = 1;
        pub const UPPER_BOUND: u32 = 2;
        pub const EXEMPLAR: u32 = 3;
    }
    pub mod span {
        pub const OFFSET: u32 = 1;
        pub const LENGTH: u32 = 2;
    }
    pub mod exemplar {
        pub const LABEL: u32 = 1;
        pub const VALUE: u32 = 2;
        pub const TIMESTAMP: u32 = 3;
    }
    pub mod label {
        pub const NAME: u32 = 1;
        pub const VALUE: u32 = 2;
    }
    pub mod timestamp {
        pub const SECONDS: u32 = 1;
        pub const NANOS: u32 = 2;
    }
}

fn write_family(out: &mut Vec<u8>, scrape: &Scrape<'_>, family: &Exposed<'_>) {
    bytes(out, field::family::NAME, family.name.full.as_bytes());
    if !family.help.is_empty() {
        bytes(out, field::family::HELP, family.help.as_bytes());
    }
    let kind = match family.kind {
        Type::Counter => 0,
        Type::Gauge | Type::Info => 1,
        Type::Summary => 2,
        Type::Histogram => 4,
    };
    varint(out, field::family::TYPE, kind);
    let mut in_buckets = Vec::new();
    for series in &family.series {
        nested(out, field::family::METRIC, |out| {
            out.extend_from_slice(scrape.labels(series));
            write_value(out, family.kind, series, &mut in_buckets);
        });
    }
    if let Some(unit) = &family.name.unit {
        bytes(out, field::family::UNIT, unit.as_bytes());
    }
}

fn write_value<'a>(out: &mut Vec<u8>, kind: Type, series: &Series<'a>, in_buckets: &mut Vec<Option<&'a Exemplar>>) {
    let number = match series.value {
        Shown::Int(value) => value as f64,
        Shown::Float(value) => value,
        Shown::Histogram(histogram) => {
            nested(out, field::metric::HISTOGRAM, |out| write_histogram(out, series, histogram, in_buckets));
            return;
        }
        Shown::Summary(summary) => {
            nested(out, field::metric::SUMMARY, |out| write_summary(out, series, summary));
            return;
        }
    };
    if kind != Type::Counter {
        nested(out, field::metric::GAUGE, |out| double(out, field::simple::VALUE, number));
        return;
    }
    nested(out, field::metric::COUNTER, |out| {
        double(out, field::simple::VALUE, number);
        if let Some(exemplar) = exemplars::newest(series.exemplars) {
            write_exemplar(out, field::simple::EXEMPLAR, exemplar);
        }
        write_time(out, field::simple::CREATED, series.start);
    });
}

fn write_summary(out: &mut Vec<u8>, series: &Series<'_>, summary: &Summary) {
    varint(out, field::summary::COUNT, summary.count);
    if !summary.sum.is_nan() {
        double(out, field::summary::SUM, summary.sum);
    }
    for (quantile, value) in &summary.quantiles {
        nested(out, field::summary::QUANTILE, |out| {
            double(out, field::quantile::QUANTILE, *quantile);
            double(out, field::quantile::VALUE, *value);
        });
    }
    write_time(out, field::summary::CREATED, series.start);
}

fn write_histogram<'a>(
    out: &mut Vec<u8>,
    series: &Series<'a>,
    histogram: &Histogram,
    in_buckets: &mut Vec<Option<&'a Exemplar>>,
) {
    varint(out, field::histogram::COUNT, histogram.count);
    if let Some(sum) = monotonic_sum(histogram) {
        double(out, field::histogram::SUM, sum);
    }
    let finite = histogram.bounds.iter().copied().filter(|bound| bound.is_finite());
    let bounds = finite.chain([f64::INFINITY]);
    exemplars::sort_into_buckets(series.exemplars, &histogram.bounds, in_buckets);
    let mut cumulative = 0_u64;
    for (index, bound) in bounds.enumerate() {
        let inside = histogram.buckets.get(index).copied().unwrap_or_default();
        cumulative = cumulative.saturating_add(inside);
        nested(out, field::histogram::BUCKET, |out| {
            let count = if bound == f64::INFINITY { histogram.count } else { cumulative };
            varint(out, field::bucket::CUMULATIVE_COUNT, count);
            double(out, field::bucket::UPPER_BOUND, bound);
            if let Some(exemplar) = in_buckets.get(index).copied().flatten() {
                write_exemplar(out, field::bucket::EXEMPLAR, exemplar);
            }
        });
    }
    if let Some(native) = Native::of(histogram) {
        write_native(out, &native, series.exemplars);
    }
    write_time(out, field::histogram::CREATED, series.start);
}

fn write_native(out: &mut Vec<u8>, native: &Native, exemplars: &[Exemplar]) {
    zigzag(out, field::histogram::SCHEMA, native.schema.into());
    double(out, field::histogram::ZERO_THRESHOLD, native.zero_threshold);
    varint(out, field::histogram::ZERO_COUNT, native.zero_count);
    write_buckets(out, field::histogram::NEGATIVE_SPAN, field::histogram::NEGATIVE_DELTA, &native.negative);
    write_buckets(out, field::histogram::POSITIVE_SPAN, field::histogram::POSITIVE_DELTA, &native.positive);
    // Prometheus takes these only with a timestamp.
    for exemplar in exemplars.iter().filter(|exemplar| exemplar.time != UnixNanos::default()) {
        if exemplars::is_shown(exemplar) {
            write_exemplar(out, field::histogram::EXEMPLARS, exemplar);
        }
    }
}

fn write_buckets(out: &mut Vec<u8>, span_field: u32, delta_field: u32, buckets: &Buckets) {
    for span in &buckets.spans {
        nested(out, span_field, |out| {
            zigzag(out, field::span::OFFSET, span.offset.into());
            varint(out, field::span::LENGTH, span.length.into());
        });
    }
    packed_zigzag(out, delta_field, &buckets.deltas);
}

fn write_exemplar(out: &mut Vec<u8>, field: u32, exemplar: &Exemplar) {
    nested(out, field, |out| {
        for (name, id) in exemplars::labels(exemplar) {
            nested(out, field::exemplar::LABEL, |out| {
                bytes(out, field::label::NAME, name.as_bytes());
                nested(out, field::label::VALUE, |out| exemplars::push_hex(out, id));
            });
        }
        double(out, field::exemplar::VALUE, exemplar.value);
        write_time(out, field::exemplar::TIMESTAMP, exemplar.time);
    });
}

/// A `google.protobuf.Timestamp`; nothing where the time is not known.
fn write_time(out: &mut Vec<u8>, field: u32, time: UnixNanos) {
    if time == UnixNanos::default() {
        return;
    }
    nested(out, field, |out| {
        varint(out, field::timestamp::SECONDS, time.0 / 1_000_000_000);
        varint(out, field::timestamp::NANOS, time.0 % 1_000_000_000);
    });
}

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;
