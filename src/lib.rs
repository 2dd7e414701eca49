//! Qiyas: OpenTelemetry in, answers out.
//!
//! The modules are the stages of the road that data takes; `ARCHITECTURE.md` draws it and says what may depend on what.
#![forbid(unsafe_code)]
// Module docs are read beside the source, where a link into a private module leads somewhere.
#![allow(rustdoc::private_intra_doc_links)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented
    )
)]

pub mod cli;
pub mod config;
pub mod exporter;
pub mod expose;
pub mod forward;
pub mod journal;
pub mod measure;
pub mod observe;
pub mod otlp;
pub mod receive;
pub mod series;
pub mod sidecar;
pub mod telemetry;
pub mod units;
