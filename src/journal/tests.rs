//! The ring: who refuses, who loses, and what stays.

use bytes::Bytes;

use super::{Behind, Entry, Journal, Origin, Payload, Wants};
use crate::otlp::Signal;
use crate::units::UnixNanos;

const SECOND: u64 = 1_000_000_000;

fn entry(signal: Signal, bytes: usize) -> Entry<()> {
    Entry {
        origin: Origin::App,
        payload: Payload::Otlp(signal),
        items: 1,
        bytes: Bytes::from(vec![0; bytes]),
        rides: None,
        rides_bytes: 0,
    }
}

fn at(seconds: u64) -> UnixNanos {
    UnixNanos(seconds * SECOND)
}

#[test]
fn sequences_have_no_gaps_and_time_never_falls() {
    let journal = Journal::in_memory(1 << 20);
    let mut reader = journal.reader("fold", Behind::Refuse, Wants::ALL, || {});
    for seconds in [5, 3, 7] {
        journal.append(entry(Signal::Traces, 10), at(seconds)).unwrap();
    }
    let seen: Vec<_> = std::iter::from_fn(|| reader.read()).map(|record| (record.sequence, record.received)).collect();
    assert_eq!(seen, [(1, at(5)), (2, at(5)), (3, at(7))]);
}

/// Scenario: the fold stands still and the ring fills.
/// Guarantees: records are refused, nothing that it has not folded is evicted, ticks still come, once.
#[test]
fn only_a_refusing_reader_refuses_and_time_goes_on() {
    let journal = Journal::in_memory(4_000);
    let mut fold = journal.reader("fold", Behind::Refuse, Wants::ALL, || {});
    let taken = (0..20).filter(|_| journal.append(entry(Signal::Traces, 1_000), at(1)).is_ok()).count();
    assert_eq!(taken, 3);
    let full = journal.append(entry(Signal::Traces, 1_000), at(1)).unwrap_err();
    assert_eq!((&*full.reader, full.lag), ("fold", 3));
    assert!(journal.tick(at(3)), "a tick is never refused");
    assert!(!journal.tick(at(5)), "one waits already");
    let last = std::iter::from_fn(|| fold.read()).last().unwrap();
    assert_eq!((last.payload, last.received), (Payload::Tick, at(3)));
    fold.commit(last.sequence);
    assert!(journal.append(entry(Signal::Traces, 1_000), at(6)).is_ok());
}

/// Scenario: a destination of traces is away while logs, which only the fold wants, keep coming.
/// Guarantees: its backlog is not evicted for records that nobody needs any more.
#[test]
fn what_nobody_needs_makes_room_first() {
    let journal = Journal::in_memory(10_000);
    let mut fold = journal.reader("fold", Behind::Refuse, Wants::ALL, || {});
    let mut away = journal.reader("away", Behind::DropOldest, Wants::app(&[Signal::Traces]), || {});
    journal.append(entry(Signal::Traces, 1_000), at(1)).unwrap();
    for _ in 0..100 {
        journal.append(entry(Signal::Logs, 1_000), at(1)).unwrap();
        while let Some(record) = fold.read() {
            fold.commit(record.sequence);
        }
    }
    let stats = journal.stats();
    let reader = stats.readers.iter().find(|reader| &*reader.name == "away").unwrap();
    assert_eq!((reader.dropped, reader.lag), ([0; 3], 1));
    assert_eq!(away.read().map(|record| record.sequence), Some(1));
}

#[test]
fn a_reader_that_may_lose_loses_its_oldest_and_it_is_counted() {
    let journal = Journal::in_memory(4_000);
    let mut away = journal.reader("away", Behind::DropOldest, Wants::app(&[Signal::Traces]), || {});
    for _ in 0..10 {
        journal.append(entry(Signal::Traces, 1_000), at(1)).unwrap();
    }
    assert_eq!(journal.stats().readers[0].dropped, [7, 0, 0]);
    assert_eq!(away.read().map(|record| record.sequence), Some(8));
    journal.append(entry(Signal::Traces, 100_000), at(1)).unwrap();
    away.rewind();
    assert_eq!(away.read().map(|record| record.bytes.len()), Some(100_000), "the newest is held, whatever its size");
}
