//! One request at a time to one destination, tried until it is settled.
//!
//! Invariants: the wait before an attempt is the longer of the backoff and of what the destination asked for; both outlive
//! the request that met them, so giving one up never hurries the next; an order to stop ends a backoff at once but never
//! the wait that the destination asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::client::Export;
use super::outcome::{Blame, Outcome};
use super::payload::Payload;
use super::report::Report;
use super::stop::Stop;
use crate::config;
use crate::otlp::Signal;

/// What a request came to in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    Accepted {
        rejected: u64,
        message: String,
    },
    Refused {
        blame: Blame,
        reason: String,
    },
    /// No attempt succeeded in time.
    GivenUp,
    /// The stop's deadline passed first.
    OutOfTime,
}

/// Sends one signal's requests to one destination.
pub struct Delivery<E> {
    pub exporter: Arc<E>,
    /// What the destination is told the request is.
    pub signal: Signal,
    /// What the counters and the log call it.
    pub label: config::Signal,
    pub report: Arc<Report>,
    pub stop: Stop,
    pub backoff: Backoff,
    /// A request that has failed for so long is given up; `None`: never.
    pub give_up_after: Option<Duration>,
    pub resume: Resume,
}

/// When the next attempt may start.
#[derive(Clone, Copy, Debug)]
pub struct Resume {
    backoff: Instant,
    /// By the destination's own word.
    hint: Instant,
    /// Whether the order to stop has cut the backoff short.
    hurried: bool,
}

impl Resume {
    pub fn now() -> Self {
        let now = Instant::now();
        Self { backoff: now, hint: now, hurried: false }
    }

    fn at(&self) -> Instant {
        self.backoff.max(self.hint)
    }
}

impl<E: Export> Delivery<E> {
    /// Tries until the request is settled.
    #[tracing::instrument(
        target = "qiyas::traces",
        name = "deliver an export",
        skip_all,
        fields(otel.kind = "client", destination = self.report.destination(), signal = self.signal.as_str())
    )]
    pub async fn deliver(&mut self, payload: &Payload) -> Settled {
        if !self.wait().await {
            return Settled::OutOfTime;
        }
        let first_attempt = Instant::now();
        loop {
            let attempt = self.exporter.export(self.signal, payload.clone());
            let outcome = tokio::select! {
                biased;
                outcome = attempt => outcome,
                () = self.stop.passed() => return Settled::OutOfTime,
            };
            match outcome {
                Outcome::Accepted { rejected, message } => {
                    self.backoff.reset();
                    return Settled::Accepted { rejected, message };
                }
                Outcome::Permanent { blame, reason } => {
                    self.backoff.reset();
                    return Settled::Refused { blame, reason };
                }
                Outcome::Retry { after, reason } => {
                    self.report.failing(self.label, &reason);
                    self.put_off(after);
                }
            }
            let gives_up = |longest: Duration| self.resume.at().duration_since(first_attempt) > longest;
            if self.give_up_after.is_some_and(gives_up) {
                return Settled::GivenUp;
            }
            if !self.wait().await {
                return Settled::OutOfTime;
            }
        }
    }

    fn put_off(&mut self, hint: Option<Duration>) {
        let now = Instant::now();
        self.resume.backoff = now + self.backoff.next_wait();
        self.resume.hint = now + hint.unwrap_or_default();
    }

    /// Waits until an attempt may start. False: the stop's deadline passed first.
    async fn wait(&mut self) -> bool {
        loop {
            let hurry = !self.resume.hurried;
            tokio::select! {
                biased;
                () = self.stop.passed() => return false,
                () = self.stop.requested(), if hurry => {}
                () = sleep_until(self.resume.at()) => return true,
            }
            self.resume.hurried = true;
            self.resume.backoff = Instant::now();
            self.backoff.reset();
        }
    }
}
