//! The one pass over an accepted request: it checks the whole message and shows its items to a visitor on the way.
//!
//! Invariants:
//! - [`traces`], [`metrics`] and [`logs`] return `Ok` only for bytes that `opentelemetry-proto`'s decoder accepts, and
//!   the views then read the same from them; groups, and messages that would have to be merged ([`Fault::Split`]), are
//!   refused here;
//! - everything shown was checked before it was shown: strings are UTF-8, nested values are whole. What was shown
//!   before a fault is void;
//! - an item's parts come in wire order, the item itself ([`Visitor::span`], [`Visitor::log`]) after its parts; a
//!   resource's attributes may come after its items.
//!
//! Attributes cost most of the pass, so the common shape of a `KeyValue` (short key, then a string or integer of one
//! length byte) is recognised before the general walk.

#[cfg(test)]
mod tests;
mod value;

use super::schema::{self, messages, mismatch, text};
use super::wire::{Cursor, Fault, Value};
pub use value::AnyValue;
pub(super) use value::common_key_value;
use value::{any_value, key_value};

/// A span's own fields; its attributes, events and links were shown before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_span_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    pub start_time_unix_nano: u64,
    pub end_time_unix_nano: u64,
    pub status_code: i32,
    pub flags: u32,
}

/// A span event's own fields; its attributes were shown before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    pub time_unix_nano: u64,
    pub name: &'a [u8],
}

/// A log record's own fields; its attributes were shown before it.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// The encoded message.
    pub message: &'a [u8],
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    pub severity_number: i32,
    pub body: AnyValue<'a>,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub event_name: &'a [u8],
    pub flags: u32,
}

