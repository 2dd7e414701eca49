//! Requests in, families and exposition out.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
    exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value as Number,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::config;
use crate::expose::prometheus::assemble::assemble;
use crate::expose::prometheus::labels::Form;
use crate::expose::prometheus::naming::Namer;
use crate::expose::prometheus::text::{Dialect, encode};
use crate::observe::Observer;
use crate::otlp::Signal;

const T0: u64 = 1_795_521_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
const CUMULATIVE: i32 = 2;
const DELTA: i32 = 1;

/// The measure with what surrounds it.
struct Bed {
    received: Received,
    identities: Identities,
    ignored: Ignored,
    now: u64,
}

impl Bed {
    fn new(budget: usize) -> Self {
        let received = Received::new(budget, 7);
        Self { received, identities: Identities::new(100), ignored: Ignored::new(), now: T0 }
    }

    fn send(&mut self, instance: &str, metrics: Vec<Metric>) {
        self.send_scoped(instance, Some(scope("shop.metrics", "1.4")), metrics);
    }

    fn send_scoped(&mut self, instance: &str, scope: Option<InstrumentationScope>, metrics: Vec<Metric>) {
        let attributes = vec![text("service.name", "cart"), text("service.instance.id", instance)];
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_metrics: vec![ScopeMetrics { scope, metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        };
        let bytes = request.encode_to_vec();
        let seen = Observer::new(&config::Spans::default()).observe(Signal::Metrics, &bytes).unwrap();
        let now = UnixNanos(self.now);
        let ids: Vec<IdentityId> =
            seen.resources.iter().map(|resource| self.identities.resolve(&bytes, resource, now).0).collect();
        let identities = &self.identities;
        let is_fed = |id, feed| identities.feeds(id, feed, UnixNanos(1));
        self.received.fold(&bytes, &seen, &ids, is_fed, now, &mut self.ignored);
    }

    fn families(&self) -> Vec<Family> {
        self.received.families(Showing {
            identities: &self.identities,
            heard_since: UnixNanos(self.now - 300 * SECOND),
            fed_since: UnixNanos(1),
            now: UnixNanos(self.now),
        })
    }

    /// The exposition, without `target_info`.
    fn text(&self, dialect: Dialect) -> String {
        let families = self.families();
        let scrape = assemble(&families, Namer::default(), Form::Text);
        let text = String::from_utf8(encode(&scrape, dialect)).unwrap();
        let kept = text.lines().filter(|line| !line.contains("target") && *line != "# EOF");
        kept.map(|line| format!("{line}\n")).collect()
    }

    fn value(&self, name: &str) -> Option<Value> {
        let families = self.families();
        let family = families.into_iter().find(|family| family.name == name)?;
        assert_eq!(family.points.len(), 1, "{name}");
        family.points.into_iter().next().map(|point| point.value)
    }

    fn ignored(&self) -> Vec<(&'static str, u64)> {
        self.ignored.iter().map(|(reason, points)| (*reason, *points)).collect()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn scope(name: &str, version: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.into(), version: version.into(), ..InstrumentationScope::default() }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.into(),
        unit: unit.into(),
        description: "Said by the app.".into(),
        data: Some(data),
        ..Metric::default()
    }
}

/// `start` and `time` in seconds after `T0`; a start of zero is none.
fn number(start: u64, time: u64, value: Number, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: at(start),
        time_unix_nano: T0 + time * SECOND,
        value: Some(value),
        attributes,
        ..NumberDataPoint::default()
    }
}

fn at(start: u64) -> u64 {
    if start == 0 { 0 } else { T0 + start * SECOND }
}

fn sum(name: &str, temporality: i32, monotonic: bool, data_points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum { data_points, aggregation_temporality: temporality, is_monotonic: monotonic };
    metric(name, "", Data::Sum(sum))
}

fn counter(name: &str, temporality: i32, start: u64, time: u64, value: i64) -> Metric {
    sum(name, temporality, true, vec![number(start, time, Number::AsInt(value), vec![])])
}

fn gauge(name: &str, time: u64, value: f64) -> Metric {
    let data_points = vec![number(0, time, Number::AsDouble(value), vec![])];
    metric(name, "", Data::Gauge(Gauge { data_points }))
}

