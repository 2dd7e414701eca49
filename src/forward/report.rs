//! What a destination's sending comes to, for the counters and for the log.
//!
//! Invariants: every item that a destination was to get is counted once, as sent, failed or dropped; a destination that
//! stays broken writes a line when it breaks, one a minute, and one when it is back, whatever its traffic.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Blame;
use crate::config::Signal;
use crate::telemetry::OwnMetrics;

/// The shortest time between two lines about the same trouble of one destination.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Why items were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The journal had no room for more of this destination's backlog.
    Behind,
    /// No attempt succeeded within `retry.max_elapsed`, or before the next round of derived metrics.
    GivenUp,
    /// They were still unsent when the process had to leave.
    Shutdown,
}

impl Dropped {
    fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "the destination is further behind than the journal holds",
            Self::GivenUp => "no attempt succeeded in time",
            Self::Shutdown => "unsent when the shutdown's time was over",
        }
    }
}

/// Shared by all that send to one destination.
pub struct Report {
    destination: Arc<str>,
    own: Arc<OwnMetrics>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    failing: BTreeSet<Signal>,
    failing_line: Seldom,
    refused_line: Seldom,
    partial_line: Seldom,
    behind_line: Seldom,
    given_up_line: Seldom,
}

/// Lets a line through at most once in [`LOG_EVERY`], with the items that came since the last one.
#[derive(Default)]
struct Seldom {
    last: Option<Instant>,
    items: u64,
}

impl Seldom {
    fn due(&mut self, items: u64) -> Option<u64> {
        self.items += items;
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < LOG_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.items))
    }
}

impl Report {
    /// The counters of `signals` are there from the start, at 0.
    pub fn new(destination: &str, signals: &[Signal], own: Arc<OwnMetrics>) -> Self {
        for signal in signals {
            for counter in [&own.forward_sent, &own.forward_failed, &own.forward_dropped] {
                counter.add(&[destination, label(*signal)], 0);
            }
        }
        Self { destination: destination.into(), own, log: Mutex::default() }
    }

    /// The destination's name.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The destination took a request of `items`, but for `rejected` of them.
    pub fn accepted(&self, signal: Signal, items: u64, rejected: u64, message: &str) {
        let rejected = rejected.min(items);
        self.own.forward_sent.add(&[&self.destination, label(signal)], items - rejected);
        self.own.forward_failed.add(&[&self.destination, label(signal)], rejected);
        let mut log = self.log();
        if log.failing.remove(&signal) && log.failing.is_empty() {
            log.failing_line = Seldom::default();
            tracing::info!(destination = &*self.destination, "destination is back");
        }
        if (rejected > 0 || !message.is_empty())
            && let Some(rejected) = log.partial_line.due(rejected)
        {
            let destination = &*self.destination;
            tracing::warn!(
                destination,
                signal = label(signal),
                rejected,
                message,
                "destination took a request in part"
            );
        }
    }

    /// The destination refused a request of `items` for good.
    pub fn refused(&self, signal: Signal, items: u64, blame: Blame, reason: &str) {
        self.own.forward_failed.add(&[&self.destination, label(signal)], items);
        if blame == Blame::Sender {
            return self.failing(signal, reason);
        }
        if let Some(items) = self.log().refused_line.due(items) {
            let destination = &*self.destination;
            tracing::warn!(destination, signal = label(signal), items, reason, "destination refused items for good");
        }
    }

    /// An attempt failed for a reason that is not in the request.
    pub fn failing(&self, signal: Signal, reason: &str) {
        let mut log = self.log();
        log.failing.insert(signal);
        if log.failing_line.due(0).is_some() {
            tracing::warn!(destination = &*self.destination, signal = label(signal), reason, "destination is failing");
        }
    }

    pub fn dropped(&self, signal: Signal, items: u64, why: Dropped) {
        if items == 0 {
            return;
        }
        self.own.forward_dropped.add(&[&self.destination, label(signal)], items);
        let due = match why {
            Dropped::Behind => self.log().behind_line.due(items),
            Dropped::GivenUp => self.log().given_up_line.due(items),
            // Each task says this once, when it leaves.
            Dropped::Shutdown => Some(items),
        };
        if let Some(items) = due {
            let destination = &*self.destination;
            tracing::warn!(destination, signal = label(signal), items, reason = why.as_str(), "items dropped");
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The label value of a signal.
pub fn label(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
        Signal::Derived => "derived",
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::{DefaultGuard, set_default};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::units::UnixNanos;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn capture() -> (Self, DefaultGuard) {
            let lines = Self::default();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
            let guard = set_default(subscriber.with_writer(lines.clone()).finish());
            (lines, guard)
        }

        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
        }
    }

    fn report() -> (Report, Arc<OwnMetrics>) {
        let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
        (Report::new("d", &Signal::ALL, Arc::clone(&own)), own)
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_destination_writes_when_it_breaks_once_a_minute_and_when_it_is_back() {
        let (lines, _guard) = Lines::capture();
        let (report, _) = report();
        for second in 0..150 {
            let signal = if second % 2 == 0 { Signal::Traces } else { Signal::Logs };
            report.failing(signal, "connection refused");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let failing = "WARN destination is failing destination=\"d\" signal=\"traces\" reason=\"connection refused\"";
        assert_eq!(lines.take(), [failing; 3], "at 0, 60 and 120 s");
        report.accepted(Signal::Traces, 1, 0, "");
        assert!(lines.take().is_empty(), "logs still fail");
        report.accepted(Signal::Logs, 1, 0, "");
        assert_eq!(lines.take(), ["INFO destination is back destination=\"d\""]);
        report.accepted(Signal::Logs, 1, 0, "");
        assert!(lines.take().is_empty());
        report.failing(Signal::Logs, "again");
        assert_eq!(lines.take().len(), 1, "a new failure is news at once");
    }

    #[tokio::test(start_paused = true)]
    async fn drops_and_refusals_are_all_counted_and_seldom_logged() {
        let (lines, _guard) = Lines::capture();
        let (report, own) = report();
        for _ in 0..61 {
            report.dropped(Signal::Traces, 10, Dropped::Behind);
            report.refused(Signal::Traces, 3, Blame::Records, "bad\nline");
            report.accepted(Signal::Traces, 5, 2, "too old");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let lines_of = lines;
        let lines = lines_of.take();
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(lines[0].contains("items=10"));
        assert!(lines[1].contains(r#"reason="bad\nline""#), "text from outside cannot forge a line: {}", lines[1]);
        assert!(lines[3].contains("items=600"), "the second line tells what came since the first: {}", lines[3]);
        assert_eq!(own.forward_dropped.total(&["d", "traces"]), 610);
        assert_eq!(own.forward_failed.total(&["d", "traces"]), 61 * 5);
        assert_eq!(own.forward_sent.total(&["d", "traces"]), 61 * 3);
        report.dropped(Signal::Traces, 0, Dropped::Shutdown);
        assert_eq!(own.forward_dropped.total(&["d", "traces"]), 610);
        for why in [Dropped::Behind, Dropped::GivenUp, Dropped::Shutdown] {
            report.dropped(Signal::Traces, 1, why);
        }
        let last = lines_of.take();
        assert_eq!(last.len(), 2, "a new reason is news, and so is what the process leaves behind: {last:#?}");
    }

    #[test]
    fn more_rejected_than_sent_is_not_believed() {
        let (report, own) = report();
        report.accepted(Signal::Logs, 5, u64::MAX, "");
        assert_eq!(own.forward_failed.total(&["d", "logs"]), 5);
        assert_eq!(own.forward_sent.total(&["d", "logs"]), 0);
    }
}
