//! Records become requests.
//!
//! Invariants: a request is at most [`REQUEST_BYTES`] long unless it is a single item; the bytes of items and their order
//! are kept; a record is done with once its last part is settled.
//!
//! OTLP's export requests have one repeated field, so their concatenation is one request with the items of all. A record
//! beyond the size is cut between items.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::journal::{Record, Sequence};
use crate::otlp::{self, Signal};

/// The largest request that is made of several items, before compression. Collectors refuse gRPC messages over 4 MiB by
/// default.
pub const REQUEST_BYTES: usize = 3 << 20;

/// Records from this size on are enriched and cut off the async threads.
const OFF_THREAD_BYTES: usize = 64 << 10;

/// What is sent of a record: its bytes with whatever is to be added, or the bytes as they are.
pub type Enrich<R> = Arc<dyn Fn(&Record<R>) -> Bytes + Send + Sync>;

/// A record, or what was cut out of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub bytes: Bytes,
    pub items: u64,
    /// The record that is done with once this part is settled; `None` but for a record's last part.
    pub completes: Option<Sequence>,
}

/// Parts that make one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub parts: Vec<Part>,
}

impl Batch {
    pub fn items(&self) -> u64 {
        self.parts.iter().map(|part| part.items).sum()
    }

    /// Whether there is nothing to send: a request of no bytes is legal, and has no items.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.bytes.is_empty())
    }

    pub fn bytes(&self) -> Vec<Bytes> {
        self.parts.iter().map(|part| part.bytes.clone()).collect()
    }

    /// The latest record that is done with once this batch is settled.
    pub fn completes(&self) -> Option<Sequence> {
        self.parts.iter().rev().find_map(|part| part.completes)
    }

    /// Two halves of its parts, in order; `None` where there is only one.
    pub fn halve(mut self) -> Option<(Batch, Batch)> {
        if self.parts.len() < 2 {
            return None;
        }
        let second = self.parts.split_off(self.parts.len() / 2);
        Some((self, Batch { parts: second }))
    }
}

/// Parts that wait to be sent, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    parts: VecDeque<Part>,
    bytes: usize,
}

impl Queue {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn extend(&mut self, parts: Vec<Part>) {
        self.bytes += parts.iter().map(|part| part.bytes.len()).sum::<usize>();
        self.parts.extend(parts);
    }

    /// The oldest parts that fit into one request, at least one; `None` when empty.
    pub fn take(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut batch_bytes = 0;
        while let Some(part) = self.parts.front() {
            batch_bytes += part.bytes.len();
            if !batch.parts.is_empty() && batch_bytes > REQUEST_BYTES {
                break;
            }
            batch.parts.extend(self.parts.pop_front());
        }
        self.bytes -= batch.parts.iter().map(|part| part.bytes.len()).sum::<usize>();
        (!batch.parts.is_empty()).then_some(batch)
    }

    pub fn items(&self) -> u64 {
        self.parts.iter().map(|part| part.items).sum()
    }
}

/// Enriches records and cuts those that are too long.
pub async fn prepare<R: Send + Sync + 'static>(records: Vec<Arc<Record<R>>>, enrich: Option<Enrich<R>>) -> Vec<Part> {
    let total_bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
    let largest_bytes = records.iter().map(|record| record.bytes.len()).max().unwrap_or(0);
    let is_light = enrich.is_none() && largest_bytes <= REQUEST_BYTES;
    if is_light || total_bytes < OFF_THREAD_BYTES {
        return prepare_here(&records, enrich.as_ref());
    }
    let spare = records.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare_here(&records, enrich.as_ref())).await;
    prepared.unwrap_or_else(|_| prepare_here(&spare, None))
}

fn prepare_here<R>(records: &[Arc<Record<R>>], enrich: Option<&Enrich<R>>) -> Vec<Part> {
    let mut parts = Vec::with_capacity(records.len());
    for record in records {
        let bytes = match enrich {
            Some(enrich) => enrich(record),
            None => record.bytes.clone(),
        };
        let Some(signal) = record.signal() else { continue };
        parts.extend(cut(signal, bytes, u64::from(record.items)));
        if let Some(last) = parts.last_mut() {
            last.completes = Some(record.sequence);
        }
    }
    parts
}

/// `request` in parts that are short enough, or as long as one item.
pub fn cut(signal: Signal, request: Bytes, items: u64) -> Vec<Part> {
    if request.len() > REQUEST_BYTES
        && let Ok(pieces) = otlp::split::split(signal, &request, REQUEST_BYTES)
    {
        return pieces.into_iter().map(|piece| counted(signal, piece)).collect();
    }
    vec![Part { bytes: request, items, completes: None }]
}

/// Like [`cut`], of a request whose items are not known yet.
pub fn cut_counted(signal: Signal, request: Bytes) -> Vec<Part> {
    let whole = counted(signal, request);
    cut(signal, whole.bytes, whole.items)
}

fn counted(signal: Signal, request: Bytes) -> Part {
    let items = otlp::split::count(signal, &request);
    Part { bytes: request, items: items.into(), completes: None }
}
