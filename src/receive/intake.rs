//! The one road into the journal, for both transports.
//!
//! Invariants:
//! - a request is accepted whole or refused whole, and acknowledged only after it is journaled;
//! - nothing is journaled that the check-and-observe function did not accept;
//! - every request that is answered is counted once: its items accepted, or the request refused under a reason. One that
//!   its client gives up on the way is neither.
//!
//! A small body is inflated, checked, observed and appended where it arrived. A large one goes to a blocking thread, so
//! that no connection waits behind it; only as many at once as there are cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use super::admission::{Admission, Charge};
use super::inflate::{Encoding, Fault as InflateFault, Inflater, Progress};
use super::refusal::Refusal;
use crate::journal::{Entry, Full, Journal, Origin, Payload};
use crate::otlp::{self, Fault, Signal, json};
use crate::telemetry::OwnMetrics;
use crate::units::UnixNanos;

/// The longest body, inflated, that is handled where it arrived. Checking and observing it takes about 0.15 ms.
const INLINE_BYTES: usize = 256 << 10;

/// JSON costs so many times more than protobuf.
const JSON_WEIGHT: usize = 8;

/// The largest request that is rewritten because it repeats a field that may stand once. Rewriting decodes into structs
/// of up to a hundred times the size; no encoder in use writes such requests.
const CANONICAL_MAX_BYTES: usize = 4 << 20;

/// Overload is logged at most so often.
const OVERLOAD_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the receiving pass learned from a request's bytes.
#[derive(Debug)]
pub struct Observed<R> {
    /// Rides beside the journal record.
    pub rides: R,
    /// Heap bytes that `rides` holds.
    pub rides_bytes: usize,
    /// Spans, data points or log records inside.
    pub items: u32,
    /// Goes back to the client in `partial_success`; nothing was rejected.
    pub warning: Option<String>,
}

/// Checks a request and observes it, in one pass.
pub type Observe<R> = Arc<dyn Fn(Signal, &Bytes) -> Result<Observed<R>, Fault> + Send + Sync>;

/// By which way a request came; the value of the `transport` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
    /// From the program that embeds the sidecar.
    InProcess,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::InProcess => "in_process",
        }
    }
}

/// What a body is, once inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Protobuf,
    Json,
}

/// A request whose body has arrived.
#[derive(Debug)]
pub struct Arrived {
    pub signal: Signal,
    pub format: Format,
    pub encoding: Encoding,
    pub body: Bytes,
    /// Holds the body's bytes, and those it inflates to, until the request is journaled.
    pub charge: Charge,
}

/// A request that was journaled.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    pub warning: Option<String>,
}

/// How much may come in.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// The largest request after decompression.
    pub max_request_bytes: usize,
    /// Body bytes held before they are journaled.
    pub in_flight_bytes: usize,
    /// Longest time for one request to arrive.
    pub request_time: Duration,
}

/// The intake; clones share it.
pub struct Intake<R> {
    shared: Arc<Shared<R>>,
}

impl<R> Clone for Intake<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<R> {
    limits: IntakeLimits,
    observe: Observe<R>,
    journal: Journal<R>,
    own: Arc<OwnMetrics>,
    admission: Admission,
    /// Large requests handled at once.
    large: Arc<Semaphore>,
    /// Requests rewritten at once: one.
    rewriting: std::sync::Mutex<()>,
    closed: watch::Sender<bool>,
    overload_logged: AtomicU64,
}

