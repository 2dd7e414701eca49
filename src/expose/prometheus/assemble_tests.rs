use super::*;
use crate::series::{Label, LabelValue};

fn point(labels: &[(&'static str, &'static str)], value: Value) -> Point {
    Point {
        identity: None,
        labels: labels.iter().map(|(key, value)| Label::text(*key, *value)).collect(),
        start: UnixNanos(1),
        time: UnixNanos(2),
        value,
        exemplars: Vec::new(),
    }
}

fn family(name: &'static str, kind: Kind, points: Vec<Point>) -> Family {
    Family { name: name.into(), description: "help".into(), unit: "".into(), kind, scope: "".into(), points }
}

fn histogram(bounds: &[f64], buckets: &[u64]) -> Histogram {
    Histogram {
        count: buckets.iter().sum(),
        sum: 1.0,
        min: None,
        max: None,
        bounds: bounds.into(),
        buckets: buckets.to_vec(),
        exponential: None,
    }
}

/// `(name, labels, value)` of every series, in order.
fn shown(scrape: &Scrape<'_>) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for family in &scrape.families {
        for series in &family.series {
            let labels = String::from_utf8(scrape.labels(series).to_vec()).unwrap();
            all.push((family.name.full.clone(), labels, format!("{:?}", series.value)));
        }
    }
    all
}

#[test]
fn families_by_name_and_series_by_labels() {
    let families = [
        family("z", Kind::Gauge, vec![point(&[], Value::Int(1))]),
        family("a", Kind::Counter, vec![point(&[("k", "y")], Value::Int(2)), point(&[("k", "x")], Value::Int(3))]),
    ];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    let expected = [("a_total", "k=\"x\"", "Int(3)"), ("a_total", "k=\"y\"", "Int(2)"), ("z", "", "Int(1)")];
    assert_eq!(shown(&scrape), expected.map(|(name, labels, value)| (name.into(), labels.into(), value.into())));
    assert_eq!(scrape.left_out, LeftOut::default());
}

#[test]
fn families_of_one_name_and_type_stand_together() {
    let families = [
        family("a.b", Kind::Gauge, vec![point(&[("k", "1")], Value::Int(1))]),
        family("c", Kind::Gauge, vec![point(&[], Value::Int(2))]),
        family("a_b", Kind::UpDownCounter, vec![point(&[("k", "2")], Value::Int(3))]),
    ];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    assert_eq!(scrape.families.len(), 2);
    assert_eq!(scrape.families[0].series.len(), 2);
}

/// Scenario: pairs of families that some format would show under one name.
/// Guarantees: the first stays, the newcomer is left out whole and counted.
#[test]
fn the_newcomer_to_a_name_is_left_out_whole() {
    let counter = |name| family(name, Kind::Counter, vec![point(&[], Value::Int(1))]);
    let gauge = |name| family(name, Kind::Gauge, vec![point(&[], Value::Int(1)), point(&[("k", "v")], Value::Int(2))]);
    let histogram =
        |name| family(name, Kind::Histogram, vec![point(&[], Value::Histogram(histogram(&[1.0], &[1, 0])))]);
    for (first, second) in [
        (counter("jobs"), gauge("jobs")),
        (counter("jobs"), gauge("jobs_total")),
        (counter("jobs"), histogram("jobs")),
        (counter("jobs"), gauge("jobs_created")),
        (histogram("latency"), gauge("latency_sum")),
        (histogram("latency"), gauge("latency_bucket")),
        (gauge("latency_count"), histogram("latency")),
        (gauge("jobs"), counter("jobs")),
    ] {
        let families = [first, second];
        let scrape = assemble(&families, Namer::default(), Form::Text);
        let case = format!("{} {}", families[0].name, families[1].name);
        assert_eq!(scrape.families.len(), 1, "{case}");
        assert_eq!(scrape.families[0].kind, Type::of(families[0].kind), "{case}");
        assert_eq!(scrape.left_out.name_conflict, families[1].points.len() as u64, "{case}");
        assert_eq!(scrape.left_out.families, [families[1].name.clone()], "{case}");
    }
}

#[test]
fn a_counter_histogram_and_gauge_with_different_names_live_side_by_side() {
    let families = [
        family("qiyas.sessions", Kind::Counter, vec![point(&[], Value::Int(1))]),
        family("qiyas.sessions.active", Kind::Gauge, vec![point(&[], Value::Int(1))]),
        family(
            "qiyas.sessions.duration",
            Kind::Histogram,
            vec![point(&[], Value::Histogram(histogram(&[1.0], &[1, 0])))],
        ),
    ];
    assert_eq!(assemble(&families, Namer::default(), Form::Text).families.len(), 3);
}

