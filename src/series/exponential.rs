//! The base-2 exponential histogram of OpenTelemetry, for values ≥ 0.
//!
//! Bucket `i` at scale `s` holds (2^(i·2⁻ˢ), 2^((i+1)·2⁻ˢ)]. The scale is always the largest up to [`MAX_SCALE`] at which
//! everything recorded fits [`MAX_BUCKETS`] buckets: a function of the smallest and largest value, not of their order.
//! A coarser scale adds neighbouring buckets, exactly, so merging is associative and commutative.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::family;
use super::table::Merge;

/// The finest scale, 2⁸ buckets to a doubling: the finest that Prometheus stores.
pub const MAX_SCALE: i8 = 8;
/// As in OpenTelemetry's SDKs.
pub const MAX_BUCKETS: usize = 160;

/// The scales of OpenTelemetry's data model.
const MIN_RECEIVED_SCALE: i32 = -10;
const MAX_RECEIVED_SCALE: i32 = 20;

const PER_DOUBLING: usize = 1 << MAX_SCALE;

/// Lower bounds, exclusive, of the buckets within one doubling.
static BOUNDS: LazyLock<[f64; PER_DOUBLING]> =
    LazyLock::new(|| std::array::from_fn(|index| (index as f64 / PER_DOUBLING as f64).exp2()));

#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Exponential {
    scale: i8,
    zero_count: u64,
    /// Index of the first bucket.
    offset: i32,
    buckets: Vec<u64>,
}

impl Default for Exponential {
    fn default() -> Self {
        Self { scale: MAX_SCALE, zero_count: 0, offset: 0, buckets: Vec::new() }
    }
}

impl Exponential {
    /// Records a finite `value` ≥ 0; anything else counts as zero.
    pub fn record(&mut self, value: f64, times: u64) {
        if !(value.is_normal() && value > 0.0) {
            self.zero_count += times;
            return;
        }
        let mut index = finest_index(value) >> (MAX_SCALE - self.scale);
        index >>= self.fit(index, index);
        if let Some(bucket) = self.bucket(index) {
            *bucket += times;
        }
    }

    pub fn show(&self) -> family::Exponential {
        family::Exponential {
            scale: self.scale,
            zero_count: self.zero_count,
            offset: self.offset,
            buckets: self.buckets.clone(),
            ..family::Exponential::default()
        }
    }

    /// From buckets as somebody else counted them, at any scale that OpenTelemetry allows (−10 … 20). `None`: another
    /// scale, or a bucket outside of what a double can be.
    pub fn from_buckets(scale: i32, offset: i32, counts: impl Iterator<Item = u64>) -> Option<Self> {
        if !(MIN_RECEIVED_SCALE..=MAX_RECEIVED_SCALE).contains(&scale) {
            return None;
        }
        let finer = u32::try_from(scale - i32::from(MAX_SCALE)).unwrap_or(0);
        let mut all = Self { scale: scale.min(MAX_SCALE.into()) as i8, ..Self::default() };
        // One doubling more on either side: bucket bounds may be rounded.
        let doubling = |index: i64| if scale >= 0 { index >> scale } else { index << -scale };
        for (step, count) in (0_i64..).zip(counts).filter(|(_, count)| *count > 0) {
            let index = i64::from(offset) + step;
            if !(-1076..=1025).contains(&doubling(index)) {
                return None;
            }
            // In range now: 2^8 buckets to each of those doublings at most.
            let mut index = (index >> finer) as i32 >> all.coarser_than(scale.min(MAX_SCALE.into()));
            index >>= all.fit(index, index);
            let bucket = all.bucket(index)?;
            *bucket = bucket.checked_add(count)?;
        }
        // Nothing counted has no scale, or merging would depend on who merges.
        Some(if all.buckets.is_empty() { Self::default() } else { all })
    }

    /// By how much the scale has fallen from `scale`.
    fn coarser_than(&self, scale: i32) -> u32 {
        u32::try_from(scale - i32::from(self.scale)).unwrap_or(0)
    }

    /// Lowers the scale to `scale` if it is above.
    pub fn coarsen_to(&mut self, scale: i8) {
        self.coarsen(u32::try_from(self.scale - scale).unwrap_or(0));
    }

    pub fn scale(&self) -> i8 {
        self.scale
    }

    /// Index of the first bucket.
    pub fn offset(&self) -> i32 {
        self.offset
    }

    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// Whether some bucket holds less than in `earlier`; a coarser scale alone makes no difference.
    pub fn fell_below(&self, earlier: &Self) -> bool {
        let scale = self.scale.min(earlier.scale);
        let (mut mine, mut theirs) = (self.clone(), earlier.clone());
        mine.coarsen_to(scale);
        theirs.coarsen_to(scale);
        (theirs.offset..).zip(&theirs.buckets).any(|(index, count)| {
            let now = usize::try_from(index - mine.offset).ok().and_then(|index| mine.buckets.get(index));
            *count > now.copied().unwrap_or(0)
        })
    }

