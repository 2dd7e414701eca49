//! Received exponential histograms: the native form, and classic buckets for formats that know no other.
//!
//! Invariants: buckets and zeros add up to `count`; each side has at most as many buckets as ours have
//! ([`crate::series::exponential::MAX_BUCKETS`]) at a scale of at most 8, the finest that Prometheus stores. A coarser
//! scale adds neighbouring buckets, exactly.

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::cumulative::Adds;
use super::explicit::add_sums;
use super::point::Reason;
use crate::otlp::view::{Buckets, ExponentialHistogramPoint};
use crate::series::exponential::Exponential;
use crate::series::{self, Histogram, Merge};

#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Native {
    count: u64,
    /// `None`: some sender told none.
    sum: Option<Amount>,
    zero_count: u64,
    zero_threshold: f64,
    positive: Exponential,
    negative: Exponential,
}

impl Native {
    pub fn read(point: &ExponentialHistogramPoint<'_>) -> Result<Self, Reason> {
        let side = |buckets: Option<Buckets<'_>>| match buckets {
            None => Ok(Exponential::default()),
            Some(buckets) => Exponential::from_buckets(point.scale, buckets.offset, buckets.bucket_counts())
                .ok_or(Reason::BadBuckets),
        };
        let (positive, negative) = (side(point.positive)?, side(point.negative)?);
        let counts = positive.buckets().iter().chain(negative.buckets()).chain([&point.zero_count]);
        let total = counts.into_iter().try_fold(0_u64, |total, count| total.checked_add(*count));
        let threshold = point.zero_threshold;
        if total != Some(point.count) || !(threshold.is_finite() && threshold >= 0.0) {
            return Err(Reason::BadBuckets);
        }
        let sum = point.sum.map(|sum| Amount::of_double(sum).ok_or(Reason::NotFinite)).transpose()?;
        Ok(Self {
            count: point.count,
            sum,
            zero_count: point.zero_count,
            zero_threshold: threshold + 0.0,
            positive,
            negative,
        })
    }

    pub fn show(&self) -> Histogram {
        let (mut positive, mut negative) = (self.positive.clone(), self.negative.clone());
        // One scale for both sides; an empty one takes the other's.
        let scale = positive.scale().min(negative.scale());
        positive.coarsen_to(scale);
        negative.coarsen_to(scale);
        let exponential = series::Exponential {
            scale,
            zero_count: self.zero_count,
            zero_threshold: self.zero_threshold,
            offset: positive.offset(),
            buckets: positive.buckets().to_vec(),
            negative_offset: negative.offset(),
            negative_buckets: negative.buckets().to_vec(),
        };
        positive.coarsen_to(0);
        negative.coarsen_to(0);
        let classic = self.classic(&positive, &negative);
        Histogram {
            count: self.count,
            sum: self.sum.map_or(f64::NAN, |sum| sum.as_f64()),
            min: None,
            max: None,
            bounds: classic.bounds.into(),
            buckets: classic.buckets,
            exponential: Some(exponential),
        }
    }

    /// Classic buckets of sides with one scale ≤ 0, whose bounds are powers of two: the same for every histogram of that
    /// scale, so that they add up across series.
    ///
    /// The lowest positive bucket has its lower bound too, so that a quantile in it is not sought from zero on; what is
    /// zero lies below. A value on a negative bound counts in the bucket above it.
    fn classic(&self, positive: &Exponential, negative: &Exponential) -> Classic {
        let mut classic = Classic::default();
        let below_zero = (negative.offset()..).zip(negative.buckets()).collect::<Vec<_>>();
        for (index, count) in below_zero.into_iter().rev() {
            classic.push(-power(index, negative.scale()), *count);
        }
        if positive.buckets().is_empty() {
            if self.zero_count > 0 {
                classic.push(self.zero_threshold, self.zero_count);
            }
        } else {
            classic.push(power(positive.offset(), positive.scale()), self.zero_count);
        }
        for (index, count) in (positive.offset()..).zip(positive.buckets()) {
            classic.push(power(index.saturating_add(1), positive.scale()), *count);
        }
        classic.close()
    }
}

/// 2^(index · 2^−scale) for a scale ≤ 0.
fn power(index: i32, scale: i8) -> f64 {
    let exponent = i64::from(index) << u32::from(scale.unsigned_abs()).min(32);
    (exponent as f64).exp2()
}

#[derive(Default)]
struct Classic {
    bounds: Vec<f64>,
    buckets: Vec<u64>,
    /// Counts behind the last finite bound.
    above: u64,
}

impl Classic {
    /// Adds a bucket that ends at `bound`; bounds come in order. What no double can tell from the bound before counts
    /// there, and what lies beyond all doubles above all bounds.
    fn push(&mut self, bound: f64, count: u64) {
        let ascends = self.bounds.last().is_none_or(|last| bound > *last);
        if !bound.is_finite() && bound > 0.0 {
            self.above = self.above.saturating_add(count);
        } else if ascends && bound.is_finite() {
            self.bounds.push(bound + 0.0);
            self.buckets.push(count);
        } else if let Some(last) = self.buckets.last_mut() {
            *last = last.saturating_add(count);
        } else {
            self.bounds.push(f64::MIN);
            self.buckets.push(count);
        }
    }

