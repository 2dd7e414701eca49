//! Whatever the families, the exposition is one that a strict reader takes.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::config::TranslationStrategy;
use crate::series::{Exemplar, Family, Histogram, Identity, Kind, Label, LabelValue, Point, Summary, Value};
use crate::units::UnixNanos;

use super::assemble::{Type, assemble};
use super::escaping::Escaping;
use super::labels::Form;
use super::naming::Namer;
use super::strict;
use super::text::{Dialect, encode};

/// Few and alike, so that names clash in every way there is.
const NAMES: [&str; 23] = [
    "",
    "a",
    "a.b",
    "a_b",
    "a..b",
    "a_total",
    "a.total",
    "a.sum",
    "a_bucket",
    "a.count",
    "a_created",
    "a_info",
    "target",
    "target_info",
    "1a",
    "é",
    "é_total",
    "U__a",
    "__name__",
    "a\0b",
    "a\"b\\c\nd",
    "total",
    "_total",
];

const KEYS: [&str; 18] = [
    "",
    "k",
    "k.x",
    "k_x",
    "k..x",
    "job",
    "instance",
    "le",
    "quantile",
    "otel_scope_name",
    "otel.scope.name",
    "__name__",
    "1",
    "é",
    "exported_job",
    "k\0",
    "k\"\n\\",
    "a:b",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["", "x", "y", "\0", "a\nb", "\\\"", "é", ";", "# EOF"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn name(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![8 => select(choices).prop_map(str::to_owned), 1 => any::<String>()]
}

fn label() -> impl Strategy<Value = Label> {
    let value = prop_oneof![
        4 => text().prop_map(|text| LabelValue::Text(text.into())),
        1 => any::<i64>().prop_map(LabelValue::Int),
        1 => any::<bool>().prop_map(LabelValue::Bool),
        1 => any::<f64>().prop_map(LabelValue::Double),
    ];
    (name(&KEYS), value).prop_map(|(key, value)| Label { key: key.into(), value })
}

/// Keys of a point are unique: that is the shape's promise.
fn labels() -> impl Strategy<Value = Vec<Label>> {
    vec(label(), 0..5).prop_map(|mut labels| {
        let mut seen = std::collections::HashSet::new();
        labels.retain(|label| seen.insert(label.key.clone()));
        labels
    })
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>(),
        1 => select(vec![0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE]),
    ]
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let consistent = (vec(number(), 0..5), vec(0_u64..1000, 6), number()).prop_map(|(mut bounds, mut buckets, sum)| {
        bounds.retain(|bound| !bound.is_nan());
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        buckets.truncate(bounds.len() + 1);
        (bounds, buckets, sum)
    });
    let odd = (vec(number(), 0..4), vec(any::<u64>(), 0..5), number());
    let mixed = prop_oneof![3 => consistent, 1 => odd];
    (mixed, any::<bool>()).prop_map(|((bounds, buckets, sum), miscounted)| {
        let total = buckets.iter().fold(0_u64, |total, count| total.saturating_add(*count));
        Histogram {
            count: if miscounted { total / 2 } else { total },
            sum,
            min: None,
            max: None,
            bounds: bounds.into(),
            buckets,
            exponential: None,
        }
    })
}

fn summary() -> impl Strategy<Value = Summary> {
    let plausible = vec((0.0_f64..=1.0, number()), 0..4).prop_map(|mut quantiles| {
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        quantiles.dedup_by(|a, b| a.0 == b.0);
        quantiles
    });
    let quantiles = prop_oneof![3 => plausible, 1 => vec((number(), number()), 0..4)];
    (any::<u64>(), number(), quantiles).prop_map(|(count, sum, quantiles)| Summary { count, sum, quantiles })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => any::<i64>().prop_map(Value::Int),
        1 => (0_i64..9).prop_map(Value::Int),
        2 => number().prop_map(Value::Float),
        4 => histogram().prop_map(Value::Histogram),
        2 => summary().prop_map(Value::Summary),
    ]
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    (number(), any::<u64>(), any::<[u8; 16]>(), any::<[u8; 8]>(), any::<bool>()).prop_map(
        |(value, time, trace_id, span_id, known)| {
            let (trace_id, span_id) = if known { (trace_id, span_id) } else { ([0; 16], [0; 8]) };
            Exemplar { value, time: UnixNanos(time), trace_id, span_id }
        },
    )
}

