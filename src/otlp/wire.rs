//! The protobuf wire: a cursor over borrowed bytes.
//!
//! Invariants:
//! - it never reads outside the slice it was given, never allocates, never panics, and every step consumes at least one
//!   byte, so any input ends;
//! - a varint has at most ten bytes and fits 64 bits; a field number is 1 … 2²⁹ − 1; a length ends inside its parent;
//! - groups (wire types 3 and 4) are refused: no OTLP message has ever used them.
//!
//! The cursor hands out sub-slices. Where an offset is wanted (what rides beside a journal record must not borrow from
//! it), [`Range32::of`] turns a sub-slice back into one.

use std::ops::Range;

/// Why bytes are not a valid message. Every variant is the sender's fault and permanent: a retry fails the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the message ends inside a field")]
    Truncated,
    #[error("a varint is longer than ten bytes or exceeds 64 bits")]
    Varint,
    #[error("field number 0 or above 2^29-1")]
    FieldNumber,
    #[error("wire type {0} is not one that OTLP uses")]
    WireType(u8),
    #[error("field {field} of {message} has wire type {found}, expected {expected}")]
    Mismatch { message: &'static str, field: u32, found: u8, expected: u8 },
    #[error("{message} is nested deeper than {MAX_DEPTH} messages")]
    Depth { message: &'static str },
    #[error("a string of {message} is not valid UTF-8")]
    Utf8 { message: &'static str },
    #[error("packed field {field} of {message} has a length that is not a whole number of items")]
    Packed { message: &'static str, field: u32 },
    /// Legal protobuf, but a message that may stand once stands twice and would have to be merged. No encoder in use
    /// writes this; [`super::canonical`] rewrites it.
    #[error("{message} repeats a field that may stand once")]
    Split { message: &'static str },
    #[error("the message is larger than 4 GiB")]
    TooLong,
}

/// Messages inside messages, the same limit as prost's.
pub const MAX_DEPTH: u32 = 100;

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl Value<'_> {
    pub fn wire_type(&self) -> u8 {
        match self {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        }
    }
}

/// Yields the fields of one message in wire order.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, `None` at the end of the message.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Fault> {
        let Some(&first) = self.rest.first() else { return Ok(None) };
        let key = if first < 0x80 {
            self.rest = self.rest.get(1..).unwrap_or_default();
            u64::from(first)
        } else {
            self.varint()?
        };
        let number = key >> 3;
        if number == 0 || key > u64::from(u32::MAX) {
            return Err(Fault::FieldNumber);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            other => return Err(Fault::WireType(other as u8)),
        };
        Ok(Some((number as u32, value)))
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, Fault> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            Some(_) => self.long_varint(),
            None => Err(Fault::Truncated),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                return Err(Fault::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() >= 10 { Fault::Varint } else { Fault::Truncated })
    }

    /// The next number of a packed run of `wire_type`.
    pub(super) fn packed(&mut self, wire_type: u8) -> Result<Value<'a>, Fault> {
        match wire_type {
            0 => self.varint().map(Value::Varint),
            1 => self.fixed().map(|bytes| Value::Fixed64(u64::from_le_bytes(bytes))),
            _ => self.fixed().map(|bytes| Value::Fixed32(u32::from_le_bytes(bytes))),
        }
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.varint()?).map_err(|_| Fault::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

/// How many bytes `value` takes as a varint.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits a byte, and one byte for 0: ceil(bits / 7) without the division.
    ((64 - (value | 1).leading_zeros()) as usize * 9 + 64) / 64
}

#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes a length-delimited field takes: its key, its length, its body.
#[inline]
pub const fn delimited_len(number: u32, body: usize) -> usize {
    varint_len(number as u64 * 8) + varint_len(body as u64) + body
}

/// Begins a length-delimited field whose body of `body` bytes is written next.
#[inline]
pub fn put_delimited(out: &mut Vec<u8>, number: u32, body: usize) {
    put_varint(out, u64::from(number) * 8 + 2);
    put_varint(out, body as u64);
}

/// Where `part`, a sub-slice of `whole`, begins in it.
#[inline]
pub(super) fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

/// Checks that bytes are UTF-8. Telemetry is nearly all ASCII, so eight bytes at a time are looked at for a high bit and
/// the full check runs only where one is set.
#[inline]
pub fn is_text(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = bytes.as_chunks::<8>();
    let seen = words.iter().fold(0, |seen, word| seen | u64::from_le_bytes(*word));
    let seen_in_tail = tail.iter().fold(0, |seen, byte| seen | byte);
    (seen & HIGH == 0 && seen_in_tail < 0x80) || std::str::from_utf8(bytes).is_ok()
}

/// Where a part lies inside a record of at most 4 GiB. Empty (and harmless) by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range32 {
    start: u32,
    end: u32,
}

impl Range32 {
    /// The place of `part` inside `whole`; empty when it does not lie inside.
    #[inline]
    pub fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = offset(whole, part);
        let end = start.wrapping_add(part.len());
        if start > end || end > whole.len() || end > u32::MAX as usize {
            return Self::default();
        }
        Self { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub fn get<'a>(&self, whole: &'a [u8]) -> &'a [u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Fault> {
        let mut cursor = Cursor::new(bytes);
        let mut all = Vec::new();
        while let Some(field) = cursor.field()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn reads_every_wire_type() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 7, 0, 0, 0];
        let expected =
            vec![(1, Value::Varint(150)), (2, Value::Fixed64(1)), (3, Value::Bytes(b"hi")), (4, Value::Fixed32(7))];
        assert_eq!(fields(&bytes), Ok(expected));
    }

    #[test]
    fn refuses_what_is_not_a_message() {
        assert_eq!(fields(&[0x00, 0x00]), Err(Fault::FieldNumber));
        assert_eq!(fields(&[0x0b]), Err(Fault::WireType(3)));
        assert_eq!(fields(&[0x0a, 0x05, 1]), Err(Fault::Truncated));
        assert_eq!(fields(&[0x08]), Err(Fault::Truncated));
        assert_eq!(fields(&[0x08, 0xff]), Err(Fault::Truncated));
        let eleven = [&[0x08][..], &[0xff; 10], &[0x01]].concat();
        assert_eq!(fields(&eleven), Err(Fault::Varint));
        let overflow = [&[0x08][..], &[0xff; 9], &[0x02]].concat();
        assert_eq!(fields(&overflow), Err(Fault::Varint));
    }

    #[test]
    fn a_range_survives_the_borrow() {
        let whole = b"resource service.name";
        let range = Range32::of(whole, &whole[9..16]);
        assert_eq!(range.get(whole), b"service");
        assert_eq!(Range32::of(&whole[..4], &whole[9..16]), Range32::default());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = fields(&bytes);
        }

        #[test]
        fn varints_read_as_prost_reads_them(value in any::<u64>(), cut in 0_usize..11) {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            prop_assert_eq!(Cursor::new(&bytes).varint(), Ok(value));
            prop_assert_eq!(bytes.len(), varint_len(value));
            let mut written = Vec::new();
            put_varint(&mut written, value);
            prop_assert_eq!(&written, &bytes);
            bytes.truncate(cut);
            let ours = Cursor::new(&bytes).varint().ok();
            prop_assert_eq!(ours, prost::encoding::decode_varint(&mut bytes.as_slice()).ok());
        }

        #[test]
        fn text_is_what_the_standard_library_says(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(is_text(&bytes), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
