//! Start times of the kernel's counters.
//!
//! A cumulative sum is true only with the moment at which it began to count. For most of the kernel's counters that is
//! boot; not for an interface or a disk that appeared later, or that went away and came back with its counters at zero.
//!
//! Invariants:
//! - a counter that was there at the first scrape starts at boot;
//! - one that first shows later, or that went back, starts at the previous scrape: it was not there (or not yet so small)
//!   then. Its neighbours keep their own start: a driver that takes back one count, or a 32-bit count that wraps, must not
//!   make the others' totals look as if they had all come since;
//! - what is no longer seen is forgotten, so memory is bounded by what one scrape shows.

use std::collections::BTreeMap;

use crate::units::UnixNanos;

/// Remembers the last values of every series of one source, `N` counters each.
#[derive(Debug)]
pub(super) struct Starts<const N: usize> {
    previous_scrape: Option<UnixNanos>,
    seen: BTreeMap<String, Seen<N>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen<const N: usize> {
    values: [u64; N],
    starts: [UnixNanos; N],
}

impl<const N: usize> Starts<N> {
    pub(super) fn new() -> Self {
        Self { previous_scrape: None, seen: BTreeMap::new() }
    }

    /// Takes what a scrape at `now` read and remembers it.
    pub(super) fn update(&mut self, boot: UnixNanos, now: UnixNanos, rows: &BTreeMap<String, [u64; N]>) {
        let newborn = self.previous_scrape.unwrap_or(boot);
        let mut seen = BTreeMap::new();
        for (name, values) in rows {
            let mut starts = [newborn; N];
            if let Some(last) = self.seen.get(name) {
                let counters = starts.iter_mut().zip(last.starts).zip(last.values).zip(values);
                for (((start, last_start), last_value), value) in counters {
                    if *value >= last_value {
                        *start = last_start;
                    }
                }
            }
            seen.insert(name.clone(), Seen { values: *values, starts });
        }
        self.seen = seen;
        self.previous_scrape = Some(now);
    }

    /// When each counter of the series began; zero, which stands for boot, for one that was not in the last update.
    pub(super) fn of(&self, name: &str) -> [UnixNanos; N] {
        self.seen.get(name).map_or([UnixNanos(0); N], |seen| seen.starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: UnixNanos = UnixNanos(1_000);

    fn rows<const M: usize>(rows: [(&str, [u64; 2]); M]) -> BTreeMap<String, [u64; 2]> {
        rows.into_iter().map(|(name, values)| (name.to_owned(), values)).collect()
    }

    #[test]
    fn what_is_there_at_first_started_at_boot() {
        let mut starts = Starts::new();
        starts.update(BOOT, UnixNanos(5_000), &rows([("eth0", [7, 1])]));
        assert_eq!(starts.of("eth0"), [BOOT; 2]);
        starts.update(BOOT, UnixNanos(6_000), &rows([("eth0", [7, 1])]));
        assert_eq!(starts.of("eth0"), [BOOT; 2], "standing still is no reset");
    }

    #[test]
    fn what_appears_later_or_goes_back_started_at_the_previous_scrape() {
        let mut starts = Starts::new();
        starts.update(BOOT, UnixNanos(5_000), &rows([("eth0", [7, 1])]));
        starts.update(BOOT, UnixNanos(6_000), &rows([("eth0", [3, 1]), ("veth1", [9, 1])]));
        assert_eq!(starts.of("eth0"), [UnixNanos(5_000), BOOT]);
        assert_eq!(starts.of("veth1"), [UnixNanos(5_000); 2]);
        starts.update(BOOT, UnixNanos(7_000), &rows([("eth0", [4, 1])]));
        assert_eq!(starts.of("eth0"), [UnixNanos(5_000), BOOT], "a start holds until the next reset");
        starts.update(BOOT, UnixNanos(8_000), &rows([("eth0", [4, 1]), ("veth1", [10, 1])]));
        assert_eq!(
            starts.of("veth1"),
            [UnixNanos(7_000); 2],
            "gone and back is a new series, though its value is larger"
        );
    }
}
