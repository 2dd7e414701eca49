//! Received histograms with explicit buckets.
//!
//! Invariants: bounds ascend and are finite, there is one count for each and one above, and the counts add up to
//! `count`. Two histograms add up on the bounds that both have, where cumulative counts are exact; so adding is
//! associative and commutative, and senders with different bounds still have a true sum.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::cumulative::Adds;
use super::point::Reason;
use crate::otlp::view::HistogramPoint;
use crate::series::Histogram;

/// Bounds of one histogram at most: each is a series to Prometheus.
pub const MAX_BOUNDS: usize = 1024;

#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Explicit {
    count: u64,
    /// `None`: some sender told none.
    sum: Option<Amount>,
    bounds: Box<[f64]>,
    buckets: Box<[u64]>,
}

impl Explicit {
    pub fn read(point: &HistogramPoint<'_>) -> Result<Self, Reason> {
        let mut bounds: Vec<f64> = point.explicit_bounds().take(MAX_BOUNDS + 2).collect();
        let mut buckets: Vec<u64> = point.bucket_counts().take(MAX_BOUNDS + 3).collect();
        if bounds.len() > MAX_BOUNDS + 1 || buckets.len() > MAX_BOUNDS + 2 {
            return Err(Reason::TooManyBuckets);
        }
        // A bound at +Inf is what the last bucket says anyway.
        if bounds.last() == Some(&f64::INFINITY) {
            bounds.pop();
            if let Some(above) = buckets.pop()
                && let Some(last) = buckets.last_mut()
            {
                *last = last.checked_add(above).ok_or(Reason::BadBuckets)?;
            }
        }
        if bounds.is_empty() && buckets.is_empty() {
            buckets.push(point.count);
        }
        let total = buckets.iter().try_fold(0_u64, |total, count| total.checked_add(*count));
        let ascend = bounds.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
        let finite = bounds.iter().all(|bound| bound.is_finite());
        if !ascend || !finite || buckets.len() != bounds.len() + 1 || total != Some(point.count) {
            return Err(Reason::BadBuckets);
        }
        let sum = point.sum.map(|sum| Amount::of_double(sum).ok_or(Reason::NotFinite)).transpose()?;
        Ok(Self { count: point.count, sum, bounds: bounds.into(), buckets: buckets.into() })
    }

    /// As shown. `shared`: bounds shown before, reused where they are the same.
    pub fn show(&self, shared: &mut Option<Arc<[f64]>>) -> Histogram {
        let bounds = match shared {
            Some(shared) if **shared == *self.bounds => Arc::clone(shared),
            shared => Arc::clone(shared.insert(Arc::from(&*self.bounds))),
        };
        Histogram {
            count: self.count,
            sum: self.sum.map_or(f64::NAN, |sum| sum.as_f64()),
            min: None,
            max: None,
            bounds,
            buckets: self.buckets.to_vec(),
            exponential: None,
        }
    }

    /// The buckets of these bounds, which are some of its own.
    fn at_bounds(&self, bounds: &[f64]) -> Box<[u64]> {
        let mut buckets = Vec::with_capacity(bounds.len() + 1);
        let mut wanted = bounds.iter().peekable();
        let mut inside = 0_u64;
        for (bound, count) in self.bounds.iter().zip(&self.buckets) {
            inside = inside.saturating_add(*count);
            if wanted.next_if_eq(&bound).is_some() {
                buckets.push(std::mem::take(&mut inside));
            }
        }
        let above = self.buckets.last().copied().unwrap_or(0);
        buckets.push(inside.saturating_add(above));
        buckets.into()
    }
}

impl Adds for Explicit {
    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = add_sums(self.sum, other.sum);
        if self.bounds == other.bounds {
            add_counts(&mut self.buckets, &other.buckets);
            return;
        }
        let common: Box<[f64]> =
            self.bounds.iter().copied().filter(|bound| other.bounds.iter().any(|theirs| theirs == bound)).collect();
        self.buckets = self.at_bounds(&common);
        add_counts(&mut self.buckets, &other.at_bounds(&common));
        self.bounds = common;
    }

    fn fell_below(&self, earlier: &Self) -> bool {
        let fell = |(now, before): (&u64, &u64)| now < before;
        self.count < earlier.count
            || (self.bounds == earlier.bounds && self.buckets.iter().zip(&earlier.buckets).any(fell))
    }
}

fn add_counts(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = mine.saturating_add(*theirs);
    }
}

/// A sum of which a part is not known is not known.
pub fn add_sums(a: Option<Amount>, b: Option<Amount>) -> Option<Amount> {
    let mut sum = a?;
    sum.add(&b?);
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(bounds: &[f64], buckets: &[u64]) -> Explicit {
        Explicit {
            count: buckets.iter().sum(),
            sum: Amount::of_double(1.0),
            bounds: bounds.into(),
            buckets: buckets.into(),
        }
    }

    #[test]
    fn different_bounds_add_up_where_both_have_one() {
        let mut all = histogram(&[1.0, 2.0, 5.0], &[1, 2, 3, 4]);
        all.add(&histogram(&[2.0, 3.0], &[10, 20, 30]));
        assert_eq!(all, Explicit { sum: Amount::of_double(2.0), ..histogram(&[2.0], &[13, 57]) });
        all.add(&histogram(&[7.0], &[1, 1]));
        assert_eq!((all.bounds.len(), all.count), (0, 72));
    }

    #[test]
    fn a_bucket_that_lost_is_a_reset_though_the_count_grew() {
        let before = histogram(&[1.0], &[5, 0]);
        assert!(histogram(&[1.0], &[4, 9]).fell_below(&before));
        assert!(!histogram(&[1.0], &[5, 9]).fell_below(&before));
    }

    #[test]
    fn a_sum_that_one_did_not_tell_is_not_known() {
        let mut all = histogram(&[], &[1]);
        all.add(&Explicit { sum: None, ..histogram(&[], &[1]) });
        assert!(all.show(&mut None).sum.is_nan());
    }

    proptest! {
        #[test]
        fn adding_is_associative_and_commutative(
            all in prop::collection::vec(
                (prop::collection::btree_set(0_u8..6, 0..5), prop::collection::vec(0_u64..100, 6)), 3),
        ) {
            let all: Vec<Explicit> = all.iter().map(|(bounds, buckets)| {
                let bounds: Vec<f64> = bounds.iter().map(|bound| f64::from(*bound)).collect();
                histogram(&bounds, &buckets[..=bounds.len()])
            }).collect();
            let sum = |a: &Explicit, b: &Explicit| {
                let mut sum = a.clone();
                sum.add(b);
                sum
            };
            let [a, b, c] = [&all[0], &all[1], &all[2]];
            prop_assert_eq!(sum(a, b), sum(b, a));
            let left = sum(&sum(a, b), c);
            prop_assert_eq!(&left, &sum(a, &sum(b, c)));
            prop_assert_eq!(left.buckets.iter().sum::<u64>(), left.count);
        }
    }
}
