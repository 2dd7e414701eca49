//! What both protocols have in common in an answer: its bounded body and the messages that may stand in it.

use std::error::Error;
use std::time::Duration;

use http_body::Body;
use http_body_util::{BodyExt as _, Collected, Limited};
use prost::Message as _;

use crate::forward::outcome::Outcome;

/// The longest body of an answer that is read.
const LONGEST_ANSWER_BYTES: usize = 64 << 10;

/// An answer's body with its trailers.
pub async fn collect<B>(body: B) -> Result<Collected<B::Data>, Box<dyn Error + Send + Sync>>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    Limited::new(body, LONGEST_ANSWER_BYTES).collect().await
}

/// An error with what caused it, outermost first.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    // Wrappers often repeat what they wrap.
    texts.dedup_by(|inner, outer| outer.ends_with(inner.as_str()));
    texts.join(": ")
}

/// `Export{Trace,Metrics,Logs}ServiceResponse`, whose fields have the same numbers and types.
#[derive(Clone, PartialEq, prost::Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// A success, with what its message says about rejected items. One that cannot be read says nothing.
pub fn accepted(message: &[u8]) -> Outcome {
    let partial = ExportResponse::decode(message).unwrap_or_default().partial_success.unwrap_or_default();
    Outcome::Accepted {
        rejected: u64::try_from(partial.rejected).unwrap_or(0),
        message: crate::forward::outcome::reason(format_args!("{}", partial.error_message)),
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Delay {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RpcStatus {
    /// The delay of the first `RetryInfo` among the details. One without a delay says "later" all the same.
    pub fn retry_delay(&self) -> Option<Duration> {
        let is_retry_info = |any: &&Any| any.type_url.rsplit('/').next() == Some("google.rpc.RetryInfo");
        let any = self.details.iter().find(is_retry_info)?;
        let delay = RetryInfo::decode(any.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
        let seconds = u64::try_from(delay.seconds).unwrap_or(0);
        let nanos = u32::try_from(delay.nanos).unwrap_or(0).min(999_999_999);
        Some(Duration::new(seconds, nanos))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A `Status` with a `RetryInfo` of this delay, encoded.
    pub fn status_with_delay(seconds: i64, nanos: i32) -> Vec<u8> {
        let info = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) };
        let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: vec![1, 2, 3] };
        let any = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: info.encode_to_vec() };
        RpcStatus { code: 14, message: "busy".into(), details: vec![other, any] }.encode_to_vec()
    }

    #[test]
    fn retry_info_is_found_among_other_details() {
        let delay = |bytes: Vec<u8>| RpcStatus::decode(bytes.as_slice()).unwrap().retry_delay();
        assert_eq!(delay(status_with_delay(7, 5)), Some(Duration::new(7, 5)));
        assert_eq!(delay(status_with_delay(-1, -5)), Some(Duration::ZERO));
        assert_eq!(delay(status_with_delay(1, i32::MAX)), Some(Duration::new(1, 999_999_999)));
        assert_eq!(delay(status_with_delay(i64::MAX, 0)), Some(Duration::from_secs(i64::MAX as u64)));
        assert_eq!(delay(RpcStatus::default().encode_to_vec()), None);
    }

    #[test]
    fn partial_success_is_read_and_never_negative() {
        let answer = |rejected| ExportResponse {
            partial_success: Some(PartialSuccess { rejected, error_message: "too old".into() }),
        };
        let outcome = |rejected| accepted(&answer(rejected).encode_to_vec());
        assert_eq!(outcome(3), Outcome::Accepted { rejected: 3, message: "too old".into() });
        assert_eq!(outcome(-3), Outcome::Accepted { rejected: 0, message: "too old".into() });
        let nothing = Outcome::Accepted { rejected: 0, message: String::new() };
        assert_eq!(accepted(b""), nothing);
        assert_eq!(accepted(b"\xff\xff\xff"), nothing);
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        let body = |bytes: usize| http_body_util::Full::new(bytes::Bytes::from(vec![0; bytes]));
        assert!(collect(body(LONGEST_ANSWER_BYTES)).await.is_ok());
        assert!(collect(body(LONGEST_ANSWER_BYTES + 1)).await.is_err());
    }
}
