//! Percentiles over trailing windows.
//!
//! Time is cut into slices of a twelfth of the shortest window. One live slice takes what comes; a closed slice is kept
//! packed, and folded into the slices of the longer windows. A window of w at time t covers its closed slices that ended
//! after t − w, and the live one: between w and w + w/12 of data.
//!
//! Values have three significant digits from a microsecond to an hour, in the buckets of an HDR histogram; a quantile is
//! the smallest v with F(v) ≥ q. Only buckets that hold something are kept: most models of most apps are called a few
//! times a minute, and a dense histogram of each would cost a hundred kilobytes. Slices are aligned to the epoch, so that
//! two states merge slice by slice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::series::Merge;
use crate::units::UnixNanos;

const SLICES: u64 = 12;
/// Bits of a value that are told apart: 2¹¹ buckets to a doubling keep three digits.
const DIGIT_BITS: u32 = 11;
/// Values below 2²¹ ns are told apart in steps of 1,024 ns.
const STEP_BITS: u32 = 10;
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Lengths of the windows, the shortest first, in nanoseconds; each a multiple of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    slices_ns: Vec<u64>,
}

impl Lengths {
    pub fn new(windows_ns: impl Iterator<Item = u64>) -> Self {
        let mut slices_ns: Vec<u64> = windows_ns.map(|window| (window / SLICES).max(1)).collect();
        slices_ns.sort_unstable();
        slices_ns.dedup();
        Self { slices_ns }
    }

    /// Windows without an end, for a recording that is answered as a whole.
    pub fn endless(windows: usize) -> Self {
        Self { slices_ns: vec![u64::MAX; windows] }
    }

    fn slice_ns(&self, window: usize) -> u64 {
        self.slices_ns.get(window).copied().unwrap_or(1)
    }
}

type Slices = BTreeMap<u64, Box<[u8]>>;

/// One quantity's windows. Keeps only what its window lengths, given at each call, need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// Index of the live slice of the shortest window.
    live_slice: u64,
    live: Counts,
    /// For each window its closed slices by index, packed.
    closed: Vec<Slices>,
}

/// Counts by bucket, ascending; a bucket is named by the largest value it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counts(Vec<(u64, u32)>);

impl Counts {
    fn add(&mut self, bucket: u64, count: u32) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => {
                if let Some((_, before)) = self.0.get_mut(place) {
                    *before = before.saturating_add(count);
                }
            }
            Err(place) => self.0.insert(place, (bucket, count)),
        }
    }

    fn add_all(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            self.add(*bucket, *count);
        }
    }

    /// Distances and counts: a function of what was recorded alone.
    fn pack(&self) -> Box<[u8]> {
        let mut before = 0;
        let steps = self.0.iter().map(|(bucket, count)| (bucket - std::mem::replace(&mut before, *bucket), *count));
        // Writing numbers to a vector cannot fail.
        postcard::to_stdvec(&steps.collect::<Vec<(u64, u32)>>()).unwrap_or_default().into()
    }

    fn unpack(bytes: &[u8]) -> Self {
        let mut bucket = 0_u64;
        let mut steps: Vec<(u64, u32)> = postcard::from_bytes(bytes).unwrap_or_default();
        for (distance, _) in &mut steps {
            bucket = bucket.saturating_add(*distance);
            *distance = bucket;
        }
        Self(steps)
    }
}

/// The largest value that shares the bucket of `value_ns`.
fn bucket(value_ns: u64) -> u64 {
    let value = value_ns.min(HIGHEST_NS);
    let width_bits = (u64::BITS - value.leading_zeros()).saturating_sub(DIGIT_BITS).max(STEP_BITS);
    value | ((1 << width_bits) - 1)
}

impl Windows {
    pub fn record(&mut self, lengths: &Lengths, value_ns: u64, now: UnixNanos) {
        self.advance(lengths, now);
        self.live.add(bucket(value_ns), 1);
    }

    /// Closes the live slice if `now` lies beyond it, and forgets slices that left their window.
    fn advance(&mut self, lengths: &Lengths, now: UnixNanos) {
        let shortest = lengths.slice_ns(0);
        let slice = now.0 / shortest;
        if slice <= self.live_slice {
            return;
        }
        self.closed.resize(lengths.slices_ns.len(), Slices::new());
        let live = std::mem::take(&mut self.live);
        if !live.0.is_empty() {
            for (closed, length) in self.closed.iter_mut().zip(&lengths.slices_ns) {
                add(closed, self.live_slice * shortest / length, &live);
            }
        }
        for (closed, length) in self.closed.iter_mut().zip(&lengths.slices_ns) {
            let oldest = (now.0 / length).saturating_sub(SLICES);
            closed.retain(|index, _| *index >= oldest);
        }
        self.live_slice = slice;
    }

