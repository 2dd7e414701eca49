//! Protobuf, written: the few wire types that the exposition needs.

use prost::encoding::encode_varint;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    encode_varint((field << 3 | wire_type).into(), out);
}

pub fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    encode_varint(value, out);
}

/// `sint32` and `sint64`.
pub fn zigzag(out: &mut Vec<u8>, field: u32, value: i64) {
    varint(out, field, zigzagged(value));
}

fn zigzagged(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// A packed list of `sint64`; nothing for an empty one.
pub fn packed_zigzag(out: &mut Vec<u8>, field: u32, values: &[i64]) {
    if !values.is_empty() {
        nested(out, field, |out| values.iter().for_each(|value| encode_varint(zigzagged(*value), out)));
    }
}

pub fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, LENGTH_DELIMITED);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A message, or anything else that is led by its length, whose content `write` appends.
pub fn nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, LENGTH_DELIMITED);
    delimited(out, write);
}

/// Content led by its length. Most is short: its length takes the one byte that was kept free.
pub fn delimited(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let length_at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - length_at - 1;
    match u8::try_from(length) {
        Ok(short @ 0..=127) => {
            if let Some(byte) = out.get_mut(length_at) {
                *byte = short;
            }
        }
        _ => {
            let mut prefix = Vec::with_capacity(10);
            encode_varint(length as u64, &mut prefix);
            out.splice(length_at..=length_at, prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_short_and_long() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = vec![9];
            nested(&mut out, 4, |out| out.resize(out.len() + length, 7));
            let mut expected = vec![9];
            bytes(&mut expected, 4, &vec![7; length]);
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn negative_numbers() {
        let mut out = Vec::new();
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            zigzag(&mut out, 1, value);
        }
        let mut expected = Vec::new();
        for (value, bits) in [(0_i64, 0), (-1, 1), (1, 2), (i64::MIN, u64::MAX), (i64::MAX, u64::MAX - 1)] {
            prost::encoding::sint64::encode(1, &value, &mut expected);
            assert_eq!(zigzagged(value), bits);
        }
        assert_eq!(out, expected);
    }
}
