//! The pass and the views against opentelemetry-proto's decoder.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1 as common,
    logs::v1 as logs_v1,
    metrics::v1 as metrics_v1,
    resource::v1 as resource_v1,
    trace::v1 as trace_v1,
};
use proptest::prelude::*;
use prost::Message as _;

use super::super::arbitrary::{self, Disguise, disguise};
use super::super::schema::{self, messages};
use super::super::visit::Check;
use super::super::wire::put_delimited;
use super::super::{Fault, Signal, canonical, visit};
use super::*;

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("checked")
}

fn to_value(value: AnyValue<'_>) -> common::AnyValue {
    use common::any_value::Value;
    let value = match value {
        AnyValue::Empty => None,
        AnyValue::Text(text) => Some(Value::StringValue(string(text))),
        AnyValue::Bool(flag) => Some(Value::BoolValue(flag)),
        AnyValue::Int(int) => Some(Value::IntValue(int)),
        AnyValue::Double(double) => Some(Value::DoubleValue(double)),
        AnyValue::Bytes(bytes) => Some(Value::BytesValue(bytes.to_vec())),
        AnyValue::Array(_) => {
            Some(Value::ArrayValue(common::ArrayValue { values: value.values().map(to_value).collect() }))
        }
        AnyValue::List(_) => Some(Value::KvlistValue(common::KeyValueList { values: to_attributes(value.entries()) })),
    };
    common::AnyValue { value }
}

fn to_attributes(attributes: Attributes<'_>) -> Vec<common::KeyValue> {
    attributes
        .map(|KeyValue { key, value }| common::KeyValue {
            key: string(key),
            value: Some(to_value(value)),
            key_strindex: 0,
        })
        .collect()
}

fn to_resource(resource: Resource<'_>) -> resource_v1::Resource {
    resource_v1::Resource {
        attributes: to_attributes(resource.attributes()),
        dropped_attributes_count: resource.dropped_attributes_count,
        entity_refs: resource
            .entity_refs()
            .map(|entity| common::EntityRef {
                schema_url: string(entity.schema_url),
                r#type: string(entity.entity_type),
                id_keys: entity.id_keys().map(string).collect(),
                description_keys: entity.description_keys().map(string).collect(),
            })
            .collect(),
    }
}

fn to_scope(scope: Scope<'_>) -> common::InstrumentationScope {
    common::InstrumentationScope {
        name: string(scope.name),
        version: string(scope.version),
        attributes: to_attributes(scope.attributes()),
        dropped_attributes_count: scope.dropped_attributes_count,
    }
}

fn to_span(span: Span<'_>) -> trace_v1::Span {
    trace_v1::Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        trace_state: string(span.trace_state),
        parent_span_id: span.parent_span_id.to_vec(),
        flags: span.flags,
        name: string(span.name),
        kind: span.kind,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        attributes: to_attributes(span.attributes()),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span
            .events()
            .map(|event| trace_v1::span::Event {
                time_unix_nano: event.time_unix_nano,
                name: string(event.name),
                attributes: to_attributes(event.attributes()),
                dropped_attributes_count: event.dropped_attributes_count,
            })
            .collect(),
        dropped_events_count: span.dropped_events_count,
        links: span
            .links()
            .map(|link| trace_v1::span::Link {
                trace_id: link.trace_id.to_vec(),
                span_id: link.span_id.to_vec(),
                trace_state: string(link.trace_state),
                attributes: to_attributes(link.attributes()),
                dropped_attributes_count: link.dropped_attributes_count,
                flags: link.flags,
            })
            .collect(),
        dropped_links_count: span.dropped_links_count,
        status: span.status.map(|status| trace_v1::Status { message: string(status.message), code: status.code }),
    }
}

