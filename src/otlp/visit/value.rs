//! Attributes and their values, read and checked in one go.

use super::super::schema::{self, messages, mismatch, text, unknown};
use super::super::wire::{Cursor, Fault, MAX_DEPTH, Value};
use super::message;

/// An attribute's value, checked. Arrays and lists stay encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyValue<'a> {
    Empty,
    /// UTF-8.
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// An encoded `ArrayValue`.
    Array(&'a [u8]),
    /// An encoded `KeyValueList`.
    List(&'a [u8]),
}

/// Reads and checks a `KeyValue` that lies `depth` messages deep.
#[inline]
pub(super) fn key_value(bytes: &[u8], depth: u32) -> Result<(&[u8], AnyValue<'_>), Fault> {
    match common_key_value(bytes) {
        Some((key, value)) => {
            text(key, "KeyValue")?;
            if let AnyValue::Text(string) = value {
                text(string, "AnyValue")?;
            }
            Ok((key, value))
        }
        None => any_key_value(bytes, depth),
    }
}

/// `key` (1), then `value` (2) holding one string (1) or integer (3), each length in one byte; nothing else. The depth
/// needs no look: an item's attributes are far from the limit, and those inside lists are walked by the table.
#[inline]
pub(in crate::otlp) fn common_key_value(bytes: &[u8]) -> Option<(&[u8], AnyValue<'_>)> {
    let [0x0a, key_length @ 0..0x80, rest @ ..] = bytes else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_length))?;
    let [0x12, value_length @ 0..0x80, value @ ..] = rest else { return None };
    if value.len() != usize::from(*value_length) {
        return None;
    }
    match value {
        [0x0a, length @ 0..0x80, string @ ..] if string.len() == usize::from(*length) => {
            Some((key, AnyValue::Text(string)))
        }
        [0x18, number @ ..] => {
            let mut cursor = Cursor::new(number);
            let number = cursor.varint().ok()?;
            cursor.rest().is_empty().then_some((key, AnyValue::Int(number as i64)))
        }
        _ => None,
    }
}

fn any_key_value(bytes: &[u8], depth: u32) -> Result<(&[u8], AnyValue<'_>), Fault> {
    const NAME: &str = "KeyValue";
    if depth > MAX_DEPTH {
        return Err(Fault::Depth { message: NAME });
    }
    let mut key = &[][..];
    let mut value: Option<AnyValue<'_>> = None;
    let mut cursor = Cursor::new(bytes);
    while let Some((number, field)) = cursor.field()? {
        match (number, field) {
            (1, field) => key = text(message(field, NAME, number)?, NAME)?,
            (2, field) => {
                let read = any_value(message(field, NAME, number)?, depth + 1)?;
                if value.replace(read).is_some() {
                    return Err(Fault::Split { message: NAME });
                }
            }
            (3, Value::Varint(_)) => {}
            (3, field) => return Err(mismatch(NAME, number, field, 0)),
            _ => unknown(NAME, depth)?,
        }
    }
    Ok((key, value.unwrap_or(AnyValue::Empty)))
}

/// Reads and checks an `AnyValue` that lies `depth` messages deep.
pub(super) fn any_value(bytes: &[u8], depth: u32) -> Result<AnyValue<'_>, Fault> {
    const NAME: &str = "AnyValue";
    if depth > MAX_DEPTH {
        return Err(Fault::Depth { message: NAME });
    }
    let mut found: Option<AnyValue<'_>> = None;
    let mut cursor = Cursor::new(bytes);
    while let Some((number, value)) = cursor.field()? {
        let read = match (number, value) {
            (1, Value::Bytes(string)) => AnyValue::Text(text(string, NAME)?),
            (2, Value::Varint(flag)) => AnyValue::Bool(flag != 0),
            (3, Value::Varint(int)) => AnyValue::Int(int as i64),
            (4, Value::Fixed64(bits)) => AnyValue::Double(f64::from_bits(bits)),
            (5, Value::Bytes(array)) => {
                schema::check(array, &messages::ARRAY_VALUE, depth + 1)?;
                AnyValue::Array(array)
            }
            (6, Value::Bytes(list)) => {
                schema::check(list, &messages::KEY_VALUE_LIST, depth + 1)?;
                AnyValue::List(list)
            }
            (7, Value::Bytes(bytes)) => AnyValue::Bytes(bytes),
            // A string by its index in a dictionary that only profiles carry: no value here.
            (8, Value::Varint(_)) => AnyValue::Empty,
            (1 | 5 | 6 | 7, value) => return Err(mismatch(NAME, number, value, 2)),
            (2 | 3 | 8, value) => return Err(mismatch(NAME, number, value, 0)),
            (4, value) => return Err(mismatch(NAME, number, value, 1)),
            _ => {
                unknown(NAME, depth)?;
                continue;
            }
        };
        if found.replace(read).is_some() {
            return Err(Fault::Split { message: NAME });
        }
    }
    Ok(found.unwrap_or(AnyValue::Empty))
}
