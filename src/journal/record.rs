//! What stands in the journal.

use bytes::Bytes;

use crate::otlp::Signal;
use crate::units::UnixNanos;

/// A record's place in the journal: 1, 2, 3 … without gaps.
pub type Sequence = u64;

/// Who made a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The observed app. Destinations of its telemetry take these records and no others.
    App,
    /// Qiyas: host metrics, REST writes, results.
    Own,
}

/// What a record's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// An OTLP export request of this signal, checked.
    Otlp(Signal),
    /// Nothing: a second passed in which no other record came. Timeouts, windows and expiry follow from it.
    Tick,
}

/// A record with what rides beside it in memory: `R` is what the receiving pass already learned from the bytes.
#[derive(Debug)]
pub struct Record<R> {
    pub sequence: Sequence,
    /// Stamped at append; never less than the record's before.
    pub received: UnixNanos,
    pub origin: Origin,
    pub payload: Payload,
    /// Spans, data points or log records inside.
    pub items: u32,
    pub bytes: Bytes,
    pub(super) cost_bytes: usize,
    pub(super) rides: Option<R>,
}

impl<R> Record<R> {
    /// A record that never stood in a journal: one of a recording.
    pub fn replayed(
        sequence: Sequence,
        received: UnixNanos,
        origin: Origin,
        payload: Payload,
        bytes: Bytes,
        rides: R,
    ) -> Self {
        Self { sequence, received, origin, payload, items: 0, bytes, cost_bytes: 0, rides: Some(rides) }
    }

    /// What rides beside the record; `None` where nothing is known of it.
    pub fn rides(&self) -> Option<&R> {
        self.rides.as_ref()
    }

    pub fn signal(&self) -> Option<Signal> {
        match self.payload {
            Payload::Otlp(signal) => Some(signal),
            Payload::Tick => None,
        }
    }
}
