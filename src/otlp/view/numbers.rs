//! Repeated numbers, each alone in a field or many behind one length, in any mixture.

use std::marker::PhantomData;

use super::super::wire::{Cursor, Value};
use super::Fields;

/// How one number is read, alone or from a packed run.
pub trait Number {
    type Item;
    fn alone(value: Value<'_>) -> Option<Self::Item>;
    fn packed(run: &mut Cursor<'_>) -> Option<Self::Item>;
}

/// `repeated fixed64`.
#[derive(Clone, Copy, Debug)]
pub struct Fixed64;

/// `repeated double`.
#[derive(Clone, Copy, Debug)]
pub struct Double;

/// `repeated uint64`.
#[derive(Clone, Copy, Debug)]
pub struct Varint;

impl Number for Fixed64 {
    type Item = u64;

    #[inline]
    fn alone(value: Value<'_>) -> Option<u64> {
        if let Value::Fixed64(bits) = value { Some(bits) } else { None }
    }

    #[inline]
    fn packed(run: &mut Cursor<'_>) -> Option<u64> {
        run.fixed().ok().map(u64::from_le_bytes)
    }
}

impl Number for Double {
    type Item = f64;

    #[inline]
    fn alone(value: Value<'_>) -> Option<f64> {
        Fixed64::alone(value).map(f64::from_bits)
    }

    #[inline]
    fn packed(run: &mut Cursor<'_>) -> Option<f64> {
        Fixed64::packed(run).map(f64::from_bits)
    }
}

impl Number for Varint {
    type Item = u64;

    #[inline]
    fn alone(value: Value<'_>) -> Option<u64> {
        if let Value::Varint(value) = value { Some(value) } else { None }
    }

    #[inline]
    fn packed(run: &mut Cursor<'_>) -> Option<u64> {
        run.varint().ok()
    }
}

pub type Fixed64s<'a> = Numbers<'a, Fixed64>;
pub type Doubles<'a> = Numbers<'a, Double>;
pub type Varints<'a> = Numbers<'a, Varint>;

/// The numbers of one repeated field, in wire order.
#[derive(Clone, Debug)]
pub struct Numbers<'a, N> {
    fields: Fields<'a>,
    run: Cursor<'a>,
    number: u32,
    kind: PhantomData<N>,
}

impl<'a, N> Numbers<'a, N> {
    #[inline]
    pub(super) fn new(message: &'a [u8], number: u32) -> Self {
        Self { fields: Fields::new(message), run: Cursor::new(&[]), number, kind: PhantomData }
    }
}

impl<N: Number> Iterator for Numbers<'_, N> {
    type Item = N::Item;

    #[inline]
    fn next(&mut self) -> Option<N::Item> {
        loop {
            if let Some(item) = N::packed(&mut self.run) {
                return Some(item);
            }
            let (_, value) = self.fields.find(|(number, _)| *number == self.number)?;
            match value {
                Value::Bytes(run) => self.run = Cursor::new(run),
                value => return N::alone(value),
            }
        }
    }
}
