use std::sync::Arc;

use super::*;
use crate::config::TranslationStrategy;
use crate::expose::prometheus::assemble::assemble;
use crate::expose::prometheus::escaping::Escaping;
use crate::expose::prometheus::labels::Form;
use crate::expose::prometheus::naming::Namer;
use crate::series::{Exponential, Family, Identity, Kind, Label, Point, Value};
use prost::Message;

/// The messages as a reader declares them.
mod client {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetricFamily {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub help: String,
        #[prost(int32, tag = "3")]
        pub kind: i32,
        #[prost(message, repeated, tag = "4")]
        pub metric: Vec<Metric>,
        #[prost(string, tag = "5")]
        pub unit: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub gauge: Option<Simple>,
        #[prost(message, optional, tag = "3")]
        pub counter: Option<Simple>,
        #[prost(message, optional, tag = "7")]
        pub histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct LabelPair {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Simple {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(message, optional, tag = "2")]
        pub exemplar: Option<Exemplar>,
        #[prost(message, optional, tag = "3")]
        pub created: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Histogram {
        #[prost(uint64, tag = "1")]
        pub count: u64,
        #[prost(double, optional, tag = "2")]
        pub sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub schema: Option<i32>,
        #[prost(double, tag = "6")]
        pub zero_threshold: f64,
        #[prost(uint64, tag = "7")]
        pub zero_count: u64,
        #[prost(message, repeated, tag = "12")]
        pub positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "13")]
        pub positive_delta: Vec<i64>,
        #[prost(message, optional, tag = "15")]
        pub created: Option<Timestamp>,
        #[prost(message, repeated, tag = "16")]
        pub exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Bucket {
        #[prost(uint64, tag = "1")]
        pub cumulative_count: u64,
        #[prost(double, tag = "2")]
        pub upper_bound: f64,
        #[prost(message, optional, tag = "3")]
        pub exemplar: Option<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BucketSpan {
        #[prost(sint32, tag = "1")]
        pub offset: i32,
        #[prost(uint32, tag = "2")]
        pub length: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<LabelPair>,
        #[prost(double, tag = "2")]
        pub value: f64,
        #[prost(message, optional, tag = "3")]
        pub timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Timestamp {
        #[prost(int64, tag = "1")]
        pub seconds: i64,
        #[prost(int32, tag = "2")]
        pub nanos: i32,
    }
}

use client::{Bucket, BucketSpan, LabelPair, MetricFamily, Timestamp};

fn exposed(families: &[Family], namer: Namer) -> Vec<MetricFamily> {
    let encoded = encode(&assemble(families, namer, Form::Protobuf));
    let mut rest = encoded.as_slice();
    let mut all = Vec::new();
    while !rest.is_empty() {
        all.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    all
}

fn point(labels: Vec<Label>, value: Value) -> Point {
    let identity = Identity { name: "cart".into(), instance: "pod-1".into(), ..Identity::default() };
    Point {
        identity: Some(Arc::new(identity)),
        labels,
        start: UnixNanos(1_700_000_000_500_000_000),
        time: UnixNanos(1_700_000_060_000_000_000),
        value,
        exemplars: vec![Exemplar {
            value: 0.7,
            time: UnixNanos(1_700_000_001_000_000_002),
            trace_id: [0xab; 16],
            span_id: [0x12; 8],
        }],
    }
}

fn family(name: &'static str, unit: &'static str, kind: Kind, point: Point) -> Family {
    Family {
        name: name.into(),
        description: "A \"help\" text.".into(),
        unit: unit.into(),
        kind,
        scope: "".into(),
        points: vec![point],
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    LabelPair { name: name.to_owned(), value: value.to_owned() }
}

fn exemplar() -> Option<client::Exemplar> {
    Some(client::Exemplar {
        label: vec![pair("trace_id", &"ab".repeat(16)), pair("span_id", &"12".repeat(8))],
        value: 0.7,
        timestamp: Some(Timestamp { seconds: 1_700_000_001, nanos: 2 }),
    })
}

const CREATED: Option<Timestamp> = Some(Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 });

#[test]
fn counters_gauges_and_target_info() {
    let families = [
        family(
            "system.cpu.time",
            "s",
            Kind::Counter,
            point(vec![Label::text("a.b", "\"\n\0"), Label::text("c", "")], Value::Int(7)),
        ),
        family("up", "", Kind::Gauge, point(Vec::new(), Value::Float(f64::INFINITY))),
    ];
    let [counter, target, gauge] = exposed(&families, Namer::default()).try_into().unwrap();
    assert_eq!(
        (counter.name.as_str(), counter.kind, counter.unit.as_str()),
        ("system_cpu_time_seconds_total", 0, "seconds")
    );
    assert_eq!(counter.help, "A \"help\" text.");
    let metric = &counter.metric[0];
    assert_eq!(metric.label, [pair("a_b", "\"\n\u{FFFD}"), pair("instance", "pod-1"), pair("job", "cart")]);
    let value = metric.counter.as_ref().unwrap();
    assert_eq!((value.value, value.exemplar.clone(), value.created.clone()), (7.0, exemplar(), CREATED));
    assert_eq!((target.name.as_str(), target.kind), ("target_info", 1));
    assert_eq!(target.metric[0].gauge.as_ref().unwrap().value, 1.0);
    assert_eq!((gauge.name.as_str(), gauge.kind), ("up", 1));
    let value = gauge.metric[0].gauge.as_ref().unwrap();
    assert_eq!((value.value, &value.exemplar, value.created.clone()), (f64::INFINITY, &None, None));
}

#[test]
fn native_histogram_beside_its_buckets() {
    let histogram = Histogram {
        count: 6,
        sum: 2.25,
        min: None,
        max: None,
        bounds: [0.5, 1.0].into(),
        buckets: vec![1, 2, 3],
        exponential: Some(Exponential {
            scale: 1,
            zero_count: 1,
            offset: -2,
            buckets: vec![2, 0, 3],
            ..Exponential::default()
        }),
    };
    let families = [family("d", "s", Kind::Histogram, point(Vec::new(), Value::Histogram(histogram)))];
    let family = exposed(&families, Namer::default()).remove(0);
    assert_eq!((family.name.as_str(), family.kind), ("d_seconds", 4));
    let histogram = family.metric[0].histogram.clone().unwrap();
    assert_eq!((histogram.count, histogram.sum, histogram.created), (6, Some(2.25), CREATED));
    let bucket = |cumulative_count, upper_bound, exemplar| Bucket { cumulative_count, upper_bound, exemplar };
    let expected = [bucket(1, 0.5, None), bucket(3, 1.0, exemplar()), bucket(6, f64::INFINITY, None)];
    assert_eq!(histogram.bucket, expected);
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.zero_count), (Some(1), 1e-128, 1));
    assert_eq!(histogram.positive_span, [BucketSpan { offset: -1, length: 3 }]);
    assert_eq!(histogram.positive_delta, [2, -2, 3]);
    assert_eq!(histogram.exemplars, [exemplar().unwrap()]);
}

#[test]
fn a_histogram_without_the_exponential_form_is_classic_alone() {
    let histogram = Histogram {
        count: 1,
        sum: 1.0,
        min: None,
        max: None,
        bounds: [1.0].into(),
        buckets: vec![1, 0],
        exponential: None,
    };
    let families = [family("d", "", Kind::Histogram, point(Vec::new(), Value::Histogram(histogram)))];
    let histogram = exposed(&families, Namer::default()).remove(0).metric.remove(0).histogram.unwrap();
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.positive_span.len()), (None, 0.0, 0));
}

#[test]
fn names_are_not_quoted() {
    let namer = Namer { strategy: TranslationStrategy::NoTranslation, escaping: Escaping::AllowUtf8 };
    let families = [family("a.\"b", "", Kind::Gauge, point(vec![Label::text("c.\"d", "x")], Value::Int(1)))];
    let family = exposed(&families, namer).remove(0);
    assert_eq!((family.name.as_str(), family.metric[0].label[0].name.as_str()), ("a.\"b", "c.\"d"));
}

/// Scenario: more metrics than one length byte can say. Guarantees: long messages are led by their whole length.
#[test]
fn large_families() {
    let mut large = family("m", "", Kind::Gauge, point(Vec::new(), Value::Int(0)));
    large.points = (0..1000).map(|index| point(vec![Label::text("k", "x".repeat(index))], Value::Int(1))).collect();
    let families = exposed(&[large], Namer::default());
    assert_eq!(families[0].metric.len(), 1000);
}
