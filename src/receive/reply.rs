//! The success message, which has the same shape on the wire for all signals.
//!
//! `Export{Trace,Metrics,Logs}ServiceResponse` holds `partial_success` (1), and that `rejected_…` (1) and
//! `error_message` (2). Requests are taken whole, so nothing is ever rejected: without a warning the message is empty.

use prost::Message as _;

#[derive(Clone, PartialEq, prost::Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(string, tag = "2")]
    error_message: String,
}

pub(super) fn protobuf(warning: Option<&str>) -> Vec<u8> {
    let partial_success = warning.map(|warning| PartialSuccess { error_message: warning.to_owned() });
    ExportResponse { partial_success }.encode_to_vec()
}

pub(super) fn json(warning: Option<&str>) -> Vec<u8> {
    let response = match warning {
        Some(warning) => serde_json::json!({"partialSuccess": {"errorMessage": warning}}),
        None => serde_json::json!({}),
    };
    response.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::{
        logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
        trace::v1::ExportTraceServiceResponse,
    };

    #[test]
    fn reads_as_every_signal_s_response() {
        let warned = protobuf(Some("clock is off"));
        let traces = ExportTraceServiceResponse::decode(&warned[..]).unwrap().partial_success.unwrap();
        assert_eq!((traces.rejected_spans, traces.error_message.as_str()), (0, "clock is off"));
        let metrics = ExportMetricsServiceResponse::decode(&warned[..]).unwrap().partial_success.unwrap();
        assert_eq!((metrics.rejected_data_points, metrics.error_message.as_str()), (0, "clock is off"));
        let logs = ExportLogsServiceResponse::decode(&warned[..]).unwrap().partial_success.unwrap();
        assert_eq!((logs.rejected_log_records, logs.error_message.as_str()), (0, "clock is off"));
        assert_eq!(protobuf(None), [0_u8; 0]);
        assert_eq!(json(None), b"{}");
        assert_eq!(json(Some("x")), br#"{"partialSuccess":{"errorMessage":"x"}}"#);
    }
}