fn histogram(name: &str, temporality: i32, points: Vec<HistogramDataPoint>) -> Metric {
    metric(name, "s", Data::Histogram(Histogram { data_points: points, aggregation_temporality: temporality }))
}

fn buckets(start: u64, time: u64, bounds: &[f64], counts: &[u64], sum: f64) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: at(start),
        time_unix_nano: T0 + time * SECOND,
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    }
}

fn exponential(scale: i32, zero: u64, offset: i32, counts: &[u64]) -> Metric {
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano: at(1),
        time_unix_nano: T0 + 10 * SECOND,
        count: zero + counts.iter().sum::<u64>(),
        sum: Some(6.0),
        scale,
        zero_count: zero,
        positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
        ..ExponentialHistogramDataPoint::default()
    };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: CUMULATIVE };
    metric("wait", "s", Data::ExponentialHistogram(data))
}

#[test]
fn every_kind_of_metric_in_text() {
    let mut bed = Bed::new(100);
    let quantile = |quantile, value| ValueAtQuantile { quantile, value };
    let summary = SummaryDataPoint {
        time_unix_nano: T0,
        count: 4,
        sum: 2.5,
        quantile_values: vec![quantile(0.99, 1.5), quantile(0.5, 0.25)],
        ..SummaryDataPoint::default()
    };
    let labelled = vec![
        text("z.last", "x"),
        attribute("code", any_value::Value::IntValue(200)),
        attribute("ok", any_value::Value::BoolValue(true)),
        attribute(
            "list",
            any_value::Value::ArrayValue(ArrayValue {
                values: vec![AnyValue { value: Some(any_value::Value::StringValue("a\"b".into())) }],
            }),
        ),
    ];
    bed.send(
        "pod-1",
        vec![
            sum("requests", CUMULATIVE, true, vec![number(1, 10, Number::AsInt(5), labelled)]),
            sum("inside", CUMULATIVE, false, vec![number(1, 10, Number::AsInt(-2), vec![])]),
            metric(
                "load",
                "1",
                Data::Gauge(Gauge { data_points: vec![number(0, 10, Number::AsDouble(0.25), vec![])] }),
            ),
            histogram("latency", CUMULATIVE, vec![buckets(1, 10, &[0.1, 1.0], &[1, 2, 3], 7.5)]),
            exponential(1, 1, 0, &[1, 1, 2]),
            metric("rtt", "ms", Data::Summary(Summary { data_points: vec![summary] })),
        ],
    );
    let labels = r#"instance="pod-1",job="cart",otel_scope_name="shop.metrics",otel_scope_version="1.4""#;
    let expected = format!(
        r#"# HELP inside Said by the app.
# TYPE inside gauge
inside{{{labels}}} -2
# HELP latency_seconds Said by the app.
# TYPE latency_seconds histogram
latency_seconds_bucket{{{labels},le="0.1"}} 1
latency_seconds_bucket{{{labels},le="1.0"}} 3
latency_seconds_bucket{{{labels},le="+Inf"}} 6
latency_seconds_sum{{{labels}}} 7.5
latency_seconds_count{{{labels}}} 6
# HELP load_ratio Said by the app.
# TYPE load_ratio gauge
load_ratio{{{labels}}} 0.25
# HELP requests_total Said by the app.
# TYPE requests_total counter
requests_total{{code="200",instance="pod-1",job="cart",list="[\"a\\\"b\"]",ok="true",otel_scope_name="shop.metrics",otel_scope_version="1.4",z_last="x"}} 5
# HELP rtt_milliseconds Said by the app.
# TYPE rtt_milliseconds summary
rtt_milliseconds{{{labels},quantile="0.5"}} 0.25
rtt_milliseconds{{{labels},quantile="0.99"}} 1.5
rtt_milliseconds_sum{{{labels}}} 2.5
rtt_milliseconds_count{{{labels}}} 4
# HELP wait_seconds Said by the app.
# TYPE wait_seconds histogram
wait_seconds_bucket{{{labels},le="1.0"}} 1
wait_seconds_bucket{{{labels},le="2.0"}} 3
wait_seconds_bucket{{{labels},le="4.0"}} 5
wait_seconds_bucket{{{labels},le="+Inf"}} 5
wait_seconds_sum{{{labels}}} 6
wait_seconds_count{{{labels}}} 5
"#
    );
    assert_eq!(bed.text(Dialect::Prometheus), expected);
    assert_eq!(bed.ignored(), []);
}

