//! OTLP's messages as data: which field of which message has which type.
//!
//! One table per message, indexed by field number, from opentelemetry-proto 1.11. The validity pass walks any message by
//! its table; only what is observed on the way (spans, log records, attributes) has code of its own in [`super::visit`].
//! Unknown fields are allowed everywhere and skipped.

use super::wire::{Cursor, Fault, MAX_DEPTH, Value, is_text};

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Text,
    Message(&'static Message),
    /// Repeated numbers: each alone, or many behind one length.
    RepeatedFixed64,
    RepeatedVarint,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    kind: Kind,
    /// Fields of one message with the same non-zero mark (a singular message, or all cases of a `oneof`) may stand once
    /// between them; a second would have to be merged with the first.
    once: u8,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    fields: &'static [Option<Field>],
}

const fn many(kind: Kind) -> Option<Field> {
    Some(Field { kind, once: 0 })
}

const fn once(mark: u8, kind: Kind) -> Option<Field> {
    Some(Field { kind, once: 1 << mark })
}

const VARINT: Option<Field> = many(Kind::Varint);
const FIXED64: Option<Field> = many(Kind::Fixed64);
const FIXED32: Option<Field> = many(Kind::Fixed32);
const BYTES: Option<Field> = many(Kind::Bytes);
const TEXT: Option<Field> = many(Kind::Text);

pub(super) static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        None,
        once(0, Kind::Text),
        once(0, Kind::Varint),
        once(0, Kind::Varint),
        once(0, Kind::Fixed64),
        once(0, Kind::Message(&ARRAY_VALUE)),
        once(0, Kind::Message(&KEY_VALUE_LIST)),
        once(0, Kind::Bytes),
        once(0, Kind::Varint),
    ],
};

pub(super) static ARRAY_VALUE: Message =
    Message { name: "ArrayValue", fields: &[None, many(Kind::Message(&ANY_VALUE))] };

pub(super) static KEY_VALUE_LIST: Message =
    Message { name: "KeyValueList", fields: &[None, many(Kind::Message(&KEY_VALUE))] };

pub(super) static KEY_VALUE: Message =
    Message { name: "KeyValue", fields: &[None, TEXT, once(0, Kind::Message(&ANY_VALUE)), VARINT] };

pub(super) static ENTITY_REF: Message = Message { name: "EntityRef", fields: &[None, TEXT, TEXT, TEXT, TEXT] };

pub(super) static LINK: Message = Message {
    name: "Span.Link",
    fields: &[None, BYTES, BYTES, TEXT, many(Kind::Message(&KEY_VALUE)), VARINT, FIXED32],
};

pub(super) static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        None,
        TEXT,
        TEXT,
        TEXT,
        None,
        once(0, Kind::Message(&GAUGE)),
        None,
        once(0, Kind::Message(&SUM)),
        None,
        once(0, Kind::Message(&HISTOGRAM)),
        once(0, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        once(0, Kind::Message(&SUMMARY)),
        many(Kind::Message(&KEY_VALUE)),
    ],
};

static GAUGE: Message = Message { name: "Gauge", fields: &[None, many(Kind::Message(&NUMBER_DATA_POINT))] };

static SUM: Message = Message { name: "Sum", fields: &[None, many(Kind::Message(&NUMBER_DATA_POINT)), VARINT, VARINT] };

static HISTOGRAM: Message =
    Message { name: "Histogram", fields: &[None, many(Kind::Message(&HISTOGRAM_DATA_POINT)), VARINT] };

static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[None, many(Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT)), VARINT],
};

static SUMMARY: Message = Message { name: "Summary", fields: &[None, many(Kind::Message(&SUMMARY_DATA_POINT))] };

static NUMBER_DATA_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        None,
        None,
        FIXED64,
        FIXED64,
        once(0, Kind::Fixed64),
        many(Kind::Message(&EXEMPLAR)),
        once(0, Kind::Fixed64),
        many(Kind::Message(&KEY_VALUE)),
        VARINT,
    ],
};

