//! Labels packed into one byte string.
//!
//! A key is a sequence of parts, each behind its length, so that no two lists of parts pack alike. Measures know which
//! part is which; nothing is stored twice.

/// Packs parts into a reused buffer.
#[derive(Debug, Default)]
pub struct Key {
    bytes: Vec<u8>,
}

impl Key {
    pub fn clear(&mut self) -> &mut Self {
        self.bytes.clear();
        self
    }

    #[inline]
    pub fn push(&mut self, part: &[u8]) -> &mut Self {
        let length = part.len();
        if length < 0x80 {
            self.bytes.push(length as u8);
        } else {
            // Four bytes, the first with its high bit set: lengths up to 2^31.
            self.bytes.extend_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes());
        }
        self.bytes.extend_from_slice(part);
        self
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The parts of a packed key, in order.
pub fn parts(key: &[u8]) -> Parts<'_> {
    Parts { rest: key }
}

#[derive(Clone, Debug)]
pub struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The next part; empty at the end.
    pub fn part(&mut self) -> &'a [u8] {
        self.next().unwrap_or_default()
    }

    /// The next part as text, lossily: parts were UTF-8 when they were packed.
    pub fn text(&mut self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.part())
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = match self.rest {
            [short @ 0..0x80, rest @ ..] => (usize::from(*short), rest),
            [a, b, c, d, rest @ ..] => ((u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff) as usize, rest),
            _ => return None,
        };
        let (part, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_come_out_as_they_went_in(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6)) {
            let mut key = Key::default();
            for part in &all {
                key.push(part);
            }
            let out: Vec<Vec<u8>> = parts(key.as_bytes()).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(out, all);
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(parts(&bytes).count() <= bytes.len());
        }
    }
}