    /// Quantiles of the window at `now`; `None` where it is empty.
    pub fn quantiles<const N: usize>(
        &self,
        lengths: &Lengths,
        window: usize,
        quantiles: [f64; N],
        now: UnixNanos,
    ) -> Option<[u64; N]> {
        let length = lengths.slice_ns(window);
        let oldest = (now.0 / length).saturating_sub(SLICES);
        let slices = self.closed.get(window).into_iter().flat_map(|slices| slices.range(oldest..));
        let mut all: Vec<(u64, u32)> = slices.flat_map(|(_, bytes)| Counts::unpack(bytes).0).collect();
        if self.live_slice * lengths.slice_ns(0) / length >= oldest {
            all.extend_from_slice(&self.live.0);
        }
        all.sort_unstable();
        let total: u64 = all.iter().map(|(_, count)| u64::from(*count)).sum();
        (total > 0).then(|| quantiles.map(|quantile| value_at(&all, (quantile * total as f64).ceil().max(1.0) as u64)))
    }
}

/// The value of a rank, 1 being the smallest.
fn value_at(ascending: &[(u64, u32)], rank: u64) -> u64 {
    let mut seen = 0;
    let found = ascending.iter().find(|(_, count)| {
        seen += u64::from(*count);
        seen >= rank
    });
    found.or(ascending.last()).map_or(0, |(bucket, _)| *bucket)
}

impl Merge for Windows {
    fn merge(&mut self, other: &Self) {
        let windows = self.closed.len().max(other.closed.len());
        self.closed.resize(windows, Slices::new());
        for (mine, theirs) in self.closed.iter_mut().zip(&other.closed) {
            for (index, bytes) in theirs {
                add(mine, *index, &Counts::unpack(bytes));
            }
        }
        // Two live slices are of one moment where states are merged; where not, the newer slice takes both.
        self.live_slice = self.live_slice.max(other.live_slice);
        self.live.add_all(&other.live);
    }
}

fn add(slices: &mut Slices, index: u64, counts: &Counts) {
    let packed = slices.entry(index).or_default();
    let mut together = Counts::unpack(packed);
    together.add_all(counts);
    *packed = together.pack();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000_000_000;

    fn lengths() -> Lengths {
        Lengths::new([5 * MINUTE, 60 * MINUTE].into_iter())
    }

    fn exact(values: &[u64], quantile: f64) -> u64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let rank = (quantile * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted[rank - 1]
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let (lengths, mut windows) = (lengths(), Windows::default());
        windows.record(&lengths, 1_000_000, UnixNanos(100 * MINUTE));
        windows.record(&lengths, 9_000_000, UnixNanos(107 * MINUTE));
        let now = UnixNanos(107 * MINUTE);
        let [five] = windows.quantiles(&lengths, 0, [0.0], now).unwrap();
        let [hour] = windows.quantiles(&lengths, 1, [0.0], now).unwrap();
        assert!(five > 8_900_000, "{five}");
        assert!(hour < 1_010_000, "{hour}");
        assert_eq!(windows.quantiles(&lengths, 0, [0.5], UnixNanos(120 * MINUTE)), None);
        assert_eq!(windows.quantiles(&lengths, 1, [0.5], UnixNanos(300 * MINUTE)), None);
    }

    proptest! {
        #[test]
        fn quantiles_have_three_digits(
            values in prop::collection::vec(1_000_u64..600_000_000_000, 1..300),
            seconds in 0_u64..300,
        ) {
            let (lengths, mut windows) = (lengths(), Windows::default());
            for (index, value) in values.iter().enumerate() {
                let at = 1000 * MINUTE + index as u64 * seconds * 1_000_000_000 / values.len() as u64;
                windows.record(&lengths, *value, UnixNanos(at));
            }
            let now = UnixNanos(1000 * MINUTE + seconds * 1_000_000_000);
            for window in [0, 1] {
                let quantiles = [0.5, 0.95, 0.99, 0.999];
                let found = windows.quantiles(&lengths, window, quantiles, now).unwrap();
                for (quantile, found) in quantiles.into_iter().zip(found) {
                    let exact = exact(&values, quantile) as f64;
                    let slack = exact * 0.001 + 1100.0;
                    prop_assert!((found as f64 - exact).abs() <= slack, "q {quantile}: {found} for {exact}");
                }
            }
        }

        #[test]
        fn merging_is_recording_together(
            a in prop::collection::vec((1_000_u64..1_000_000_000, 0_u64..20), 0..40),
            b in prop::collection::vec((1_000_u64..1_000_000_000, 0_u64..20), 0..40),
        ) {
            let lengths = lengths();
            let of = |values: &[(u64, u64)]| {
                let mut values = values.to_vec();
                values.sort_by_key(|(_, minute)| *minute);
                let mut windows = Windows::default();
                for (value, minute) in values {
                    windows.record(&lengths, value, UnixNanos((1000 + minute) * MINUTE));
                }
                windows
            };
            let now = UnixNanos(1020 * MINUTE);
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let mut reversed = of(&b);
            reversed.merge(&of(&a));
            let together = of(&[a.clone(), b.clone()].concat());
            for quantile in [0.1, 0.5, 0.9] {
                let hour = |windows: &Windows| windows.quantiles(&lengths, 1, [quantile], now);
                prop_assert_eq!(hour(&merged), hour(&together));
                prop_assert_eq!(hour(&reversed), hour(&together));
            }
        }
    }
}