fn identity() -> impl Strategy<Value = Option<Arc<Identity>>> {
    let some = (text(), text(), text(), labels()).prop_map(|(namespace, name, instance, attributes)| {
        let name = if name.is_empty() { "unknown_service".to_owned() } else { name };
        let (namespace, name, instance) = (namespace.into(), name.into(), instance.into());
        Some(Arc::new(Identity { namespace, name, instance, attributes }))
    });
    prop_oneof![Just(None), some]
}

fn point() -> impl Strategy<Value = Point> {
    (identity(), labels(), any::<u64>(), any::<u64>(), value(), vec(exemplar(), 0..3)).prop_map(
        |(identity, labels, start, time, value, exemplars)| {
            let (start, time) = (UnixNanos(start), UnixNanos(time));
            Point { identity, labels, start, time, value, exemplars }
        },
    )
}

fn family() -> impl Strategy<Value = Family> {
    let kind = select(vec![Kind::Counter, Kind::UpDownCounter, Kind::Gauge, Kind::Histogram, Kind::Summary]);
    let unit = prop_oneof![
        4 => select(vec!["", "s", "1", "By", "{x}", "By/s", "{x}/s", "%", "/", "°", "a\nb", "\"", "_\\"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let scope = select(vec!["", "qiyas/spans", "s\0\""]);
    (name(&NAMES), text(), unit, kind, scope, vec(point(), 0..4)).prop_map(
        |(name, description, unit, kind, scope, points)| Family {
            name: name.into(),
            description: description.into(),
            unit: unit.into(),
            kind,
            scope: scope.into(),
            points,
        },
    )
}

fn namer() -> impl Strategy<Value = Namer> {
    let strategy = select(vec![
        TranslationStrategy::UnderscoreEscapingWithSuffixes,
        TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        TranslationStrategy::NoUTF8EscapingWithSuffixes,
        TranslationStrategy::NoTranslation,
    ]);
    let escaping = select(vec![Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values]);
    (strategy, escaping).prop_map(|(strategy, escaping)| Namer { strategy, escaping })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Guarantees: both formats are valid, whatever is reported; each point is either shown or counted as left out; the
    /// formats show the same series.
    #[test]
    fn any_families_are_a_valid_scrape(families in vec(family(), 0..8), namer in namer(), created: bool) {
        let scrape = assemble(&families, namer, Form::Text);
        let points: u64 = families.iter().map(|family| family.points.len() as u64).sum();
        let shown: usize = scrape.families.iter().filter(|family| family.kind != Type::Info).map(|family| family.series.len()).sum();
        let left_out: u64 = scrape.left_out.by_reason().iter().map(|(_, count)| count).sum();
        prop_assert_eq!(shown as u64 + left_out, points);

        let utf8 = |bytes| String::from_utf8(bytes).unwrap();
        let prometheus = utf8(encode(&scrape, Dialect::Prometheus));
        let openmetrics = utf8(encode(&scrape, Dialect::OpenMetrics { created }));
        let read = |text: &str, format| {
            strict::read(text, format).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))
        };
        let prometheus = read(&prometheus, false)?;
        let openmetrics = read(&openmetrics, true)?;
        let comparable = |samples: &[strict::Sample]| {
            let kept = samples.iter().filter(|sample| !sample.name.ends_with("_count") && !sample.name.ends_with("_created"));
            let mut kept: Vec<_> = kept.map(|sample| format!("{} {:?} {:?}", sample.name, sample.labels, sample.value)).collect();
            kept.sort();
            kept
        };
        prop_assert_eq!(comparable(&prometheus), comparable(&openmetrics));
    }

    /// Guarantees: the order in which measures report does not show, unless two of them want one name.
    #[test]
    fn the_order_of_points_does_not_show(mut family in family(), namer in namer()) {
        let text = |family: &Family| {
            let families = [family.clone()];
            let scrape = assemble(&families, namer, Form::Text);
            (scrape.left_out.duplicate == 0).then(|| encode(&scrape, Dialect::Prometheus))
        };
        // Of two resources with one identity and one time either may be the newest.
        for point in &mut family.points {
            point.identity = None;
        }
        let before = text(&family);
        family.points.reverse();
        prop_assert_eq!(before, text(&family));
    }
}
