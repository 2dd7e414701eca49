//! The receiving stage: what comes in from outside, before it is measured.
pub mod host;
