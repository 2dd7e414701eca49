//! The ring in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::reader::{Behind, Reader, Wants};
use super::record::{Origin, Payload, Record, Sequence};
use crate::units::UnixNanos;

/// What a record costs beyond its bytes and rides.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// The journal; clones share it.
pub struct Journal<R> {
    shared: Arc<Mutex<Ring<R>>>,
}

impl<R> Clone for Journal<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// A record to be.
pub struct Entry<R> {
    pub origin: Origin,
    pub payload: Payload,
    pub items: u32,
    pub bytes: Bytes,
    pub rides: Option<R>,
    /// Heap bytes that `rides` holds; they count against the budget.
    pub rides_bytes: usize,
}

/// The journal cannot take a record now. A retry may succeed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is full: reader {reader:?} is {lag} records behind")]
pub struct Full {
    pub reader: Arc<str>,
    pub lag: u64,
}

/// The journal's own figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Records appended since start.
    pub records: u64,
    /// Bytes held now.
    pub bytes: u64,
    pub readers: Vec<ReaderStats>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderStats {
    pub name: Arc<str>,
    /// Records appended and not yet committed by this reader.
    pub lag: u64,
    /// Items that left before this reader read them: traces, metrics, logs.
    pub dropped: [u64; 3],
}

pub(super) struct Ring<R> {
    budget_bytes: usize,
    records: VecDeque<Arc<Record<R>>>,
    bytes: usize,
    next: Sequence,
    received: UnixNanos,
    readers: Vec<Cursor>,
    /// Appends over the budget since the last sweep.
    since_swept: usize,
}

/// A reader's place. `read` and `committed` are the next records to be read and to be committed.
pub(super) struct Cursor {
    id: u64,
    name: Arc<str>,
    behind: Behind,
    wants: Wants,
    pub(super) read: Sequence,
    committed: Sequence,
    dropped: [u64; 3],
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Cursor {
    fn needs<R>(&self, record: &Record<R>) -> bool {
        self.committed <= record.sequence && self.wants.take(record)
    }
}

impl<R> Journal<R> {
    pub fn in_memory(budget_bytes: usize) -> Self {
        let ring = Ring {
            budget_bytes,
            records: VecDeque::new(),
            bytes: 0,
            next: 1,
            received: UnixNanos(0),
            readers: Vec::new(),
            since_swept: 0,
        };
        Self { shared: Arc::new(Mutex::new(ring)) }
    }

    /// Appends a record stamped `now` (or the newest record's time, if that is later).
    pub fn append(&self, entry: Entry<R>, now: UnixNanos) -> Result<Sequence, Full> {
        let mut ring = self.lock();
        let cost_bytes = entry.bytes.len() + entry.rides_bytes + RECORD_OVERHEAD_BYTES;
        ring.make_room(cost_bytes)?;
        let sequence = ring.push(entry, now, cost_bytes);
        for reader in &ring.readers {
            (reader.wake)();
        }
        Ok(sequence)
    }

    /// Appends a tick if no record has come for a second. True if it did. A tick is never refused, or time would stand
    /// still in a full journal; there is no second one while a tick is the newest record and somebody needs it.
    pub fn tick(&self, now: UnixNanos) -> bool {
        let mut ring = self.lock();
        let newest_waits = ring.records.back().is_some_and(|newest| {
            newest.payload == Payload::Tick && ring.readers.iter().any(|reader| reader.needs(newest))
        });
        if now.0.saturating_sub(ring.received.0) < 1_000_000_000 || newest_waits {
            return false;
        }
        let tick = Entry {
            origin: Origin::Own,
            payload: Payload::Tick,
            items: 0,
            bytes: Bytes::new(),
            rides: None,
            rides_bytes: 0,
        };
        ring.push(tick, now, RECORD_OVERHEAD_BYTES);
        for reader in &ring.readers {
            (reader.wake)();
        }
        true
    }