    fn close(mut self) -> Self {
        self.buckets.push(self.above);
        self
    }
}

impl Adds for Native {
    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = add_sums(self.sum, other.sum);
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.zero_threshold = self.zero_threshold.max(other.zero_threshold);
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    fn fell_below(&self, earlier: &Self) -> bool {
        self.count < earlier.count
            || self.zero_count < earlier.zero_count
            || self.positive.fell_below(&earlier.positive)
            || self.negative.fell_below(&earlier.negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn native(scale: i32, zero: u64, positive: (i32, &[u64]), negative: (i32, &[u64])) -> Option<Native> {
        let side = |(offset, counts): (i32, &[u64])| Exponential::from_buckets(scale, offset, counts.iter().copied());
        Some(Native {
            count: zero + positive.1.iter().sum::<u64>() + negative.1.iter().sum::<u64>(),
            sum: Amount::of_double(1.0),
            zero_count: zero,
            zero_threshold: 0.0,
            positive: side(positive)?,
            negative: side(negative)?,
        })
    }

    fn classic(histogram: &Histogram) -> Vec<(f64, u64)> {
        histogram.bounds.iter().copied().chain([f64::INFINITY]).zip(histogram.buckets.iter().copied()).collect()
    }

    #[test]
    fn classic_buckets_are_powers_of_two() {
        // At scale 1 indices 0 … 4 are (1, √2], (√2, 2], (2, 2√2], (2√2, 4], (4, 4√2].
        let shown = native(1, 7, (0, &[1, 2, 3, 4, 5]), (0, &[])).unwrap().show();
        assert_eq!(classic(&shown), [(1.0, 7), (2.0, 3), (4.0, 7), (8.0, 5), (f64::INFINITY, 0)]);
        assert_eq!(shown.exponential.unwrap().buckets, [1, 2, 3, 4, 5]);
        let coarse = native(-1, 0, (-1, &[1, 2, 3]), (0, &[])).unwrap().show();
        assert_eq!(classic(&coarse), [(0.25, 0), (1.0, 1), (4.0, 2), (16.0, 3), (f64::INFINITY, 0)]);
    }

    #[test]
    fn negative_buckets_come_first() {
        let shown = native(0, 5, (0, &[1]), (0, &[2, 3])).unwrap().show();
        assert_eq!(classic(&shown), [(-2.0, 3), (-1.0, 2), (1.0, 5), (2.0, 1), (f64::INFINITY, 0)]);
        let only = native(0, 5, (0, &[]), (0, &[2])).unwrap().show();
        assert_eq!(classic(&only), [(-1.0, 2), (0.0, 5), (f64::INFINITY, 0)]);
        let empty = native(0, 0, (0, &[]), (0, &[])).unwrap().show();
        assert_eq!(classic(&empty), [(f64::INFINITY, 0)]);
    }

    #[test]
    fn the_ends_of_what_a_double_can_be() {
        let shown = native(-10, 0, (-1, &[1, 2]), (0, &[])).unwrap().show();
        assert_eq!(classic(&shown), [((-1024_f64).exp2(), 0), (1.0, 1), (f64::INFINITY, 2)], "subnormal, not zero");
        let high = native(0, 0, (1022, &[1, 2]), (1023, &[4])).unwrap().show();
        let expected = [(-(1023_f64.exp2()), 4), (1022_f64.exp2(), 0), (1023_f64.exp2(), 1), (f64::INFINITY, 2)];
        assert_eq!(classic(&high), expected);
        for (scale, offset) in [(0, i32::MAX), (0, i32::MIN), (-11, 0), (21, 0), (i32::MIN, 0), (20, i32::MAX)] {
            assert_eq!(native(scale, 0, (offset, &[1]), (0, &[])), None, "{scale} {offset}");
        }
    }

    #[test]
    fn a_fine_scale_is_brought_to_eight() {
        let shown = native(20, 0, (0, &[1; 8192]), (0, &[])).unwrap().show();
        let native = shown.exponential.unwrap();
        assert_eq!((native.scale, native.offset, native.buckets), (8, 0, vec![4096, 4096]));
    }

    proptest! {
        #[test]
        fn adding_is_associative_and_commutative_and_loses_nothing(
            all in prop::collection::vec(
                (-4_i32..12, 0_u64..9, -300_i32..300, prop::collection::vec(0_u64..9, 0..200),
                    -300_i32..300, prop::collection::vec(0_u64..9, 0..20)), 3),
        ) {
            let all: Vec<Native> = all.iter().filter_map(|(scale, zero, offset, positive, below, negative)| {
                native(*scale, *zero, (*offset, positive), (*below, negative))
            }).collect();
            prop_assume!(all.len() == 3);
            let sum = |a: &Native, b: &Native| {
                let mut sum = a.clone();
                sum.add(b);
                sum
            };
            let [a, b, c] = [&all[0], &all[1], &all[2]];
            prop_assert_eq!(sum(a, b), sum(b, a));
            let left = sum(&sum(a, b), c);
            prop_assert_eq!(&left, &sum(a, &sum(b, c)));
            prop_assert!(!sum(a, b).fell_below(a));
            let shown = left.show();
            prop_assert_eq!(shown.buckets.iter().sum::<u64>(), left.count);
            prop_assert!(shown.bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