fn to_traces(request: &[u8]) -> ExportTraceServiceRequest {
    let resource_spans = traces(request)
        .map(|resource| trace_v1::ResourceSpans {
            resource: resource.resource.map(to_resource),
            scope_spans: resource
                .scopes()
                .map(|scope| trace_v1::ScopeSpans {
                    scope: scope.scope.map(to_scope),
                    spans: scope.items().map(to_span).collect(),
                    schema_url: string(scope.schema_url),
                })
                .collect(),
            schema_url: string(resource.schema_url),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn to_log(log: LogRecord<'_>) -> logs_v1::LogRecord {
    logs_v1::LogRecord {
        time_unix_nano: log.time_unix_nano,
        observed_time_unix_nano: log.observed_time_unix_nano,
        severity_number: log.severity_number,
        severity_text: string(log.severity_text),
        body: log.body.map(to_value),
        attributes: to_attributes(log.attributes()),
        dropped_attributes_count: log.dropped_attributes_count,
        flags: log.flags,
        trace_id: log.trace_id.to_vec(),
        span_id: log.span_id.to_vec(),
        event_name: string(log.event_name),
    }
}

fn to_logs(request: &[u8]) -> ExportLogsServiceRequest {
    let resource_logs = logs(request)
        .map(|resource| logs_v1::ResourceLogs {
            resource: resource.resource.map(to_resource),
            scope_logs: resource
                .scopes()
                .map(|scope| logs_v1::ScopeLogs {
                    scope: scope.scope.map(to_scope),
                    log_records: scope.items().map(to_log).collect(),
                    schema_url: string(scope.schema_url),
                })
                .collect(),
            schema_url: string(resource.schema_url),
        })
        .collect();
    ExportLogsServiceRequest { resource_logs }
}

fn to_exemplars<'a>(exemplars: Repeated<'a, Exemplar<'a>>) -> Vec<metrics_v1::Exemplar> {
    use metrics_v1::exemplar::Value;
    exemplars
        .map(|exemplar| metrics_v1::Exemplar {
            filtered_attributes: to_attributes(exemplar.filtered_attributes()),
            time_unix_nano: exemplar.time_unix_nano,
            span_id: exemplar.span_id.to_vec(),
            trace_id: exemplar.trace_id.to_vec(),
            value: exemplar.value.map(|value| match value {
                Number::Int(int) => Value::AsInt(int),
                Number::Double(double) => Value::AsDouble(double),
            }),
        })
        .collect()
}

fn to_number_points<'a>(points: Repeated<'a, NumberPoint<'a>>) -> Vec<metrics_v1::NumberDataPoint> {
    use metrics_v1::number_data_point::Value;
    points
        .map(|point| metrics_v1::NumberDataPoint {
            attributes: to_attributes(point.attributes()),
            start_time_unix_nano: point.start_time_unix_nano,
            time_unix_nano: point.time_unix_nano,
            exemplars: to_exemplars(point.exemplars()),
            flags: point.flags,
            value: point.value.map(|value| match value {
                Number::Int(int) => Value::AsInt(int),
                Number::Double(double) => Value::AsDouble(double),
            }),
        })
        .collect()
}

fn to_temporality(temporality: Temporality) -> i32 {
    match temporality {
        Temporality::Unspecified => 0,
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
        Temporality::Other(other) => other,
    }
}

fn to_buckets(buckets: Buckets<'_>) -> metrics_v1::exponential_histogram_data_point::Buckets {
    metrics_v1::exponential_histogram_data_point::Buckets {
        offset: buckets.offset,
        bucket_counts: buckets.bucket_counts().collect(),
    }
}

fn to_data(data: Data<'_>) -> Option<metrics_v1::metric::Data> {
    use metrics_v1::metric;
    Some(match data {
        Data::None => return None,
        Data::Gauge(gauge) => metric::Data::Gauge(metrics_v1::Gauge { data_points: to_number_points(gauge.points()) }),
        Data::Sum(sum) => metric::Data::Sum(metrics_v1::Sum {
            data_points: to_number_points(sum.points()),
            aggregation_temporality: to_temporality(sum.temporality),
            is_monotonic: sum.is_monotonic,
        }),
        Data::Histogram(histogram) => metric::Data::Histogram(metrics_v1::Histogram {
            data_points: histogram
                .points()
                .map(|point| metrics_v1::HistogramDataPoint {
                    attributes: to_attributes(point.attributes()),
                    start_time_unix_nano: point.start_time_unix_nano,
                    time_unix_nano: point.time_unix_nano,
                    count: point.count,
                    sum: point.sum,
                    bucket_counts: point.bucket_counts().collect(),
                    explicit_bounds: point.explicit_bounds().collect(),
                    exemplars: to_exemplars(point.exemplars()),
                    flags: point.flags,
                    min: point.min,
                    max: point.max,
                })
                .collect(),
            aggregation_temporality: to_temporality(histogram.temporality),
        }),
        Data::ExponentialHistogram(histogram) => metric::Data::ExponentialHistogram(metrics_v1::ExponentialHistogram {
            data_points: histogram
                .points()
                .map(|point| metrics_v1::ExponentialHistogramDataPoint {
                    attributes: to_attributes(point.attributes()),
                    start_time_unix_nano: point.start_time_unix_nano,
                    time_unix_nano: point.time_unix_nano,
                    count: point.count,
                    sum: point.sum,
                    scale: point.scale,
                    zero_count: point.zero_count,
                    positive: point.positive.map(to_buckets),
                    negative: point.negative.map(to_buckets),
                    flags: point.flags,
                    exemplars: to_exemplars(point.exemplars()),
                    min: point.min,
                    max: point.max,
                    zero_threshold: point.zero_threshold,
                })
                .collect(),
            aggregation_temporality: to_temporality(histogram.temporality),
        }),
        Data::Summary(summary) => metric::Data::Summary(metrics_v1::Summary {
            data_points: summary
                .points()
                .map(|point| metrics_v1::SummaryDataPoint {
                    attributes: to_attributes(point.attributes()),
                    start_time_unix_nano: point.start_time_unix_nano,
                    time_unix_nano: point.time_unix_nano,
                    count: point.count,
                    sum: point.sum,
                    quantile_values: point
                        .quantiles()
                        .map(|ValueAtQuantile { quantile, value }| metrics_v1::summary_data_point::ValueAtQuantile {
                            quantile,
                            value,
                        })
                        .collect(),
                    flags: point.flags,
                })
                .collect(),
        }),
    })
}

fn to_metrics(request: &[u8]) -> ExportMetricsServiceRequest {
    let resource_metrics = metrics(request)
        .map(|resource| metrics_v1::ResourceMetrics {
            resource: resource.resource.map(to_resource),
            scope_metrics: resource
                .scopes()
                .map(|scope| metrics_v1::ScopeMetrics {
                    scope: scope.scope.map(to_scope),
                    metrics: scope
                        .items()
                        .map(|metric| metrics_v1::Metric {
                            name: string(metric.name),
                            description: string(metric.description),
                            unit: string(metric.unit),
                            metadata: to_attributes(metric.metadata()),
                            data: to_data(metric.data),
                        })
                        .collect(),
                    schema_url: string(scope.schema_url),
                })
                .collect(),
            schema_url: string(resource.schema_url),
        })
        .collect();
    ExportMetricsServiceRequest { resource_metrics }
}

/// What the views read, encoded by prost.
fn read_by_views(signal: Signal, request: &[u8]) -> Vec<u8> {
    match signal {
        Signal::Traces => to_traces(request).encode_to_vec(),
        Signal::Metrics => to_metrics(request).encode_to_vec(),
        Signal::Logs => to_logs(request).encode_to_vec(),
    }
}

fn plain_value(value: &mut common::AnyValue) {
    use common::any_value::Value;
    match &mut value.value {
        Some(Value::StringValueStrindex(_)) => value.value = None,
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(plain_value),
        Some(Value::KvlistValue(list)) => plain(&mut list.values),
        _ => {}
    }
}

/// Without what views do not tell apart: string indexes, and a value that is absent or empty.
fn plain(attributes: &mut [common::KeyValue]) {
    for attribute in attributes {
        attribute.key_strindex = 0;
        plain_value(attribute.value.get_or_insert_default());
    }
}

fn plain_resource(resource: &mut Option<resource_v1::Resource>) {
    resource.iter_mut().for_each(|resource| plain(&mut resource.attributes));
}

fn plain_scope(scope: &mut Option<common::InstrumentationScope>) {
    scope.iter_mut().for_each(|scope| plain(&mut scope.attributes));
}

fn plain_exemplars(exemplars: &mut [metrics_v1::Exemplar]) {
    exemplars.iter_mut().for_each(|exemplar| plain(&mut exemplar.filtered_attributes));
}

fn plain_metric(metric: &mut metrics_v1::Metric) {
    use metrics_v1::metric::Data;
    plain(&mut metric.metadata);
    match &mut metric.data {
        None => {}
        Some(Data::Gauge(metrics_v1::Gauge { data_points })) | Some(Data::Sum(metrics_v1::Sum { data_points, .. })) => {
            for point in data_points {
                plain(&mut point.attributes);
                plain_exemplars(&mut point.exemplars);
            }
        }
        Some(Data::Histogram(histogram)) => {
            for point in &mut histogram.data_points {
                plain(&mut point.attributes);
                plain_exemplars(&mut point.exemplars);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &mut histogram.data_points {
                plain(&mut point.attributes);
                plain_exemplars(&mut point.exemplars);
            }
        }
        Some(Data::Summary(summary)) => summary.data_points.iter_mut().for_each(|point| plain(&mut point.attributes)),
    }
}

/// What prost reads, encoded again. `None`: it refuses.
fn read_by_prost(signal: Signal, request: &[u8]) -> Option<Vec<u8>> {
    Some(match signal {
        Signal::Traces => {
            let mut request = ExportTraceServiceRequest::decode(request).ok()?;
            for resource in &mut request.resource_spans {
                plain_resource(&mut resource.resource);
                for scope in &mut resource.scope_spans {
                    plain_scope(&mut scope.scope);
                    for span in &mut scope.spans {
                        plain(&mut span.attributes);
                        span.events.iter_mut().for_each(|event| plain(&mut event.attributes));
                        span.links.iter_mut().for_each(|link| plain(&mut link.attributes));
                    }
                }
            }
            request.encode_to_vec()
        }
        Signal::Metrics => {
            let mut request = ExportMetricsServiceRequest::decode(request).ok()?;
            for resource in &mut request.resource_metrics {
                plain_resource(&mut resource.resource);
                for scope in &mut resource.scope_metrics {
                    plain_scope(&mut scope.scope);
                    scope.metrics.iter_mut().for_each(plain_metric);
                }
            }
            request.encode_to_vec()
        }
        Signal::Logs => {
            let mut request = ExportLogsServiceRequest::decode(request).ok()?;
            for resource in &mut request.resource_logs {
                plain_resource(&mut resource.resource);
                for scope in &mut resource.scope_logs {
                    plain_scope(&mut scope.scope);
                    for log in &mut scope.log_records {
                        plain(&mut log.attributes);
                        log.body.iter_mut().for_each(plain_value);
                    }
                }
            }
            request.encode_to_vec()
        }
    })
}

fn accepts(signal: Signal, request: &[u8]) -> Result<(), Fault> {
    visit(signal, request, &mut Check)
}

/// Holds the pass and the views against prost on any bytes.
fn agree(signal: Signal, request: &[u8]) -> Result<(), TestCaseError> {
    let prost = read_by_prost(signal, request);
    let by_table = schema::check(request, messages::request(signal), 0);
    match accepts(signal, request) {
        Ok(()) => {
            prop_assert_eq!(by_table, Ok(()), "the pass accepts, the table refuses");
            prop_assert_eq!(Some(read_by_views(signal, request)), prost, "prost reads otherwise");
        }
        Err(Fault::Split { .. }) => {
            prop_assert!(by_table.is_err());
            prop_assert_eq!(canonical(signal, request).is_some(), prost.is_some());
            if let Some(merged) = canonical(signal, request) {
                prop_assert_eq!(accepts(signal, &merged), Ok(()));
                prop_assert_eq!(Some(read_by_views(signal, &merged)), prost);
            }
        }
        // Groups are refused on purpose; prost skips an unknown one.
        Err(Fault::WireType(3 | 4)) => prop_assert!(by_table.is_err()),
        Err(fault) => prop_assert_eq!(prost, None, "prost accepts what is refused here: {}", fault),
    }
    Ok(())
}

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![Just(Signal::Traces), Just(Signal::Metrics), Just(Signal::Logs)]
}

proptest! {
    #[test]
    fn views_read_what_prost_wrote((signal, request) in arbitrary::request()) {
        prop_assert_eq!(accepts(signal, &request), Ok(()));
        agree(signal, &request)?;
    }

    #[test]
    fn other_encodings_of_the_same_content_read_the_same(
        (signal, request) in arbitrary::request(),
        seed in any::<u64>(),
    ) {
        let disguised = disguise(signal, &request, seed, Disguise { unknown: true, loose: true, ..Disguise::default() });
        prop_assert_eq!(accepts(signal, &disguised), Ok(()));
        prop_assert_eq!(Some(read_by_views(signal, &disguised)), read_by_prost(signal, &request));
        agree(signal, &disguised)?;
    }

    #[test]
    fn split_messages_merge_as_prost_merges_them((signal, request) in arbitrary::request(), seed in any::<u64>()) {
        let split = disguise(signal, &request, seed, Disguise { unknown: true, loose: true, split: true });
        let fine = matches!(accepts(signal, &split), Ok(()) | Err(Fault::Split { .. }));
        prop_assert!(fine);
        prop_assert_eq!(read_by_prost(signal, &split), read_by_prost(signal, &request));
        agree(signal, &split)?;
    }

    #[test]
    fn mutated_bytes_are_accepted_where_prost_accepts_them(
        (signal, mut request) in arbitrary::request(),
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        for (index, byte, how) in mutations {
            if request.is_empty() {
                break;
            }
            let at = index.index(request.len());
            match how {
                0 => request[at] = byte,
                1 => request[at] ^= 1 << (byte & 7),
                2 => request.insert(at, byte),
                _ => drop(request.remove(at)),
            }
        }
        agree(signal, &request)?;
        // The bytes of one signal, read as each of the others.
        for other in Signal::ALL {
            agree(other, &request)?;
        }
    }

    #[test]
    fn arbitrary_bytes_end_without_panic(
        signal in signal(),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x0a), Just(0x12), 0..16_u8], 0..64),
    ) {
        agree(signal, &bytes)?;
        // Unchecked bytes too: whatever the views give, they end.
        let mut left = 10_000;
        walk_unchecked(&bytes, &mut left);
        prop_assert!(left > 0);
    }
}

