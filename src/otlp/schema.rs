//! OTLP's messages as data: which field of which message has which type and which JSON name.
//!
//! One table per message, indexed by field number, from opentelemetry-proto 1.11. Three readers share them: the validity
//! pass walks any message by its table ([`check`]; what is observed on the way has code of its own in [`super::visit`]),
//! and the JSON edge reads and writes by them. Unknown fields are allowed everywhere and skipped.

pub(super) mod messages;

use super::wire::{Cursor, Fault, MAX_DEPTH, Value, is_text};

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Bool,
    Int32,
    Uint32,
    /// Zigzag.
    Sint32,
    /// An open enumeration; the function knows its values' names.
    Enum(fn(&str) -> Option<i32>),
    Int64,
    Uint64,
    Double,
    Fixed64,
    Sfixed64,
    Fixed32,
    /// Base64 in JSON.
    Bytes,
    /// A trace or span id: bytes, but hexadecimal in JSON.
    Id,
    Text,
    Message(&'static Message),
}

impl Kind {
    /// The wire type of one value.
    pub(super) const fn wire_type(self) -> u8 {
        match self {
            Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_) | Kind::Int64 | Kind::Uint64 => 0,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1,
            Kind::Bytes | Kind::Id | Kind::Text | Kind::Message(_) => 2,
            Kind::Fixed32 => 5,
        }
    }
}

/// How often a field may stand, and whether its default value is told apart from its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Absent and default are the same; the last of several counts.
    Implicit,
    /// Absent and default differ: `optional` numbers, messages, cases of a `oneof`.
    Explicit,
    /// Any number of times; numbers also many behind one length.
    Repeated,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
    /// Fields of one message with the same non-zero mark (a singular message, or all cases of a `oneof`) may stand once
    /// between them; a second would have to be merged with the first.
    pub(super) once: u8,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    fields: &'static [Option<Field>],
}

impl Message {
    #[inline]
    pub(super) fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.get(number as usize)?.as_ref()
    }

    /// The known fields by ascending number.
    pub(super) fn fields(&self) -> impl Iterator<Item = (u32, &'static Field)> {
        (0..).zip(self.fields).filter_map(|(number, field)| Some((number, field.as_ref()?)))
    }
}

const fn one(name: &'static str, kind: Kind) -> Option<Field> {
    Some(Field { name, kind, presence: Presence::Implicit, once: 0 })
}

const fn optional(name: &'static str, kind: Kind) -> Option<Field> {
    Some(Field { name, kind, presence: Presence::Explicit, once: 0 })
}

const fn once(mark: u8, name: &'static str, kind: Kind) -> Option<Field> {
    Some(Field { name, kind, presence: Presence::Explicit, once: 1 << mark })
}

const fn many(name: &'static str, kind: Kind) -> Option<Field> {
    Some(Field { name, kind, presence: Presence::Repeated, once: 0 })
}

/// Walks a whole message by its table. `depth` counts the messages around it, itself included.
pub(super) fn check(bytes: &[u8], message: &'static Message, depth: u32) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::Depth { message: message.name });
    }
    let mut cursor = Cursor::new(bytes);
    let mut seen = 0_u8;
    while let Some((number, value)) = cursor.field()? {
        let Some(field) = message.field(number) else {
            unknown(message.name, depth)?;
            continue;
        };
        if field.once & seen != 0 {
            return Err(Fault::Split { message: message.name });
        }
        seen |= field.once;
        check_field(value, field, message, number, depth)?;
    }
    Ok(())
}

/// An unknown field may stand in any message but one at the limit: prost counts the skip as a step down.
#[inline]
pub(super) fn unknown(message: &'static str, depth: u32) -> Result<(), Fault> {
    if depth < MAX_DEPTH { Ok(()) } else { Err(Fault::Depth { message }) }
}

#[inline]
fn check_field(
    value: Value<'_>,
    field: &'static Field,
    message: &'static Message,
    number: u32,
    depth: u32,
) -> Result<(), Fault> {
    let wire_type = field.kind.wire_type();
    let Value::Bytes(bytes) = value else {
        return if value.wire_type() == wire_type {
            Ok(())
        } else {
            Err(mismatch(message.name, number, value, wire_type))
        };
    };
    match field.kind {
        Kind::Text => text(bytes, message.name).map(|_| ()),
        Kind::Message(inner) => check(bytes, inner, depth + 1),
        Kind::Bytes | Kind::Id => Ok(()),
        _ if field.presence == Presence::Repeated => check_packed(bytes, wire_type, message.name, number),
        _ => Err(mismatch(message.name, number, value, wire_type)),
    }
}

fn check_packed(bytes: &[u8], wire_type: u8, message: &'static str, field: u32) -> Result<(), Fault> {
    match wire_type {
        0 => {
            let mut cursor = Cursor::new(bytes);
            while !cursor.rest().is_empty() {
                cursor.varint()?;
            }
            Ok(())
        }
        _ if bytes.len().is_multiple_of(if wire_type == 1 { 8 } else { 4 }) => Ok(()),
        _ => Err(Fault::Packed { message, field }),
    }
}

#[inline]
pub(super) fn text<'a>(bytes: &'a [u8], message: &'static str) -> Result<&'a [u8], Fault> {
    if is_text(bytes) { Ok(bytes) } else { Err(Fault::Utf8 { message }) }
}

#[cold]
pub(super) fn mismatch(message: &'static str, field: u32, value: Value<'_>, expected: u8) -> Fault {
    Fault::Mismatch { message, field, found: value.wire_type(), expected }
}
