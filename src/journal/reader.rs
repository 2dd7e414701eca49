//! A reader's cursor.

use std::sync::Arc;

use super::record::{Origin, Payload, Record, Sequence};
use super::ring::Journal;
use crate::otlp::Signal;

/// What happens when the ring is full and this reader has not read its oldest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// New records are refused.
    Refuse,
    /// The oldest record leaves; the reader skips it and it is counted.
    DropOldest,
}

/// Which records a reader takes; the others never hold it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    signals: [bool; 3],
    own: bool,
    ticks: bool,
}

impl Wants {
    /// Everything, for the fold.
    pub const ALL: Wants = Wants { signals: [true; 3], own: true, ticks: true };

    /// The app's own items of these signals, for a destination.
    pub fn app(signals: &[Signal]) -> Self {
        Self { signals: Signal::ALL.map(|signal| signals.contains(&signal)), own: false, ticks: false }
    }

    pub(super) fn take<R>(&self, record: &Record<R>) -> bool {
        match record.payload {
            Payload::Tick => self.ticks,
            Payload::Otlp(signal) => {
                let wanted = self.signals.get(signal as usize).copied().unwrap_or_default();
                wanted && (self.own || record.origin == Origin::App)
            }
        }
    }
}

/// A cursor into the journal. Dropping it lets go of the records it held.
pub struct Reader<R> {
    journal: Journal<R>,
    id: u64,
}

impl<R> Reader<R> {
    pub(super) fn new(journal: Journal<R>, id: u64) -> Self {
        Self { journal, id }
    }

    /// The next record, or `None` when there is none yet. Reading is not yet done with it: see [`Reader::commit`].
    pub fn read(&mut self) -> Option<Arc<Record<R>>> {
        self.journal.lock().read_next(self.id)
    }

    /// Everything up to and including `sequence` is done with.
    pub fn commit(&mut self, sequence: Sequence) {
        self.journal.lock().commit(self.id, sequence);
    }

    /// Items that left before this reader read them, since it began.
    pub fn dropped(&self) -> u64 {
        self.journal.lock().dropped(self.id)
    }

    /// Starts over after the last committed record.
    pub fn rewind(&mut self) {
        self.journal.lock().rewind(self.id);
    }
}

impl<R> Drop for Reader<R> {
    fn drop(&mut self) {
        self.journal.lock().leave(self.id);
    }
}
