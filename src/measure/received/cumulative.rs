//! One series of what several senders add up: workers that share an identity, one process after the other.
//!
//! Invariants:
//! - a sender's life is known by its start time; under one start time the latest value counts, and only a smaller value
//!   is a reset, after which what it had before stays in the sum;
//! - at most [`MAX_STARTS`] start times are told apart; one more folds the one longest silent into the base;
//! - deltas go into the base, whatever their start times;
//! - so the total of a monotonic series never falls, and merging is associative and commutative. It may exceed
//!   [`MAX_STARTS`] rather than fold, as folding depends on who is silent where.

use serde::{Deserialize, Serialize};

use crate::series::Merge;
use crate::units::UnixNanos;

/// Start times told apart in one series.
pub const MAX_STARTS: usize = 16;

/// A value that adds up over senders. `PartialOrd` is total on what is kept here; it only decides between two values of
/// one time.
pub trait Adds: Clone + PartialOrd {
    fn add(&mut self, other: &Self);
    /// Whether a value that only grows cannot have come after `earlier`.
    fn fell_below(&self, earlier: &Self) -> bool;
}

/// What one sender said last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stream<V> {
    start: UnixNanos,
    time: UnixNanos,
    /// When its last point was received.
    heard: UnixNanos,
    value: V,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cumulative<V> {
    /// Deltas, what was counted before resets, and start times folded.
    base: Option<V>,
    /// The earliest start time told; `None`: no sender told one.
    start: Option<UnixNanos>,
    /// By start time, each once.
    streams: Vec<Stream<V>>,
}

impl<V> Default for Cumulative<V> {
    fn default() -> Self {
        Self { base: None, start: None, streams: Vec::new() }
    }
}

/// When a point's value began, when it was true, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Zero: not told.
    pub start: UnixNanos,
    pub time: UnixNanos,
    pub heard: UnixNanos,
}

/// What became of a cumulative point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Kept,
    /// It is older than what its sender said last, and was left out.
    OutOfOrder,
    /// It was taken, and another start time folded for it.
    FoldedAnother,
}

impl<V: Adds> Cumulative<V> {
    pub fn add_delta(&mut self, times: Times, value: &V) {
        self.see_start(times);
        self.add_to_base(value);
    }

    /// Takes a cumulative value. `monotonic`: a smaller value is a reset; else it is just the new value.
    pub fn take(&mut self, times: Times, value: V, monotonic: bool) -> Taken {
        let Times { start, time, heard } = times;
        let place = match self.streams.binary_search_by_key(&start, |stream| stream.start) {
            Err(place) => place,
            Ok(place) => {
                let Some(stream) = self.streams.get_mut(place) else { return Taken::OutOfOrder };
                if time < stream.time {
                    return Taken::OutOfOrder;
                }
                stream.heard = stream.heard.max(heard);
                // The same point sent again, or two of one time: the larger.
                if time == stream.time && value <= stream.value {
                    return Taken::Kept;
                }
                let is_reset = monotonic && value.fell_below(&stream.value);
                stream.time = time;
                let before = std::mem::replace(&mut stream.value, value);
                if is_reset {
                    self.add_to_base(&before);
                }
                return Taken::Kept;
            }
        };
        self.see_start(times);
        self.streams.insert(place, Stream { start, time, heard, value });
        if self.streams.len() <= MAX_STARTS {
            return Taken::Kept;
        }
        self.fold_longest_silent(start, monotonic);
        Taken::FoldedAnother
    }

    /// Everything counted; for series that only grow.
    pub fn total(&self) -> Option<V> {
        sum(self.base.iter().chain(self.streams.iter().map(|stream| &stream.value)))
    }

    /// What stands now, of series that may fall: a sender that had its last word before another began, or has been
    /// silent since `oldest`, holds nothing any more.
    pub fn level(&self, oldest: UnixNanos) -> Option<V> {
        let newest_start = self.streams.iter().map(|stream| stream.start.min(stream.time)).max().unwrap_or_default();
        let lives = |stream: &&Stream<V>| stream.time >= newest_start && stream.heard >= oldest;
        sum(self.base.iter().chain(self.streams.iter().filter(lives).map(|stream| &stream.value)))
    }