/// Takes what the pass sees. Every method has an empty default, so that the pass alone costs nothing more.
pub trait Visitor<'a> {
    /// A `ResourceSpans`, `ResourceMetrics` or `ResourceLogs` begins.
    fn resource_begin(&mut self) {}
    fn resource_attribute(&mut self, _key: &'a [u8], _value: AnyValue<'a>) {}
    /// It ends; `resource` is the encoded `Resource`, empty if there was none.
    fn resource_end(&mut self, _resource: &'a [u8]) {}
    /// A `ScopeSpans`, `ScopeMetrics` or `ScopeLogs` begins.
    fn scope_begin(&mut self) {}
    /// Its `InstrumentationScope`, `body` as encoded; mostly before its items, but the wire leaves that free.
    fn scope(&mut self, _name: &'a [u8], _version: &'a [u8], _body: &'a [u8]) {}
    /// An attribute of the span or log record being read.
    fn attribute(&mut self, _key: &'a [u8], _value: AnyValue<'a>) {}
    /// An attribute of the span event being read.
    fn event_attribute(&mut self, _key: &'a [u8], _value: AnyValue<'a>) {}
    fn event(&mut self, _event: Event<'a>) {}
    fn span(&mut self, _span: Span<'a>) {}
    fn log(&mut self, _log: Log<'a>) {}
    /// An encoded `Metric`.
    fn metric(&mut self, _metric: &'a [u8]) {}
}

/// Sees nothing: the validity pass alone.
pub struct Check;

impl Visitor<'_> for Check {}

/// Checks an `ExportTraceServiceRequest` (or `TracesData`).
pub fn traces<'a>(request: &'a [u8], visitor: &mut impl Visitor<'a>) -> Result<(), Fault> {
    each_resource(request, "ExportTraceServiceRequest", "ResourceSpans", "ScopeSpans", visitor, span)
}

/// Checks an `ExportMetricsServiceRequest` (or `MetricsData`).
pub fn metrics<'a>(request: &'a [u8], visitor: &mut impl Visitor<'a>) -> Result<(), Fault> {
    each_resource(
        request,
        "ExportMetricsServiceRequest",
        "ResourceMetrics",
        "ScopeMetrics",
        visitor,
        |body, visitor| {
            schema::check(body, &messages::METRIC, ITEM_DEPTH)?;
            visitor.metric(body);
            Ok(())
        },
    )
}

/// Checks an `ExportLogsServiceRequest` (or `LogsData`).
pub fn logs<'a>(request: &'a [u8], visitor: &mut impl Visitor<'a>) -> Result<(), Fault> {
    each_resource(request, "ExportLogsServiceRequest", "ResourceLogs", "ScopeLogs", visitor, log)
}

// Depths of the messages with code of their own: Resource* is 1, Scope* 2, the item 3.
const RESOURCE_DEPTH: u32 = 2;
const SCOPE_DEPTH: u32 = 3;
const ITEM_DEPTH: u32 = 3;

fn each_resource<'a, V: Visitor<'a>>(
    request: &'a [u8],
    request_name: &'static str,
    resource_name: &'static str,
    scope_name: &'static str,
    visitor: &mut V,
    mut item: impl FnMut(&'a [u8], &mut V) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if request.len() > u32::MAX as usize {
        return Err(Fault::TooLong);
    }
    let mut cursor = Cursor::new(request);
    while let Some((number, value)) = cursor.field()? {
        if number != 1 {
            continue;
        }
        let body = message(value, request_name, number)?;
        visitor.resource_begin();
        let mut body_of_resource: Option<&'a [u8]> = None;
        let mut fields = Cursor::new(body);
        while let Some((number, value)) = fields.field()? {
            match number {
                1 => {
                    let bytes = message(value, resource_name, number)?;
                    if body_of_resource.replace(bytes).is_some() {
                        return Err(Fault::Split { message: resource_name });
                    }
                    resource(bytes, visitor)?;
                }
                2 => each_item(message(value, resource_name, number)?, scope_name, visitor, &mut item)?,
                3 => drop(text(message(value, resource_name, number)?, resource_name)?),
                _ => {}
            }
        }
        visitor.resource_end(body_of_resource.unwrap_or_default());
    }
    Ok(())
}

/// Reads and checks an encoded `Resource`.
pub fn resource<'a, V: Visitor<'a>>(body: &'a [u8], visitor: &mut V) -> Result<(), Fault> {
    let mut cursor = Cursor::new(body);
    while let Some((number, value)) = cursor.field()? {
        match (number, value) {
            (1, value) => {
                let (key, value) = key_value(message(value, "Resource", number)?, RESOURCE_DEPTH + 1)?;
                visitor.resource_attribute(key, value);
            }
            (2, Value::Varint(_)) => {}
            (2, value) => return Err(mismatch("Resource", number, value, 0)),
            (3, value) => {
                schema::check(message(value, "Resource", number)?, &messages::ENTITY_REF, RESOURCE_DEPTH + 1)?
            }
            _ => {}
        }
    }
    Ok(())
}

fn each_item<'a, V: Visitor<'a>>(
    body: &'a [u8],
    scope_name: &'static str,
    visitor: &mut V,
    item: &mut impl FnMut(&'a [u8], &mut V) -> Result<(), Fault>,
) -> Result<(), Fault> {
    visitor.scope_begin();
    let mut scope_seen = false;
    let mut cursor = Cursor::new(body);
    while let Some((number, value)) = cursor.field()? {
        match number {
            1 => {
                if std::mem::replace(&mut scope_seen, true) {
                    return Err(Fault::Split { message: scope_name });
                }
                read_scope(message(value, scope_name, number)?, visitor)?;
            }
            2 => item(message(value, scope_name, number)?, visitor)?,
            3 => drop(text(message(value, scope_name, number)?, scope_name)?),
            _ => {}
        }
    }
    Ok(())
}

fn read_scope<'a, V: Visitor<'a>>(scope: &'a [u8], visitor: &mut V) -> Result<(), Fault> {
    const NAME: &str = "InstrumentationScope";
    let (mut name, mut version) = (&[][..], &[][..]);
    let mut cursor = Cursor::new(scope);
    while let Some((number, value)) = cursor.field()? {
        match (number, value) {
            (1, value) => name = text(message(value, NAME, number)?, NAME)?,
            (2, value) => version = text(message(value, NAME, number)?, NAME)?,
            (3, value) => drop(key_value(message(value, NAME, number)?, SCOPE_DEPTH + 1)?),
            (4, Value::Varint(_)) => {}
            (4, value) => return Err(mismatch(NAME, number, value, 0)),
            _ => {}
        }
    }
    visitor.scope(name, version, scope);
    Ok(())
}

fn span<'a, V: Visitor<'a>>(body: &'a [u8], visitor: &mut V) -> Result<(), Fault> {
    const NAME: &str = "Span";
    let mut span = Span { body, ..Span::default() };
    let mut status: Option<&'a [u8]> = None;
    let mut cursor = Cursor::new(body);
    loop {
        while let Some(bytes) = cursor.short_bytes(9) {
            let (key, value) = key_value(bytes, ITEM_DEPTH + 1)?;
            visitor.attribute(key, value);
        }
        let Some((number, value)) = cursor.field()? else { break };
        match (number, value) {
            (9, Value::Bytes(bytes)) => {
                let (key, value) = key_value(bytes, ITEM_DEPTH + 1)?;
                visitor.attribute(key, value);
            }
            (1, Value::Bytes(bytes)) => span.trace_id = bytes,
            (2, Value::Bytes(bytes)) => span.span_id = bytes,
            (3, Value::Bytes(bytes)) => span.trace_state = text(bytes, NAME)?,
            (4, Value::Bytes(bytes)) => span.parent_span_id = bytes,
            (5, Value::Bytes(bytes)) => span.name = text(bytes, NAME)?,
            (6, Value::Varint(kind)) => span.kind = kind as i32,
            (7, Value::Fixed64(time)) => span.start_time_unix_nano = time,
            (8, Value::Fixed64(time)) => span.end_time_unix_nano = time,
            (10 | 12 | 14, Value::Varint(_)) => {}
            (11, Value::Bytes(bytes)) => event(bytes, visitor)?,
            (13, Value::Bytes(bytes)) => schema::check(bytes, &messages::LINK, ITEM_DEPTH + 1)?,
            (15, Value::Bytes(bytes)) => {
                if status.replace(bytes).is_some() {
                    return Err(Fault::Split { message: NAME });
                }
                span.status_code = status_code(bytes)?;
            }
            (16, Value::Fixed32(flags)) => span.flags = flags,
            (1..=5 | 9 | 11 | 13 | 15, value) => return Err(mismatch(NAME, number, value, 2)),
            (6 | 10 | 12 | 14, value) => return Err(mismatch(NAME, number, value, 0)),
            (7 | 8, value) => return Err(mismatch(NAME, number, value, 1)),
            (16, value) => return Err(mismatch(NAME, number, value, 5)),
            _ => {}
        }
    }
    visitor.span(span);
    Ok(())
}

fn status_code(status: &[u8]) -> Result<i32, Fault> {
    const NAME: &str = "Status";
    let mut code = 0;
    let mut cursor = Cursor::new(status);
    while let Some((number, value)) = cursor.field()? {
        match (number, value) {
            (2, value) => drop(text(message(value, NAME, number)?, NAME)?),
            (3, Value::Varint(value)) => code = value as i32,
            (3, value) => return Err(mismatch(NAME, number, value, 0)),
            _ => {}
        }
    }
    Ok(code)
}

fn event<'a, V: Visitor<'a>>(body: &'a [u8], visitor: &mut V) -> Result<(), Fault> {
    const NAME: &str = "Span.Event";
    let mut event = Event::default();
    let mut cursor = Cursor::new(body);
    while let Some((number, value)) = cursor.field()? {
        match (number, value) {
            (1, Value::Fixed64(time)) => event.time_unix_nano = time,
            (1, value) => return Err(mismatch(NAME, number, value, 1)),
            (2, value) => event.name = text(message(value, NAME, number)?, NAME)?,
            (3, value) => {
                let (key, value) = key_value(message(value, NAME, number)?, ITEM_DEPTH + 2)?;
                visitor.event_attribute(key, value);
            }
            (4, Value::Varint(_)) => {}
            (4, value) => return Err(mismatch(NAME, number, value, 0)),
            _ => {}
        }
    }
    visitor.event(event);
    Ok(())
}

fn log<'a, V: Visitor<'a>>(message: &'a [u8], visitor: &mut V) -> Result<(), Fault> {
    const NAME: &str = "LogRecord";
    let mut log = Log {
        message,
        time_unix_nano: 0,
        observed_time_unix_nano: 0,
        severity_number: 0,
        body: AnyValue::Empty,
        trace_id: &[],
        span_id: &[],
        event_name: &[],
        flags: 0,
    };
    let mut body: Option<&'a [u8]> = None;
    let mut cursor = Cursor::new(message);
    loop {
        while let Some(bytes) = cursor.short_bytes(6) {
            let (key, value) = key_value(bytes, ITEM_DEPTH + 1)?;
            visitor.attribute(key, value);
        }
        let Some((number, value)) = cursor.field()? else { break };
        match (number, value) {
            (6, Value::Bytes(bytes)) => {
                let (key, value) = key_value(bytes, ITEM_DEPTH + 1)?;
                visitor.attribute(key, value);
            }
            (1, Value::Fixed64(time)) => log.time_unix_nano = time,
            (11, Value::Fixed64(time)) => log.observed_time_unix_nano = time,
            (2, Value::Varint(severity)) => log.severity_number = severity as i32,
            (3, Value::Bytes(bytes)) => drop(text(bytes, NAME)?),
            (5, Value::Bytes(bytes)) => {
                if body.replace(bytes).is_some() {
                    return Err(Fault::Split { message: NAME });
                }
                log.body = any_value(bytes, ITEM_DEPTH + 1)?;
            }
            (7, Value::Varint(_)) => {}
            (8, Value::Fixed32(flags)) => log.flags = flags,
            (9, Value::Bytes(bytes)) => log.trace_id = bytes,
            (10, Value::Bytes(bytes)) => log.span_id = bytes,
            (12, Value::Bytes(bytes)) => log.event_name = text(bytes, NAME)?,
            (1 | 11, value) => return Err(mismatch(NAME, number, value, 1)),
            (2 | 7, value) => return Err(mismatch(NAME, number, value, 0)),
            (3 | 5 | 6 | 9 | 10 | 12, value) => return Err(mismatch(NAME, number, value, 2)),
            (8, value) => return Err(mismatch(NAME, number, value, 5)),
            _ => {}
        }
    }
    visitor.log(log);
    Ok(())
}

#[inline]
fn message<'a>(value: Value<'a>, name: &'static str, number: u32) -> Result<&'a [u8], Fault> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        other => Err(mismatch(name, number, other, 2)),
    }
}
