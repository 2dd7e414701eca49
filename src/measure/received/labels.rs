//! Attributes of received points as parts of a series' key, and back.
//!
//! Invariants: the order in which a sender lists its attributes makes no difference; keys are unique (of a key that is
//! sent twice the later value counts); a value keeps its type, so `1` and `"1"` are two series.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::measure::spans::take_scalar;
use crate::otlp::view::{self, AnyValue, KeyValue};
use crate::series::{Key, Label, LabelValue, Parts};

/// What an attribute of the scope is called beside those of the point.
const SCOPE_PREFIX: &str = "otel_scope_";

/// Attributes being collected; reused from point to point.
#[derive(Debug, Default)]
pub struct Collected<'a> {
    all: Vec<(Cow<'a, [u8]>, AnyValue<'a>)>,
    /// How many of them, from the first on, are the scope's.
    of_scope: usize,
}

impl<'a> Collected<'a> {
    /// Begins with a scope's own attributes, which every point below it has.
    pub fn of_scope(&mut self, attributes: impl Iterator<Item = KeyValue<'a>>) {
        self.all.clear();
        self.all.extend(attributes.map(|attribute| {
            let key = [SCOPE_PREFIX.as_bytes(), attribute.key].concat();
            (Cow::Owned(key), attribute.value)
        }));
        self.of_scope = self.all.len();
    }

    /// Appends the scope's and the point's attributes to a key.
    pub fn pack(&mut self, attributes: impl Iterator<Item = KeyValue<'a>>, key: &mut Key) {
        let of_point = attributes.map(|attribute| (Cow::Borrowed(attribute.key), attribute.value));
        if self.of_scope == 0 {
            self.all.clear();
            self.all.extend(of_point);
            sort_and_push(&mut self.all, key);
        } else {
            let mut all = self.all.clone();
            all.extend(of_point);
            sort_and_push(&mut all, key);
        }
    }
}

fn sort_and_push(all: &mut [(Cow<'_, [u8]>, AnyValue<'_>)], key: &mut Key) {
    if !all.is_sorted_by(|a, b| a.0 < b.0) {
        // Stable, so that of one key's values the later comes last.
        all.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let mut rest = all.iter().peekable();
    while let Some((name, value)) = rest.next() {
        if rest.peek().is_none_or(|(next, _)| next != name) {
            push(key, name, value);
        }
    }
}

fn push(key: &mut Key, name: &[u8], value: &AnyValue<'_>) {
    key.push(name);
    match value {
        AnyValue::Text(text) => key.push(b"s").push(text),
        AnyValue::Int(int) => key.push(b"i").push(&int.to_le_bytes()),
        AnyValue::Bool(flag) => key.push(b"b").push(&[u8::from(*flag)]),
        AnyValue::Double(double) => key.push(b"d").push(&double.to_bits().to_le_bytes()),
        AnyValue::Empty => key.push(&[]).push(&[]),
        AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::List(_) => {
            let mut json = String::new();
            write_json(&mut json, *value, true);
            // Text to everybody who reads it, but not the same series as that text.
            key.push(b"j").push(json.as_bytes())
        }
    };
}

/// The labels of a packed key, from the first attribute on.
pub fn take(key: &mut Parts<'_>) -> Vec<Label> {
    let mut labels = Vec::new();
    while let Some(name) = key.next() {
        let mut json = key.clone();
        let value = if json.part() == b"j" {
            let text = String::from_utf8_lossy(json.part());
            *key = json;
            LabelValue::Text(text.into())
        } else {
            take_scalar(key).unwrap_or_else(|| LabelValue::Text("".into()))
        };
        labels.push(Label { key: view::text(name).to_owned().into(), value });
    }
    labels
}

/// JSON as OpenTelemetry has it for values that are not text: bytes as base64, and outside of a list without quotes. The
/// depth is that of a checked message.
fn write_json(out: &mut String, value: AnyValue<'_>, outermost: bool) {
    // Writing to a string cannot fail.
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Text(text) => _ = write!(out, "{}", serde_json::Value::from(view::text(text))),
        AnyValue::Int(int) => _ = write!(out, "{int}"),
        AnyValue::Bool(flag) => _ = write!(out, "{flag}"),
        AnyValue::Double(double) => match serde_json::Number::from_f64(double) {
            Some(number) => _ = write!(out, "{number}"),
            None => _ = write!(out, "\"{double}\""),
        },
        AnyValue::Bytes(bytes) if outermost => STANDARD.encode_string(bytes, out),
        AnyValue::Bytes(bytes) => _ = write!(out, "\"{}\"", STANDARD.encode(bytes)),
        AnyValue::Array(_) => {
            out.push('[');
            for (index, value) in value.values().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, value, false);
            }
            out.push(']');
        }
        AnyValue::List(_) => {
            out.push('{');
            for (index, entry) in value.entries().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                _ = write!(out, "{}:", serde_json::Value::from(view::text(entry.key)));
                write_json(out, entry.value, false);
            }
            out.push('}');
        }
    }
}