    /// The earliest start time that a sender told.
    pub fn start(&self) -> Option<UnixNanos> {
        self.start
    }

    fn see_start(&mut self, times: Times) {
        // A start after the point itself is a broken clock's.
        let told = Some(times.start.min(times.time)).filter(|start| start.0 > 0);
        self.start = earlier(self.start, told);
    }

    fn add_to_base(&mut self, value: &V) {
        match &mut self.base {
            Some(base) => base.add(value),
            base @ None => *base = Some(value.clone()),
        }
    }

    fn fold_longest_silent(&mut self, newcomer: UnixNanos, monotonic: bool) {
        let others = self.streams.iter().enumerate().filter(|(_, stream)| stream.start != newcomer);
        let Some((place, _)) = others.min_by_key(|(_, stream)| (stream.heard, stream.start)) else { return };
        let folded = self.streams.remove(place);
        // What a silent sender held of a level is gone with it.
        if monotonic {
            self.add_to_base(&folded.value);
        }
    }
}

impl<V: Adds> Merge for Cumulative<V> {
    fn merge(&mut self, other: &Self) {
        if let Some(base) = &other.base {
            self.add_to_base(base);
        }
        self.start = earlier(self.start, other.start);
        for theirs in &other.streams {
            match self.streams.binary_search_by_key(&theirs.start, |stream| stream.start) {
                Err(place) => self.streams.insert(place, theirs.clone()),
                Ok(place) => {
                    let Some(mine) = self.streams.get_mut(place) else { continue };
                    let heard = mine.heard.max(theirs.heard);
                    if (theirs.time, &theirs.value) > (mine.time, &mine.value) {
                        *mine = theirs.clone();
                    }
                    mine.heard = heard;
                }
            }
        }
    }
}

fn earlier(a: Option<UnixNanos>, b: Option<UnixNanos>) -> Option<UnixNanos> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn sum<'a, V: Adds + 'a>(mut values: impl Iterator<Item = &'a V>) -> Option<V> {
    let first = values.next()?.clone();
    Some(values.fold(first, |mut all, value| {
        all.add(value);
        all
    }))
}

#[cfg(test)]
mod tests {
    use super::super::amount::Amount;
    use super::*;
    use crate::otlp::view::Number;
    use crate::series::Value;
    use proptest::prelude::*;

    fn int(value: i64) -> Amount {
        Amount::of(Number::Int(value)).unwrap()
    }

    fn at(start: u64, time: u64) -> Times {
        Times { start: UnixNanos(start), time: UnixNanos(time), heard: UnixNanos(time) }
    }

    fn shown(series: &Cumulative<Amount>) -> Option<Value> {
        series.total().map(|total| total.show())
    }

    #[test]
    fn the_latest_value_of_each_start_time_adds_up() {
        let mut series = Cumulative::default();
        for (start, time, value) in [(10, 20, 5), (11, 21, 7), (10, 30, 6), (11, 31, 9)] {
            assert_eq!(series.take(at(start, time), int(value), true), Taken::Kept);
        }
        assert_eq!(shown(&series), Some(Value::Int(15)));
        assert_eq!(series.start(), Some(UnixNanos(10)));
    }

    #[test]
    fn a_smaller_value_under_one_start_time_is_a_reset() {
        let mut series = Cumulative::default();
        series.take(at(10, 20), int(5), true);
        series.take(at(10, 30), int(2), true);
        assert_eq!(shown(&series), Some(Value::Int(7)));
    }

    #[test]
    fn a_point_that_goes_back_in_time_is_left_out() {
        let mut series = Cumulative::default();
        series.take(at(10, 30), int(5), true);
        assert_eq!(series.take(at(10, 20), int(2), true), Taken::OutOfOrder);
        assert_eq!(series.take(at(10, 30), int(5), true), Taken::Kept, "sent again");
        assert_eq!(shown(&series), Some(Value::Int(5)));
    }

