//! Sums of received numbers.
//!
//! Invariants: integers add up exactly; doubles to within one part in 2¹⁰⁰, which no order of adding can tell apart once
//! the sum is rounded to a double; nothing overflows into an infinity.

use serde::{Deserialize, Serialize};

use super::cumulative::Adds;
use crate::otlp::view::Number;
use crate::series::Value;

/// A sum of integers and finite doubles.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Amount {
    integers: i128,
    /// The doubles' sum, rounded, and what rounding left over.
    high: f64,
    low: f64,
    is_double: bool,
}

impl Amount {
    /// `None`: not finite.
    pub fn of(number: Number) -> Option<Self> {
        match number {
            Number::Int(integer) => Some(Self { integers: integer.into(), ..Self::default() }),
            Number::Double(double) => Self::of_double(double),
        }
    }

    /// `None`: not finite.
    pub fn of_double(double: f64) -> Option<Self> {
        // Adding zero makes −0 the one zero that counters have.
        double.is_finite().then(|| Self { high: double + 0.0, is_double: true, ..Self::default() })
    }

    pub fn is_negative(&self) -> bool {
        self.as_f64() < 0.0
    }

    pub fn as_f64(&self) -> f64 {
        if self.integers == 0 { self.high } else { self.integers as f64 + self.low + self.high }
    }

    /// An integer if no double was ever added and it fits.
    pub fn show(&self) -> Value {
        match i64::try_from(self.integers) {
            Ok(integer) if !self.is_double => Value::Int(integer),
            _ => Value::Float(self.as_f64()),
        }
    }
}

impl Adds for Amount {
    fn add(&mut self, other: &Self) {
        self.integers = self.integers.saturating_add(other.integers);
        self.is_double |= other.is_double;
        // Knuth's two-sum: `rest` is exactly what rounding took from `sum`.
        let sum = self.high + other.high;
        if !sum.is_finite() {
            (self.high, self.low) = (sum.clamp(f64::MIN, f64::MAX), 0.0);
            return;
        }
        let of_other = sum - self.high;
        let rest = (self.high - (sum - of_other)) + (other.high - of_other);
        let low = self.low + other.low + rest;
        self.high = sum + low;
        self.low = low - (self.high - sum);
    }

    fn fell_below(&self, earlier: &Self) -> bool {
        if self.is_double || earlier.is_double {
            self.as_f64() < earlier.as_f64()
        } else {
            self.integers < earlier.integers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(numbers: impl IntoIterator<Item = f64>) -> Amount {
        let mut all = Amount::default();
        for number in numbers {
            all.add(&Amount::of_double(number).unwrap());
        }
        all
    }

    #[test]
    fn integers_stay_integers_until_a_double_comes() {
        let mut all = Amount::of(Number::Int(i64::MAX - 1)).unwrap();
        all.add(&Amount::of(Number::Int(1)).unwrap());
        assert_eq!(all.show(), Value::Int(i64::MAX));
        all.add(&Amount::of(Number::Int(1)).unwrap());
        assert_eq!(all.show(), Value::Float(63_f64.exp2()));
        let mut mixed = Amount::of(Number::Int(2)).unwrap();
        mixed.add(&Amount::of(Number::Double(0.5)).unwrap());
        assert_eq!(mixed.show(), Value::Float(2.5));
    }

    #[test]
    fn a_tenth_ten_times_is_one() {
        assert_eq!(sum([0.1; 10]).as_f64(), 1.0);
        assert_eq!(sum([1e16, 1.0, 1.0, -1e16]).as_f64(), 2.0);
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(sum([f64::MAX, f64::MAX, 1.0]).as_f64(), f64::MAX);
        assert_eq!(Amount::of_double(f64::NAN), None);
        assert_eq!(Amount::of_double(f64::INFINITY), None);
        assert_eq!(Amount::of_double(-0.0).unwrap().show(), Value::Float(0.0));
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_show(
            numbers in prop::collection::vec(-1e12_f64..1e12, 0..60),
            cut in 0_usize..60,
        ) {
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let mut grouped = sum(left.iter().copied());
            grouped.add(&sum(right.iter().copied()));
            let reversed = sum(numbers.iter().rev().copied());
            prop_assert_eq!(grouped.as_f64(), sum(numbers.iter().copied()).as_f64());
            prop_assert_eq!(reversed.as_f64(), grouped.as_f64());
        }
    }
}
