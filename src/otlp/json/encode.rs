//! Protobuf to JSON.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::schema::{Field, Kind, Message, Presence, mismatch, text};
use super::super::view::zigzag;
use super::super::wire::{Cursor, Fault, MAX_DEPTH, Value};

pub(super) fn message(bytes: &[u8], message: &'static Message) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    put_message(&mut out, bytes, message, 0)?;
    Ok(out)
}

fn put_message(out: &mut Vec<u8>, bytes: &[u8], message: &'static Message, depth: u32) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::Depth { message: message.name });
    }
    out.push(b'{');
    let mut first = true;
    let mut begin = |out: &mut Vec<u8>, name: &str| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
    };
    let known = Known::read(bytes, message)?;
    for (number, field) in message.fields() {
        if field.presence == Presence::Repeated {
            if known.repeated & 1 << number != 0 {
                begin(out, field.name);
                put_list(out, bytes, message, number, field, depth)?;
            }
        } else if let Some(Some(value)) = known.single.get(number as usize)
            && (field.presence == Presence::Explicit || !is_default(*value))
        {
            begin(out, field.name);
            put_value(out, *value, message, field, depth)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// More than the highest number of a known field.
const NUMBERS: usize = 17;

/// The known fields of a message: the last value of each that stands once, and which lists stand at all.
struct Known<'a> {
    single: [Option<Value<'a>>; NUMBERS],
    repeated: u32,
}

impl<'a> Known<'a> {
    fn read(bytes: &'a [u8], message: &'static Message) -> Result<Self, Fault> {
        let mut known = Self { single: [None; NUMBERS], repeated: 0 };
        let mut seen = 0_u8;
        let mut cursor = Cursor::new(bytes);
        while let Some((number, value)) = cursor.field()? {
            let Some(field) = message.field(number) else { continue };
            if field.once & seen != 0 {
                return Err(Fault::Split { message: message.name });
            }
            seen |= field.once;
            let packed = field.presence == Presence::Repeated && value.wire_type() == 2;
            if value.wire_type() != field.kind.wire_type() && !packed {
                return Err(mismatch(message.name, number, value, field.kind.wire_type()));
            }
            if field.presence == Presence::Repeated {
                known.repeated |= 1 << number;
            } else if let Some(single) = known.single.get_mut(number as usize) {
                *single = Some(value);
            }
        }
        Ok(known)
    }
}

fn is_default(value: Value<'_>) -> bool {
    match value {
        Value::Varint(bits) | Value::Fixed64(bits) => bits == 0,
        Value::Fixed32(bits) => bits == 0,
        Value::Bytes(bytes) => bytes.is_empty(),
    }
}

fn put_list(
    out: &mut Vec<u8>,
    bytes: &[u8],
    message: &'static Message,
    wanted: u32,
    field: &'static Field,
    depth: u32,
) -> Result<(), Fault> {
    let wire_type = field.kind.wire_type();
    out.push(b'[');
    let start = out.len();
    let put = |out: &mut Vec<u8>, value: Value<'_>| {
        if out.len() > start {
            out.push(b',');
        }
        put_value(out, value, message, field, depth)
    };
    let mut cursor = Cursor::new(bytes);
    while let Some((number, value)) = cursor.field()? {
        match value {
            _ if number != wanted => {}
            Value::Bytes(run) if wire_type != 2 => {
                let mut run = Cursor::new(run);
                while !run.rest().is_empty() {
                    put(out, run.packed(wire_type)?)?;
                }
            }
            value => put(out, value)?,
        }
    }
    out.push(b']');
    Ok(())
}

fn put_value(
    out: &mut Vec<u8>,
    value: Value<'_>,
    message: &'static Message,
    field: &'static Field,
    depth: u32,
) -> Result<(), Fault> {
    match value {
        Value::Bytes(bytes) => put_bytes(out, bytes, message, field.kind, depth)?,
        Value::Varint(bits) | Value::Fixed64(bits) => put_bits(out, field.kind, bits),
        Value::Fixed32(bits) => put_bits(out, field.kind, u64::from(bits)),
    }
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], message: &'static Message, kind: Kind, depth: u32) -> Result<(), Fault> {
    match kind {
        Kind::Message(inner) => return put_message(out, bytes, inner, depth + 1),
        Kind::Id => {
            out.push(b'"');
            bytes.iter().for_each(|byte| print(out, format_args!("{byte:02x}")));
            out.push(b'"');
        }
        Kind::Bytes => print(out, format_args!("\"{}\"", STANDARD.encode(bytes))),
        _ => {
            let text = std::str::from_utf8(text(bytes, message.name)?).unwrap_or_default();
            print_json(out, text);
        }
    }
    Ok(())
}

fn put_bits(out: &mut Vec<u8>, kind: Kind, bits: u64) {
    match kind {
        Kind::Bool => print(out, format_args!("{}", bits != 0)),
        Kind::Int32 | Kind::Enum(_) => print(out, format_args!("{}", bits as i32)),
        Kind::Uint32 | Kind::Fixed32 => print(out, format_args!("{}", bits as u32)),
        Kind::Sint32 => print(out, format_args!("{}", zigzag(bits))),
        Kind::Int64 | Kind::Sfixed64 => print(out, format_args!("\"{}\"", bits as i64)),
        Kind::Double => put_double(out, f64::from_bits(bits)),
        _ => print(out, format_args!("\"{bits}\"")),
    }
}

fn put_double(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        print_json(out, &number);
    } else if number.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if number > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

fn print(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(what);
}

fn print_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Neither strings nor finite numbers fail.
    let _ = serde_json::to_writer(out, value);
}
