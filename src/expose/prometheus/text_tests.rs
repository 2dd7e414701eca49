use std::sync::Arc;

use super::*;
use crate::config::TranslationStrategy;
use crate::expose::prometheus::assemble::assemble;
use crate::expose::prometheus::escaping::Escaping;
use crate::expose::prometheus::labels::Form;
use crate::expose::prometheus::naming::Namer;
use crate::series::{Family, Identity, Kind, Label, Point, Value};

const OPENMETRICS: Dialect = Dialect::OpenMetrics { created: false };

fn text(families: &[Family], namer: Namer, dialect: Dialect) -> String {
    String::from_utf8(encode(&assemble(families, namer, Form::Text), dialect)).unwrap()
}

fn identity() -> Option<Arc<Identity>> {
    Some(Arc::new(Identity {
        namespace: "shop".into(),
        name: "cart".into(),
        instance: "pod-1".into(),
        attributes: vec![Label::text("service.version", "1.2")],
    }))
}

fn point(labels: &[(&'static str, &'static str)], value: Value) -> Point {
    Point {
        identity: None,
        labels: labels.iter().map(|(key, value)| Label::text(*key, *value)).collect(),
        start: UnixNanos(1_700_000_000_500_000_000),
        time: UnixNanos(1_700_000_060_000_000_000),
        value,
        exemplars: Vec::new(),
    }
}

fn family(name: &'static str, unit: &'static str, kind: Kind, points: Vec<Point>) -> Family {
    Family {
        name: name.into(),
        description: "A \"help\" text.\nTwo \\ lines.".into(),
        unit: unit.into(),
        kind,
        scope: "".into(),
        points,
    }
}

fn exemplar(value: f64, time: u64) -> Exemplar {
    Exemplar { value, time: UnixNanos(time), trace_id: [0xab; 16], span_id: [0x12; 8] }
}

fn durations() -> Family {
    let value = Value::Histogram(Histogram {
        count: 6,
        sum: 2.25,
        min: None,
        max: None,
        bounds: [0.002, 1.0, 2.0].into(),
        buckets: vec![1, 2, 0, 3],
        exponential: None,
    });
    let exemplars =
        vec![exemplar(0.5, 1_700_000_001_250_000_000), exemplar(0.7, 1_700_000_000_000_000_000), exemplar(9.0, 0)];
    let point = Point { identity: identity(), exemplars, ..point(&[("span.name", "GET /")], value) };
    Family { scope: "app".into(), ..family("http.duration", "s", Kind::Histogram, vec![point]) }
}

