//! Telemetry out: OTLP to each configured destination.
//!
//! Invariants:
//! - the app's items leave as they came, byte for byte, unless the destination's `enrich` has something to add;
//! - each signal of each destination has its own cursor in the journal and its own task: none delays another;
//! - every item a destination was to get is counted once: sent, failed (refused for good) or dropped;
//! - what the destination says about when to come back is obeyed.
//!
//! How it works, outermost first: [`Forwarder`] starts a `lane` for each signal of each destination, which reads the
//! journal, makes requests of what it finds (`batch`), compresses them (`payload`) and has them delivered
//! (`delivery`: attempts, `backoff`, giving up) by the destination's `client`. An attempt ends in one
//! `outcome`, whatever the protocol. `derived` sends what Qiyas has measured the same way. `report` counts and logs.

mod backoff;
mod batch;
mod client;
mod delivery;
mod derived;
mod lane;
mod outcome;
mod payload;
mod report;
mod stop;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::backoff::Backoff;
use self::client::{Client, Export};
use self::delivery::{Delivery, Resume};
use self::derived::Rounds;
use self::lane::Lane;
use self::report::Report;
use self::stop::{Stop, Stopper};
use crate::config::{self, Forward, WhenBehind};
use crate::journal::{Behind, Journal, Wants};
use crate::otlp::Signal;
use crate::telemetry::OwnMetrics;

pub use batch::Enrich;
pub use client::ClientError;
pub use derived::Derive;

/// A destination that cannot be sent to as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("destination {name}: {error}")]
pub struct DestinationError {
    pub name: String,
    pub error: ClientError,
}

/// What the stages before this one lend to one destination.
pub struct Lent<R> {
    /// What to send of a record: with cost and canonical names added, with content cut out. `None`: its bytes as they are.
    pub enrich: Option<Enrich<R>>,
    /// The destination's derived metrics; used where its `signals` name `derived`.
    pub derive: Option<Derive>,
}

/// All destinations. Dropping it stops them where they are.
pub struct Forwarder {
    tasks: JoinSet<()>,
    stopper: Stopper,
    stop: Stop,
    own: Arc<OwnMetrics>,
    seed: u64,
}

impl Forwarder {
    /// No destination yet. `seed` is for the jitter of retries.
    pub fn new(own: Arc<OwnMetrics>, seed: u64) -> Self {
        let (stopper, stop) = Stopper::new();
        Self { tasks: JoinSet::new(), stopper, stop, own, seed }
    }

    /// Starts sending to a destination whatever is appended from now on. Must be called within a tokio runtime.
    pub fn add<R: Send + Sync + 'static>(
        &mut self,
        config: &Forward,
        journal: &Journal<R>,
        lent: Lent<R>,
    ) -> Result<(), DestinationError> {
        let client = Client::new(config).map_err(|error| DestinationError { name: config.name.clone(), error })?;
        self.add_with(config, journal, lent, client);
        Ok(())
    }

    fn add_with<R: Send + Sync + 'static>(
        &mut self,
        config: &Forward,
        journal: &Journal<R>,
        lent: Lent<R>,
        exporter: impl Export,
    ) {
        let exporter = Arc::new(exporter);
        let report = Arc::new(Report::new(&config.name, &config.signals, Arc::clone(&self.own)));
        for label in config::Signal::ALL.into_iter().filter(|label| config.signals.contains(label)) {
            self.seed = self.seed.wrapping_add(1);
            let mut delivery = Delivery {
                exporter: Arc::clone(&exporter),
                signal: Signal::Metrics,
                label,
                report: Arc::clone(&report),
                stop: self.stop.clone(),
                backoff: Backoff::seeded(self.seed),
                give_up_after: Some(config.retry.max_elapsed.0).filter(|longest| !longest.is_zero()),
                resume: Resume::now(),
            };
            let Some(signal) = app_signal(label) else {
                let Some(derive) = lent.derive.clone() else { continue };
                let interval = config.interval.0.max(Duration::from_millis(1));
                delivery.give_up_after = Some(delivery.give_up_after.map_or(interval, |longest| longest.min(interval)));
                self.tasks.spawn(Rounds { derive, interval, compression: config.compression, delivery }.run());
                continue;
            };
            delivery.signal = signal;
            let appended = Arc::new(Notify::new());
            let behind = match config.when_behind {
                WhenBehind::DropOldest => Behind::DropOldest,
                WhenBehind::Refuse => Behind::Refuse,
            };
            let wake = Arc::clone(&appended);
            let name = format!("forward/{}/{}", config.name, signal.as_str());
            let reader = journal.reader(&name, behind, Wants::app(&[signal]), move || wake.notify_one());
            self.tasks.spawn(Lane::new(reader, appended, lent.enrich.clone(), config.compression, delivery).run());
        }
    }

    /// Sends what the journal still holds, and a last round of derived metrics, until `deadline`; what is then unsent is
    /// counted as dropped. To be called when nothing is appended any more and the fold has taken all of it.
    pub async fn drain(mut self, deadline: Instant) {
        self.stopper.stop_by(deadline);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a forwarding task failed");
            }
        }
    }
}

/// The signal whose items the app sends under this name.
fn app_signal(label: config::Signal) -> Option<Signal> {
    match label {
        config::Signal::Traces => Some(Signal::Traces),
        config::Signal::Metrics => Some(Signal::Metrics),
        config::Signal::Logs => Some(Signal::Logs),
        config::Signal::Derived => None,
    }
}
