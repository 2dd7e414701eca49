//! Arbitrary requests for property tests, as opentelemetry-proto's structs, and legal rewritings of their bytes.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
        exponential_histogram_data_point::Buckets, metric, number_data_point, summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link},
    },
};
use proptest::{collection::vec, option, prelude::*};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::Signal;
use super::schema::{self, Kind, Presence, messages};
use super::wire::{Cursor, Value, put_varint};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z._]{0,12}",
        1 => any::<String>(),
        1 => "[a-z \"\\\\\n\u{0}é漢😀]{0,200}",
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(i64::MAX as u64), Just(i64::MIN as u64), any::<u64>()]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MIN_POSITIVE),
        (-1000..1000).prop_map(f64::from),
        // One NaN alone: JSON has no others.
        any::<u64>().prop_map(|bits| Some(f64::from_bits(bits)).filter(|double| !double.is_nan()).unwrap_or(f64::NAN)),
    ]
}

fn int32() -> impl Strategy<Value = i32> {
    prop_oneof![0..6, Just(i32::MIN), Just(i32::MAX), any::<i32>()]
}

fn uint32() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0_u32..0x400, any::<u32>()]
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => Just(Vec::new()), 4 => vec(any::<u8>(), length), 1 => vec(any::<u8>(), 0..40)]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    use any_value::Value;
    let leaf = prop_oneof![
        3 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        2 => number().prop_map(|int| Value::IntValue(int as i64)),
        2 => double().prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..20).prop_map(Value::BytesValue),
        1 => int32().prop_map(Value::StringValueStrindex),
    ];
    let leaf = option::weighted(0.9, leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(5, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(key_value_of(inner), 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_value_of(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (text(), option::weighted(0.9, value), prop_oneof![9 => Just(0), 1 => int32()])
        .prop_map(|(key, value, key_strindex)| KeyValue { key, value, key_strindex })
}

pub(super) fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(key_value_of(any_value()), 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let entity = (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef { schema_url, r#type, id_keys, description_keys },
    );
    option::weighted(
        0.8,
        (attributes(), uint32(), vec(entity, 0..2)).prop_map(|(attributes, dropped_attributes_count, entity_refs)| {
            Resource { attributes, dropped_attributes_count, entity_refs }
        }),
    )
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    option::weighted(
        0.8,
        (text(), text(), attributes(), uint32()).prop_map(|(name, version, attributes, dropped_attributes_count)| {
            InstrumentationScope { name, version, attributes, dropped_attributes_count }
        }),
    )
}

fn span() -> impl Strategy<Value = Span> {
    let event = (number(), text(), attributes(), uint32()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (id(16), id(8), text(), attributes(), uint32(), uint32()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    );
    let status = option::of((text(), int32()).prop_map(|(message, code)| Status { message, code }));
    let ids = (id(16), id(8), id(8), text());
    let own = (text(), int32(), number(), number(), uint32());
    let lists = (attributes(), vec(event, 0..3), vec(link, 0..2));
    (ids, own, lists, [uint32(), uint32(), uint32()], status).prop_map(
        |(
            (trace_id, span_id, parent_span_id, trace_state),
            (name, kind, start_time_unix_nano, end_time_unix_nano, flags),
            (attributes, events, links),
            [dropped_attributes_count, dropped_events_count, dropped_links_count],
            status,
        )| Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status,
        },
    )
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let own = (number(), number(), int32(), text(), option::of(any_value()));
    let rest = (attributes(), uint32(), uint32(), id(16), id(8), text());
    (own, rest).prop_map(
        |(
            (time_unix_nano, observed_time_unix_nano, severity_number, severity_text, body),
            (attributes, dropped_attributes_count, flags, trace_id, span_id, event_name),
        )| LogRecord {
            time_unix_nano,
            observed_time_unix_nano,
            severity_number,
            severity_text,
            body,
            attributes,
            dropped_attributes_count,
            flags,
            trace_id,
            span_id,
            event_name,
        },
    )
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = option::of(prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        number().prop_map(|int| exemplar::Value::AsInt(int as i64)),
    ]);
    let exemplar = (attributes(), number(), id(8), id(16), value).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    );
    vec(exemplar, 0..2)
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let value = option::weighted(
        0.9,
        prop_oneof![
            double().prop_map(number_data_point::Value::AsDouble),
            number().prop_map(|int| number_data_point::Value::AsInt(int as i64)),
        ],
    );
    (attributes(), number(), number(), exemplars(), uint32(), value).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value)| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    )
}

