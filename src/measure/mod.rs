//! The measures: folds from observations to state.
//!
//! - [`state`]: all of it, and what one record does;
//! - [`fold`]: the thread that owns it;
//! - [`spans`], [`ai`], [`received`]: the measures; [`identities`]: whose telemetry it is; [`time`]: when it happened.
//!
//! Every measure keeps what merges associatively and commutatively ([`crate::series::Merge`]) and what serializes.

pub mod ai;
pub mod fold;
pub mod identities;
pub mod received;
pub mod spans;
pub mod state;
pub mod time;

pub use fold::{Asker, Fold, Unanswered};
pub use state::{Mode, State};

#[cfg(test)]
mod tests;
