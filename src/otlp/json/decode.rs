//! JSON to protobuf, streaming: no tree of values is built.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::Signal;
use super::super::schema::{Field, Kind, Message, Presence, messages};
use super::super::wire::{MAX_DEPTH, put_delimited, put_varint, varint_len};
use super::JsonFault;

pub(super) fn message(json: &[u8], message: &'static Message) -> Result<Bytes, JsonFault> {
    let mut out = Protobuf::default();
    parse(json, MessageSeed { message, depth: 0, out: &mut out })?;
    out.finish()
}

pub(super) fn any_request(json: &[u8]) -> Result<(Signal, Bytes), JsonFault> {
    let mut out = Protobuf::default();
    let signal = parse(json, AnyRequest { out: &mut out })?.ok_or(JsonFault::NoSignal)?;
    Ok((signal, out.finish()?))
}

fn parse<'de, S: DeserializeSeed<'de>>(json: &'de [u8], seed: S) -> Result<S::Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(json);
    // The seeds count messages themselves, and what they skip is skipped without recursion.
    json.disable_recursion_limit();
    let read = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

/// Protobuf whose lengths are still to be put between its bytes: they are known only when a message ends.
#[derive(Default)]
struct Protobuf {
    bytes: Vec<u8>,
    /// Where a length belongs, and the length, by ascending position.
    lengths: Vec<(usize, usize)>,
    /// Bytes that the lengths known so far will take.
    lengths_size: usize,
}

/// A message begun and not ended.
struct Begun {
    index: usize,
    lengths_size: usize,
}

impl Protobuf {
    fn begin(&mut self, number: u32) -> Begun {
        put_varint(&mut self.bytes, u64::from(number) * 8 + 2);
        self.lengths.push((self.bytes.len(), 0));
        Begun { index: self.lengths.len() - 1, lengths_size: self.lengths_size }
    }

    fn end(&mut self, begun: Begun) {
        if let Some((position, length)) = self.lengths.get_mut(begun.index) {
            *length = self.bytes.len() - *position + self.lengths_size - begun.lengths_size;
            self.lengths_size += varint_len(*length as u64);
        }
    }

    fn finish(self) -> Result<Bytes, JsonFault> {
        let size = self.bytes.len() + self.lengths_size;
        if size > u32::MAX as usize {
            return Err(JsonFault::TooLong);
        }
        let mut out = Vec::with_capacity(size);
        let mut copied = 0;
        for (position, length) in self.lengths {
            out.extend_from_slice(self.bytes.get(copied..position).unwrap_or_default());
            put_varint(&mut out, length as u64);
            copied = position;
        }
        out.extend_from_slice(self.bytes.get(copied..).unwrap_or_default());
        Ok(out.into())
    }

    /// A value of wire type 0, 1 or 5, with its key unless it is packed.
    fn put_bits(&mut self, number: Option<u32>, kind: Kind, bits: u64) {
        let wire_type = kind.wire_type();
        if let Some(number) = number {
            put_varint(&mut self.bytes, u64::from(number) * 8 + u64::from(wire_type));
        }
        match wire_type {
            0 => put_varint(&mut self.bytes, bits),
            1 => self.bytes.extend_from_slice(&bits.to_le_bytes()),
            _ => self.bytes.extend_from_slice(&(bits as u32).to_le_bytes()),
        }
    }

    fn put_bytes(&mut self, number: u32, bytes: &[u8]) {
        put_delimited(&mut self.bytes, number, bytes.len());
        self.bytes.extend_from_slice(bytes);
    }
}

/// An object, as a message's fields.
struct MessageSeed<'o> {
    message: &'static Message,
    depth: u32,
    out: &'o mut Protobuf,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.depth > MAX_DEPTH {
            let name = self.message.name;
            return Err(de::Error::custom(format_args!("{name} is nested deeper than {MAX_DEPTH} messages")));
        }
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as an object", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { message, depth, out } = self;
        let (mut seen, mut seen_once) = (0_u32, 0_u8);
        while let Some(found) = map.next_key_seed(NameSeed(message))? {
            let Some((number, field)) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !map.next_value_seed(FieldSeed { message, number, field, depth, out: &mut *out })? {
                continue;
            }
            let (bit, name) = (1 << number, field.name);
            if seen & bit != 0 {
                return Err(de::Error::custom(format_args!("{}.{name} stands twice", message.name)));
            }
            if seen_once & field.once != 0 {
                return Err(de::Error::custom(format_args!("{} has a value beside {name}", message.name)));
            }
            seen |= bit;
            seen_once |= field.once;
        }
        Ok(())
    }
}

