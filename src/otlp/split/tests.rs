use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    metrics::v1::{Metric, metric::Data},
};
use proptest::prelude::*;
use prost::Message as _;

use super::super::arbitrary::{self, Disguise, disguise};
use super::super::visit::Check;
use super::*;

/// Every item with all that surrounds it, one line each.
fn items(signal: Signal, request: &[u8]) -> Vec<String> {
    macro_rules! items {
        ($request:ty, $resources:ident, $scopes:ident, $items:ident, $each:expr) => {{
            let request = <$request>::decode(request).expect("valid");
            let mut lines = Vec::new();
            for resource in request.$resources {
                for scope in resource.$scopes {
                    let around = (&resource.resource, &resource.schema_url, &scope.scope, &scope.schema_url);
                    let around = format!("{around:?}");
                    lines.extend(scope.$items.into_iter().flat_map($each).map(|item| format!("{around} {item}")));
                }
            }
            lines
        }};
    }
    match signal {
        Signal::Traces => {
            items!(ExportTraceServiceRequest, resource_spans, scope_spans, spans, |span| [format!("{span:?}")])
        }
        Signal::Logs => {
            items!(ExportLogsServiceRequest, resource_logs, scope_logs, log_records, |log| [format!("{log:?}")])
        }
        Signal::Metrics => items!(ExportMetricsServiceRequest, resource_metrics, scope_metrics, metrics, points),
    }
}

/// Every point of a metric, with the metric that is left without points.
fn points(mut metric: Metric) -> Vec<String> {
    let points = match &mut metric.data {
        None => Vec::new(),
        Some(Data::Gauge(gauge)) => gauge.data_points.drain(..).map(|point| format!("{point:?}")).collect(),
        Some(Data::Sum(sum)) => sum.data_points.drain(..).map(|point| format!("{point:?}")).collect(),
        Some(Data::Histogram(data)) => data.data_points.drain(..).map(|point| format!("{point:?}")).collect(),
        Some(Data::ExponentialHistogram(data)) => {
            data.data_points.drain(..).map(|point| format!("{point:?}")).collect()
        }
        Some(Data::Summary(summary)) => summary.data_points.drain(..).map(|point| format!("{point:?}")).collect(),
    };
    points.into_iter().map(|point: String| format!("{metric:?} {point}")).collect()
}

/// The bytes of all fields that no table knows, in order, on the levels that are split.
fn unknown_fields(body: &[u8], message: &'static Message, path: &[&'static [u32]], all: &mut Vec<u8>) {
    let Some((level, deeper)) = path.split_first() else { return };
    let parts = Parts::read(body, message, level).expect("valid");
    all.extend(&parts.unknown);
    for (number, child) in parts.children {
        let Some(Kind::Message(inner)) = message.field(number).map(|field| field.kind) else { panic!("a message") };
        unknown_fields(child, inner, deeper, all);
    }
}

proptest! {
    #[test]
    fn pieces_hold_every_item_once(
        (signal, request) in arbitrary::request(),
        seed in any::<u64>(),
        unknown in any::<bool>(),
        divisor in 1_usize..20,
    ) {
        let how = Disguise { unknown, loose: true, split: false };
        let request = Bytes::from(disguise(signal, &request, seed, how));
        let max_bytes = request.len() / divisor;
        let pieces = split(signal, &request, max_bytes).expect("valid");
        let (mut together, mut unknown_fields_kept) = (Vec::new(), Vec::new());
        for piece in &pieces {
            prop_assert_eq!(super::super::visit(signal, piece, &mut Check), Ok(()));
            let held = items(signal, piece);
            prop_assert_eq!(held.len() as u32, count(signal, piece));
            prop_assert!(piece.len() <= max_bytes || held.len() <= 1, "{} bytes, {} items", piece.len(), held.len());
            together.extend(held);
            unknown_fields(piece, messages::request(signal), path(signal), &mut unknown_fields_kept);
        }
        let mut expected = Vec::new();
        unknown_fields(&request, messages::request(signal), path(signal), &mut expected);
        expected.sort_unstable();
        unknown_fields_kept.sort_unstable();
        prop_assert_eq!(unknown_fields_kept, expected);
        prop_assert_eq!(together, items(signal, &request));
        prop_assert_eq!(pieces.iter().map(|piece| count(signal, piece)).sum::<u32>(), count(signal, &request));
        // And put together again they are one request with the same items.
        prop_assert_eq!(items(signal, &concat(&pieces)), items(signal, &request));
    }

    #[test]
    fn arbitrary_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), max_bytes in 0_usize..64) {
        let bytes = Bytes::from(bytes);
        for signal in Signal::ALL {
            let _ = split(signal, &bytes, max_bytes);
            let _ = count(signal, &bytes);
        }
    }
}

#[test]
fn what_is_small_enough_is_the_same_request() {
    let request = Bytes::from_static(&[0x0a, 0x02, 0x12, 0x00]);
    let pieces = split(Signal::Traces, &request, 4).expect("valid");
    assert!(pieces.len() == 1 && std::ptr::eq(pieces[0].as_ptr(), request.as_ptr()));
    assert!(std::ptr::eq(concat(&pieces).as_ptr(), request.as_ptr()));
}

#[test]
fn one_metric_with_many_points_is_split_between_them() {
    use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};
    let data_points =
        (0..1000).map(|time_unix_nano| NumberDataPoint { time_unix_nano, ..Default::default() }).collect();
    let sum = Sum { data_points, aggregation_temporality: 2, is_monotonic: true };
    let metric =
        Metric { name: "requests".into(), unit: "{request}".into(), data: Some(Data::Sum(sum)), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    let request = Bytes::from(ExportMetricsServiceRequest { resource_metrics }.encode_to_vec());
    let pieces = split(Signal::Metrics, &request, 1024).expect("valid");
    assert!(pieces.iter().all(|piece| piece.len() <= 1024));
    // No more pieces than need be, but for what is repeated.
    assert!(pieces.len() <= request.len().div_ceil(900), "{} pieces of {}", pieces.len(), request.len());
    assert_eq!(pieces.iter().map(|piece| count(Signal::Metrics, piece)).sum::<u32>(), 1000);
    assert!(
        pieces.iter().all(|piece| items(Signal::Metrics, piece).iter().all(|item| item.contains("is_monotonic: true")))
    );
}
