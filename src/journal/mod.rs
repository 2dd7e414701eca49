//! The log of everything accepted, and a cursor into it for each reader.
//!
//! Invariants:
//! - sequence numbers have no gaps, receive times never fall: a record gets both at append, under one lock;
//! - a record is acknowledged to its sender only after [`Journal::append`] returned `Ok`;
//! - a reader sees every record that it wants once and in order, except those counted in its `dropped`;
//! - only a reader with [`Behind::Refuse`] (the fold; a destination by its owner's choice) refuses intake. A reader with
//!   [`Behind::DropOldest`] loses its own oldest records instead, and they are counted;
//! - the newest record is always held, whatever its size.
//!
//! This is the home in memory: a ring with a byte budget, that of a record being its bytes, what rides beside it and a
//! constant. Records that every reader has committed leave at once.

mod families;
mod reader;
mod record;
mod ring;

pub use reader::{Behind, Reader, Wants};
pub use record::{Origin, Payload, Record, Sequence};
pub use ring::{Entry, Full, Journal, ReaderStats, Stats};

#[cfg(test)]
mod tests;
