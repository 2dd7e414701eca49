//! `google.rpc.Status`, the body of every refusal, in the three forms that OTLP's transports want.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prost::Message as _;

const RETRY_INFO_TYPE: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// A status code of gRPC, by the numbers that go on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A refusal as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: String,
    /// When a retry may succeed.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusMessage {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<AnyMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyMessage {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfoMessage {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<DurationMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DurationMessage {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Status {
    pub fn to_protobuf(&self) -> Vec<u8> {
        let retry_info = self.retry_after.map(|after| {
            let retry_delay = Some(DurationMessage {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos().cast_signed(),
            });
            let value = RetryInfoMessage { retry_delay }.encode_to_vec();
            AnyMessage { type_url: RETRY_INFO_TYPE.to_owned(), value }
        });
        let details = retry_info.into_iter().collect();
        StatusMessage { code: self.code as i32, message: self.message.clone(), details }.encode_to_vec()
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut status = serde_json::json!({"code": self.code as i32, "message": self.message});
        if let (Some(after), Some(fields)) = (self.retry_after, status.as_object_mut()) {
            let delay = format!("{}s", after.as_secs_f64());
            let retry_info = serde_json::json!({"@type": RETRY_INFO_TYPE, "retryDelay": delay});
            fields.insert("details".to_owned(), serde_json::Value::Array(vec![retry_info]));
        }
        status.to_string().into_bytes()
    }

    /// The value of `grpc-message`: printable ASCII stands, everything else and `%` is percent-encoded.
    pub fn grpc_message(&self) -> String {
        let mut encoded = String::with_capacity(self.message.len());
        for byte in self.message.bytes() {
            match byte {
                b'%' | ..=0x1f | 0x7f.. => {
                    let _ = write!(encoded, "%{byte:02X}");
                }
                plain => encoded.push(char::from(plain)),
            }
        }
        encoded
    }

    /// The value of `grpc-status-details-bin`, where there is more to say than code and message.
    pub fn grpc_details(&self) -> Option<String> {
        self.retry_after.map(|_| STANDARD_NO_PAD.encode(self.to_protobuf()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(message: &str, retry_after: Option<Duration>) -> Status {
        Status { code: Code::Unavailable, message: message.to_owned(), retry_after }
    }

    #[test]
    fn protobuf_is_google_rpc_status() {
        let plain = status("busy", None).to_protobuf();
        assert_eq!(plain, [0x08, 14, 0x12, 4, b'b', b'u', b's', b'y']);
        let retry = StatusMessage::decode(&status("", Some(Duration::from_millis(1500))).to_protobuf()[..]).unwrap();
        assert_eq!(retry.details[0].type_url, RETRY_INFO_TYPE);
        assert_eq!(
            retry.details[0].value,
            [0x0a, 8, 0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01],
            "1 s, 500,000,000 ns"
        );
    }

    #[test]
    fn json_carries_the_hint_as_protojson_does() {
        assert_eq!(status("a \"b\"", None).to_json(), br#"{"code":14,"message":"a \"b\""}"#);
        let retry: serde_json::Value =
            serde_json::from_slice(&status("", Some(Duration::from_secs(2))).to_json()).unwrap();
        assert_eq!(retry["details"][0]["retryDelay"], "2s");
    }

    #[test]
    fn grpc_message_is_percent_encoded() {
        assert_eq!(status("100% قياس\n~", None).grpc_message(), "100%25 %D9%82%D9%8A%D8%A7%D8%B3%0A~");
    }
}
