use super::*;
use std::sync::Arc;

fn identity(instance: &'static str) -> Option<Arc<Identity>> {
    Some(Arc::new(Identity {
        namespace: "shop".into(),
        name: "cart".into(),
        instance: instance.into(),
        attributes: vec![Label { key: "process.pid".into(), value: LabelValue::Int(7) }],
    }))
}

fn point(identity: Option<Arc<Identity>>, label: &str, value: Value) -> Point {
    Point {
        identity,
        labels: vec![Label::text("k", label)],
        start: UnixNanos(10),
        time: UnixNanos(20),
        value,
        exemplars: Vec::new(),
    }
}

fn family(name: &'static str, kind: Kind, scope: &'static str, points: Vec<Point>) -> Family {
    Family { name: name.into(), description: "d".into(), unit: "s".into(), kind, scope: scope.into(), points }
}

fn histogram(exponential: bool) -> Value {
    let exponential = exponential.then(|| Exponential {
        scale: 2,
        zero_count: 1,
        offset: -3,
        buckets: vec![0, 2],
        ..Exponential::default()
    });
    Value::Histogram(Histogram {
        count: 3,
        sum: 4.5,
        min: Some(0.0),
        max: Some(3.0),
        bounds: [1.0].into(),
        buckets: vec![1, 2],
        exponential,
    })
}

const ENCODING: Encoding<'static> =
    Encoding { own_resource: &[], histogram: config::Histogram::Exponential, max_bytes: usize::MAX };

fn decode(request: &Request) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(request.body.clone()).unwrap()
}

fn only(encoded: &Encoded) -> ExportMetricsServiceRequest {
    assert_eq!(encoded.requests.len(), 1);
    decode(&encoded.requests[0])
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(&Label::text(key.to_owned(), value))
}

#[test]
fn resources_scopes_and_values() {
    let own = [Label::text("service.name", "qiyas")];
    let exemplars = vec![Exemplar { value: 0.5, time: UnixNanos(15), trace_id: [1; 16], span_id: [0; 8] }];
    let families = [
        family(
            "calls",
            Kind::Counter,
            "qiyas/spans",
            vec![
                Point { exemplars, ..point(identity("a"), "x", Value::Int(5)) },
                point(identity("b"), "y", Value::Int(6)),
            ],
        ),
        family("depth", Kind::UpDownCounter, "other", vec![point(None, "z", Value::Int(-1))]),
        family("load", Kind::Gauge, "qiyas/spans", vec![point(identity("a"), "x", Value::Float(0.25))]),
    ];
    let encoded = encode(&families, Encoding { own_resource: &own, ..ENCODING });
    assert_eq!((encoded.left_out, encoded.requests[0].points), (0, 4));
    let request = only(&encoded);
    let resources: Vec<_> =
        request.resource_metrics.iter().map(|resource| resource.resource.clone().unwrap().attributes).collect();
    let app = |instance| {
        vec![
            text("service.namespace", "shop"),
            text("service.name", "cart"),
            text("service.instance.id", instance),
            attribute(&Label { key: "process.pid".into(), value: LabelValue::Int(7) }),
        ]
    };
    assert_eq!(resources, [vec![text("service.name", "qiyas")], app("a"), app("b")]);

    let depth = &request.resource_metrics[0].scope_metrics[0];
    assert_eq!(depth.scope.as_ref().map(|scope| (scope.name.as_str(), scope.version.as_str())), Some(("other", "")));
    let Some(Data::Sum(sum)) = &depth.metrics[0].data else { panic!("{depth:?}") };
    assert_eq!((sum.is_monotonic, sum.aggregation_temporality), (false, 2));

    let a = &request.resource_metrics[1].scope_metrics;
    assert_eq!(a.len(), 1);
    assert_eq!(a[0].scope.as_ref().unwrap().version, env!("CARGO_PKG_VERSION"));
    let names: Vec<_> = a[0].metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["calls", "load"]);
    assert_eq!((a[0].metrics[0].unit.as_str(), a[0].metrics[0].description.as_str()), ("s", "d"));
    let Some(Data::Sum(sum)) = &a[0].metrics[0].data else { panic!("{a:?}") };
    assert!(sum.is_monotonic);
    let point = &sum.data_points[0];
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (10, 20));
    assert_eq!((&point.attributes, point.value), (&vec![text("k", "x")], Some(number_data_point::Value::AsInt(5))));
    assert_eq!((&point.exemplars[0].trace_id, &point.exemplars[0].span_id), (&vec![1; 16], &vec![]));
    let Some(Data::Gauge(gauge)) = &a[0].metrics[1].data else { panic!("{a:?}") };
    assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(0.25)));
}

