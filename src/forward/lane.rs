//! One signal's way to one destination.
//!
//! Invariants: requests leave in the journal's order, one at a time; a record is committed only once it is settled: taken,
//! refused for good, given up, or lost to the end of the process; each of its items is then counted once.
//!
//! While a request is under way, what arrives waits and leaves together in the next one, so the requests grow with the
//! load and with the distance: one in flight carries 3 MiB a round trip, which is 65,000 spans of 460 bytes a second to a
//! destination 100 ms away, and is bound by the compressor to one that is near (measured over loopback: 120 MiB/s with
//! gzip, 700 MiB/s with zstd or none). More in flight would have to give up the order.
//! A request that the destination refuses for its content is halved until the record at fault stands alone, for the
//! others in it are not to be lost with it.

use std::sync::Arc;

use tokio::sync::Notify;

use super::batch::{self, Batch, Enrich, Queue, REQUEST_BYTES};
use super::client::Export;
use super::delivery::{Delivery, Settled};
use super::outcome::Blame;
use super::payload::Payload;
use super::report::{Dropped, Report};
use crate::config::{Compression, Signal};
use crate::journal::Reader;

/// Reads, batches and sends.
pub struct Lane<R, E> {
    backlog: Backlog<R>,
    /// Notified after every append.
    appended: Arc<Notify>,
    enrich: Option<Enrich<R>>,
    compression: Compression,
    delivery: Delivery<E>,
    queue: Queue,
}

/// What the journal holds for this lane.
struct Backlog<R> {
    reader: Reader<R>,
    /// Items the journal has dropped for this reader so far, and are counted.
    dropped_seen: u64,
}

impl<R> Backlog<R> {
    /// Counts what the journal has dropped since the last call.
    fn report_drops(&mut self, report: &Report, label: Signal) {
        let dropped = self.reader.dropped();
        report.dropped(label, dropped - self.dropped_seen, Dropped::Behind);
        self.dropped_seen = dropped;
    }
}

/// The stop's deadline has passed with so many items of a batch unsent.
struct OutOfTime {
    unsent: u64,
}

impl<R: Send + Sync + 'static, E: Export> Lane<R, E> {
    pub fn new(
        reader: Reader<R>,
        appended: Arc<Notify>,
        enrich: Option<Enrich<R>>,
        compression: Compression,
        delivery: Delivery<E>,
    ) -> Self {
        let backlog = Backlog { reader, dropped_seen: 0 };
        Self { backlog, appended, enrich, compression, delivery, queue: Queue::default() }
    }

    /// Runs until the order to stop and the journal's end, or the stop's deadline.
    pub async fn run(mut self) {
        loop {
            self.fill().await;
            let settled = match self.queue.take() {
                Some(batch) => self.settle(batch).await,
                None if self.delivery.stop.is_requested() => break,
                None => {
                    self.idle().await;
                    Ok(())
                }
            };
            if let Err(OutOfTime { unsent }) = settled {
                self.abandon(unsent);
                break;
            }
        }
        self.backlog.report_drops(&self.delivery.report, self.delivery.label);
    }

    /// Waits for an append or the order to stop.
    async fn idle(&self) {
        tokio::select! {
            () = self.appended.notified() => {}
            () = self.delivery.stop.requested() => {}
        }
    }

    /// Reads what is there, up to one request.
    async fn fill(&mut self) {
        let mut records = Vec::new();
        let mut bytes = self.queue.bytes();
        while bytes < REQUEST_BYTES
            && let Some(record) = self.backlog.reader.read()
        {
            bytes += record.bytes.len();
            records.push(record);
        }
        self.backlog.report_drops(&self.delivery.report, self.delivery.label);
        if !records.is_empty() {
            self.queue.extend(batch::prepare(records, self.enrich.clone()).await);
        }
    }

    async fn settle(&mut self, batch: Batch) -> Result<(), OutOfTime> {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            let (label, items) = (self.delivery.label, batch.items());
            let report = Arc::clone(&self.delivery.report);
            match self.send(&batch).await {
                Settled::Accepted { rejected, message } => report.accepted(label, items, rejected, &message),
                Settled::Refused { blame: Blame::Records, .. } if batch.parts.len() > 1 => {
                    if let Some((first, second)) = batch.halve() {
                        left.extend([second, first]);
                    }
                    continue;
                }
                Settled::Refused { blame, reason } => report.refused(label, items, blame, &reason),
                Settled::GivenUp => report.dropped(label, items, Dropped::GivenUp),
                Settled::OutOfTime => {
                    let unsent = items + left.iter().map(Batch::items).sum::<u64>();
                    return Err(OutOfTime { unsent });
                }
            }
            if let Some(sequence) = batch.completes() {
                self.backlog.reader.commit(sequence);
            }
        }
        Ok(())
    }

    async fn send(&mut self, batch: &Batch) -> Settled {
        if batch.is_empty() {
            return Settled::Accepted { rejected: 0, message: String::new() };
        }
        let payload = Payload::pack(batch.bytes(), self.compression).await;
        let Self { backlog, appended, delivery, .. } = self;
        let (report, label) = (Arc::clone(&delivery.report), delivery.label);
        let mut settled = std::pin::pin!(delivery.deliver(&payload));
        loop {
            tokio::select! {
                biased;
                settled = &mut settled => return settled,
                // Appends are what makes the journal drop: counted now, not when a long outage ends.
                () = appended.notified() => backlog.report_drops(&report, label),
            }
        }
    }

    /// Counts everything unsent as dropped: these items, what is queued, and what stands in the journal.
    fn abandon(&mut self, mut unsent: u64) {
        unsent += self.queue.items();
        while let Some(record) = self.backlog.reader.read() {
            unsent += u64::from(record.items);
        }
        self.delivery.report.dropped(self.delivery.label, unsent, Dropped::Shutdown);
    }
}
