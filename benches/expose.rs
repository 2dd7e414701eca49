//! What one scrape costs: families of the span metrics assembled and written, and the same as OTLP.
//!
//! A histogram of 16 bounds is 19 series in Prometheus, so 20,000 series are 1,052 histograms; 20,000 attribute sets (the
//! default of `limits.series`) are 380,000 series.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qiyas::config;
use qiyas::expose::otlp::{self, Encoding};
use qiyas::expose::prometheus::assemble::assemble;
use qiyas::expose::prometheus::labels::Form;
use qiyas::expose::prometheus::naming::Namer;
use qiyas::expose::prometheus::protobuf;
use qiyas::expose::prometheus::text::{Dialect, encode};
use qiyas::series::{Exemplar, Family, Histogram, Identity, Kind, Label, Point, Value};
use qiyas::units::UnixNanos;

const BOUNDS: [f64; 16] = [0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.4, 2.0, 5.0, 10.0, 15.0];

fn durations(attribute_sets: usize) -> Vec<Family> {
    let identity = Arc::new(Identity {
        namespace: "shop".into(),
        name: "checkout".into(),
        instance: "checkout-7d9f8c6b5-x2x4z".into(),
        attributes: vec![Label::text("service.version", "1.2.3")],
    });
    let bounds: Arc<[f64]> = BOUNDS.into();
    let points = (0..attribute_sets).map(|index| Point {
        identity: Some(identity.clone()),
        labels: vec![
            Label::text("service.name", "checkout"),
            Label::text("span.name", format!("GET /products/{index}")),
            Label::text("span.kind", "SPAN_KIND_SERVER"),
            Label::text("status.code", "STATUS_CODE_UNSET"),
        ],
        start: UnixNanos(1_700_000_000_000_000_000),
        time: UnixNanos(1_700_000_060_000_000_000),
        value: Value::Histogram(Histogram {
            count: 1700 + index as u64,
            sum: 123.456_789 + index as f64,
            min: Some(0.001),
            max: Some(20.0),
            bounds: bounds.clone(),
            buckets: (0..17).map(|bucket| 100 + if bucket == 3 { index as u64 } else { 0 }).collect(),
            exponential: None,
        }),
        exemplars: vec![Exemplar {
            value: 0.3,
            time: UnixNanos(1_700_000_050_000_000_000),
            trace_id: [0xab; 16],
            span_id: [0xcd; 8],
        }],
    });
    vec![Family {
        name: "traces.span.metrics.duration".into(),
        description: "Duration of spans.".into(),
        unit: "s".into(),
        kind: Kind::Histogram,
        scope: "qiyas/spans".into(),
        points: points.collect(),
    }]
}

fn scrape(criterion: &mut Criterion) {
    for attribute_sets in [20_000 / 19, 20_000] {
        let families = durations(attribute_sets);
        let mut group = criterion.benchmark_group(format!("scrape of {attribute_sets} histograms"));
        group.sample_size(20).throughput(Throughput::Elements(attribute_sets as u64 * 19));
        group.bench_function("assemble", |bencher| bencher.iter(|| assemble(&families, Namer::default(), Form::Text)));
        let dialects = [("text", Dialect::Prometheus), ("openmetrics", Dialect::OpenMetrics { created: false })];
        for (name, dialect) in dialects {
            group.bench_function(name, |bencher| {
                bencher.iter(|| encode(&assemble(&families, Namer::default(), Form::Text), dialect));
            });
        }
        group.bench_function("protobuf", |bencher| {
            bencher.iter(|| protobuf::encode(&assemble(&families, Namer::default(), Form::Protobuf)));
        });
        group.bench_function("otlp", |bencher| {
            let encoding = Encoding { own_resource: &[], histogram: config::Histogram::Explicit, max_bytes: 3 << 20 };
            bencher.iter(|| otlp::encode(&families, encoding));
        });
        group.finish();
    }
}

criterion_group!(benches, scrape);
criterion_main!(benches);
