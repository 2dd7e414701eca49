//! The sidecar's own telemetry: logs and traces through `tracing`, counters beside the derived families. It never enters
//! its own receiver.

pub mod logs;
pub mod own;
pub mod process;

pub use logs::OwnTelemetry;
pub use own::{Counter, OwnMetrics};