/// A name, as the field it belongs to.
struct NameSeed(&'static Message);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<(u32, &'static Field)>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<(u32, &'static Field)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields().find(|(_, field)| field.name == name))
    }
}

/// A field's value; `false` if it is `null`.
struct FieldSeed<'o> {
    message: &'static Message,
    number: u32,
    field: &'static Field,
    depth: u32,
    out: &'o mut Protobuf,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = if self.field.presence == Presence::Repeated { "a list for " } else { "" };
        write!(f, "{list}{}.{}", self.message.name, self.field.name)
    }

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(mut self, json: D) -> Result<bool, D::Error> {
        if self.field.presence == Presence::Repeated {
            json.deserialize_seq(self)?;
        } else {
            self.item().deserialize(json)?;
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        if self.field.kind.wire_type() == 2 {
            while list.next_element_seed(self.item())?.is_some() {}
            return Ok(true);
        }
        let before = (self.out.bytes.len(), self.out.lengths.len());
        let begun = self.out.begin(self.number);
        let mut any = false;
        while list.next_element_seed(self.item())?.is_some() {
            any = true;
        }
        if any {
            self.out.end(begun);
        } else {
            self.out.bytes.truncate(before.0);
            self.out.lengths.truncate(before.1);
        }
        Ok(true)
    }
}

impl FieldSeed<'_> {
    fn item(&mut self) -> ItemSeed<'_> {
        let Self { message, number, field, depth, .. } = *self;
        ItemSeed { message, number, field, depth, out: self.out }
    }
}

/// One value of a field: the only one, or one of a list.
struct ItemSeed<'o> {
    message: &'static Message,
    number: u32,
    field: &'static Field,
    depth: u32,
    out: &'o mut Protobuf,
}

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let Kind::Message(inner) = self.field.kind else { return json.deserialize_any(self) };
        let begun = self.out.begin(self.number);
        let seed = MessageSeed { message: inner, depth: self.depth + 1, out: &mut *self.out };
        if std::ptr::eq(inner, messages::any_value()) {
            // A null among an array's values keeps its place, as an empty value.
            json.deserialize_option(Nullable(seed))?;
        } else {
            seed.deserialize(json)?;
        }
        self.out.end(begun);
        Ok(())
    }
}

/// A message, or `null` for an empty one.
struct Nullable<'o>(MessageSeed<'o>);

impl<'de> Visitor<'de> for Nullable<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.0.deserialize(json)
    }
}

impl Visitor<'_> for ItemSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} as {}", self.message.name, self.field.name, form(self.field.kind))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => self.put(u64::from(flag)),
            _ => Err(self.invalid(de::Unexpected::Bool(flag))),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.put_integer(i128::from(number)).unwrap_or_else(|this| match this.field.kind {
            Kind::Double => this.put((number as f64).to_bits()),
            _ => Err(this.invalid(de::Unexpected::Unsigned(number))),
        })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.put_integer(i128::from(number)).unwrap_or_else(|this| match this.field.kind {
            Kind::Double => this.put((number as f64).to_bits()),
            _ => Err(this.invalid(de::Unexpected::Signed(number))),
        })
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        // Integers may be written 1.0 or 1e3, as far as a double holds them exactly.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if let Kind::Double = self.field.kind {
            return self.put(number.to_bits());
        }
        if number.fract() != 0.0 || number.abs() > EXACT {
            return Err(self.invalid(de::Unexpected::Float(number)));
        }
        self.put_integer(number as i128).unwrap_or_else(|this| Err(this.invalid(de::Unexpected::Float(number))))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let unexpected = de::Unexpected::Str(text);
        match self.field.kind {
            Kind::Text => self.put_bytes(text.as_bytes()),
            Kind::Id => match hex(text) {
                Some(id) => self.put_bytes(&id),
                None => Err(self.invalid(unexpected)),
            },
            Kind::Bytes => match base64(text) {
                Some(bytes) => self.put_bytes(&bytes),
                None => Err(self.invalid(unexpected)),
            },
            Kind::Double => match double(text) {
                Some(number) => self.put(number.to_bits()),
                None => Err(self.invalid(unexpected)),
            },
            Kind::Enum(by_name) if let Some(number) = by_name(text) => self.put(number as i64 as u64),
            _ => match text.parse::<i128>() {
                Ok(number) => self.put_integer(number).unwrap_or_else(|this| Err(this.invalid(unexpected))),
                Err(_) => Err(self.invalid(unexpected)),
            },
        }
    }
}

