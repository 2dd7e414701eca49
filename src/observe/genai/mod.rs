//! AI calls, from whichever instrumentation saw them.
//!
//! One span's attributes fill [`Slots`], the best spelling of each field winning; [`Slots::call`] then decides what the
//! span is and reads its numbers. Nothing here knows about other spans: which of two reports of one call counts is
//! decided in the fold.

mod call;
pub mod model;
mod operation;
pub mod price;
mod provider;

pub(super) use call::Slots;
