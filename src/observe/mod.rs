//! Meaning: what telemetry says, in whichever dialect.
//!
//! Invariants:
//! - observing is a pure function of bytes and configuration: no clock, no state. The receiving pass and a replay
//!   observe the same;
//! - this is the only stage that knows attribute names ([`names`] is the table);
//! - a request that fails the validity pass is observed not at all.
//!
//! One pass over the bytes checks and observes: [`Observer::observe`] is handed to the receivers at start-up.

pub mod enrich;
pub mod genai;
mod lookup;
pub mod names;
mod observations;
mod pass;
mod sampling;

pub use observations::{Call, Metric, Observations, Resource, Role, Scalar, Span, Text, Tokens};
pub use sampling::AdjustedCount;

use crate::config;
use crate::otlp::{self, Fault, Signal};

/// Observes requests by one configuration.
pub struct Observer {
    lookup: lookup::Lookup,
    dimensions: usize,
    adjusted_count: bool,
}

impl Observer {
    pub fn new(spans: &config::Spans) -> Self {
        Self {
            lookup: lookup::Lookup::new(&spans.dimensions),
            dimensions: spans.dimensions.len().min(256),
            adjusted_count: spans.adjusted_count,
        }
    }

    /// Checks a whole export request and observes it, in one pass.
    pub fn observe(&self, signal: Signal, request: &[u8]) -> Result<Observations, Fault> {
        let mut pass = pass::Pass::new(self, request);
        otlp::visit(signal, request, &mut pass)?;
        Ok(pass.finish())
    }
}
