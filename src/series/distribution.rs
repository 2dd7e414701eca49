//! Histograms with integer sums: fixed buckets, and a base-2 exponential form beside them.
//!
//! Invariants:
//! - a distribution is a function of the multiset of what was recorded, not of its order, so merging is associative and
//!   commutative;
//! - the sum is exact (128 bits).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::exponential::Exponential;
use super::family;
use super::table::Merge;

/// Upper bounds of fixed buckets, in the unit of what is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Ascending, inclusive.
    pub integers: Arc<[u64]>,
    /// The same, in the unit that is shown.
    pub shown: Arc<[f64]>,
    /// Recorded units in one shown unit, such as 1e9 for nanoseconds shown as seconds.
    pub per_shown: f64,
}

impl Bounds {
    pub fn new(integers: Vec<u64>, per_shown: f64) -> Self {
        let shown = integers.iter().map(|bound| *bound as f64 / per_shown).collect();
        Self { integers: integers.into(), shown, per_shown }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// One a bound, and one for everything above.
    buckets: Box<[u64]>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    exponential: Option<Exponential>,
}

impl Distribution {
    /// Empty, for values with these bounds. `exponential`: keep that form as well.
    pub fn new(bounds: &Bounds, exponential: bool) -> Self {
        Self {
            buckets: vec![0; bounds.integers.len() + 1].into(),
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
            exponential: exponential.then(Exponential::default),
        }
    }

    /// Records `value` `times` times. `bounds` are those it was made with.
    #[inline]
    pub fn record(&mut self, bounds: &Bounds, value: u64, times: u64) {
        let bucket = bounds.integers.partition_point(|bound| *bound < value);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += times;
        }
        self.count += times;
        self.sum += u128::from(value) * u128::from(times);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if let Some(exponential) = &mut self.exponential {
            exponential.record(value as f64 / bounds.per_shown, times);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// As shown: in the shown unit, for the encoders.
    pub fn show(&self, bounds: &Bounds) -> family::Histogram {
        let shown = |value: u64| value as f64 / bounds.per_shown;
        family::Histogram {
            count: self.count,
            sum: self.sum as f64 / bounds.per_shown,
            min: (self.count > 0).then(|| shown(self.min)),
            max: (self.count > 0).then(|| shown(self.max)),
            bounds: Arc::clone(&bounds.shown),
            buckets: self.buckets.to_vec(),
            exponential: self.exponential.as_ref().map(Exponential::show),
        }
    }
}

impl Merge for Distribution {
    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if let (Some(mine), Some(theirs)) = (&mut self.exponential, &other.exponential) {
            mine.merge(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bound_is_inclusive() {
        let bounds = Bounds::new(vec![10, 20], 1.0);
        let mut all = Distribution::new(&bounds, false);
        for (value, times) in [(10, 1), (11, 2), (20, 3), (21, 4)] {
            all.record(&bounds, value, times);
        }
        let shown = all.show(&bounds);
        assert_eq!(shown.buckets, [1, 5, 4]);
        assert_eq!((shown.count, shown.sum, shown.min, shown.max), (10, 176.0, Some(10.0), Some(21.0)));
    }

    proptest! {
        #[test]
        fn merging_is_recording_together(
            a in prop::collection::vec(any::<u32>(), 0..40),
            b in prop::collection::vec(any::<u32>(), 0..40),
        ) {
            let bounds = Bounds::new(vec![1_000, 1_000_000, 1_000_000_000], 1e9);
            let of = |values: &[u32]| {
                let mut all = Distribution::new(&bounds, true);
                for value in values {
                    all.record(&bounds, u64::from(*value), 1);
                }
                all
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(&merged, &of(&[a.clone(), b.clone()].concat()));
            let mut reversed = of(&b);
            reversed.merge(&of(&a));
            prop_assert_eq!(merged, reversed);
        }
    }
}