/// Reads everything there is in bytes nobody checked.
fn walk_unchecked(bytes: &[u8], left: &mut u32) {
    fn attributes(all: Attributes<'_>, left: &mut u32) {
        for attribute in all {
            *left -= 1;
            let _ = text(attribute.key);
            attributes(attribute.value.entries(), left);
            *left -= attribute.value.values().count() as u32;
        }
    }
    for resource in traces(bytes) {
        attributes(resource.resource.unwrap_or_default().attributes(), left);
        for span in resource.scopes().flat_map(|scope| scope.items()) {
            attributes(span.attributes(), left);
            span.events().for_each(|event| attributes(event.attributes(), left));
            span.links().for_each(|link| attributes(link.attributes(), left));
        }
    }
    for log in logs(bytes).flat_map(|resource| resource.scopes()).flat_map(|scope| scope.items()) {
        attributes(log.attributes(), left);
    }
    for metric in metrics(bytes).flat_map(|resource| resource.scopes()).flat_map(|scope| scope.items()) {
        *left -= metric.point_count() as u32;
        match metric.data {
            Data::None => {}
            Data::Gauge(gauge) => gauge.points().for_each(|point| attributes(point.attributes(), left)),
            Data::Sum(sum) => sum.points().for_each(|point| attributes(point.attributes(), left)),
            Data::Histogram(histogram) => {
                for point in histogram.points() {
                    *left -= point.bucket_counts().count() as u32 + point.explicit_bounds().count() as u32;
                }
            }
            Data::ExponentialHistogram(histogram) => {
                for point in histogram.points() {
                    *left -= point.positive.map_or(0, |buckets| buckets.bucket_counts().count()) as u32;
                }
            }
            Data::Summary(summary) => {
                for point in summary.points() {
                    *left -= point.quantiles().count() as u32;
                }
            }
        }
    }
}

