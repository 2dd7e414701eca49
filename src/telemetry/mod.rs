//! The sidecar's own telemetry. It never enters its own receiver.

pub mod own;

pub use own::{Counter, OwnMetrics};
