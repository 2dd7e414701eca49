use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

use super::super::arbitrary::{self, Disguise, disguise};
use super::super::visit::{self, Check, Visitor};
use super::*;

/// Where the items of a request lie.
#[derive(Default)]
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

fn items(signal: Signal, request: &[u8]) -> Vec<Range32> {
    let mut items = Items { request, found: Vec::new() };
    super::super::visit(signal, request, &mut items).expect("valid");
    items.found
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        "[a-z0-9é]{0,150}".prop_map(Value::from),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        vec("[a-z]{0,70}".prop_map(std::borrow::Cow::Owned), 0..3).prop_map(Value::TextList),
    ]
}

/// Keys that may well be present already, and some that stand twice.
fn added() -> impl Strategy<Value = Vec<Attribute<'static>>> {
    vec((prop_oneof!["[a-c._]{0,2}", "added\\.[a-c]"].prop_map(std::borrow::Cow::Owned), value()), 0..4)
}

fn to_prost((key, value): &Attribute<'_>) -> KeyValue {
    use any_value::Value as Prost;
    let text = |text: &std::borrow::Cow<'_, str>| Prost::StringValue(text.clone().into_owned());
    let value = match value {
        Value::Text(value) => text(value),
        Value::Int(int) => Prost::IntValue(*int),
        Value::Double(double) => Prost::DoubleValue(*double),
        Value::Bool(flag) => Prost::BoolValue(*flag),
        Value::TextList(texts) => Prost::ArrayValue(ArrayValue {
            values: texts.iter().map(|value| AnyValue { value: Some(text(value)) }).collect(),
        }),
    };
    KeyValue { key: key.clone().into_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn add(to: &mut Vec<KeyValue>, attributes: &[Attribute<'_>]) {
    for attribute in attributes {
        if !to.iter().any(|present| present.key == attribute.0) {
            to.push(to_prost(attribute));
        }
    }
}

/// What prost would make of it.
struct Expected<'a> {
    items: Vec<&'a [Attribute<'static>]>,
    resources: &'a [Vec<Attribute<'static>>],
}

impl Expected<'_> {
    fn apply(mut self, signal: Signal, request: &[u8]) -> Vec<u8> {
        let mut items = std::mem::take(&mut self.items).into_iter();
        let mut resources = self.resources.iter();
        macro_rules! apply {
            ($request:ty, $resources:ident, $scopes:ident, $items:ident, $each:expr) => {{
                let mut request = <$request>::decode(request).expect("valid");
                for group in &mut request.$resources {
                    if let Some(attributes) = resources.next()
                        && !attributes.is_empty()
                    {
                        add(&mut group.resource.get_or_insert_default().attributes, attributes);
                    }
                    group.$scopes.iter_mut().flat_map(|scope| &mut scope.$items).for_each($each);
                }
                request.encode_to_vec()
            }};
        }
        match signal {
            Signal::Traces => apply!(ExportTraceServiceRequest, resource_spans, scope_spans, spans, |span| {
                add(&mut span.attributes, items.next().expect("as many"));
            }),
            Signal::Logs => apply!(ExportLogsServiceRequest, resource_logs, scope_logs, log_records, |log| {
                add(&mut log.attributes, items.next().expect("as many"));
            }),
            Signal::Metrics => {
                apply!(ExportMetricsServiceRequest, resource_metrics, scope_metrics, metrics, |_| {})
            }
        }
    }
}

fn reencode(signal: Signal, request: &[u8]) -> Vec<u8> {
    super::super::canonical(signal, request).expect("valid").to_vec()
}

fn resource_count(request: &[u8]) -> usize {
    view::Repeated::<&[u8]>::new(request, 1).count()
}

struct Gone<F>(F);

impl<F: Fn(&[u8]) -> bool> Excise for Gone<F> {
    fn attribute(&self, key: &[u8]) -> bool {
        (self.0)(key)
    }

    fn log_body(&self, record: &view::LogRecord<'_>) -> bool {
        (self.0)(record.event_name)
    }
}

