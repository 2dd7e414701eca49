//! An attribute to be added, and its exact encoding.

use std::borrow::Cow;

use super::super::wire::{delimited_len, put_delimited, put_varint, varint_len};

/// A value to be added. Borrows where it can: a canonical attribute often repeats a string of the request itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
    TextList(Vec<Cow<'a, str>>),
}

pub type Attribute<'a> = (Cow<'a, str>, Value<'a>);

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(Cow::Owned(value))
    }
}

impl Value<'_> {
    /// Bytes of the `AnyValue`.
    fn len(&self) -> usize {
        match self {
            Value::Text(text) => delimited_len(1, text.len()),
            Value::Bool(_) => 2,
            Value::Int(int) => 1 + varint_len(*int as u64),
            Value::Double(_) => 9,
            Value::TextList(texts) => delimited_len(5, list_len(texts)),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Value::Text(text) => put_text(out, 1, text),
            Value::Bool(flag) => out.extend_from_slice(&[0x10, u8::from(*flag)]),
            Value::Int(int) => {
                out.push(0x18);
                put_varint(out, *int as u64);
            }
            Value::Double(double) => {
                out.push(0x21);
                out.extend_from_slice(&double.to_le_bytes());
            }
            Value::TextList(texts) => {
                put_delimited(out, 5, list_len(texts));
                for text in texts {
                    put_delimited(out, 1, delimited_len(1, text.len()));
                    put_text(out, 1, text);
                }
            }
        }
    }
}

/// Bytes of the `ArrayValue` of strings.
fn list_len(texts: &[Cow<'_, str>]) -> usize {
    texts.iter().map(|text| delimited_len(1, delimited_len(1, text.len()))).sum()
}

fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    put_delimited(out, number, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Bytes of the whole field `number` that holds the attribute.
pub(super) fn len(number: u32, attribute: &Attribute<'_>) -> usize {
    delimited_len(number, key_value_len(attribute))
}

pub(super) fn put(out: &mut Vec<u8>, number: u32, attribute: &Attribute<'_>) {
    let (key, value) = attribute;
    put_delimited(out, number, key_value_len(attribute));
    put_text(out, 1, key);
    put_delimited(out, 2, value.len());
    value.put(out);
}

fn key_value_len((key, value): &Attribute<'_>) -> usize {
    delimited_len(1, key.len()) + delimited_len(2, value.len())
}
