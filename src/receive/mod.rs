//! What comes in: OTLP over gRPC and HTTP, all three signals, and what the host itself says ([`host`]).
//!
//! Invariants:
//! - what a client sends is untrusted: its size is bounded before and after decompression, its time is bounded, and its
//!   bytes are charged to one account while they wait ([`admission`]);
//! - a request is accepted whole, journaled, then acknowledged; or refused whole, under one reason that both transports
//!   answer by one table ([`refusal`]);
//! - this stage knows neither what attributes mean nor what rides beside a record: the check-and-observe function
//!   ([`Observe`]) is handed to it at start-up.
//!
//! [`serve`] holds the listeners and their connections, [`Grpc`] and [`Http`] are the two transports, [`Intake`] the road
//! they share, [`inflate`] the one place that decompresses. [`otlp`] puts them together from the configuration.

pub mod admission;
mod body;
mod cors;
#[cfg(test)]
mod fixture;
mod grpc;
pub mod host;
mod http;
pub mod inflate;
mod intake;
pub mod otlp;
pub mod refusal;
mod reply;
pub mod serve;
mod status;

pub use body::Reply;
pub use cors::Cors;
pub use grpc::Grpc;
pub use http::Http;
pub use intake::{Accepted, Arrived, Format, Intake, IntakeLimits, Observe, Observed, Transport};
pub use otlp::{BoundOtlp, StartError};