proptest! {
    #[test]
    fn a_splice_decodes_to_the_original_and_the_attributes(
        (signal, request) in arbitrary::request(),
        seed in any::<u64>(),
        loose in any::<bool>(),
        choices in vec((any::<Index>(), added()), 0..6),
        for_resources in vec((any::<Index>(), added()), 0..3),
    ) {
        let request = Bytes::from(disguise(signal, &request, seed, Disguise { unknown: true, loose, split: false }));
        let found = items(signal, &request);
        let mut by_item = vec![Vec::new(); found.len()];
        if !found.is_empty() {
            choices.iter().for_each(|(index, attributes)| by_item[index.index(found.len())].extend(attributes.clone()));
        }
        let mut by_resource = vec![Vec::new(); resource_count(&request)];
        if !by_resource.is_empty() {
            for (index, attributes) in &for_resources {
                let at = index.index(by_resource.len());
                by_resource[at].extend(attributes.clone());
            }
        }
        let edits = Edits {
            // Some with nothing in them.
            items: found.iter().zip(&by_item).enumerate()
                .filter(|(index, (_, attributes))| index % 2 == 0 || !attributes.is_empty())
                .map(|(_, (at, attributes))| ItemEdit { at: *at, attributes: attributes.clone() }).collect(),
            resources: (0..).zip(&by_resource).filter(|(_, attributes)| !attributes.is_empty())
                .map(|(index, attributes)| ResourceEdit { index, attributes: attributes.clone() }).collect(),
            excise: None,
        };
        let spliced = splice(signal, &request, &edits).expect("edits that fit");
        prop_assert_eq!(super::super::visit(signal, &spliced, &mut Check), Ok(()));
        let expected = Expected {
            items: by_item.iter().map(Vec::as_slice).collect(),
            resources: &by_resource,
        };
        prop_assert_eq!(reencode(signal, &spliced), expected.apply(signal, &request));
    }

    /// Whatever was added can be cut out again, which gives back the very bytes, unknown fields and all.
    #[test]
    fn excision_undoes_a_splice_byte_for_byte(
        (signal, request) in arbitrary::request(),
        seed in any::<u64>(),
        attributes in vec(value(), 0..4),
    ) {
        let request =
            Bytes::from(disguise(signal, &request, seed, Disguise { unknown: true, ..Disguise::default() }));
        let attributes: Vec<Attribute<'_>> =
            attributes.into_iter().enumerate().map(|(n, value)| (format!("qiyas.added.{n}").into(), value)).collect();
        let edits = Edits {
            items: items(signal, &request)
                .into_iter()
                .map(|at| ItemEdit { at, attributes: attributes.clone() })
                .collect(),
            ..Edits::default()
        };
        let spliced = splice(signal, &request, &edits).expect("edits that fit");
        let gone = Gone(|key: &[u8]| key.starts_with(b"qiyas.added."));
        let cut = Edits { excise: Some(&gone), ..Edits::default() };
        prop_assert_eq!(splice(signal, &spliced, &cut).expect("valid"), request);
    }

    #[test]
    fn excision_cuts_what_it_is_told_and_nothing_else(
        (signal, request) in arbitrary::request(),
        seed in any::<u64>(),
        bound in any::<u8>(),
    ) {
        let request = Bytes::from(disguise(signal, &request, seed, Disguise { unknown: true, ..Disguise::default() }));
        let goes = |key: &[u8]| key.first().is_some_and(|first| *first > bound);
        let gone = Gone(goes);
        let cut = splice(signal, &request, &Edits { excise: Some(&gone), ..Edits::default() }).expect("valid");
        let keep = |attribute: &KeyValue| !goes(attribute.key.as_bytes());
        let expected = match signal {
            Signal::Metrics => reencode(signal, &request),
            Signal::Traces => {
                let mut request = ExportTraceServiceRequest::decode(&*request).expect("valid");
                for scope in request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
                    for span in &mut scope.spans {
                        span.attributes.retain(keep);
                        span.events.iter_mut().for_each(|event| event.attributes.retain(keep));
                        span.links.iter_mut().for_each(|link| link.attributes.retain(keep));
                    }
                }
                request.encode_to_vec()
            }
            Signal::Logs => {
                let mut request = ExportLogsServiceRequest::decode(&*request).expect("valid");
                for scope in request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs) {
                    for log in &mut scope.log_records {
                        log.attributes.retain(keep);
                        log.body = log.body.take().filter(|_| !goes(log.event_name.as_bytes()));
                    }
                }
                request.encode_to_vec()
            }
        };
        prop_assert_eq!(reencode(signal, &cut), expected);
    }

    #[test]
    fn nothing_to_add_gives_the_same_bytes((signal, request) in arbitrary::request()) {
        let request = Bytes::from(request);
        let present = Edits {
            items: items(signal, &request).into_iter()
                .map(|at| ItemEdit { at, attributes: Vec::new() }).collect(),
            ..Edits::default()
        };
        for edits in [Edits::default(), present] {
            let spliced = splice(signal, &request, &edits).expect("edits that fit");
            prop_assert!(std::ptr::eq(spliced.as_ptr(), request.as_ptr()));
        }
    }

    #[test]
    fn arbitrary_bytes_end_without_panic(bytes in vec(any::<u8>(), 0..64), start in 0_usize..64, index in 0_u32..3) {
        let bytes = Bytes::from(bytes);
        let at = Range32::of(&bytes, bytes.get(start..).unwrap_or_default());
        let attributes = vec![("a".into(), Value::Int(1))];
        let gone = Gone(|key: &[u8]| key.len().is_multiple_of(2));
        let edits = Edits {
            items: vec![ItemEdit { at, attributes: attributes.clone() }],
            resources: vec![ResourceEdit { index, attributes }],
            excise: Some(&gone),
        };
        for signal in Signal::ALL {
            let _ = splice(signal, &bytes, &edits);
        }
    }
}

