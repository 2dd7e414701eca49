//! Placeholder until the JSON edge lands in the next merge.
use super::{Fault, Signal};
use bytes::Bytes;
use prost::Message as _;

pub fn decode_any_line(line: &[u8]) -> Result<(Signal, Bytes), Box<dyn std::error::Error>> {
    let _unused: Option<Fault> = None;
    let text = std::str::from_utf8(line)?;
    if text.starts_with("{\"resourceSpans\"") {
        let request: opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest =
            serde_json::from_slice(line)?;
        return Ok((Signal::Traces, request.encode_to_vec().into()));
    }
    if text.starts_with("{\"resourceLogs\"") {
        let request: opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest =
            serde_json::from_slice(line)?;
        return Ok((Signal::Logs, request.encode_to_vec().into()));
    }
    let request: opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest =
        serde_json::from_slice(line)?;
    Ok((Signal::Metrics, request.encode_to_vec().into()))
}