impl<R: Send + Sync + 'static> Intake<R> {
    pub fn new(limits: IntakeLimits, observe: Observe<R>, journal: Journal<R>, own: Arc<OwnMetrics>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            limits,
            observe,
            journal,
            own,
            admission: Admission::new(limits.in_flight_bytes),
            large: Arc::new(Semaphore::new(cores)),
            rewriting: std::sync::Mutex::new(()),
            closed: watch::Sender::new(false),
            overload_logged: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn limits(&self) -> IntakeLimits {
        self.shared.limits
    }

    /// Where all bodies are charged.
    pub fn admission(&self) -> &Admission {
        &self.shared.admission
    }

    /// From now on nothing is taken: bodies still arriving are refused as [`Refusal::ShuttingDown`].
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
    }

    /// Waits for a body to arrive, at most for the request time (or the client's own, if that is shorter) and only while
    /// the intake is open.
    pub async fn within_time<T>(
        &self,
        client_time: Option<Duration>,
        arriving: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let time =
            client_time.map_or(self.shared.limits.request_time, |time| time.min(self.shared.limits.request_time));
        let mut closed = self.shared.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Refusal::ShuttingDown),
            arrived = tokio::time::timeout(time, arriving) => arrived.unwrap_or(Err(Refusal::Timeout(time))),
        }
    }

    /// Journals a request that has arrived.
    #[tracing::instrument(
        target = "qiyas::traces",
        name = "journal a request",
        skip_all,
        fields(transport = transport.as_str(), signal = arrived.signal.as_str(), bytes = arrived.body.len())
    )]
    pub async fn take(&self, transport: Transport, arrived: Arrived) -> Result<Accepted, Refusal> {
        let weight = if arrived.format == Format::Json { JSON_WEIGHT } else { 1 };
        let inline_bytes = INLINE_BYTES / weight;
        let mut work = Work::new(arrived, self.shared.limits.max_request_bytes)?;
        let small = work.body_bytes <= inline_bytes && work.inflate(inline_bytes)? == Progress::Done;
        if small {
            return self.shared.settle(transport, work);
        }
        let shared = Arc::clone(&self.shared);
        let permit = Arc::clone(&self.shared.large).acquire_owned().await.map_err(|_| Refusal::ShuttingDown)?;
        let settled = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work.inflate(usize::MAX)?;
            shared.settle(transport, work)
        });
        settled.await.unwrap_or(Err(Refusal::Internal))
    }

    /// Journals a request that was encoded in this process. It does not wait: where the journal is full it is refused,
    /// and counted so, like one that came over a socket.
    pub fn take_encoded(&self, signal: Signal, request: Bytes) -> Result<Accepted, Refusal> {
        let limit_bytes = self.shared.limits.max_request_bytes;
        let taken = if *self.shared.closed.borrow() {
            Err(Refusal::ShuttingDown)
        } else if request.len() > limit_bytes {
            Err(Refusal::TooLarge { limit_bytes })
        } else {
            self.shared.journal(Transport::InProcess, signal, request)
        };
        taken.inspect_err(|refusal| self.refused(Transport::InProcess, Some(signal), refusal))
    }

    /// Counts a refused request and logs it. `signal`: `None` where the request did not get as far as to name one.
    pub fn refused(&self, transport: Transport, signal: Option<Signal>, refusal: &Refusal) {
        let reason = refusal.answer().reason;
        let signal = signal.map_or("unknown", Signal::as_str);
        self.shared.own.receiver_refused.add(&[signal, transport.as_str(), reason], 1);
        let overload = matches!(refusal, Refusal::InFlight | Refusal::Behind { .. });
        if overload && self.shared.overload_log_is_due(UnixNanos::now()) {
            tracing::warn!(signal, transport = transport.as_str(), reason, "refusing requests: {refusal}");
        } else {
            tracing::debug!(signal, transport = transport.as_str(), reason, "refused a request: {refusal}");
        }
    }
}

impl<R> Shared<R> {
    /// Everything that needs no waiting: JSON read, checked, observed, appended, counted.
    fn settle(&self, transport: Transport, work: Work) -> Result<Accepted, Refusal> {
        let Work { signal, format, inflater, charge, .. } = work;
        let plain = inflater.finish();
        let request = match format {
            Format::Protobuf => plain,
            Format::Json => from_json(signal, &plain)?,
        };
        let accepted = self.journal(transport, signal, request);
        drop(charge);
        accepted
    }