#[test]
fn exemplars_and_start_times_in_openmetrics() {
    let mut bed = Bed::new(100);
    let exemplar = Exemplar {
        time_unix_nano: T0,
        value: Some(opentelemetry_proto::tonic::metrics::v1::exemplar::Value::AsDouble(0.5)),
        trace_id: vec![0xab; 16],
        span_id: vec![0x12; 8],
        ..Exemplar::default()
    };
    let without_trace = Exemplar { trace_id: vec![], ..exemplar.clone() };
    let mut point = number(1, 10, Number::AsInt(5), vec![]);
    point.exemplars = vec![without_trace, exemplar];
    bed.send_scoped("", None, vec![sum("requests", CUMULATIVE, true, vec![point])]);
    let expected = "# HELP requests Said by the app.\n# TYPE requests counter\n\
        requests_total{job=\"cart\"} 5 # {trace_id=\"abababababababababababababababab\",span_id=\"1212121212121212\"} \
        0.5 1795521600\nrequests_created{job=\"cart\"} 1795521601\n";
    assert_eq!(bed.text(Dialect::OpenMetrics { created: true }), expected);
}

#[test]
fn attributes_of_a_scope_are_labels() {
    let mut bed = Bed::new(100);
    let with = |tenant| {
        let attributes = vec![text("tenant", tenant)];
        Some(InstrumentationScope { attributes, ..scope("s", "") })
    };
    bed.send_scoped("", with("a"), vec![counter("c", CUMULATIVE, 1, 10, 1)]);
    bed.send_scoped("", with("b"), vec![counter("c", CUMULATIVE, 1, 10, 2)]);
    let lines = "c_total{job=\"cart\",otel_scope_name=\"s\",otel_scope_tenant=\"a\"} 1\n\
        c_total{job=\"cart\",otel_scope_name=\"s\",otel_scope_tenant=\"b\"} 2\n";
    assert!(bed.text(Dialect::Prometheus).ends_with(lines), "{}", bed.text(Dialect::Prometheus));
}

#[test]
fn the_order_of_attributes_makes_no_series_and_their_type_does() {
    let mut bed = Bed::new(100);
    let send = |bed: &mut Bed, attributes, value| {
        bed.send("", vec![sum("c", DELTA, true, vec![number(1, 10, Number::AsInt(value), attributes)])]);
    };
    send(&mut bed, vec![text("a", "1"), text("b", "2")], 1);
    send(&mut bed, vec![text("b", "2"), text("a", "1")], 1);
    send(&mut bed, vec![text("b", "2"), text("a", "0"), text("a", "1")], 1);
    assert_eq!(bed.value("c"), Some(Value::Int(3)));
    send(&mut bed, vec![attribute("a", any_value::Value::IntValue(1)), text("b", "2")], 1);
    assert_eq!(bed.received.len(), 2);
}

#[test]
fn two_workers_that_share_an_identity_add_up_and_a_restart_loses_nothing() {
    let mut bed = Bed::new(100);
    bed.send("", vec![counter("c", CUMULATIVE, 1, 10, 100)]);
    bed.send("", vec![counter("c", CUMULATIVE, 2, 10, 50)]);
    bed.send("", vec![counter("c", CUMULATIVE, 1, 20, 110)]);
    assert_eq!(bed.value("c"), Some(Value::Int(160)));
    bed.send("", vec![counter("c", CUMULATIVE, 30, 40, 3)]);
    assert_eq!(bed.value("c"), Some(Value::Int(163)), "a third process");
    bed.send("", vec![counter("c", CUMULATIVE, 1, 50, 4)]);
    assert_eq!(bed.value("c"), Some(Value::Int(167)), "a reset under one start time");
    assert_eq!(bed.ignored(), []);
}