#[test]
fn histograms_in_the_form_asked_for() {
    let families = [family("h", Kind::Histogram, "s", vec![point(None, "x", histogram(true))])];
    let request = only(&encode(&families, ENCODING));
    let Some(Data::ExponentialHistogram(data)) = &request.resource_metrics[0].scope_metrics[0].metrics[0].data else {
        panic!("{request:?}")
    };
    let point = &data.data_points[0];
    assert_eq!((point.count, point.sum, point.min, point.max), (3, Some(4.5), Some(0.0), Some(3.0)));
    assert_eq!((point.scale, point.zero_count), (2, 1));
    assert_eq!(point.positive, Some(Buckets { offset: -3, bucket_counts: vec![0, 2] }));
    assert_eq!(data.aggregation_temporality, 2);

    let request = only(&encode(&families, Encoding { histogram: config::Histogram::Explicit, ..ENCODING }));
    let Some(Data::Histogram(data)) = &request.resource_metrics[0].scope_metrics[0].metrics[0].data else {
        panic!("{request:?}")
    };
    let point = &data.data_points[0];
    assert_eq!((&point.explicit_bounds, &point.bucket_counts), (&vec![1.0], &vec![1, 2]));
    assert_eq!((point.count, point.sum), (3, Some(4.5)));
}

#[test]
fn histograms_without_the_exponential_form_are_explicit() {
    let points =
        vec![point(None, "a", histogram(true)), point(None, "b", histogram(false)), point(None, "c", histogram(true))];
    let request = only(&encode(&[family("h", Kind::Histogram, "s", points)], ENCODING));
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let points: Vec<_> = metrics
        .iter()
        .map(|metric| match &metric.data {
            Some(Data::Histogram(data)) => ("explicit", data.data_points.len()),
            Some(Data::ExponentialHistogram(data)) => ("exponential", data.data_points.len()),
            _ => panic!("{metric:?}"),
        })
        .collect();
    assert_eq!(points, [("explicit", 1), ("exponential", 2)]);
}

#[test]
fn values_of_another_kind_are_left_out_and_counted() {
    let families = [
        family("c", Kind::Counter, "s", vec![point(None, "a", histogram(false)), point(None, "b", Value::Int(1))]),
        family("h", Kind::Histogram, "s", vec![point(None, "a", Value::Int(1))]),
    ];
    let encoded = encode(&families, ENCODING);
    assert_eq!((encoded.left_out, encoded.requests[0].points), (2, 1));
    assert_eq!(only(&encoded).resource_metrics[0].scope_metrics[0].metrics.len(), 1);
}

#[test]
fn nothing_is_no_request() {
    assert_eq!(encode(&[], ENCODING), Encoded::default());
    assert_eq!(encode(&[family("c", Kind::Counter, "s", Vec::new())], ENCODING), Encoded::default());
}

/// Scenario: thousands of points of several resources, scopes and metrics under limits from tight to wide.
/// Guarantees: each request is under the limit and says itself whose points it holds; together they are the one large
/// request.
#[test]
fn splits_under_the_limit() {
    let points = |count: usize, value: Value| {
        let of = |index: usize| ["a", "b"].get(index % 3).and_then(|instance| identity(instance));
        (0..count).map(|index| point(of(index), &format!("label {index}"), value.clone())).collect::<Vec<_>>()
    };
    let families = [
        family("calls", Kind::Counter, "qiyas/spans", points(400, Value::Int(i64::MAX))),
        family("h", Kind::Histogram, "qiyas/spans", points(200, histogram(true))),
        family("g", Kind::Gauge, "other", points(100, Value::Float(0.1))),
    ];
    let whole = flatten(&encode(&families, ENCODING));
    assert_eq!(whole.len(), 700);
    for max_bytes in [400, 1_000, 5_000, 20_000, 1 << 20] {
        let encoded = encode(&families, Encoding { max_bytes, ..ENCODING });
        for request in &encoded.requests {
            assert!(request.body.len() <= max_bytes, "{} > {max_bytes}", request.body.len());
        }
        assert_eq!(flatten(&encoded), whole, "{max_bytes}");
        // The bound on sizes is near enough that requests are not half empty.
        let bytes: usize = encoded.requests.iter().map(|request| request.body.len()).sum();
        if max_bytes >= 5_000 {
            assert!(
                encoded.requests.len() <= bytes / (max_bytes * 3 / 4) + 1,
                "{max_bytes}: {}",
                encoded.requests.len()
            );
        }
    }
    let tight = encode(&families, Encoding { max_bytes: 1, ..ENCODING });
    assert_eq!(tight.requests.len(), 700, "a point that is larger than the limit goes alone");
    assert_eq!(flatten(&tight), whole);
}

/// `(resource, scope, metric, point)` of everything, in order.
fn flatten(encoded: &Encoded) -> Vec<String> {
    let mut all = Vec::new();
    for request in &encoded.requests {
        let before = all.len();
        for resource in decode(request).resource_metrics {
            for scope in &resource.scope_metrics {
                for metric in &scope.metrics {
                    let points: Vec<String> = match metric.data.as_ref().unwrap() {
                        Data::Sum(data) => data.data_points.iter().map(|point| format!("{point:?}")).collect(),
                        Data::Gauge(data) => data.data_points.iter().map(|point| format!("{point:?}")).collect(),
                        Data::ExponentialHistogram(data) => {
                            data.data_points.iter().map(|point| format!("{point:?}")).collect()
                        }
                        other => panic!("{other:?}"),
                    };
                    all.extend(
                        points
                            .iter()
                            .map(|point| format!("{:?} {:?} {} {point}", resource.resource, scope.scope, metric.name)),
                    );
                }
            }
        }
        assert_eq!((all.len() - before) as u64, request.points);
    }
    all
}
