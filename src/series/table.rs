//! Series by their labels: a budget, an overflow series, expiry.
//!
//! Invariants:
//! - a table holds at most its budget of series, and one more, the overflow, into which everything beyond the budget is
//!   counted: sums over all series stay complete;
//! - a key is the packed labels ([`super::key`]), so a label set is one allocation and a lookup is one hash of it;
//! - a series that was not touched for the expiry is removed; if it returns it starts anew, from zero, with a new start;
//! - merging two tables is commutative and associative; it may exceed the budget rather than lose a series.

use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use std::hash::BuildHasher;

use crate::units::UnixNanos;

/// Two states of one thing become one. Associative and commutative.
pub trait Merge {
    fn merge(&mut self, other: &Self);
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series<V> {
    pub key: Box<[u8]>,
    pub start: UnixNanos,
    pub last: UnixNanos,
    pub value: V,
}

#[derive(Debug)]
pub struct Table<V> {
    index: HashTable<u32>,
    slots: Vec<Option<Series<V>>>,
    free: Vec<u32>,
    budget: usize,
    overflow: Option<Series<V>>,
    overflowed: u64,
    hasher: FixedState,
}

impl<V> Table<V> {
    /// `seed` keeps senders from choosing labels that collide.
    pub fn new(budget: usize, seed: u64) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            budget,
            overflow: None,
            overflowed: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// The series with this key, made by `new` if need be; at the budget the overflow series.
    #[inline]
    pub fn entry(&mut self, key: &[u8], now: UnixNanos, new: impl FnOnce() -> V) -> &mut Series<V> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let found = self.index.find(hash, |slot| is_at(slots, *slot, key)).copied();
        match found {
            Some(slot) => self.touch(slot, now, new),
            None => self.insert(hash, key, now, new),
        }
    }

    /// The series with this key, made by `new` if need be; at the budget none, and that is counted as overflowed: for
    /// values that do not add up across series.
    #[inline]
    pub fn entry_within(&mut self, key: &[u8], now: UnixNanos, new: impl FnOnce() -> V) -> Option<&mut Series<V>> {
        if self.len() >= self.budget && !self.contains(key) {
            self.overflowed += 1;
            return None;
        }
        Some(self.entry(key, now, new))
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |slot| is_at(&self.slots, *slot, key)).is_some()
    }

    #[inline]
    fn touch(&mut self, slot: u32, now: UnixNanos, new: impl FnOnce() -> V) -> &mut Series<V> {
        // An indexed slot is always filled; were it not, the observation would land in the overflow.
        match self.slots.get_mut(slot as usize) {
            Some(Some(series)) => {
                series.last = series.last.max(now);
                series
            }
            _ => overflow(&mut self.overflow, now, new),
        }
    }

    #[cold]
    fn insert(&mut self, hash: u64, key: &[u8], now: UnixNanos, new: impl FnOnce() -> V) -> &mut Series<V> {
        if self.len() >= self.budget {
            self.overflowed += 1;
            return overflow(&mut self.overflow, now, new);
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.index_slot(hash, slot);
        match self.slots.get_mut(slot as usize) {
            Some(place) => place.insert(Series { key: key.into(), start: now, last: now, value: new() }),
            None => overflow(&mut self.overflow, now, new),
        }
    }

    fn place(&mut self, hash: u64, series: Series<V>) {
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some(series),
            None => self.slots.push(Some(series)),
        }
        self.index_slot(hash, slot);
    }

    fn index_slot(&mut self, hash: u64, slot: u32) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |slot: &u32| {
            slots.get(*slot as usize).and_then(Option::as_ref).map_or(0, |series| hasher.hash_one(&*series.key))
        };
        self.index.insert_unique(hash, slot, rehash);
    }

    /// Series held, without the overflow.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Observations that went into the overflow series.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    pub fn overflow(&self) -> Option<&Series<V>> {
        self.overflow.as_ref()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Series<V>> {
        self.slots.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Series<V>> {
        self.slots.iter_mut().flatten()
    }

    /// Removes a series.
    pub fn remove(&mut self, key: &[u8]) -> Option<Series<V>> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let entry = self.index.find_entry(hash, |slot| is_at(slots, *slot, key)).ok()?;
        let (slot, _) = entry.remove();
        self.free.push(slot);
        self.slots.get_mut(slot as usize)?.take()
    }

    /// Removes the series last touched more than `expiry` before `now`.
    pub fn expire(&mut self, now: UnixNanos, expiry: Duration) {
        let oldest = now.saturating_sub(expiry);
        for (index, place) in self.slots.iter_mut().enumerate() {
            let Some(series) = place.take_if(|series| series.last < oldest) else { continue };
            let slot = index as u32;
            let hash = self.hasher.hash_one(&*series.key);
            if let Ok(entry) = self.index.find_entry(hash, |indexed| *indexed == slot) {
                entry.remove();
            }
            self.free.push(slot);
        }
    }
}

impl<V: Merge + Clone> Merge for Table<V> {
    fn merge(&mut self, other: &Self) {
        for series in other.iter() {
            let hash = self.hasher.hash_one(&*series.key);
            let slots = &self.slots;
            match self.index.find(hash, |slot| is_at(slots, *slot, &series.key)).copied() {
                Some(slot) => {
                    if let Some(Some(mine)) = self.slots.get_mut(slot as usize) {
                        mine.merge(series);
                    }
                }
                None => self.place(hash, series.clone()),
            }
        }
        match (&mut self.overflow, &other.overflow) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, theirs) => *mine = theirs.clone(),
            (Some(_), None) => {}
        }
        self.overflowed += other.overflowed;
    }
}

