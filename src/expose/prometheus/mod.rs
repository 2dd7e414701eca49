//! The Prometheus endpoint: families in, exposition out.
//!
//! A scrape passes through these in order, and nothing comes back:
//!
//! 1. [`negotiate`]: the format and the escaping of names that the client asked for.
//! 2. [`assemble`]: families under their exposed names ([`naming`], [`escaping`]), series under their labels
//!    ([`labels`]), whatever would break the scrape left out and counted.
//! 3. [`text`]: the text formats, their numbers by [`number`]; or [`protobuf`], with [`native`] histograms.
//!
//! [`server`] is the endpoint around them.

pub mod assemble;
pub mod escaping;
pub mod exemplars;
pub mod labels;
pub mod naming;
pub mod native;
pub mod negotiate;
pub mod number;
pub mod protobuf;
pub mod server;
pub mod text;
mod wire;

pub use server::Endpoint;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod strict;
