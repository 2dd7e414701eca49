//! Any bytes as a request of each signal: the pass accepts what prost accepts, the views read them to the end, and a
//! splice and a split of what was accepted are accepted again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;
use qiyas::otlp::splice::{Edits, ItemEdit, ResourceEdit, splice};
use qiyas::otlp::split::{count, split};
use qiyas::otlp::view::{self, Data};
use qiyas::otlp::visit::{self, Check, Visitor};
use qiyas::otlp::{Fault, Range32, Signal, canonical};

fuzz_target!(|bytes: &[u8]| {
    for signal in Signal::ALL {
        read_all(signal, bytes);
        match qiyas::otlp::visit(signal, bytes, &mut Check) {
            Ok(()) => {
                assert!(prost_accepts(signal, bytes), "prost refuses");
                change(signal, bytes);
            }
            Err(Fault::Split { .. }) => match canonical(signal, bytes) {
                Some(merged) => assert_eq!(qiyas::otlp::visit(signal, &merged, &mut Check), Ok(())),
                None => assert!(!prost_accepts(signal, bytes)),
            },
            // Groups are refused on purpose.
            Err(Fault::WireType(3 | 4)) => {}
            Err(fault) => assert!(!prost_accepts(signal, bytes), "prost accepts: {fault}"),
        }
    }
});

fn prost_accepts(signal: Signal, bytes: &[u8]) -> bool {
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(bytes).is_ok(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).is_ok(),
        Signal::Logs => ExportLogsServiceRequest::decode(bytes).is_ok(),
    }
}

struct Items<'a> {
    request: &'a [u8],
    found: Vec<Range32>,
}

impl<'a> Visitor<'a> for Items<'a> {
    fn span(&mut self, span: visit::Span<'a>) {
        self.found.push(Range32::of(self.request, span.body));
    }

    fn log(&mut self, log: visit::Log<'a>) {
        self.found.push(Range32::of(self.request, log.message));
    }
}

fn change(signal: Signal, bytes: &[u8]) {
    let request = Bytes::copy_from_slice(bytes);
    let mut items = Items { request: &request, found: Vec::new() };
    qiyas::otlp::visit(signal, &request, &mut items).expect("accepted before");
    let items = items.found.into_iter().map(|at| ItemEdit { at, attributes: vec![("k".into(), "v".into())] });
    let mut edits = Edits { items: items.collect(), ..Edits::default() };
    let resources = match signal {
        Signal::Traces => view::traces(&request).count(),
        Signal::Metrics => view::metrics(&request).count(),
        Signal::Logs => view::logs(&request).count(),
    };
    if let Some(index) = resources.checked_sub(1) {
        edits.resources.push(ResourceEdit { index: index as u32, attributes: vec![("k".into(), 1.into())] });
    }
    // One message deep, an attribute always fits under the limit.
    let spliced = splice(signal, &request, &edits).expect("edits that fit");
    assert_eq!(qiyas::otlp::visit(signal, &spliced, &mut Check), Ok(()));
    let pieces = split(signal, &request, request.len() / 2).expect("accepted before");
    let mut items = 0;
    for piece in &pieces {
        assert_eq!(qiyas::otlp::visit(signal, piece, &mut Check), Ok(()));
        items += count(signal, piece);
    }
    assert_eq!(items, count(signal, &request));
}

/// Reads all there is, of bytes that may be anything.
fn read_all(signal: Signal, bytes: &[u8]) {
    match signal {
        Signal::Traces => {
            for span in view::traces(bytes).flat_map(|resource| resource.scopes()).flat_map(|scope| scope.items()) {
                attributes(span.attributes());
                span.events().for_each(|event| attributes(event.attributes()));
                span.links().for_each(|link| attributes(link.attributes()));
            }
        }
        Signal::Logs => {
            for log in view::logs(bytes).flat_map(|resource| resource.scopes()).flat_map(|scope| scope.items()) {
                attributes(log.attributes());
            }
        }
        Signal::Metrics => {
            let scopes = view::metrics(bytes).flat_map(|resource| resource.scopes());
            scopes.flat_map(|scope| scope.items()).for_each(|metric| data(metric.data));
        }
    }
}

fn attributes(all: view::Attributes<'_>) {
    for attribute in all {
        attributes(attribute.value.entries());
        attribute.value.values().for_each(|value| attributes(value.entries()));
    }
}

fn data(data: Data<'_>) {
    match data {
        Data::None => {}
        Data::Gauge(gauge) => gauge.points().for_each(|point| attributes(point.attributes())),
        Data::Sum(sum) => sum.points().for_each(|point| drop(point.exemplars().count())),
        Data::Histogram(histogram) => histogram.points().for_each(|point| {
            drop((point.bucket_counts().count(), point.explicit_bounds().count()));
        }),
        Data::ExponentialHistogram(histogram) => histogram.points().for_each(|point| {
            drop(point.positive.map(|buckets| buckets.bucket_counts().count()));
        }),
        Data::Summary(summary) => summary.points().for_each(|point| drop(point.quantiles().count())),
    }
}