/// Optional sum, minimum and maximum.
fn extremes() -> impl Strategy<Value = [Option<f64>; 3]> {
    [option::of(double()), option::of(double()), option::of(double())]
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let own = (attributes(), number(), number(), number(), uint32());
    (own, vec(number(), 0..5), vec(double(), 0..5), exemplars(), extremes()).prop_map(
        |(
            (attributes, start_time_unix_nano, time_unix_nano, count, flags),
            bucket_counts,
            explicit_bounds,
            exemplars,
            [sum, min, max],
        )| HistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            bucket_counts,
            explicit_bounds,
            exemplars,
            flags,
            min,
            max,
        },
    )
}

fn buckets() -> impl Strategy<Value = Option<Buckets>> {
    option::of((int32(), vec(number(), 0..5)).prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts }))
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let own = (attributes(), number(), number(), number(), uint32());
    let rest = (int32(), number(), double(), exemplars());
    (own, rest, [buckets(), buckets()], extremes()).prop_map(
        |(
            (attributes, start_time_unix_nano, time_unix_nano, count, flags),
            (scale, zero_count, zero_threshold, exemplars),
            [positive, negative],
            [sum, min, max],
        )| ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            scale,
            zero_count,
            positive,
            negative,
            flags,
            exemplars,
            min,
            max,
            zero_threshold,
        },
    )
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    (attributes(), number(), number(), number(), double(), vec(quantile, 0..3), uint32()).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags)| SummaryDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn one_metric() -> impl Strategy<Value = Metric> {
    use metric::Data;
    let data = prop_oneof![
        vec(number_point(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..3), int32(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| {
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
            }
        ),
        (vec(histogram_point(), 0..3), int32()).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (vec(exponential_point(), 0..3), int32()).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    (text(), text(), text(), attributes(), option::weighted(0.95, data))
        .prop_map(|(name, description, unit, metadata, data)| Metric { name, description, unit, metadata, data })
}

pub(super) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = (scope(), vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    });
    let resource = (resource(), vec(scope, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resource, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub(super) fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope = (scope(), vec(one_metric(), 0..3), text()).prop_map(|(scope, metrics, schema_url)| ScopeMetrics {
        scope,
        metrics,
        schema_url,
    });
    let resource = (resource(), vec(scope, 0..3), text())
        .prop_map(|(resource, scope_metrics, schema_url)| ResourceMetrics { resource, scope_metrics, schema_url });
    vec(resource, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

pub(super) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope = (scope(), vec(log_record(), 0..4), text()).prop_map(|(scope, log_records, schema_url)| ScopeLogs {
        scope,
        log_records,
        schema_url,
    });
    let resource = (resource(), vec(scope, 0..3), text()).prop_map(|(resource, scope_logs, schema_url)| ResourceLogs {
        resource,
        scope_logs,
        schema_url,
    });
    vec(resource, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// The encoding of an arbitrary request of any signal.
pub(super) fn request() -> impl Strategy<Value = (Signal, Vec<u8>)> {
    prop_oneof![
        traces().prop_map(|request| (Signal::Traces, request.encode_to_vec())),
        metrics().prop_map(|request| (Signal::Metrics, request.encode_to_vec())),
        logs().prop_map(|request| (Signal::Logs, request.encode_to_vec())),
    ]
}

/// What [`disguise`] may do to a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Disguise {
    /// Split messages that may stand once.
    pub(super) split: bool,
    /// Insert fields that no table knows.
    pub(super) unknown: bool,
    /// Write varints longer than need be.
    pub(super) loose: bool,
}

/// Rewrites a request into another encoding of the same content: fields in another order (but among those with one
/// number), numbers packed or not.
pub(super) fn disguise(signal: Signal, request: &[u8], seed: u64, how: Disguise) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    disguise_message(request, messages::request(signal), &mut rng, how)
}

fn disguise_message(bytes: &[u8], message: &'static schema::Message, rng: &mut StdRng, how: Disguise) -> Vec<u8> {
    // (number, encoded field) in wire order.
    let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while let Some((number, value)) = cursor.field().expect("a valid message") {
        let field = message.field(number).expect("a known field");
        match (field.kind, value) {
            (Kind::Message(inner), Value::Bytes(body)) => {
                let singular = field.presence != Presence::Repeated;
                let body = disguise_message(body, inner, rng, how);
                // An empty half may still be merged with a whole one; a case of a oneof merges only with itself.
                let halves = if how.split && singular && rng.random_bool(0.5) { halve(&body, rng) } else { vec![body] };
                fields.extend(halves.into_iter().map(|body| (number, delimited(number, &body, rng, how))));
            }
            (kind, Value::Bytes(run)) if kind.wire_type() != 2 => {
                fields.extend(repack(number, kind, run, rng, how).into_iter().map(|field| (number, field)));
            }
            (_, value) => fields.push((number, single(number, value, rng, how))),
        }
    }
    if how.unknown {
        for _ in 0..rng.random_range(0..3) {
            fields.push(unknown_field(rng, how));
        }
    }
    // A stable sort by shuffled ranks keeps the order within one number.
    let mut numbers: Vec<u32> = fields.iter().map(|(number, _)| *number).collect();
    if rng.random_bool(0.5) {
        numbers.shuffle(rng);
    }
    let mut by_number = fields;
    let mut out = Vec::new();
    for number in numbers {
        let at = by_number.iter().position(|(found, _)| *found == number).expect("a permutation");
        out.extend(by_number.remove(at).1);
    }
    out
}

/// A message as two messages that merge to it.
fn halve(body: &[u8], rng: &mut StdRng) -> Vec<Vec<u8>> {
    let mut ends = vec![0];
    let mut cursor = Cursor::new(body);
    while cursor.field().expect("a valid message").is_some() {
        ends.push(body.len() - cursor.rest().len());
    }
    let (front, back) = body.split_at(ends[rng.random_range(0..ends.len())]);
    vec![front.to_vec(), back.to_vec()]
}

fn repack(number: u32, kind: Kind, run: &[u8], rng: &mut StdRng, how: Disguise) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    let mut cursor = Cursor::new(run);
    while !cursor.rest().is_empty() {
        items.push(match kind.wire_type() {
            0 => Value::Varint(cursor.varint().expect("a varint")),
            _ => Value::Fixed64(u64::from_le_bytes(cursor.fixed().expect("eight bytes"))),
        });
    }
    let mut fields = Vec::new();
    while !items.is_empty() {
        let rest = items.split_off(rng.random_range(1..=items.len()));
        if rng.random_bool(0.5) {
            fields.extend(items.iter().map(|value| single(number, *value, rng, how)));
        } else {
            let mut body = Vec::new();
            items.iter().for_each(|value| put_value(&mut body, *value, rng, how));
            fields.push(delimited(number, &body, rng, how));
        }
        items = rest;
    }
    fields
}

fn unknown_field(rng: &mut StdRng, how: Disguise) -> (u32, Vec<u8>) {
    let number = *[17, 18, 100, 2047, 2048, (1 << 29) - 1].choose_one(rng);
    let length = rng.random_range(0..5);
    let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
    let value = match rng.random_range(0..4) {
        0 => Value::Varint(rng.random()),
        1 => Value::Fixed64(rng.random()),
        2 => Value::Fixed32(rng.random()),
        _ => Value::Bytes(&bytes),
    };
    (number, single(number, value, rng, how))
}

trait ChooseOne<T> {
    fn choose_one(&self, rng: &mut StdRng) -> &T;
}

impl<T> ChooseOne<T> for [T] {
    fn choose_one(&self, rng: &mut StdRng) -> &T {
        &self[rng.random_range(0..self.len())]
    }
}

fn single(number: u32, value: Value<'_>, rng: &mut StdRng, how: Disguise) -> Vec<u8> {
    if let Value::Bytes(body) = value {
        return delimited(number, body, rng, how);
    }
    let mut out = Vec::new();
    put_loose_varint(&mut out, u64::from(number << 3 | u32::from(value.wire_type())), rng, how);
    put_value(&mut out, value, rng, how);
    out
}

fn put_value(out: &mut Vec<u8>, value: Value<'_>, rng: &mut StdRng, how: Disguise) {
    match value {
        Value::Varint(value) => put_loose_varint(out, value, rng, how),
        Value::Fixed64(bits) => out.extend(bits.to_le_bytes()),
        Value::Fixed32(bits) => out.extend(bits.to_le_bytes()),
        Value::Bytes(bytes) => out.extend(bytes),
    }
}

fn delimited(number: u32, body: &[u8], rng: &mut StdRng, how: Disguise) -> Vec<u8> {
    let mut out = Vec::new();
    put_loose_varint(&mut out, u64::from(number << 3 | 2), rng, how);
    put_loose_varint(&mut out, body.len() as u64, rng, how);
    out.extend(body);
    out
}

/// Now and then with a byte more than needed.
fn put_loose_varint(out: &mut Vec<u8>, value: u64, rng: &mut StdRng, how: Disguise) {
    put_varint(out, value);
    if how.loose && value < 1 << 56 && rng.random_bool(0.05) {
        *out.last_mut().expect("at least a byte") |= 0x80;
        out.push(0);
    }
}
