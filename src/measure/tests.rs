//! Laws that every measure's state obeys, and the time rules, on whole states.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Mode, State};
use crate::config::Config;
use crate::journal::{Origin, Payload, Record};
use crate::observe::Observer;
use crate::observe::genai::price::Prices;
use crate::otlp::Signal;
use crate::series::{Family, Merge, Stored, Table, Value};
use crate::units::UnixNanos;

const NOW: UnixNanos = UnixNanos(1_795_521_600_000_000_000);
const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
enum Made {
    Plain { name: u8, nanos: u32 },
    Call { model: u8, nanos: u32, input: u16, output: u16, failed: bool },
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        (0_u8..4, any::<u32>()).prop_map(|(name, nanos)| Made::Plain { name, nanos }),
        (0_u8..3, any::<u32>(), any::<u16>(), any::<u16>(), any::<bool>())
            .prop_map(|(model, nanos, input, output, failed)| Made::Call { model, nanos, input, output, failed }),
    ]
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn int(key: &str, value: i64) -> KeyValue {
    let value = any_value::Value::IntValue(value);
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(id: u64, made: &Made) -> Span {
    let (nanos, name, attributes) = match made {
        Made::Plain { name, nanos } => (*nanos, format!("GET /{name}"), vec![text("http.request.method", "GET")]),
        Made::Call { model, nanos, input, output, failed } => {
            let mut attributes = vec![
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.provider.name", "openai"),
                text("gen_ai.request.model", ["gpt-4o-mini", "gpt-5", "unheard-of"][usize::from(*model)]),
                int("gen_ai.usage.input_tokens", i64::from(*input)),
                int("gen_ai.usage.output_tokens", i64::from(*output)),
            ];
            if *failed {
                attributes.push(text("error.type", "timeout"));
            }
            (*nanos, "chat".to_owned(), attributes)
        }
    };
    Span {
        trace_id: u128::from(id).to_be_bytes().into(),
        span_id: id.to_be_bytes().into(),
        name,
        kind: 3,
        start_time_unix_nano: NOW.0 - u64::from(nanos),
        end_time_unix_nano: NOW.0,
        attributes,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> Bytes {
    let resource = Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

struct Folding {
    observer: Arc<Observer>,
    state: State,
    sequence: u64,
}

impl Folding {
    fn new(config: &Config) -> Self {
        let observer = Arc::new(Observer::new(&config.spans));
        let prices = Arc::new(Prices::new(&config.ai.prices).unwrap());
        let state = State::new(config, Arc::clone(&observer), prices, Mode::Live, 1);
        Self { observer, state, sequence: 0 }
    }

    fn fold(&mut self, received: UnixNanos, spans: Vec<Span>) {
        let bytes = request(spans);
        let seen = self.observer.observe(Signal::Traces, &bytes).unwrap();
        self.sequence += 1;
        let payload = Payload::Otlp(Signal::Traces);
        self.state.fold(&Record::replayed(self.sequence, received, Origin::App, payload, bytes, seen));
    }

    fn count(&self, name: &str) -> i64 {
        let families = self.state.families(NOW);
        let family = families.iter().find(|family| family.name == name);
        family.map_or(0, |family| family.points.iter().map(|point| int_of(&point.value)).sum())
    }
}

fn int_of(value: &Value) -> i64 {
    match value {
        Value::Int(int) => *int,
        other => panic!("{other:?} is not an integer"),
    }
}

/// Folds spans whose ids start at `first`.
fn folded(first: u64, all: &[Made]) -> State {
    let mut folding = Folding::new(&Config::default());
    let spans = (first..).zip(all).map(|(id, made)| span(id, made)).collect();
    folding.fold(NOW, spans);
    folding.state
}

fn stored<V: Clone + Serialize>(table: &Table<V>) -> Vec<u8> {
    postcard::to_stdvec(&table.store()).unwrap()
}

/// The laws, for one table of a measure.
fn obeys<V: Clone + Merge + Serialize + DeserializeOwned>(
    together: &Table<V>,
    parts: [&Table<V>; 3],
) -> Result<(), TestCaseError> {
    let empty = || Table::<V>::new(1000, 3);
    let merged = |tables: &[&Table<V>]| {
        let mut all = empty();
        for table in tables {
            all.merge(table);
        }
        all
    };
    let [a, b, c] = parts;
    prop_assert_eq!(stored(&merged(&[a, b, c])), stored(together), "merging is folding together");
    prop_assert_eq!(stored(&merged(&[a, b, c])), stored(&merged(&[c, a, b])), "commutative");
    let right = merged(&[b, c]);
    prop_assert_eq!(stored(&merged(&[a, &right])), stored(&merged(&[&merged(&[a, b]), c])), "associative");
    let bytes = stored(together);
    let restored = Table::restore(1000, 9, postcard::from_bytes::<Stored<V>>(&bytes).unwrap());
    prop_assert_eq!(stored(&restored), bytes, "restored as it was");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn state_is_mergeable_and_storable(
        a in prop::collection::vec(made(), 0..20),
        b in prop::collection::vec(made(), 0..20),
        c in prop::collection::vec(made(), 0..20),
    ) {
        let parts = [folded(1, &a), folded(1_000, &b), folded(2_000, &c)];
        let mut together = Folding::new(&Config::default());
        for (first, all) in [(1_u64, &a), (1_000, &b), (2_000, &c)] {
            together.fold(NOW, (first..).zip(all.iter()).map(|(id, made)| span(id, made)).collect());
        }
        let [one, two, three] = &parts;
        let whole = &together.state;
        obeys(whole.spans.table(), [one.spans.table(), two.spans.table(), three.spans.table()])?;
        obeys(whole.ai.client(), [one.ai.client(), two.ai.client(), three.ai.client()])?;
        obeys(whole.ai.model_table(), [one.ai.model_table(), two.ai.model_table(), three.ai.model_table()])?;
    }
}

#[test]
fn odd_times_are_counted_and_measured_sensibly() {
    let mut folding = Folding::new(&Config::default());
    let at = |start: u64, end: u64| Span {
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        ..span(start ^ end, &Made::Plain { name: 1, nanos: 1 })
    };
    folding.fold(
        NOW,
        vec![
            at(NOW.0 - SECOND, NOW.0),
            at(NOW.0 + 400 * SECOND, NOW.0 + 401 * SECOND),
            at(NOW.0 - 65 * 86_400 * SECOND, NOW.0 - 65 * 86_400 * SECOND + SECOND),
            at(0, NOW.0),
            at(NOW.0, 0),
            at(NOW.0, NOW.0 - SECOND),
        ],
    );
    let ignored = folding.state.ignored();
    for (reason, count) in [("future", 1), ("ancient", 1), ("no_time", 2), ("end_before_start", 1)] {
        assert_eq!(ignored.get(reason), Some(&count), "{reason} in {ignored:?}");
    }
    assert_eq!(folding.count("traces.span.metrics.calls"), 6);
    let families = folding.state.families(NOW);
    let durations = families.iter().find(|family| family.name == "traces.span.metrics.duration").unwrap();
    let Value::Histogram(histogram) = &durations.points[0].value else { panic!("a histogram") };
    assert_eq!((histogram.count, histogram.sum), (6, 3.0), "three of a second, three of none");
}

/// Scenario: a workflow's span repeats the usage of two calls under it, and comes before, between or after them, each in
/// a request of its own.
/// Guarantees: two calls are counted, whatever the order.
#[test]
fn a_carrier_never_doubles_its_calls() {
    let call = |id: u64| Span {
        trace_id: vec![7; 16],
        parent_span_id: 99_u64.to_be_bytes().into(),
        ..span(id, &Made::Call { model: 0, nanos: 1000 + id as u32, input: 10, output: 5, failed: false })
    };
    let carrier = Span {
        trace_id: vec![7; 16],
        span_id: 99_u64.to_be_bytes().into(),
        start_time_unix_nano: NOW.0 - SECOND,
        end_time_unix_nano: NOW.0 + SECOND,
        attributes: vec![
            text("gen_ai.operation.name", "invoke_agent"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            int("gen_ai.usage.input_tokens", 20),
            int("gen_ai.usage.output_tokens", 10),
        ],
        ..Span::default()
    };
    for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0]] {
        let spans = [carrier.clone(), call(1), call(2)];
        let mut folding = Folding::new(&Config::default());
        for (step, which) in (0_u64..).zip(order) {
            folding.fold(UnixNanos(NOW.0 + step * SECOND), vec![spans[which].clone()]);
        }
        folding.fold(UnixNanos(NOW.0 + 100 * SECOND), vec![]);
        assert_eq!(folding.count("qiyas.ai.requests"), 2, "{order:?}");
    }
    let mut alone = Folding::new(&Config::default());
    alone.fold(NOW, vec![carrier]);
    assert_eq!(alone.count("qiyas.ai.requests"), 0, "still held");
    alone.fold(UnixNanos(NOW.0 + 31 * SECOND), vec![]);
    assert_eq!(alone.count("qiyas.ai.requests"), 1, "nobody else reported");
}

#[test]
fn a_sampled_span_counts_for_those_it_stands_for() {
    let mut folding = Folding::new(&Config::default());
    let sampled = Span { trace_state: "ot=th:c".to_owned(), ..span(1, &Made::Plain { name: 1, nanos: 500 }) };
    folding.fold(NOW, vec![sampled]);
    assert_eq!(folding.count("traces.span.metrics.calls"), 4);
}

#[test]
fn series_beyond_the_budget_overflow_and_nothing_is_lost() {
    let mut config = Config::default();
    config.limits.series = 8;
    let mut folding = Folding::new(&config);
    let spans = (1..=50).map(|id| Span { name: format!("span {id}"), ..span(id, &Made::Plain { name: 0, nanos: 9 }) });
    folding.fold(NOW, spans.collect());
    assert_eq!(folding.count("traces.span.metrics.calls"), 50);
    let families: Vec<Family> = folding.state.families(NOW);
    let calls = families.iter().find(|family| family.name == "traces.span.metrics.calls").unwrap();
    assert_eq!(calls.points.len(), 5, "half of the budget, and the overflow");
    assert_eq!(folding.count("qiyas.series.overflowed"), 46);
}