#[test]
fn a_seventeenth_start_time_is_counted_and_its_value_stays() {
    let mut bed = Bed::new(100);
    for start in 1..=20 {
        bed.send("", vec![counter("c", CUMULATIVE, start, 60, 1)]);
        bed.now += 1;
    }
    assert_eq!(bed.value("c"), Some(Value::Int(20)));
    assert_eq!(bed.ignored(), [("folded_start", 4)]);
}

#[test]
fn the_last_gauge_wins_by_its_time() {
    let mut bed = Bed::new(100);
    for (time, value) in [(10, 1.0), (30, 3.0), (20, 2.0)] {
        bed.send("", vec![gauge("g", time, value)]);
    }
    assert_eq!(bed.value("g"), Some(Value::Float(3.0)));
    assert_eq!(bed.ignored(), [("out_of_order", 1)]);
}

#[test]
fn no_recorded_value_ends_a_series_and_silence_hides_it() {
    let mut bed = Bed::new(100);
    let gone = NumberDataPoint { flags: 1, value: None, ..number(1, 20, Number::AsInt(0), vec![]) };
    bed.send("", vec![counter("c", CUMULATIVE, 1, 10, 1), gauge("g", 10, 1.0)]);
    bed.send("", vec![sum("c", CUMULATIVE, true, vec![gone])]);
    assert_eq!((bed.value("c"), bed.value("g")), (None, Some(Value::Float(1.0))));
    bed.now += 300 * SECOND;
    assert!(bed.value("g").is_some());
    bed.now += 1;
    assert_eq!(bed.value("g"), None, "stale before it is swept");
    bed.received.expire(UnixNanos(bed.now), Duration::from_secs(300));
    assert_eq!((bed.received.len(), bed.received.metrics.len()), (0, 0));
    assert_eq!(bed.ignored(), []);
}

/// Scenario: what no sender should send.
/// Guarantees: each point is counted under its reason and shown nowhere, and the scrape is one that parses.
#[test]
fn bad_points_are_counted_by_reason() {
    let mut bed = Bed::new(100);
    let double = |value| number(1, 10, Number::AsDouble(value), vec![]);
    let none = NumberDataPoint { value: None, ..double(0.0) };
    let odd = |change: fn(&mut HistogramDataPoint)| {
        let mut point = buckets(1, 10, &[1.0, 2.0], &[1, 2, 3], 1.0);
        change(&mut point);
        point
    };
    let quantiles = |quantiles: &[f64]| {
        let quantile_values = quantiles.iter().map(|quantile| ValueAtQuantile { quantile: *quantile, value: 1.0 });
        let point =
            SummaryDataPoint { time_unix_nano: T0, quantile_values: quantile_values.collect(), ..Default::default() };
        metric("q", "", Data::Summary(Summary { data_points: vec![point] }))
    };
    bed.send(
        "",
        vec![
            gauge("", 10, 1.0),
            sum("c", 0, true, vec![double(1.0)]),
            sum("c", CUMULATIVE, true, vec![double(f64::NAN), double(f64::INFINITY), double(-1.0), none]),
            histogram(
                "h",
                CUMULATIVE,
                vec![
                    odd(|point| point.count = 7),
                    odd(|point| point.bucket_counts = vec![6]),
                    odd(|point| point.explicit_bounds = vec![2.0, 1.0]),
                    odd(|point| point.explicit_bounds = vec![1.0, f64::NAN]),
                    odd(|point| point.bucket_counts = vec![u64::MAX, 7, 0]),
                    odd(|point| point.sum = Some(f64::NAN)),
                    odd(|point| point.explicit_bounds = (0..5000).map(f64::from).collect()),
                ],
            ),
            exponential(0, 0, i32::MAX, &[1]),
            quantiles(&[1.5]),
            quantiles(&[f64::NAN]),
            quantiles(&[0.5; 65]),
            Metric { data: None, ..gauge("nothing", 1, 1.0) },
        ],
    );
    assert_eq!(
        bed.ignored(),
        [
            ("bad_buckets", 6),
            ("bad_quantile", 2),
            ("below_zero", 1),
            ("no_name", 1),
            ("no_temporality", 1),
            ("no_value", 1),
            ("not_finite", 3),
            ("too_many_buckets", 2),
        ]
    );
    assert_eq!((bed.text(Dialect::Prometheus).as_str(), bed.received.len()), ("", 0));
    bed.send("", vec![gauge("g", 10, f64::NAN)]);
    assert!(
        bed.text(Dialect::Prometheus)
            .ends_with("g{job=\"cart\",otel_scope_name=\"shop.metrics\",otel_scope_version=\"1.4\"} NaN\n")
    );
}