#[test]
fn histogram_in_prometheus_text() {
    let expected = r#"# HELP http_duration_seconds A "help" text.\nTwo \\ lines.
# TYPE http_duration_seconds histogram
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="0.002"} 1
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="1.0"} 3
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="2.0"} 3
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="+Inf"} 6
http_duration_seconds_sum{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /"} 2.25
http_duration_seconds_count{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /"} 6
# HELP target_info Attributes of the observed app's resource.
# TYPE target_info gauge
target_info{instance="pod-1",job="shop/cart",service_version="1.2"} 1
"#;
    assert_eq!(text(&[durations()], Namer::default(), Dialect::Prometheus), expected);
}

#[test]
fn histogram_in_openmetrics() {
    let expected = r##"# HELP http_duration_seconds A \"help\" text.\nTwo \\ lines.
# TYPE http_duration_seconds histogram
# UNIT http_duration_seconds seconds
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="0.002"} 1
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="1.0"} 3 # {trace_id="abababababababababababababababab",span_id="1212121212121212"} 0.7 1700000000
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="2.0"} 3
http_duration_seconds_bucket{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /",le="+Inf"} 6 # {trace_id="abababababababababababababababab",span_id="1212121212121212"} 9
http_duration_seconds_sum{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /"} 2.25
http_duration_seconds_count{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /"} 6
http_duration_seconds_created{instance="pod-1",job="shop/cart",otel_scope_name="app",span_name="GET /"} 1700000000.5
# HELP target Attributes of the observed app's resource.
# TYPE target info
target_info{instance="pod-1",job="shop/cart",service_version="1.2"} 1
# EOF
"##;
    assert_eq!(text(&[durations()], Namer::default(), Dialect::OpenMetrics { created: true }), expected);
}

#[test]
fn counters_and_gauges() {
    let cost = point(&[("model", "a\"b")], Value::Float(0.010989));
    let cost = Point { exemplars: vec![exemplar(1.0, 1), exemplar(0.5, 2_000_000_000)], ..cost };
    let families = [
        family("qiyas.ai.cost_usd", "", Kind::Counter, vec![cost]),
        Family { description: "".into(), ..family("up", "1", Kind::Gauge, vec![point(&[], Value::Float(f64::NAN))]) },
    ];
    let expected = r#"# HELP qiyas_ai_cost_usd_total A "help" text.\nTwo \\ lines.
# TYPE qiyas_ai_cost_usd_total counter
qiyas_ai_cost_usd_total{model="a\"b"} 0.010989
# TYPE up_ratio gauge
up_ratio NaN
"#;
    assert_eq!(text(&families, Namer::default(), Dialect::Prometheus), expected);
    let expected = r##"# HELP qiyas_ai_cost_usd A \"help\" text.\nTwo \\ lines.
# TYPE qiyas_ai_cost_usd counter
qiyas_ai_cost_usd_total{model="a\"b"} 0.010989 # {trace_id="abababababababababababababababab",span_id="1212121212121212"} 0.5 2
qiyas_ai_cost_usd_created{model="a\"b"} 1700000000.5
# TYPE up_ratio gauge
# UNIT up_ratio ratio
up_ratio NaN
# EOF
"##;
    assert_eq!(text(&families, Namer::default(), Dialect::OpenMetrics { created: true }), expected);
}

#[test]
fn names_outside_the_legacy_set_are_quoted() {
    let namer = Namer { strategy: TranslationStrategy::NoUTF8EscapingWithSuffixes, escaping: Escaping::AllowUtf8 };
    let histogram = Value::Histogram(Histogram {
        count: 1,
        sum: 1.0,
        min: None,
        max: None,
        bounds: [].into(),
        buckets: vec![1],
        exponential: None,
    });
    let families = [
        family("a.b", "s", Kind::Counter, vec![point(&[], Value::Int(1)), point(&[("c.d", "x")], Value::Int(2))]),
        family("é\"", "", Kind::Histogram, vec![point(&[], histogram)]),
    ];
    let expected = r#"# HELP "a.b_seconds" A \"help\" text.\nTwo \\ lines.
# TYPE "a.b_seconds" counter
# UNIT "a.b_seconds" seconds
{"a.b_seconds_total"} 1
{"a.b_seconds_total","c.d"="x"} 2
# HELP "é\"" A \"help\" text.\nTwo \\ lines.
# TYPE "é\"" histogram
{"é\"_bucket",le="+Inf"} 1
{"é\"_sum"} 1
{"é\"_count"} 1
# EOF
"#;
    assert_eq!(text(&families, namer, OPENMETRICS), expected);
}

#[test]
fn a_counter_without_total_is_unknown_in_openmetrics() {
    let namer =
        Namer { strategy: TranslationStrategy::UnderscoreEscapingWithoutSuffixes, escaping: Escaping::AllowUtf8 };
    let counted = Point { exemplars: vec![exemplar(1.0, 1)], ..point(&[], Value::Int(1)) };
    let families = [Family { description: "".into(), ..family("calls", "", Kind::Counter, vec![counted]) }];
    assert_eq!(text(&families, namer, Dialect::Prometheus), "# TYPE calls counter\ncalls 1\n");
    assert_eq!(
        text(&families, namer, Dialect::OpenMetrics { created: true }),
        "# TYPE calls unknown\ncalls 1\n# EOF\n"
    );
}

#[test]
fn negative_buckets_have_no_sum() {
    let histogram = Value::Histogram(Histogram {
        count: 3,
        sum: 4.0,
        min: None,
        max: None,
        bounds: [-1.0, f64::INFINITY].into(),
        buckets: vec![1, 2, 0],
        exponential: None,
    });
    let families = [Family { description: "".into(), ..family("t", "", Kind::Histogram, vec![point(&[], histogram)]) }];
    assert_eq!(
        text(&families, Namer::default(), Dialect::Prometheus),
        "# TYPE t histogram\nt_bucket{le=\"-1.0\"} 1\nt_bucket{le=\"+Inf\"} 3\nt_count 3\n"
    );
    assert_eq!(
        text(&families, Namer::default(), OPENMETRICS),
        "# TYPE t histogram\nt_bucket{le=\"-1.0\"} 1\nt_bucket{le=\"+Inf\"} 3\n# EOF\n"
    );
}

#[test]
fn nothing_to_show() {
    assert_eq!(text(&[], Namer::default(), Dialect::Prometheus), "");
    assert_eq!(text(&[], Namer::default(), OPENMETRICS), "# EOF\n");
}