impl ItemSeed<'_> {
    /// Gives itself back if the field is no integer, or too small for this one.
    fn put_integer<E>(self, number: i128) -> Result<Result<(), E>, Self> {
        let bits = match self.field.kind {
            Kind::Int32 | Kind::Enum(_) => i32::try_from(number).map(|number| i64::from(number) as u64),
            Kind::Sint32 => i32::try_from(number).map(|number| u64::from((number << 1 ^ number >> 31) as u32)),
            Kind::Uint32 | Kind::Fixed32 => u32::try_from(number).map(u64::from),
            Kind::Int64 | Kind::Sfixed64 => i64::try_from(number).map(|number| number as u64),
            Kind::Uint64 | Kind::Fixed64 => u64::try_from(number),
            Kind::Bool | Kind::Double | Kind::Bytes | Kind::Id | Kind::Text | Kind::Message(_) => return Err(self),
        };
        match bits {
            Ok(bits) => Ok(self.put(bits)),
            Err(_) => Err(self),
        }
    }

    fn put<E>(self, bits: u64) -> Result<(), E> {
        match self.field.presence {
            Presence::Implicit if bits == 0 => {}
            Presence::Implicit | Presence::Explicit => self.out.put_bits(Some(self.number), self.field.kind, bits),
            Presence::Repeated => self.out.put_bits(None, self.field.kind, bits),
        }
        Ok(())
    }

    fn put_bytes<E>(self, bytes: &[u8]) -> Result<(), E> {
        if self.field.presence != Presence::Implicit || !bytes.is_empty() {
            self.out.put_bytes(self.number, bytes);
        }
        Ok(())
    }

    fn invalid<E: de::Error>(&self, found: de::Unexpected<'_>) -> E {
        E::invalid_value(found, self)
    }
}

/// How a value is written in JSON.
fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::Int32 | Kind::Sint32 => "a 32-bit integer",
        Kind::Enum(_) => "an integer of its enumeration",
        Kind::Uint32 | Kind::Fixed32 => "an unsigned 32-bit integer",
        Kind::Int64 | Kind::Sfixed64 => "a 64-bit integer, as a string or number",
        Kind::Uint64 | Kind::Fixed64 => "an unsigned 64-bit integer, as a string or number",
        Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
        Kind::Bytes => "a base64 string",
        Kind::Id => "a hexadecimal string",
        Kind::Text => "a string",
        Kind::Message(_) => "an object",
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8)).collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // Rust's own spellings of the three, and overflow, are not JSON's.
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

/// A request of the signal that its one name tells.
struct AnyRequest<'o> {
    out: &'o mut Protobuf,
}

impl<'de> DeserializeSeed<'de> for AnyRequest<'_> {
    type Value = Option<Signal>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AnyRequest<'_> {
    type Value = Option<Signal>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export request as an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut signal = None;
        while let Some(found) = map.next_key_seed(SignalSeed)? {
            let Some((found, message, number, field)) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let present = map.next_value_seed(FieldSeed { message, number, field, depth: 0, out: &mut *self.out })?;
            if present && signal.replace(found).is_some() {
                return Err(de::Error::custom(format_args!("{} stands beside another request", field.name)));
            }
        }
        Ok(signal)
    }
}

/// A name, as the signal whose request has it.
struct SignalSeed;

type RequestField = (Signal, &'static Message, u32, &'static Field);

impl<'de> DeserializeSeed<'de> for SignalSeed {
    type Value = Option<RequestField>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for SignalSeed {
    type Value = Option<RequestField>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Signal::ALL.into_iter().find_map(|signal| {
            let message = messages::request(signal);
            let (number, field) = message.fields().find(|(_, field)| field.name == name)?;
            Some((signal, message, number, field))
        }))
    }
}
