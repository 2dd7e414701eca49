//! The visitor of the receiving pass: turns what it is shown into observations.

use super::Observer;
use super::genai::Slots;
use super::observations::{Metric, Observations, Resource, Scalar, Span};
use super::sampling::AdjustedCount;
use crate::otlp::Range32;
use crate::otlp::view::{self, Read as _};
use crate::otlp::visit::{self, AnyValue, Visitor};
use crate::units::UnixNanos;

pub(super) struct Pass<'o, 'a> {
    observer: &'o Observer,
    record: &'a [u8],
    out: Observations,
    slots: Slots<'a>,
    resource: Resource,
    scope: &'a [u8],
    /// The encoded scope of the metrics being read, and the first of them.
    metrics_scope: Range32,
    metrics_from: usize,
    exception: Option<AnyValue<'a>>,
    /// One for each configured dimension, of the span being read.
    dimensions: Vec<Scalar>,
}

impl<'o, 'a> Pass<'o, 'a> {
    pub(super) fn new(observer: &'o Observer, record: &'a [u8]) -> Self {
        Self {
            observer,
            record,
            out: Observations::default(),
            slots: Slots::new(),
            resource: Resource::default(),
            scope: &[],
            metrics_scope: Range32::default(),
            metrics_from: 0,
            exception: None,
            dimensions: vec![Scalar::Absent; observer.dimensions],
        }
    }

    pub(super) fn finish(mut self) -> Observations {
        self.out.implausible = self.slots.implausible;
        self.out
    }

    fn scalar(&self, value: AnyValue<'a>) -> Scalar {
        match value {
            AnyValue::Text(text) => Scalar::Text(Range32::of(self.record, text)),
            AnyValue::Int(int) => Scalar::Int(int),
            AnyValue::Bool(flag) => Scalar::Bool(flag),
            AnyValue::Double(double) => Scalar::Double(double),
            // A series is named by scalars; lists and bytes name none.
            AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::List(_) => Scalar::Absent,
        }
    }
}

impl<'a> Visitor<'a> for Pass<'_, 'a> {
    fn resource_begin(&mut self) {
        self.resource = Resource::default();
        let dimensions = self.out.resource_dimensions.len() + self.observer.dimensions;
        self.out.resource_dimensions.resize(dimensions, Scalar::Absent);
    }

    fn resource_attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
        if let AnyValue::Text(text) = value {
            let range = Range32::of(self.record, text);
            match key {
                b"service.name" => self.resource.name = range,
                b"service.namespace" => self.resource.namespace = range,
                b"service.instance.id" => self.resource.instance = range,
                _ => {}
            }
        }
        if self.observer.dimensions > 0
            && let Some(index) = self.observer.lookup.find(key).and_then(|meaning| meaning.dimension)
        {
            let scalar = self.scalar(value);
            let first = self.out.resource_dimensions.len() - self.observer.dimensions;
            if let Some(slot) = self.out.resource_dimensions.get_mut(first + usize::from(index)) {
                *slot = scalar;
            }
        }
    }

    fn resource_end(&mut self, resource: &'a [u8]) {
        self.resource.body = Range32::of(self.record, resource);
        self.out.resources.push(self.resource);
    }

    fn scope_begin(&mut self) {
        self.scope = &[];
        self.metrics_scope = Range32::default();
        self.metrics_from = self.out.metrics.len();
    }

    fn scope(&mut self, name: &'a [u8], _version: &'a [u8], body: &'a [u8]) {
        self.scope = name;
        self.metrics_scope = Range32::of(self.record, body);
        // The wire may have the scope behind its metrics.
        for metric in self.out.metrics.iter_mut().skip(self.metrics_from) {
            metric.scope = self.metrics_scope;
        }
    }

    #[inline]
    fn attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
        let Some(meaning) = self.observer.lookup.find(key) else { return };
        if let Some((field, rank)) = meaning.field {
            self.slots.offer(field, rank, value);
        }
        if let Some(index) = meaning.dimension {
            let scalar = self.scalar(value);
            if let Some(slot) = self.dimensions.get_mut(usize::from(index)) {
                *slot = scalar;
            }
        }
    }

    fn event_attribute(&mut self, key: &'a [u8], value: AnyValue<'a>) {
        if key == b"exception.type" {
            self.exception = Some(value);
        }
    }

    fn event(&mut self, event: visit::Event<'a>) {
        match event.name {
            b"exception" => {
                if let Some(AnyValue::Text(kind)) = self.exception {
                    self.slots.exception(kind);
                }
            }
            b"First Token Stream Event"
            | b"gen_ai.content.completion.chunk"
            | b"llm.content.completion.chunk"
            | b"ai.stream.firstChunk" => self.slots.first_chunk_event(event.time_unix_nano),
            _ => {}
        }
        self.exception = None;
    }

    fn span(&mut self, span: visit::Span<'a>) {
        let index = self.out.spans.len() as u32;
        if !self.slots.is_ordinary()
            && let Some(mut call) = self.slots.call(self.record, self.scope, &span)
        {
            call.span = index;
            self.out.calls.push(call);
        }
        self.slots.clear();
        self.out.spans.push(Span {
            resource: self.out.resources.len() as u32,
            body: Range32::of(self.record, span.body),
            name: Range32::of(self.record, span.name),
            kind: u8::try_from(span.kind).unwrap_or_default(),
            status: u8::try_from(span.status_code).unwrap_or_default(),
            start_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            trace_id: Range32::of(self.record, span.trace_id),
            span_id: Range32::of(self.record, span.span_id),
            stands_for: match (self.observer.adjusted_count, span.trace_state) {
                (false, _) | (_, []) => AdjustedCount::ONE,
                (true, state) => AdjustedCount::of_trace_state(state),
            },
        });
        if self.observer.dimensions > 0 {
            self.out.span_dimensions.extend_from_slice(&self.dimensions);
            self.dimensions.fill(Scalar::Absent);
        }
    }

    fn log(&mut self, log: visit::Log<'a>) {
        self.slots.clear();
        self.out.logs += 1;
        let time = if log.time_unix_nano == 0 { log.observed_time_unix_nano } else { log.time_unix_nano };
        self.out.latest_log = self.out.latest_log.max(UnixNanos(time));
    }

    fn metric(&mut self, metric: &'a [u8]) {
        let points = view::Metric::read(metric).point_count();
        self.out.points = self.out.points.saturating_add(u32::try_from(points).unwrap_or(u32::MAX));
        self.out.metrics.push(Metric {
            resource: self.out.resources.len() as u32,
            scope: self.metrics_scope,
            body: Range32::of(self.record, metric),
        });
    }
}