#[test]
fn implausible_times_are_replaced_and_counted() {
    let mut bed = Bed::new(100);
    let point = |time_unix_nano| NumberDataPoint { time_unix_nano, ..number(0, 0, Number::AsInt(1), vec![]) };
    bed.send("", vec![sum("c", DELTA, true, vec![point(0), point(T0 * 2), point(1), point(T0)])]);
    assert_eq!(bed.value("c"), Some(Value::Int(4)));
    assert_eq!(bed.ignored(), [("ancient", 1), ("future", 1), ("no_time", 1)]);
}

#[test]
fn ten_thousand_label_values_stay_within_the_budget() {
    let mut bed = Bed::new(50);
    let points = (0..10_000).map(|index| number(1, 10, Number::AsInt(1), vec![text("id", &index.to_string())]));
    bed.send("", vec![sum("c", CUMULATIVE, true, points.collect())]);
    bed.send("", vec![gauge("late", 10, 1.0)]);
    assert_eq!((bed.received.len(), bed.received.metrics.len()), (50, 1));
    assert_eq!(bed.received.overflowed(), 9_951);
    assert_eq!(bed.ignored(), [("series_overflow", 9_951)]);
}

/// Scenario: one name as counter, gauge and histogram, and labels that become one.
/// Guarantees: the elder type stays, however the newcomer sorts; nothing stands twice.
#[test]
fn of_two_types_under_one_name_the_elder_stays() {
    let mut bed = Bed::new(100);
    bed.send("", vec![sum("z.inside", CUMULATIVE, false, vec![number(1, 10, Number::AsInt(1), vec![])])]);
    bed.now += SECOND;
    bed.send("", vec![histogram("z_inside", CUMULATIVE, vec![buckets(1, 10, &[], &[1], 1.0)]), gauge("a", 1, 1.0)]);
    let colliding = |key| number(1, 10, Number::AsInt(1), vec![text(key, "1")]);
    bed.send("", vec![sum("c", DELTA, true, vec![colliding("a.b"), colliding("a_b")])]);
    let families = bed.families();
    let scrape = assemble(&families, Namer::default(), Form::Text);
    assert_eq!((scrape.left_out.duplicate, scrape.left_out.families.len()), (1, 0));
    let unitless = |mut metric: Metric| {
        metric.unit.clear();
        metric
    };
    bed.send("", vec![unitless(histogram("z_inside", CUMULATIVE, vec![buckets(1, 10, &[], &[1], 1.0)]))]);
    let families = bed.families();
    let scrape = assemble(&families, Namer::default(), Form::Text);
    assert_eq!(scrape.left_out.families, ["z_inside"]);
    assert!(bed.text(Dialect::Prometheus).contains("# TYPE z_inside gauge\n"));
}

/// Scenario: an app whose own instrumentation exports what we derive from its spans.
#[test]
fn what_we_derive_is_not_shown_twice() {
    let mut bed = Bed::new(100);
    let theirs = |time| counter("traces.span.metrics.calls", DELTA, 1, time, 1);
    bed.send("a", vec![theirs(10)]);
    assert_eq!(bed.value("traces.span.metrics.calls"), Some(Value::Int(1)), "no span of it was seen");
    let id = *bed
        .received
        .table
        .iter()
        .map(|series| IdentityId::from_bytes(parts(&series.key).part()))
        .collect::<Vec<_>>()
        .first()
        .unwrap();
    bed.identities.feed(id, Feed::Spans, UnixNanos(bed.now));
    assert_eq!(bed.value("traces.span.metrics.calls"), None);
    bed.send("a", vec![theirs(20), counter("gen_ai.client.token.usage", DELTA, 1, 20, 1)]);
    bed.send("b", vec![theirs(20)]);
    assert_eq!(bed.ignored(), [("repeated", 1)], "of this app, of this feed");
    assert_eq!(bed.families().len(), 2);
}

