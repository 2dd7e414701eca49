//! Views over logs.

use super::super::wire::Value;
use super::{AnyValue, Attributes, Fields, Read, Repeated, ResourceItems, ScopeItems};

pub type ResourceLogs<'a> = ResourceItems<'a, LogRecord<'a>>;
pub type ScopeLogs<'a> = ScopeItems<'a, LogRecord<'a>>;

/// The resources of an `ExportLogsServiceRequest` (or `LogsData`).
pub fn logs(request: &[u8]) -> Repeated<'_, ResourceLogs<'_>> {
    Repeated::new(request, 1)
}

#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// The encoded message.
    pub message: &'a [u8],
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    pub severity_number: i32,
    pub severity_text: &'a [u8],
    /// `None`: the record has none. An empty value is [`AnyValue::Empty`].
    pub body: Option<AnyValue<'a>>,
    pub dropped_attributes_count: u32,
    pub flags: u32,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub event_name: &'a [u8],
}

impl<'a> Read<'a> for LogRecord<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self {
            message,
            time_unix_nano: 0,
            observed_time_unix_nano: 0,
            severity_number: 0,
            severity_text: &[],
            body: None,
            dropped_attributes_count: 0,
            flags: 0,
            trace_id: &[],
            span_id: &[],
            event_name: &[],
        };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Fixed64(time)) => read.time_unix_nano = time,
                (2, Value::Varint(severity)) => read.severity_number = severity as i32,
                (3, Value::Bytes(severity)) => read.severity_text = severity,
                (5, Value::Bytes(body)) => read.body = Some(AnyValue::read(body)),
                (7, Value::Varint(count)) => read.dropped_attributes_count = count as u32,
                (8, Value::Fixed32(flags)) => read.flags = flags,
                (9, Value::Bytes(id)) => read.trace_id = id,
                (10, Value::Bytes(id)) => read.span_id = id,
                (11, Value::Fixed64(time)) => read.observed_time_unix_nano = time,
                (12, Value::Bytes(name)) => read.event_name = name,
                _ => {}
            }
        }
        read
    }
}

impl<'a> LogRecord<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.message, 6)
    }
}
