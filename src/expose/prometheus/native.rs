//! Exponential histograms as Prometheus's native ones.
//!
//! A base-2 exponential histogram of scale *s* is a native histogram of schema *s*; native buckets are numbered by their
//! upper bound, so every index is one more. Schemas end at 8: a finer scale is brought down by joining buckets. A scale
//! under −4 has no native form.
//!
//! Source: OpenTelemetry, "Prometheus and OpenMetrics compatibility", exponential histograms.

use crate::series::Histogram;

/// Values up to this count as zero: what the compatibility rules give a histogram that names no threshold.
const ZERO_THRESHOLD: f64 = 1e-128;

const FINEST_SCHEMA: i8 = 8;
const COARSEST_SCHEMA: i8 = -4;

/// Empty buckets between two others are cheaper written than skipped up to here: a new span takes two numbers.
const LONGEST_GAP: i64 = 2;

/// A native histogram's buckets, above zero and below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Native {
    pub schema: i8,
    pub zero_threshold: f64,
    pub zero_count: u64,
    pub positive: Buckets,
    pub negative: Buckets,
}

/// Runs of consecutive buckets, and each count as the difference to the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    pub spans: Vec<Span>,
    pub deltas: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the first span its first index; of others the gap to the span before.
    pub offset: i32,
    pub length: u32,
}

impl Native {
    /// The native form; `None` where there is none, or where its buckets do not add up to the histogram's count, which
    /// Prometheus refuses.
    pub fn of(histogram: &Histogram) -> Option<Self> {
        let exponential = histogram.exponential.as_ref()?;
        let sides = exponential.buckets.iter().chain(&exponential.negative_buckets);
        let counts = sides.chain([&exponential.zero_count]);
        let adds_up = counts.map(|count| u128::from(*count)).sum::<u128>() == u128::from(histogram.count);
        if exponential.scale < COARSEST_SCHEMA || !adds_up {
            return None;
        }
        let coarser = exponential.scale.saturating_sub(FINEST_SCHEMA).max(0);
        let threshold = exponential.zero_threshold;
        Some(Self {
            schema: exponential.scale.min(FINEST_SCHEMA),
            zero_threshold: if threshold > 0.0 { threshold } else { ZERO_THRESHOLD },
            zero_count: exponential.zero_count,
            positive: Buckets::of(exponential.offset, &exponential.buckets, coarser)?,
            negative: Buckets::of(exponential.negative_offset, &exponential.negative_buckets, coarser)?,
        })
    }
}

impl Buckets {
    /// Counts from index `offset` on, `coarser` scales down. `None`: a count or an index beyond what the format holds.
    fn of(offset: i32, counts: &[u64], coarser: i8) -> Option<Self> {
        let mut builder = Builder::default();
        let mut open: Option<(i64, u64)> = None;
        for (position, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let index = (i64::from(offset) + i64::try_from(position).ok()?) >> coarser;
            match &mut open {
                Some((same, total)) if *same == index => *total = total.saturating_add(*count),
                _ => {
                    if let Some((index, count)) = open.replace((index, *count)) {
                        builder.push(index, count)?;
                    }
                }
            }
        }
        if let Some((index, count)) = open {
            builder.push(index, count)?;
        }
        Some(Self { spans: builder.spans, deltas: builder.deltas })
    }
}

#[derive(Default)]
struct Builder {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    /// After the last bucket; 0 where there is none, to which the first span's offset is relative.
    next_index: i64,
    last_count: i64,
}

impl Builder {
    /// Appends a bucket whose index, by its lower bound, is larger than all before.
    fn push(&mut self, index: i64, count: u64) -> Option<()> {
        let native_index = index + 1;
        let gap = native_index - self.next_index;
        match self.spans.last_mut() {
            Some(last) if gap <= LONGEST_GAP => {
                last.length += u32::try_from(gap).ok()? + 1;
                for _ in 0..gap {
                    self.push_count(0);
                }
            }
            _ => self.spans.push(Span { offset: i32::try_from(gap).ok()?, length: 1 }),
        }
        self.push_count(i64::try_from(count).ok()?);
        self.next_index = native_index + 1;
        Some(())
    }