    /// Checks, observes, appends and counts.
    fn journal(&self, transport: Transport, signal: Signal, request: Bytes) -> Result<Accepted, Refusal> {
        let (request, observed) = self.observe(signal, request)?;
        let entry = Entry {
            origin: Origin::App,
            payload: Payload::Otlp(signal),
            items: observed.items,
            bytes: request,
            rides: Some(observed.rides),
            rides_bytes: observed.rides_bytes,
        };
        if observed.items > 0 {
            let behind = |Full { reader, lag }| Refusal::Behind { reader, lag };
            self.journal.append(entry, UnixNanos::now()).map_err(behind)?;
        }
        self.own.receiver_accepted.add(&[signal.as_str(), transport.as_str()], u64::from(observed.items));
        Ok(Accepted { warning: observed.warning })
    }

    fn observe(&self, signal: Signal, request: Bytes) -> Result<(Bytes, Observed<R>), Refusal> {
        let malformed = |fault: Fault| Refusal::Malformed(fault.to_string());
        let fault = match (self.observe)(signal, &request) {
            Ok(observed) => return Ok((request, observed)),
            Err(fault @ Fault::Split { .. }) if request.len() <= CANONICAL_MAX_BYTES => fault,
            Err(fault) => return Err(malformed(fault)),
        };
        let rewritten = {
            let _one_at_a_time = self.rewriting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            otlp::canonical(signal, &request).ok_or_else(|| malformed(fault))?
        };
        let observed = (self.observe)(signal, &rewritten).map_err(malformed)?;
        Ok((rewritten, observed))
    }

    fn overload_log_is_due(&self, now: UnixNanos) -> bool {
        let last = self.overload_logged.load(Ordering::Relaxed);
        let due = now.since(UnixNanos(last)) >= OVERLOAD_LOG_INTERVAL;
        due && self.overload_logged.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// A request between its arrival and the journal.
struct Work {
    signal: Signal,
    format: Format,
    body_bytes: usize,
    inflater: Inflater,
    charge: Charge,
    /// Admission said no; the rest is only read to learn whether the request is too large, which comes first.
    at_limit: bool,
}

impl Work {
    fn new(arrived: Arrived, limit_bytes: usize) -> Result<Self, Refusal> {
        let Arrived { signal, format, encoding, body, charge } = arrived;
        let body_bytes = body.len();
        let inflater = Inflater::new(encoding, body, limit_bytes)?;
        Ok(Self { signal, format, body_bytes, inflater, charge, at_limit: false })
    }

    /// Inflates about `bytes` more, charging what comes out.
    fn inflate(&mut self, bytes: usize) -> Result<Progress, Refusal> {
        const STEP_BYTES: usize = 64 << 10;
        let mut left = bytes;
        while left > 0 {
            let (came_out, progress) = self.inflater.step(left.min(STEP_BYTES))?;
            self.at_limit = self.at_limit || self.charge.add(came_out).is_err();
            if self.at_limit {
                self.inflater.discard();
            }
            if progress == Progress::Done {
                return if self.at_limit { Err(Refusal::InFlight) } else { Ok(Progress::Done) };
            }
            left = left.saturating_sub(came_out);
        }
        Ok(Progress::More)
    }
}

impl From<InflateFault> for Refusal {
    fn from(fault: InflateFault) -> Self {
        match fault {
            InflateFault::TooLarge { limit_bytes } => Self::TooLarge { limit_bytes },
            malformed @ InflateFault::Malformed { .. } => Self::Malformed(malformed.to_string()),
        }
    }
}

/// OTLP/JSON to protobuf.
fn from_json(signal: Signal, json: &[u8]) -> Result<Bytes, Refusal> {
    json::decode(signal, json).map_err(|fault| Refusal::Malformed(fault.to_string()))
}