    /// Makes room for indices `low` … `high` of the present scale; returns by how much the scale fell.
    fn fit(&mut self, low: i32, high: i32) -> u32 {
        let (mut low, mut high) = if self.buckets.is_empty() {
            (low, high)
        } else {
            (low.min(self.offset), high.max(self.offset + self.buckets.len() as i32 - 1))
        };
        let mut shift = 0;
        while (high - low) as usize >= MAX_BUCKETS {
            low >>= 1;
            high >>= 1;
            shift += 1;
        }
        self.coarsen(shift);
        if self.buckets.is_empty() {
            self.offset = low;
        }
        let before = (self.offset - low) as usize;
        if before > 0 {
            self.buckets.splice(0..0, std::iter::repeat_n(0, before));
            self.offset = low;
        }
        self.buckets.resize((high - low) as usize + 1, 0);
        shift
    }

    fn coarsen(&mut self, shift: u32) {
        if shift == 0 {
            return;
        }
        self.scale -= shift as i8;
        if self.buckets.is_empty() {
            return;
        }
        let fine = std::mem::take(&mut self.buckets);
        let fine_offset = self.offset;
        self.offset = fine_offset >> shift;
        let last = (fine_offset + fine.len() as i32 - 1) >> shift;
        self.buckets.resize((last - self.offset) as usize + 1, 0);
        for (step, count) in (0_i32..).zip(fine) {
            if let Some(bucket) = self.bucket((fine_offset + step) >> shift) {
                *bucket = bucket.saturating_add(count);
            }
        }
    }

    fn bucket(&mut self, index: i32) -> Option<&mut u64> {
        self.buckets.get_mut(usize::try_from(index - self.offset).ok()?)
    }
}

impl Merge for Exponential {
    fn merge(&mut self, other: &Self) {
        self.zero_count += other.zero_count;
        if other.buckets.is_empty() {
            return;
        }
        let mut theirs = other.clone();
        let scale = self.scale.min(theirs.scale);
        self.coarsen((self.scale - scale) as u32);
        theirs.coarsen((theirs.scale - scale) as u32);
        let shift = self.fit(theirs.offset, theirs.offset + theirs.buckets.len() as i32 - 1);
        for (step, count) in (0_i32..).zip(theirs.buckets) {
            if let Some(bucket) = self.bucket((theirs.offset + step) >> shift) {
                *bucket = bucket.saturating_add(count);
            }
        }
    }
}

/// The bucket of a normal `value` > 0 at [`MAX_SCALE`].
fn finest_index(value: f64) -> i32 {
    const MANTISSA_BITS: u32 = 52;
    const ONE: u64 = 1023 << MANTISSA_BITS;
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | ONE);
    // How many lower bounds lie strictly below: none for an exact power of two, which ends the bucket before.
    let below = BOUNDS.partition_point(|bound| *bound < mantissa) as i32;
    exponent * PER_DOUBLING as i32 + below - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Exponential {
        let mut all = Exponential::default();
        for value in values {
            all.record(*value, 1);
        }
        all
    }

    #[test]
    fn powers_of_two_end_their_bucket() {
        assert_eq!(finest_index(1.0), -1);
        assert_eq!(finest_index(2.0), 255);
        assert_eq!(finest_index(1.0000001), 0);
        assert_eq!(finest_index(0.5), -257);
    }

    #[test]
    fn zero_and_nonsense_count_as_zero() {
        let all = of(&[0.0, -1.0, f64::NAN, f64::INFINITY, 1.0]);
        assert_eq!((all.zero_count, all.buckets.iter().sum::<u64>()), (4, 1));
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(values in prop::collection::vec(1e-9_f64..1e9, 1..80)) {
            let all = of(&values);
            prop_assert!(all.buckets.len() <= MAX_BUCKETS);
            prop_assert_eq!(all.buckets.iter().sum::<u64>(), values.len() as u64);
            let base = (-f64::from(all.scale)).exp2().exp2();
            for (step, count) in (0_i32..).zip(&all.buckets) {
                let index = f64::from(all.offset + step);
                // One part in 10⁹ of slack: `powf` rounds where the table does not.
                let (low, high) = (base.powf(index) * (1.0 - 1e-9), base.powf(index + 1.0) * (1.0 + 1e-9));
                let inside = values.iter().filter(|value| **value > low && **value <= high).count() as u64;
                prop_assert!(inside >= *count, "bucket {step} has {count}, {inside} values lie in it");
            }
        }

        #[test]
        fn order_and_grouping_do_not_matter(
            a in prop::collection::vec(0.0_f64..1e6, 0..40),
            b in prop::collection::vec(1e-6_f64..1.0, 0..40),
            c in prop::collection::vec(1.0_f64..1e12, 0..40),
        ) {
            let together = of(&[a.clone(), b.clone(), c.clone()].concat());
            let mut left = of(&a);
            left.merge(&of(&b));
            left.merge(&of(&c));
            let mut bc = of(&c);
            bc.merge(&of(&b));
            let mut right = of(&a);
            right.merge(&bc);
            prop_assert_eq!(&left, &together);
            prop_assert_eq!(&right, &together);
        }
    }
}