    fn push_count(&mut self, count: i64) {
        self.deltas.push(count - self.last_count);
        self.last_count = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Exponential;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn histogram(scale: i8, zero_count: u64, offset: i32, buckets: &[u64]) -> Histogram {
        Histogram {
            count: buckets.iter().sum::<u64>() + zero_count,
            sum: 0.0,
            min: None,
            max: None,
            bounds: [].into(),
            buckets: Vec::new(),
            exponential: Some(Exponential {
                scale,
                zero_count,
                offset,
                buckets: buckets.to_vec(),
                ..Exponential::default()
            }),
        }
    }

    /// Native index to count, empty buckets left out.
    fn counts(native: &Native) -> BTreeMap<i64, i64> {
        let (mut index, mut count, mut deltas) = (0, 0, native.positive.deltas.iter());
        let mut all = BTreeMap::new();
        for span in &native.positive.spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                count += deltas.next().unwrap();
                all.insert(index, count);
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        all.retain(|_, count| *count != 0);
        all
    }

    #[test]
    fn spans_and_deltas() {
        let native = Native::of(&histogram(3, 4, -2, &[0, 5, 0, 0, 2, 0, 0, 0, 7])).unwrap();
        assert_eq!((native.schema, native.zero_count), (3, 4));
        // Lower-bound indices -1, 2 and 6 are native indices 0, 3 and 7.
        assert_eq!(native.positive.spans, [Span { offset: 0, length: 4 }, Span { offset: 3, length: 1 }]);
        assert_eq!(native.positive.deltas, [5, -5, 0, 2, 5]);
    }

    #[test]
    fn finer_scales_are_joined() {
        // Scale 10 to 8: four buckets become one; index -5 is in -2, -4 to -1 are in -1.
        let native = Native::of(&histogram(10, 0, -5, &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!((native.schema, counts(&native)), (8, BTreeMap::from([(-1, 1), (0, 14), (1, 6)])));
    }

    #[test]
    fn scales_without_a_native_form() {
        assert!(Native::of(&histogram(-5, 0, 0, &[1])).is_none());
        assert!(Native::of(&histogram(-4, 0, 0, &[1])).is_some());
    }

    #[test]
    fn buckets_that_do_not_add_up_are_not_shown() {
        let wrong = Histogram { count: 9, ..histogram(0, 0, 0, &[1]) };
        assert!(Native::of(&wrong).is_none());
    }

    #[test]
    fn empty() {
        let empty = Native { zero_threshold: ZERO_THRESHOLD, ..Native::default() };
        assert_eq!(Native::of(&histogram(0, 0, 0, &[])), Some(empty));
    }

    #[test]
    fn below_zero_and_a_threshold() {
        let mut received = histogram(0, 1, 0, &[2]);
        received.count = 6;
        let exponential = received.exponential.as_mut().unwrap();
        (exponential.zero_threshold, exponential.negative_offset) = (0.25, 3);
        exponential.negative_buckets = vec![3];
        let native = Native::of(&received).unwrap();
        assert_eq!(native.zero_threshold, 0.25);
        assert_eq!(native.negative, Buckets { spans: vec![Span { offset: 4, length: 1 }], deltas: vec![3] });
    }

    proptest! {
        #[test]
        fn every_count_keeps_its_place(
            scale in -4_i8..20,
            offset in -2000_i32..2000,
            buckets in vec(prop_oneof![2 => Just(0_u64), 1 => 1..9_u64], 0..60),
        ) {
            let native = Native::of(&histogram(scale, 1, offset, &buckets)).unwrap();
            let mut expected = BTreeMap::new();
            for (position, count) in buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
                let index = f64::from(offset + position as i32);
                // By the definition of both: the native bucket whose upper bound is the first not below this bucket's.
                let upper = (index + 1.0) * f64::from(native.schema - scale).exp2();
                *expected.entry(upper.ceil() as i64).or_insert(0) += *count as i64;
            }
            prop_assert_eq!(counts(&native), expected);
        }
    }
}