#[test]
fn of_equal_series_the_later_is_left_out() {
    let points = vec![
        point(&[("a.b", "1"), ("c", "")], Value::Int(1)),
        point(&[("a_b", "1")], Value::Int(2)),
        point(&[("a_b", "2")], Value::Int(3)),
    ];
    let families = [family("m", Kind::Gauge, points)];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    let values: Vec<_> = scrape.families[0].series.iter().map(|series| series.value).collect();
    assert_eq!(values, [Shown::Int(1), Shown::Int(3)]);
    assert_eq!(scrape.left_out.duplicate, 1);
}

#[test]
fn values_that_do_not_fit_are_left_out() {
    let mismatch = histogram(&[1.0], &[1, 0]);
    let counters = vec![
        point(&[("k", "1")], Value::Int(-1)),
        point(&[("k", "2")], Value::Float(-0.5)),
        point(&[("k", "3")], Value::Float(f64::NAN)),
        point(&[("k", "4")], Value::Histogram(mismatch)),
        point(&[("k", "5")], Value::Float(0.5)),
    ];
    let histograms = vec![
        point(&[("k", "1")], Value::Int(1)),
        point(&[("k", "2")], Value::Histogram(histogram(&[2.0, 1.0], &[1, 0, 0]))),
        point(&[("k", "3")], Value::Histogram(histogram(&[1.0, f64::NAN], &[1, 0, 0]))),
        point(&[("k", "4")], Value::Histogram(histogram(&[1.0], &[1]))),
        point(&[("k", "5")], Value::Histogram(Histogram { count: 7, ..histogram(&[1.0], &[1, 0]) })),
        point(&[("k", "6")], Value::Histogram(Histogram { count: 7, ..histogram(&[], &[]) })),
        point(&[("k", "7")], Value::Histogram(histogram(&[1.0, f64::INFINITY], &[1, 1, 0]))),
    ];
    let gauges = vec![point(&[], Value::Float(f64::NAN))];
    let families = [
        family("c", Kind::Counter, counters),
        family("h", Kind::Histogram, histograms),
        family("g", Kind::Gauge, gauges),
    ];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    let names: Vec<_> = shown(&scrape).into_iter().map(|(name, labels, _)| name + &labels).collect();
    assert_eq!(names, ["c_totalk=\"5\"", "g", "hk=\"6\"", "hk=\"7\""]);
    assert_eq!(scrape.left_out.invalid_value, 9);
}

#[test]
fn a_name_of_which_nothing_is_left_is_counted() {
    let families = [family("メモリ", Kind::Gauge, vec![point(&[], Value::Int(1))])];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    assert!(scrape.families.is_empty());
    assert_eq!(scrape.left_out.invalid_name, 1);
}

#[test]
fn one_target_info_for_each_identity_with_the_newest_attributes() {
    let identity = |instance: &'static str, version: &'static str| {
        Some(Arc::new(Identity {
            namespace: "shop".into(),
            name: "cart".into(),
            instance: instance.into(),
            attributes: vec![
                Label::text("service.version", version),
                Label { key: "process.pid".into(), value: LabelValue::Int(7) },
            ],
        }))
    };
    let at = |time, identity, label| Point { identity, time: UnixNanos(time), ..point(&[("k", label)], Value::Int(1)) };
    let points = vec![
        at(20, identity("a", "new"), "1"),
        at(10, identity("a", "old"), "2"),
        at(10, identity("b", "old"), "3"),
        point(&[("k", "own")], Value::Int(1)),
    ];
    let families = [family("m", Kind::Counter, points)];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    let targets: Vec<_> =
        shown(&scrape).into_iter().filter(|(name, ..)| name == "target_info").map(|(_, labels, _)| labels).collect();
    assert_eq!(
        targets,
        [
            r#"instance="a",job="shop/cart",process_pid="7",service_version="new""#,
            r#"instance="b",job="shop/cart",process_pid="7",service_version="old""#,
        ]
    );
    let own = shown(&scrape).into_iter().filter(|(_, labels, _)| labels == "k=\"own\"").count();
    assert_eq!(own, 1, "our own series have no job and no target");
}

#[test]
fn an_apps_metric_cannot_take_the_name_of_target_info() {
    let identity = Some(Arc::new(Identity { name: "cart".into(), ..Identity::default() }));
    let mut taken = family("target_info", Kind::Gauge, vec![point(&[], Value::Int(5))]);
    taken.points[0].identity = identity;
    let families = [taken];
    let scrape = assemble(&families, Namer::default(), Form::Text);
    assert_eq!(shown(&scrape), [("target_info".to_owned(), "job=\"cart\"".to_owned(), "Int(1)".to_owned())]);
    assert_eq!(scrape.left_out.name_conflict, 1);
}