#[test]
fn edits_for_other_bytes_are_refused() {
    let request = Bytes::from_static(&[0x0a, 0x04, 0x12, 0x02, 0x12, 0x00]);
    let attributes: Vec<Attribute<'_>> = vec![("a".into(), true.into())];
    let elsewhere = Range32::of(&request, &request[4..]);
    let edits = Edits { items: vec![ItemEdit { at: elsewhere, attributes: attributes.clone() }], ..Edits::default() };
    let refused = splice(Signal::Traces, &request, &edits);
    assert_eq!(refused, Err(SpliceError::NoItem { start: 4, end: 6 }));

    let metric = Range32::of(&request, &request[6..]);
    let edits = Edits { items: vec![ItemEdit { at: metric, attributes: attributes.clone() }], ..Edits::default() };
    let refused = splice(Signal::Metrics, &request, &edits);
    assert_eq!(refused, Err(SpliceError::NoItem { start: 6, end: 6 }), "a metric has no attributes");

    let edits = Edits { resources: vec![ResourceEdit { index: 1, attributes }], ..Edits::default() };
    assert_eq!(splice(Signal::Traces, &request, &edits), Err(SpliceError::NoResource { index: 1 }));
}

#[test]
fn a_resource_is_made_where_none_stands() {
    let request = Bytes::from_static(&[0x0a, 0x04, 0x12, 0x02, 0x12, 0x00]);
    let attributes: Vec<Attribute<'_>> = vec![("k".into(), "v".into())];
    let edits = Edits { resources: vec![ResourceEdit { index: 0, attributes }], ..Edits::default() };
    let spliced = splice(Signal::Traces, &request, &edits).expect("valid");
    let made = [0x0a, 0x0a, 0x0a, 0x08, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, b'v'];
    assert_eq!(spliced, [&[0x0a, 0x10][..], &made, &[0x12, 0x02, 0x12, 0x00]].concat());
}
