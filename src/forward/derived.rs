//! What Qiyas itself has to tell a destination, at a fixed interval and once more before the process leaves.
//!
//! Invariants: a round is tried for at most one interval, then given up and counted, for the next one carries newer values;
//! the last round starts when the order to stop is given and ends by its deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::batch;
use super::client::Export;
use super::delivery::{Delivery, Settled};
use super::payload::Payload;
use super::report::Dropped;
use crate::config::Compression;
use crate::otlp::Signal;

/// Gives the requests (`ExportMetricsServiceRequest`) of one round. It is told whether all of the round before it was
/// taken, so that deltas can be counted from what the destination has.
pub type Derive = Arc<dyn Fn(bool) -> Pin<Box<dyn Future<Output = Vec<Bytes>> + Send>> + Send + Sync>;

/// The rounds of one destination.
pub struct Rounds<E> {
    pub derive: Derive,
    pub interval: Duration,
    pub compression: Compression,
    pub delivery: Delivery<E>,
}

impl<E: Export> Rounds<E> {
    /// Runs until the order to stop, and one round more.
    pub async fn run(mut self) {
        let mut next = Instant::now() + self.interval;
        let mut taken = true;
        loop {
            let is_last = tokio::select! {
                biased;
                () = self.delivery.stop.requested() => true,
                () = sleep_until(next) => false,
            };
            taken = self.round(taken).await;
            if is_last {
                return;
            }
            // Rounds keep their grid; one that took longer than the interval swallows those it met.
            next = next_on_grid(next, self.interval, Instant::now());
        }
    }

    /// True if all of it was taken.
    async fn round(&mut self, previous_taken: bool) -> bool {
        let round = (self.derive)(previous_taken);
        let requests = tokio::select! {
            biased;
            requests = round => requests,
            () = self.delivery.stop.passed() => return false,
        };
        let parts: Vec<_> =
            requests.into_iter().flat_map(|request| batch::cut_counted(Signal::Metrics, request)).collect();
        let mut all_taken = true;
        for part in parts {
            let payload = Payload::pack(vec![part.bytes], self.compression).await;
            let (report, label) = (Arc::clone(&self.delivery.report), self.delivery.label);
            match self.delivery.deliver(&payload).await {
                Settled::Accepted { rejected, message } => report.accepted(label, part.items, rejected, &message),
                Settled::Refused { blame, reason } => {
                    report.refused(label, part.items, blame, &reason);
                    all_taken = false;
                }
                Settled::GivenUp => {
                    report.dropped(label, part.items, Dropped::GivenUp);
                    all_taken = false;
                }
                Settled::OutOfTime => {
                    report.dropped(label, part.items, Dropped::Shutdown);
                    all_taken = false;
                }
            }
        }
        all_taken
    }
}

/// The first moment of the grid that `due` and `interval` span after `now`.
fn next_on_grid(due: Instant, interval: Duration, now: Instant) -> Instant {
    let interval_ns = interval.as_nanos().max(1);
    let missed = now.saturating_duration_since(due).as_nanos() / interval_ns;
    let steps = u32::try_from(missed).unwrap_or(u32::MAX - 1) + 1;
    due + interval.max(Duration::from_nanos(1)) * steps
}