impl<V: Merge> Merge for Series<V> {
    fn merge(&mut self, other: &Self) {
        self.start = self.start.min(other.start);
        self.last = self.last.max(other.last);
        self.value.merge(&other.value);
    }
}

fn is_at<V>(slots: &[Option<Series<V>>], slot: u32, key: &[u8]) -> bool {
    slots.get(slot as usize).and_then(Option::as_ref).is_some_and(|series| *series.key == *key)
}

fn overflow<V>(overflow: &mut Option<Series<V>>, now: UnixNanos, new: impl FnOnce() -> V) -> &mut Series<V> {
    let series = overflow.get_or_insert_with(|| Series { key: Box::default(), start: now, last: now, value: new() });
    series.last = series.last.max(now);
    series
}

/// A table as it is stored: its series in order of their keys, so that equal tables are stored equally.
#[derive(Serialize, Deserialize)]
pub struct Stored<V> {
    pub series: Vec<Series<V>>,
    pub overflow: Option<Series<V>>,
    pub overflowed: u64,
}

impl<V: Clone> Table<V> {
    pub fn store(&self) -> Stored<V> {
        let mut series: Vec<Series<V>> = self.iter().cloned().collect();
        series.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Stored { series, overflow: self.overflow.clone(), overflowed: self.overflowed }
    }

    pub fn restore(budget: usize, seed: u64, stored: Stored<V>) -> Self {
        let mut table = Self::new(budget, seed);
        for series in stored.series {
            let hash = table.hasher.hash_one(&*series.key);
            table.place(hash, series);
        }
        table.overflow = stored.overflow;
        table.overflowed = stored.overflowed;
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Merge for u64 {
        fn merge(&mut self, other: &Self) {
            *self += other;
        }
    }

    fn table(adds: &[(u8, u64)], budget: usize) -> Table<u64> {
        let mut table = Table::new(budget, 7);
        for (now, (key, count)) in adds.iter().enumerate() {
            table.entry(&[*key], UnixNanos(now as u64), || 0).value += count;
        }
        table
    }

    fn total(table: &Table<u64>) -> u64 {
        table.iter().chain(table.overflow()).map(|series| series.value).sum()
    }

    #[test]
    fn beyond_the_budget_everything_is_counted_together() {
        let table = table(&[(1, 1), (2, 2), (3, 4), (1, 8), (4, 16)], 2);
        assert_eq!(table.len(), 2);
        assert_eq!(table.overflow().map(|series| series.value), Some(20));
        assert_eq!(table.overflowed(), 2);
        assert_eq!(total(&table), 31);
    }

    #[test]
    fn a_series_that_returns_starts_anew() {
        let mut table = Table::new(10, 7);
        let second = |n: u64| UnixNanos(n * 1_000_000_000);
        table.entry(b"a", second(1), || 0).value += 5;
        table.entry(b"b", second(50), || 0).value += 5;
        table.expire(second(100), Duration::from_secs(60));
        assert_eq!(table.len(), 1);
        let series = table.entry(b"a", second(101), || 0);
        assert_eq!((series.start, series.value), (second(101), 0));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn within_the_budget_or_not_at_all() {
        let mut table = Table::new(1, 7);
        assert!(table.entry_within(b"a", UnixNanos(1), || 0_u64).is_some());
        assert!(table.entry_within(b"b", UnixNanos(1), || 0).is_none());
        assert!(table.entry_within(b"a", UnixNanos(1), || 0).is_some());
        assert_eq!((table.len(), table.overflowed(), table.overflow().is_some()), (1, 1, false));
    }

    #[test]
    fn a_removed_series_leaves_room() {
        let mut table = table(&[(1, 1), (2, 2)], 2);
        assert_eq!(table.remove(&[1]).map(|series| series.value), Some(1));
        assert_eq!(table.remove(&[1]).map(|series| series.value), None);
        assert!(!table.contains(&[1]) && table.contains(&[2]));
        table.entry(&[3], UnixNanos(9), || 0).value += 5;
        assert_eq!((table.len(), total(&table)), (2, 7));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(adds in prop::collection::vec((any::<u8>(), 0_u64..1000), 0..300), budget in 0_usize..40) {
            let table = table(&adds, budget);
            prop_assert!(table.len() <= budget);
            prop_assert_eq!(total(&table), adds.iter().map(|(_, count)| count).sum::<u64>());
        }

        #[test]
        fn merging_is_associative_and_commutative(
            a in prop::collection::vec((any::<u8>(), 0_u64..1000), 0..60),
            b in prop::collection::vec((any::<u8>(), 0_u64..1000), 0..60),
            c in prop::collection::vec((any::<u8>(), 0_u64..1000), 0..60),
        ) {
            let merged = |tables: &[&Vec<(u8, u64)>]| {
                let mut all = Table::new(20, 7);
                for adds in tables {
                    all.merge(&table(adds, 20));
                }
                let stored = all.store();
                (stored.series, stored.overflow, stored.overflowed)
            };
            let mut bc = table(&b, 20);
            bc.merge(&table(&c, 20));
            let mut a_bc = table(&a, 20);
            a_bc.merge(&bc);
            let a_bc = a_bc.store();
            prop_assert_eq!(merged(&[&a, &b, &c]), (a_bc.series, a_bc.overflow, a_bc.overflowed));
            prop_assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
        }

        #[test]
        fn storing_and_restoring_changes_nothing(adds in prop::collection::vec((any::<u8>(), 0_u64..1000), 0..60)) {
            let before = table(&adds, 20).store();
            let bytes = postcard::to_stdvec(&before).unwrap();
            let after = Table::restore(20, 9, postcard::from_bytes::<Stored<u64>>(&bytes).unwrap()).store();
            prop_assert_eq!((before.series, before.overflow), (after.series, after.overflow));
        }
    }
}
