//! Views: every field of a checked request, read where it lies.
//!
//! Invariants:
//! - on bytes that [`mod@super::visit`] accepts, a view reads exactly what `opentelemetry-proto` would decode, but for string
//!   indexes into a profile's dictionary, which are no value here ([`AnyValue::Empty`]);
//! - on any other bytes nothing panics and nothing loops: a field that cannot be read has its default, an iterator ends;
//! - nothing is allocated.
//!
//! A view reads the single fields of its message in one walk when it is made ([`Read::read`]); repeated fields are
//! iterators that walk the message again and step over the rest by its length. So a view costs what is asked of it.
//!
//! Strings are bytes that were checked to be UTF-8; [`text`] makes a `str` of one.

mod logs;
mod metrics;
mod numbers;
mod points;
#[cfg(test)]
mod tests;
mod trace;

use std::marker::PhantomData;

pub use logs::{LogRecord, ResourceLogs, ScopeLogs, logs};
pub use metrics::{
    Data, ExponentialHistogram, Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum, Summary, Temporality,
    metrics,
};
pub use numbers::{Doubles, Fixed64s, Numbers, Varints};
pub(super) use points::zigzag;
pub use points::{
    Buckets, Exemplar, ExponentialHistogramPoint, HistogramPoint, Number, NumberPoint, SummaryPoint, ValueAtQuantile,
};
pub use trace::{Event, Link, ResourceSpans, ScopeSpans, Span, Status, traces};

pub use super::visit::AnyValue;
use super::visit::common_key_value;
use super::wire::{Cursor, Value};

/// A message that can be read from its encoded bytes.
pub trait Read<'a>: Sized {
    fn read(message: &'a [u8]) -> Self;
}

impl<'a> Read<'a> for &'a [u8] {
    fn read(message: &'a [u8]) -> Self {
        message
    }
}

/// The `str` of a checked string; empty if it is not UTF-8 after all.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Yields the fields of a message until its end or its first fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(Cursor<'a>);

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(Cursor::new(message))
    }

    /// The body of the next length-delimited field `number`.
    #[inline(always)]
    fn find_bytes(&mut self, wanted: u32) -> Option<&'a [u8]> {
        loop {
            if let Some(bytes) = self.0.short_bytes(wanted) {
                return Some(bytes);
            }
            if let (number, Value::Bytes(bytes)) = self.next()?
                && number == wanted
            {
                return Some(bytes);
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.0.field() {
            Ok(field) => field,
            Err(_) => {
                self.0 = Cursor::new(&[]);
                None
            }
        }
    }
}

/// The messages (or strings) of one repeated field.
#[derive(Clone, Debug)]
pub struct Repeated<'a, T> {
    fields: Fields<'a>,
    number: u32,
    item: PhantomData<T>,
}

impl<'a, T> Repeated<'a, T> {
    #[inline]
    pub(super) fn new(message: &'a [u8], number: u32) -> Self {
        Self { fields: Fields::new(message), number, item: PhantomData }
    }
}

impl<'a, T: Read<'a>> Iterator for Repeated<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.fields.find_bytes(self.number).map(T::read)
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyValue<'a> {
    /// UTF-8.
    pub key: &'a [u8],
    pub value: AnyValue<'a>,
}

pub type Attributes<'a> = Repeated<'a, KeyValue<'a>>;

impl<'a> Read<'a> for KeyValue<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Self {
        if let Some((key, value)) = common_key_value(message) {
            return Self { key, value };
        }
        let mut read = Self { key: &[], value: AnyValue::Empty };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(key)) => read.key = key,
                (2, Value::Bytes(value)) => read.value = AnyValue::read(value),
                _ => {}
            }
        }
        read
    }
}

impl<'a> Read<'a> for AnyValue<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = AnyValue::Empty;
        for field in Fields::new(message) {
            read = match field {
                (1, Value::Bytes(text)) => AnyValue::Text(text),
                (2, Value::Varint(flag)) => AnyValue::Bool(flag != 0),
                (3, Value::Varint(int)) => AnyValue::Int(int as i64),
                (4, Value::Fixed64(bits)) => AnyValue::Double(f64::from_bits(bits)),
                (5, Value::Bytes(array)) => AnyValue::Array(array),
                (6, Value::Bytes(list)) => AnyValue::List(list),
                (7, Value::Bytes(bytes)) => AnyValue::Bytes(bytes),
                _ => continue,
            };
        }
        read
    }
}

impl<'a> AnyValue<'a> {
    /// The values of an array; none if this is not one.
    pub fn values(&self) -> Repeated<'a, AnyValue<'a>> {
        Repeated::new(if let AnyValue::Array(array) = self { array } else { &[] }, 1)
    }

