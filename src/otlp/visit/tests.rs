use proptest::prelude::*;

use super::super::arbitrary::{self, Disguise, disguise};
use super::super::view::{self, LogRecord, Read as _, Repeated, Resource, Scope};
use super::super::{Signal, visit};
use super::*;

/// What was shown, in a form that views can be asked for too.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn push(&mut self, what: std::fmt::Arguments<'_>) {
        self.0.push(what.to_string());
    }
}

impl<'a> Visitor<'a> for Shown {
    fn resource_begin(&mut self) {
        self.push(format_args!("resource"));
    }

    fn resource_attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
        self.push(format_args!("resource {key:?} {value:?}"));
    }

    fn resource_end(&mut self, resource: &'a [u8]) {
        self.push(format_args!("end {resource:?}"));
    }

    fn scope_begin(&mut self) {
        self.push(format_args!("scope"));
    }

    fn scope(&mut self, name: &'a [u8], version: &'a [u8], _body: &'a [u8]) {
        self.push(format_args!("scope {name:?} {version:?}"));
    }

    fn attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
        self.push(format_args!("attribute {key:?} {value:?}"));
    }

    fn event_attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
        self.push(format_args!("event {key:?} {value:?}"));
    }

    fn event(&mut self, event: Event<'a>) {
        self.push(format_args!("{event:?}"));
    }

    fn span(&mut self, span: Span<'a>) {
        self.push(format_args!("{span:?}"));
    }

    fn log(&mut self, log: Log<'a>) {
        self.push(format_args!("{log:?}"));
    }

    fn metric(&mut self, metric: &'a [u8]) {
        self.push(format_args!("metric {metric:?}"));
    }
}

/// What the views show of it, in the order of an encoder that writes fields by number.
fn by_views(signal: Signal, request: &[u8]) -> Vec<String> {
    let mut shown = Shown::default();
    for group in Repeated::<&[u8]>::new(request, 1) {
        shown.resource_begin();
        let resource = Repeated::<&[u8]>::new(group, 1).last();
        let attributes = resource.map(|resource| Resource::read(resource).attributes());
        attributes.into_iter().flatten().for_each(|a| shown.resource_attribute(a.key, a.value));
        for scope in Repeated::<&[u8]>::new(group, 2) {
            shown.scope_begin();
            Repeated::<Scope<'_>>::new(scope, 1).for_each(|scope| shown.scope(scope.name, scope.version, scope.body));
            for item in Repeated::<&[u8]>::new(scope, 2) {
                match signal {
                    Signal::Traces => show_span(view::Span::read(item), &mut shown),
                    Signal::Logs => show_log(LogRecord::read(item), &mut shown),
                    Signal::Metrics => shown.metric(item),
                }
            }
        }
        shown.resource_end(resource.unwrap_or_default());
    }
    shown.0
}

fn show_span<'a>(span: view::Span<'a>, shown: &mut Shown) {
    span.attributes().for_each(|a| shown.attribute(a.key, a.value));
    for event in span.events() {
        event.attributes().for_each(|a| shown.event_attribute(a.key, a.value));
        shown.event(Event { time_unix_nano: event.time_unix_nano, name: event.name });
    }
    shown.span(Span {
        body: span.body,
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        trace_state: span.trace_state,
        name: span.name,
        kind: span.kind,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        status_code: span.status.unwrap_or_default().code,
        flags: span.flags,
    });
}

fn show_log<'a>(log: LogRecord<'a>, shown: &mut Shown) {
    log.attributes().for_each(|a| shown.attribute(a.key, a.value));
    shown.log(Log {
        message: log.message,
        time_unix_nano: log.time_unix_nano,
        observed_time_unix_nano: log.observed_time_unix_nano,
        severity_number: log.severity_number,
        body: log.body.unwrap_or(AnyValue::Empty),
        trace_id: log.trace_id,
        span_id: log.span_id,
        event_name: log.event_name,
        flags: log.flags,
    });
}

proptest! {
    #[test]
    fn the_visitor_is_shown_what_the_views_read(
        (signal, request) in arbitrary::request(),
        seed in any::<u64>(),
        disguised in any::<bool>(),
    ) {
        let how = Disguise { unknown: true, loose: true, split: false };
        let request = if disguised { disguise(signal, &request, seed, how) } else { request };
        let mut shown = Shown::default();
        prop_assert_eq!(visit(signal, &request, &mut shown), Ok(()));
        let mut expected = by_views(signal, &request);
        if disguised {
            // Fields come in any order.
            shown.0.sort_unstable();
            expected.sort_unstable();
        }
        prop_assert_eq!(shown.0, expected);
    }
}
