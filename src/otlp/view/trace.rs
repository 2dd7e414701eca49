//! Views over traces.

use super::super::wire::Value;
use super::{Attributes, Fields, Read, Repeated, ResourceItems, ScopeItems};

pub type ResourceSpans<'a> = ResourceItems<'a, Span<'a>>;
pub type ScopeSpans<'a> = ScopeItems<'a, Span<'a>>;

/// The resources of an `ExportTraceServiceRequest` (or `TracesData`).
pub fn traces(request: &[u8]) -> Repeated<'_, ResourceSpans<'_>> {
    Repeated::new(request, 1)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub parent_span_id: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    pub start_time_unix_nano: u64,
    pub end_time_unix_nano: u64,
    pub dropped_attributes_count: u32,
    pub dropped_events_count: u32,
    pub dropped_links_count: u32,
    pub status: Option<Status<'a>>,
    pub flags: u32,
}

impl<'a> Read<'a> for Span<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(id)) => read.trace_id = id,
                (2, Value::Bytes(id)) => read.span_id = id,
                (3, Value::Bytes(state)) => read.trace_state = state,
                (4, Value::Bytes(id)) => read.parent_span_id = id,
                (5, Value::Bytes(name)) => read.name = name,
                (6, Value::Varint(kind)) => read.kind = kind as i32,
                (7, Value::Fixed64(time)) => read.start_time_unix_nano = time,
                (8, Value::Fixed64(time)) => read.end_time_unix_nano = time,
                (10, Value::Varint(count)) => read.dropped_attributes_count = count as u32,
                (12, Value::Varint(count)) => read.dropped_events_count = count as u32,
                (14, Value::Varint(count)) => read.dropped_links_count = count as u32,
                (15, Value::Bytes(status)) => read.status = Some(Status::read(status)),
                (16, Value::Fixed32(flags)) => read.flags = flags,
                _ => {}
            }
        }
        read
    }
}

impl<'a> Span<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 9)
    }

    pub fn events(&self) -> Repeated<'a, Event<'a>> {
        Repeated::new(self.body, 11)
    }

    pub fn links(&self) -> Repeated<'a, Link<'a>> {
        Repeated::new(self.body, 13)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Status<'a> {
    pub message: &'a [u8],
    pub code: i32,
}

impl<'a> Read<'a> for Status<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self::default();
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Bytes(text)) => read.message = text,
                (3, Value::Varint(code)) => read.code = code as i32,
                _ => {}
            }
        }
        read
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub time_unix_nano: u64,
    pub name: &'a [u8],
    pub dropped_attributes_count: u32,
}

impl<'a> Read<'a> for Event<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Fixed64(time)) => read.time_unix_nano = time,
                (2, Value::Bytes(name)) => read.name = name,
                (4, Value::Varint(count)) => read.dropped_attributes_count = count as u32,
                _ => {}
            }
        }
        read
    }
}

impl<'a> Event<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 3)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub dropped_attributes_count: u32,
    pub flags: u32,
}

impl<'a> Read<'a> for Link<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(id)) => read.trace_id = id,
                (2, Value::Bytes(id)) => read.span_id = id,
                (3, Value::Bytes(state)) => read.trace_state = state,
                (5, Value::Varint(count)) => read.dropped_attributes_count = count as u32,
                (6, Value::Fixed32(flags)) => read.flags = flags,
                _ => {}
            }
        }
        read
    }
}

impl<'a> Link<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 4)
    }
}