    #[test]
    fn a_seventeenth_start_time_folds_the_one_longest_silent() {
        let mut series = Cumulative::default();
        for start in 1..=16 {
            assert_eq!(series.take(at(start, 100 - start), int(1), true), Taken::Kept);
        }
        assert_eq!(series.take(at(17, 200), int(1), true), Taken::FoldedAnother);
        assert_eq!(series.streams.len(), MAX_STARTS);
        assert!(series.streams.iter().all(|stream| stream.start != UnixNanos(16)), "16 was heard first");
        assert_eq!(shown(&series), Some(Value::Int(17)));
    }

    /// Scenario: 16 workers, then one more whose point comes with an old receive time.
    #[test]
    fn the_newcomer_itself_is_never_folded() {
        let mut series = Cumulative::default();
        for start in 1..=16 {
            series.take(at(start, 100), int(1), true);
        }
        series.take(at(17, 20), int(1), true);
        assert!(series.streams.iter().any(|stream| stream.start == UnixNanos(17)));
    }

    #[test]
    fn a_level_forgets_who_went_before_another_began() {
        let mut series = Cumulative::default();
        series.take(at(10, 100), int(4), false);
        series.take(at(11, 100), int(3), false);
        let level = |series: &Cumulative<Amount>, oldest| series.level(UnixNanos(oldest)).unwrap().show();
        assert_eq!(level(&series, 0), Value::Int(7), "two workers");
        series.take(at(150, 160), int(1), false);
        assert_eq!(level(&series, 0), Value::Int(1), "a new process, and neither was heard since");
        series.take(at(11, 170), int(2), false);
        assert_eq!(level(&series, 0), Value::Int(3), "one lives after all");
        assert_eq!(level(&series, 165), Value::Int(2), "the other is silent for too long");
    }

    #[derive(Clone, Debug)]
    struct Sent {
        start: u64,
        time: u64,
        value: i64,
        delta: bool,
    }

    fn sent() -> impl Strategy<Value = Sent> {
        (0_u64..5, 0_u64..50, 0_i64..100, any::<bool>()).prop_map(|(start, time, value, delta)| Sent {
            start,
            time,
            value,
            delta,
        })
    }

    fn series(points: &[Sent]) -> Cumulative<Amount> {
        let mut series = Cumulative::default();
        for point in points {
            let times = at(point.start, point.time);
            if point.delta {
                series.add_delta(times, &int(point.value));
            } else {
                series.take(times, int(point.value), true);
            }
        }
        series
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative(
            a in prop::collection::vec(sent(), 0..30),
            b in prop::collection::vec(sent(), 0..30),
            c in prop::collection::vec(sent(), 0..30),
        ) {
            let merged = |all: &[&Cumulative<Amount>]| {
                let mut merged = Cumulative::default();
                for one in all {
                    merged.merge(one);
                }
                merged
            };
            let (a, b, c) = (series(&a), series(&b), series(&c));
            prop_assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
            prop_assert_eq!(merged(&[&merged(&[&a, &b]), &c]), merged(&[&a, &merged(&[&b, &c])]));
        }

        #[test]
        fn a_monotonic_total_never_falls(points in prop::collection::vec((0_u64..40, sent()), 0..200)) {
            let mut series = Cumulative::<Amount>::default();
            let mut before = 0.0;
            for (index, (start, point)) in points.into_iter().enumerate() {
                series.take(at(start, index as u64), int(point.value), true);
                let now = series.total().unwrap().as_f64();
                prop_assert!(now >= before, "{now} after {before}");
                before = now;
            }
        }

        /// Guarantees: a delta sender and a cumulative one that count the same show the same, restarts and resets
        /// included.
        #[test]
        fn delta_and_cumulative_senders_are_equal(lives in prop::collection::vec(prop::collection::vec(0_i64..50, 1..8), 1..6)) {
            let (mut delta, mut cumulative) = (Cumulative::default(), Cumulative::default());
            let mut time = 0;
            for life in lives {
                let start = time;
                let mut total = 0;
                for added in life {
                    let before = time;
                    time += 10;
                    total += added;
                    delta.add_delta(at(before, time), &int(added));
                    cumulative.take(at(start + 1, time), int(total), true);
                }
            }
            prop_assert_eq!(shown(&delta), shown(&cumulative));
        }
    }
}