static HISTOGRAM_DATA_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        None,
        None,
        FIXED64,
        FIXED64,
        FIXED64,
        FIXED64,
        many(Kind::RepeatedFixed64),
        many(Kind::RepeatedFixed64),
        many(Kind::Message(&EXEMPLAR)),
        many(Kind::Message(&KEY_VALUE)),
        VARINT,
        FIXED64,
        FIXED64,
    ],
};

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        None,
        many(Kind::Message(&KEY_VALUE)),
        FIXED64,
        FIXED64,
        FIXED64,
        FIXED64,
        VARINT,
        FIXED64,
        once(0, Kind::Message(&BUCKETS)),
        once(1, Kind::Message(&BUCKETS)),
        VARINT,
        many(Kind::Message(&EXEMPLAR)),
        FIXED64,
        FIXED64,
        FIXED64,
    ],
};

static BUCKETS: Message =
    Message { name: "ExponentialHistogramDataPoint.Buckets", fields: &[None, VARINT, many(Kind::RepeatedVarint)] };

static SUMMARY_DATA_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        None,
        None,
        FIXED64,
        FIXED64,
        FIXED64,
        FIXED64,
        many(Kind::Message(&VALUE_AT_QUANTILE)),
        many(Kind::Message(&KEY_VALUE)),
        VARINT,
    ],
};

static VALUE_AT_QUANTILE: Message =
    Message { name: "SummaryDataPoint.ValueAtQuantile", fields: &[None, FIXED64, FIXED64] };

static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        None,
        None,
        FIXED64,
        once(0, Kind::Fixed64),
        BYTES,
        BYTES,
        once(0, Kind::Fixed64),
        many(Kind::Message(&KEY_VALUE)),
    ],
};

/// Walks a whole message by its table. `depth` counts the messages around it, itself included.
pub(super) fn check(bytes: &[u8], message: &'static Message, depth: u32) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::Depth { message: message.name });
    }
    let mut cursor = Cursor::new(bytes);
    let mut seen = 0_u8;
    while let Some((number, value)) = cursor.field()? {
        let Some(Some(field)) = message.fields.get(number as usize) else { continue };
        if field.once & seen != 0 {
            return Err(Fault::Split { message: message.name });
        }
        seen |= field.once;
        check_field(value, field.kind, message, number, depth)?;
    }
    Ok(())
}

fn check_field(value: Value<'_>, kind: Kind, message: &'static Message, number: u32, depth: u32) -> Result<(), Fault> {
    match (kind, value) {
        (Kind::Varint | Kind::RepeatedVarint, Value::Varint(_))
        | (Kind::Fixed64 | Kind::RepeatedFixed64, Value::Fixed64(_))
        | (Kind::Fixed32, Value::Fixed32(_))
        | (Kind::Bytes, Value::Bytes(_)) => Ok(()),
        (Kind::Text, Value::Bytes(bytes)) => text(bytes, message.name).map(|_| ()),
        (Kind::Message(inner), Value::Bytes(bytes)) => check(bytes, inner, depth + 1),
        (Kind::RepeatedFixed64, Value::Bytes(bytes)) if bytes.len().is_multiple_of(8) => Ok(()),
        (Kind::RepeatedFixed64, Value::Bytes(_)) => Err(Fault::Packed { message: message.name, field: number }),
        (Kind::RepeatedVarint, Value::Bytes(bytes)) => check_packed_varints(bytes),
        (kind, value) => Err(mismatch(message.name, number, value, kind.wire_type())),
    }
}

impl Kind {
    fn wire_type(self) -> u8 {
        match self {
            Kind::Varint => 0,
            Kind::Fixed64 => 1,
            Kind::Fixed32 => 5,
            Kind::Bytes | Kind::Text | Kind::Message(_) | Kind::RepeatedFixed64 | Kind::RepeatedVarint => 2,
        }
    }
}

fn check_packed_varints(bytes: &[u8]) -> Result<(), Fault> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.rest().is_empty() {
        cursor.varint()?;
    }
    Ok(())
}

#[inline]
pub(super) fn text<'a>(bytes: &'a [u8], message: &'static str) -> Result<&'a [u8], Fault> {
    if is_text(bytes) { Ok(bytes) } else { Err(Fault::Utf8 { message }) }
}

#[cold]
pub(super) fn mismatch(message: &'static str, field: u32, value: Value<'_>, expected: u8) -> Fault {
    Fault::Mismatch { message, field, found: value.wire_type(), expected }
}
