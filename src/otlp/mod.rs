//! OTLP as bytes: read in place, checked once, spliced where something is added.
//!
//! No I/O and no policy: this stage knows the protocol and nothing of what its attributes mean.
//!
//! - [`wire`]: the protobuf cursor;
//! - [`mod@visit`]: the validity pass, which shows the items it checks to a visitor;
//! - [`view`]: every field of a checked message, read lazily;
//! - [`splice`](mod@splice): attributes added to, and cut out of, a checked request;
//! - [`split`](mod@split): requests split by item and put together;
//! - [`json`]: OTLP/JSON at the edge.

#[cfg(test)]
mod arbitrary;
pub mod json;
mod schema;
pub mod splice;
pub mod split;
pub mod view;
pub mod visit;
pub mod wire;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

pub use wire::{Fault, Range32};

/// The three signals of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }
}

/// Checks a whole export request and shows its items to `visitor`.
pub fn visit<'a>(signal: Signal, request: &'a [u8], visitor: &mut impl visit::Visitor<'a>) -> Result<(), Fault> {
    match signal {
        Signal::Traces => visit::traces(request, visitor),
        Signal::Metrics => visit::metrics(request, visitor),
        Signal::Logs => visit::logs(request, visitor),
    }
}

/// Rewrites a request that is legal but needs merging ([`Fault::Split`]) into the form every encoder writes. Fields
/// unknown to opentelemetry-proto are lost on this path alone. `None`: not a valid message.
pub fn canonical(signal: Signal, request: &[u8]) -> Option<Bytes> {
    let encoded = match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(request).ok()?.encode_to_vec(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(request).ok()?.encode_to_vec(),
        Signal::Logs => ExportLogsServiceRequest::decode(request).ok()?.encode_to_vec(),
    };
    Some(encoded.into())
}