    /// A new reader that starts at the next record. `wake` is called, under the journal's lock, after every append.
    pub fn reader(
        &self,
        name: &str,
        behind: Behind,
        wants: Wants,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Reader<R> {
        let mut ring = self.lock();
        let id = ring.readers.iter().map(|reader| reader.id + 1).max().unwrap_or(0);
        let next = ring.next;
        ring.readers.push(Cursor {
            id,
            name: name.into(),
            behind,
            wants,
            read: next,
            committed: next,
            dropped: [0; 3],
            wake: Arc::new(wake),
        });
        drop(ring);
        Reader::new(self.clone(), id)
    }

    pub fn stats(&self) -> Stats {
        let ring = self.lock();
        let readers = ring.readers.iter().map(|reader| ReaderStats {
            name: Arc::clone(&reader.name),
            lag: ring.lag(reader),
            dropped: reader.dropped,
        });
        Stats { records: ring.next - 1, bytes: ring.bytes as u64, readers: readers.collect() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring<R>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Ring<R> {
    /// Evicts the oldest records until `cost_bytes` fit, or refuses before anything is evicted. Records that nobody needs
    /// any more go first, wherever they stand.
    fn make_room(&mut self, cost_bytes: usize) -> Result<(), Full> {
        if self.bytes + cost_bytes > self.budget_bytes {
            self.sweep();
        }
        let mut bytes_left = self.bytes;
        let mut evicted = 0;
        for record in &self.records {
            if bytes_left + cost_bytes <= self.budget_bytes {
                break;
            }
            let refusing = |reader: &&Cursor| reader.behind == Behind::Refuse && reader.needs(record);
            if let Some(reader) = self.readers.iter().find(refusing) {
                return Err(Full { reader: Arc::clone(&reader.name), lag: self.lag(reader) });
            }
            bytes_left -= record.cost_bytes;
            evicted += 1;
        }
        for _ in 0..evicted {
            self.evict_oldest();
        }
        Ok(())
    }

    /// Lets go of what stands behind a record that somebody needs and is itself needed by nobody. Looking at every record
    /// is paid for by as many appends as an eighth of them.
    fn sweep(&mut self) {
        self.since_swept += 1;
        if self.since_swept < self.records.len() / 8 {
            return;
        }
        self.since_swept = 0;
        let (readers, bytes) = (&self.readers, &mut self.bytes);
        self.records.retain(|record| {
            let needed = readers.iter().any(|reader| reader.needs(record));
            if !needed {
                *bytes -= record.cost_bytes;
            }
            needed
        });
    }

    fn evict_oldest(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        self.bytes -= record.cost_bytes;
        for reader in &mut self.readers {
            let unread = reader.read <= record.sequence && reader.wants.take(&record);
            if let (true, Some(signal)) = (unread, record.signal())
                && let Some(dropped) = reader.dropped.get_mut(signal as usize)
            {
                *dropped += u64::from(record.items);
            }
        }
    }

    fn push(&mut self, entry: Entry<R>, now: UnixNanos, cost_bytes: usize) -> Sequence {
        let sequence = self.next;
        self.next += 1;
        self.received = self.received.max(now);
        self.bytes += cost_bytes;
        self.records.push_back(Arc::new(Record {
            sequence,
            received: self.received,
            origin: entry.origin,
            payload: entry.payload,
            items: entry.items,
            bytes: entry.bytes,
            cost_bytes,
            rides: entry.rides,
        }));
        sequence
    }

    fn lag(&self, reader: &Cursor) -> u64 {
        let pending = self.records.iter().skip(self.place_of(reader.committed));
        pending.filter(|record| reader.wants.take(record)).count() as u64
    }

    /// Where the first record from `sequence` on stands.
    fn place_of(&self, sequence: Sequence) -> usize {
        self.records.partition_point(|record| record.sequence < sequence)
    }

    pub(super) fn read_next(&mut self, id: u64) -> Option<Arc<Record<R>>> {
        let read = self.readers.iter().find(|reader| reader.id == id)?.read;
        let skip = self.place_of(read);
        let reader = self.readers.iter_mut().find(|reader| reader.id == id)?;
        let found = self.records.iter().skip(skip).find(|record| reader.wants.take(record)).cloned();
        reader.read = found.as_ref().map_or(self.next, |record| record.sequence + 1);
        found
    }

    pub(super) fn commit(&mut self, id: u64, sequence: Sequence) {
        if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
            reader.committed = reader.committed.max(sequence + 1);
            reader.read = reader.read.max(reader.committed);
        }
        self.release();
    }

    pub(super) fn rewind(&mut self, id: u64) {
        if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
            reader.read = reader.committed;
        }
    }

    pub(super) fn dropped(&self, id: u64) -> u64 {
        let reader = self.readers.iter().find(|reader| reader.id == id);
        reader.map_or(0, |reader| reader.dropped.iter().sum())
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.readers.retain(|reader| reader.id != id);
        self.release();
    }

    /// Lets go of the oldest records that nobody needs.
    fn release(&mut self) {
        while let Some(record) = self.records.front() {
            if self.readers.iter().any(|reader| reader.needs(record)) {
                break;
            }
            self.evict_oldest_committed();
        }
    }

    fn evict_oldest_committed(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= record.cost_bytes;
        }
    }
}