#[test]
fn host_metrics_have_their_scope_and_no_identity() {
    let mut bed = Bed::new(100);
    bed.received = Received::own("qiyas/host", 100, 7);
    bed.send("pod-1", vec![gauge("system.uptime", 10, 5.0)]);
    let families = bed.families();
    assert_eq!(families[0].scope, Scope::from("qiyas/host"));
    assert_eq!((families[0].points[0].identity.as_ref(), families[0].points[0].start), (None, UnixNanos(0)));
}

/// One life of a process: what it counted between its exports, and in which buckets.
fn lives() -> impl Strategy<Value = Vec<Vec<[u8; 3]>>> {
    prop::collection::vec(prop::collection::vec(any::<[u8; 3]>(), 1..6), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Guarantees: whether a process sends deltas or cumulative values, and whether it restarts, the endpoint shows the
    /// same, for sums and for histograms, and it is what was counted.
    #[test]
    fn delta_and_cumulative_senders_are_equal(lives in lives()) {
        let (mut delta, mut cumulative) = (Bed::new(100), Bed::new(100));
        let (mut now, mut counted) = (1, 0);
        for life in lives {
            let start = now;
            let mut total = [0_u64; 3];
            for added in life {
                let added = added.map(u64::from);
                let (before, count) = (now, added.iter().sum::<u64>());
                now += 1;
                counted += count;
                total.iter_mut().zip(added).for_each(|(total, added)| *total += added);
                let send = |bed: &mut Bed, temporality, start, counts: [u64; 3]| {
                    let count: u64 = counts.iter().sum();
                    bed.send("", vec![
                        counter("c", temporality, start, now, count as i64),
                        histogram("h", temporality, vec![buckets(start, now, &[1.0, 2.0], &counts, count as f64 / 8.0)]),
                    ]);
                };
                send(&mut delta, DELTA, before, added);
                send(&mut cumulative, CUMULATIVE, start, total);
            }
        }
        prop_assert_eq!(delta.text(Dialect::OpenMetrics { created: true }), cumulative.text(Dialect::OpenMetrics { created: true }));
        prop_assert_eq!(cumulative.value("c"), Some(Value::Int(counted as i64)));
        prop_assert_eq!(delta.ignored(), []);
    }

    /// Guarantees: states that were folded apart merge to one, in any order and grouping, and come back from storage.
    #[test]
    fn merging_is_associative_and_commutative(
        points in prop::collection::vec((0_usize..3, 0_u64..4, 1_u64..40, 0_i64..50, any::<bool>()), 0..40),
    ) {
        let mut beds = [Bed::new(100), Bed::new(100), Bed::new(100)];
        for (bed, start, time, value, delta) in points {
            let temporality = if delta { DELTA } else { CUMULATIVE };
            let counts = [value as u64, 1, 2];
            beds[bed].send("", vec![
                counter("c", temporality, start, time, value),
                gauge("g", time, value as f64),
                histogram("h", temporality, vec![buckets(start, time, &[1.0, start as f64 + 2.0], &counts, 1.0)]),
            ]);
        }
        let merged = |order: &[usize]| {
            let mut all = Received::new(100, 9);
            for index in order {
                all.merge(&beds[*index].received);
            }
            all
        };
        let stored = |received: &Received| postcard::to_stdvec(&received.store()).unwrap();
        let mut nested = merged(&[0]);
        nested.merge(&merged(&[1, 2]));
        prop_assert_eq!(stored(&merged(&[0, 1, 2])), stored(&nested));
        prop_assert_eq!(stored(&merged(&[0, 1, 2])), stored(&merged(&[2, 0, 1])));
        let bytes = stored(&nested);
        let restored = Received::new(100, 3).restore(3, postcard::from_bytes(&bytes).unwrap());
        prop_assert_eq!(stored(&restored), bytes);
    }
}