/// A log request whose record's body is `messages` messages deep in all, the request not counted: an array in an array
/// and so on, at the innermost `inside`.
fn nested_body(messages: usize, inside: &[u8]) -> Vec<u8> {
    let mut body = inside.to_vec();
    // ResourceLogs 1, ScopeLogs 2, LogRecord 3; then AnyValue 4, ArrayValue 5, AnyValue 6 …
    for depth in (4..=messages).rev() {
        let number = if depth == 4 || depth % 2 == 1 { 5 } else { 1 };
        let mut outer = Vec::new();
        put_delimited(&mut outer, number, body.len());
        outer.extend(body);
        body = outer;
    }
    for number in [2, 2, 1] {
        let mut outer = Vec::new();
        put_delimited(&mut outer, number, body.len());
        outer.extend(body);
        body = outer;
    }
    body
}

#[test]
fn nesting_ends_where_prost_ends_it() {
    for depth in 4..=130 {
        // Empty; a known field (AnyValue's bool, unknown to ArrayValue); a field nobody knows.
        for inside in [&[][..], &[0x10, 1], &[0xa0, 0x1f, 1]] {
            let request = nested_body(depth, inside);
            agree(Signal::Logs, &request).expect("the same limit");
            let unknown = inside.len() == 3;
            let accepted = accepts(Signal::Logs, &request).is_ok();
            assert_eq!(accepted, depth < 100 || depth == 100 && !unknown, "{depth} {inside:?}");
        }
    }
}

#[test]
fn points_tell_their_flags_and_counts() {
    let gauge = metrics_v1::Gauge {
        data_points: vec![metrics_v1::NumberDataPoint { flags: 1, ..Default::default() }, Default::default()],
    };
    let metric = metrics_v1::Metric { data: Some(metrics_v1::metric::Data::Gauge(gauge)), ..Default::default() };
    let bytes = metric.encode_to_vec();
    let metric = Metric::read(&bytes);
    assert_eq!(metric.point_count(), 2);
    let Data::Gauge(gauge) = metric.data else { panic!("a gauge") };
    assert_eq!(gauge.points().map(|point| point.no_recorded_value()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn an_empty_request_is_fine() {
    for signal in Signal::ALL {
        assert_eq!(accepts(signal, &[]), Ok(()));
    }
}
