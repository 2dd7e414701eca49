//! Percentiles over trailing windows.
//!
//! Time is cut into slices of a twelfth of the shortest window. One live histogram takes what comes; a closed slice is
//! kept in a compressed form, and folded into the slices of the longer windows. A window of w at time t covers its
//! closed slices that ended after t − w, and the live one: between w and w + w/12 of data.
//!
//! Values have three significant digits from a microsecond to an hour; a quantile is the smallest v with F(v) ≥ q.
//! Slices are aligned to the epoch, so that two states merge slice by slice.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::series::Merge;
use crate::units::UnixNanos;

const SLICES: u64 = 12;
/// Values are told apart from a microsecond on.
const LOWEST_NS: u64 = 1_000;
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

type Slices = BTreeMap<u64, Vec<u8>>;

/// One quantity's windows. Keeps only what its window lengths, given at each call, need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// Index of the live slice of the shortest window.
    live_slice: u64,
    live: Live,
    /// For each window its closed slices by index, compressed.
    closed: Vec<Slices>,
}

/// A histogram that serializes in its compressed form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<u8>", into = "Vec<u8>")]
struct Live(Option<Box<Histogram<u32>>>);

impl From<Vec<u8>> for Live {
    fn from(bytes: Vec<u8>) -> Self {
        Self(decompress(&bytes).map(Box::new))
    }
}

impl From<Live> for Vec<u8> {
    fn from(live: Live) -> Self {
        live.0.map(|histogram| compress(&histogram)).unwrap_or_default()
    }
}

impl Windows {
    pub fn record(&mut self, lengths: &Lengths, value_ns: u64, now: UnixNanos) {
        self.advance(lengths, now);
        if self.live.0.is_none() {
            self.live.0 = empty().map(Box::new);
        }
        if let Some(histogram) = &mut self.live.0 {
            // It grows as far as the largest value that is let in.
            let _recorded = histogram.record(value_ns.clamp(1, HIGHEST_NS));
        }
    }

    /// Closes the live slice if `now` lies beyond it, and forgets slices that left their window.
    fn advance(&mut self, lengths: &Lengths, now: UnixNanos) {
        let shortest = lengths.slice_ns(0);
        let slice = now.0 / shortest;
        if slice <= self.live_slice {
            return;
        }
        self.closed.resize(lengths.slices_ns.len(), Slices::new());
        if let Some(live) = self.live.0.take()
            && !live.is_empty()
        {
            for (closed, length) in self.closed.iter_mut().zip(&lengths.slices_ns) {
                let index = self.live_slice * shortest / length;
                add(closed, index, &live);
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
        let mut all: Histogram<u64> = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3).ok()?;
        all.auto(true);
        let length = lengths.slice_ns(window);
        let oldest = (now.0 / length).saturating_sub(SLICES);
        let slices = self.closed.get(window).into_iter().flat_map(|slices| slices.range(oldest..));
        for histogram in slices.filter_map(|(_, bytes)| decompress(bytes)) {
            add_widened(&mut all, &histogram);
        }
        let live_is_inside = self.live_slice * lengths.slice_ns(0) / length >= oldest;
        if let Some(live) = self.live.0.as_deref().filter(|_| live_is_inside) {
            add_widened(&mut all, live);
        }
        (!all.is_empty()).then(|| quantiles.map(|quantile| all.value_at_quantile(quantile)))
    }
}

impl Merge for Windows {
    fn merge(&mut self, other: &Self) {
        let windows = self.closed.len().max(other.closed.len());
        self.closed.resize(windows, Slices::new());
        for (mine, theirs) in self.closed.iter_mut().zip(&other.closed) {
            for (index, histogram) in theirs.iter().filter_map(|(index, bytes)| Some((index, decompress(bytes)?))) {
                add(mine, *index, &histogram);
            }
        }
        // Two live slices are of one moment where states are merged; where not, the newer slice takes both.
        self.live_slice = self.live_slice.max(other.live_slice);
        match (&mut self.live.0, &other.live.0) {
            (Some(mine), Some(theirs)) => drop(mine.add(theirs.as_ref())),
            (mine @ None, theirs) => *mine = theirs.clone(),
            (Some(_), None) => {}
        }
    }
}

fn empty() -> Option<Histogram<u32>> {
    let mut histogram = Histogram::new_with_bounds(LOWEST_NS, 2 * LOWEST_NS, 3).ok()?;
    histogram.auto(true);
    Some(histogram)
}

fn add(slices: &mut Slices, index: u64, histogram: &Histogram<u32>) {
    let bytes = slices.entry(index).or_default();
    let together = match decompress(bytes) {
        Some(mut before) => {
            // Both have the same digits and resize by themselves.
            let _added = before.add(histogram);
            compress(&before)
        }
        None => compress(histogram),
    };
    *bytes = together;
}

fn add_widened(all: &mut Histogram<u64>, part: &Histogram<u32>) {
    for step in part.iter_recorded() {
        let _recorded = all.record_n(step.value_iterated_to(), u64::from(step.count_at_value()));
    }
}

/// Values and counts, each value as its distance from the one before: a function of what was recorded alone.
fn compress(histogram: &Histogram<u32>) -> Vec<u8> {
    let mut before = 0;
    let steps = histogram.iter_recorded().map(|step| {
        let value = step.value_iterated_to();
        let distance = value - std::mem::replace(&mut before, value);
        (distance, step.count_at_value())
    });
    // Writing numbers to a vector cannot fail.
    postcard::to_stdvec(&steps.collect::<Vec<(u64, u32)>>()).unwrap_or_default()
}

/// `None` for an empty slice, and for bytes that are none.
fn decompress(bytes: &[u8]) -> Option<Histogram<u32>> {
    let steps: Vec<(u64, u32)> = postcard::from_bytes(bytes).ok()?;
    let mut histogram = empty()?;
    let mut value = 0_u64;
    for (distance, count) in &steps {
        value = value.saturating_add(*distance);
        histogram.record_n(value.min(HIGHEST_NS), *count).ok()?;
    }
    (!steps.is_empty()).then_some(histogram)
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