    /// The entries of a key-value list; none if this is not one.
    pub fn entries(&self) -> Attributes<'a> {
        Attributes::new(if let AnyValue::List(list) = self { list } else { &[] }, 1)
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&'a str> {
        if let AnyValue::Text(bytes) = self { Some(text(bytes)) } else { None }
    }
}

/// The keys of the attributes in one field, in wire order; values are stepped over.
pub(super) struct Keys<'a> {
    fields: Fields<'a>,
    number: u32,
}

impl<'a> Keys<'a> {
    pub(super) fn new(message: &'a [u8], number: u32) -> Self {
        Self { fields: Fields::new(message), number }
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.fields.find_bytes(self.number).map(key)
    }
}

/// The key of an encoded `KeyValue`.
#[inline]
pub(super) fn key(key_value: &[u8]) -> &[u8] {
    // The shape every encoder writes: the key first, then the value to the end.
    if let [0x0a, length @ 0..0x80, rest @ ..] = key_value
        && let Some((key, [0x12, value_length @ 0..0x80, value @ ..])) = rest.split_at_checked(usize::from(*length))
        && value.len() == usize::from(*value_length)
    {
        return key;
    }
    let keys = Fields::new(key_value).filter_map(|field| match field {
        (1, Value::Bytes(key)) => Some(key),
        _ => None,
    });
    keys.last().unwrap_or_default()
}

/// Whether a length-delimited field `number` stands in `message`.
pub(super) fn has_message(message: &[u8], number: u32) -> bool {
    Fields::new(message).any(|field| matches!(field, (found, Value::Bytes(_)) if found == number))
}

/// What came from one resource: `T` is a span, a metric or a log record.
#[derive(Clone, Debug)]
pub struct ResourceItems<'a, T> {
    /// The encoded message.
    pub body: &'a [u8],
    pub resource: Option<Resource<'a>>,
    pub schema_url: &'a [u8],
    item: PhantomData<T>,
}

impl<'a, T> Read<'a> for ResourceItems<'a, T> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, resource: None, schema_url: &[], item: PhantomData };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(resource)) => read.resource = Some(Resource::read(resource)),
                (3, Value::Bytes(url)) => read.schema_url = url,
                _ => {}
            }
        }
        read
    }
}

impl<'a, T> ResourceItems<'a, T> {
    pub fn scopes(&self) -> Repeated<'a, ScopeItems<'a, T>> {
        Repeated::new(self.body, 2)
    }
}

/// What came from one instrumentation scope.
#[derive(Clone, Debug)]
pub struct ScopeItems<'a, T> {
    /// The encoded message.
    pub body: &'a [u8],
    pub scope: Option<Scope<'a>>,
    pub schema_url: &'a [u8],
    item: PhantomData<T>,
}

impl<'a, T> Read<'a> for ScopeItems<'a, T> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, scope: None, schema_url: &[], item: PhantomData };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(scope)) => read.scope = Some(Scope::read(scope)),
                (3, Value::Bytes(url)) => read.schema_url = url,
                _ => {}
            }
        }
        read
    }
}

impl<'a, T> ScopeItems<'a, T> {
    pub fn items(&self) -> Repeated<'a, T> {
        Repeated::new(self.body, 2)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub dropped_attributes_count: u32,
}

impl<'a> Read<'a> for Resource<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, dropped_attributes_count: 0 };
        for field in Fields::new(message) {
            if let (2, Value::Varint(count)) = field {
                read.dropped_attributes_count = count as u32;
            }
        }
        read
    }
}

impl<'a> Resource<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 1)
    }

    pub fn entity_refs(&self) -> Repeated<'a, EntityRef<'a>> {
        Repeated::new(self.body, 3)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct EntityRef<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub schema_url: &'a [u8],
    pub entity_type: &'a [u8],
}

impl<'a> Read<'a> for EntityRef<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(url)) => read.schema_url = url,
                (2, Value::Bytes(kind)) => read.entity_type = kind,
                _ => {}
            }
        }
        read
    }
}

impl<'a> EntityRef<'a> {
    pub fn id_keys(&self) -> Repeated<'a, &'a [u8]> {
        Repeated::new(self.body, 3)
    }

    pub fn description_keys(&self) -> Repeated<'a, &'a [u8]> {
        Repeated::new(self.body, 4)
    }
}

/// An `InstrumentationScope`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub name: &'a [u8],
    pub version: &'a [u8],
    pub dropped_attributes_count: u32,
}

impl<'a> Read<'a> for Scope<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Bytes(name)) => read.name = name,
                (2, Value::Bytes(version)) => read.version = version,
                (4, Value::Varint(count)) => read.dropped_attributes_count = count as u32,
                _ => {}
            }
        }
        read
    }
}

impl<'a> Scope<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 3)
    }
}
