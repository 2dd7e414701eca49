//! OTLP/gRPC: a unary call with ready bytes.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use prost::Message as _;
use tonic::Code;

use super::answer::{self, RpcStatus};
use crate::config::Compression;
use crate::forward::outcome::{Blame, Outcome, reason};
use crate::forward::payload::{Payload, encoding_name};

/// Peers may or may not pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The largest value and the unit of `grpc-timeout` (eight digits at most).
const LONGEST_TIMEOUT_MS: u128 = 99_999_999;

pub fn set_headers(headers: &mut HeaderMap, compression: Compression, timeout: Duration) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
    if let Some(encoding) = encoding_name(compression) {
        headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
    }
    let timeout_ms = timeout.as_millis().clamp(1, LONGEST_TIMEOUT_MS);
    if let Ok(value) = HeaderValue::try_from(format!("{timeout_ms}m")) {
        headers.insert("grpc-timeout", value);
    }
}

/// The message's prefix: whether it is compressed, and its length.
pub fn prefix(payload: &Payload) -> Bytes {
    let mut prefix = BytesMut::with_capacity(5);
    prefix.put_u8(u8::from(payload.compression != Compression::None));
    // Batches end near 3 MiB; a single item beyond 4 GiB cannot have been received.
    prefix.put_u32(u32::try_from(payload.body.len()).unwrap_or(u32::MAX));
    prefix.freeze()
}

pub async fn outcome(response: Response<Incoming>) -> Outcome {
    let (head, body) = response.into_parts();
    if let Some(status) = status(&head.headers) {
        return status;
    }
    if head.status != StatusCode::OK {
        return Outcome::of_grpc(code_of_http(head.status), &format!("http status {}", head.status.as_u16()), None);
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !content_type.starts_with(b"application/grpc") {
        let found = String::from_utf8_lossy(content_type);
        let reason = reason(format_args!("the answer is not gRPC but has content type `{found}`"));
        return Outcome::Permanent { blame: Blame::Sender, reason };
    }
    let answer = match answer::collect(body).await {
        Ok(answer) => answer,
        Err(error) => return Outcome::unreachable(answer::causes(error.as_ref())),
    };
    match answer.trailers().and_then(status) {
        Some(Outcome::Accepted { .. }) => answer::accepted(message(&answer.to_bytes())),
        Some(other) => other,
        None => Outcome::unreachable("the answer ended without a grpc status"),
    }
}

/// What the status headers say; they stand in the trailers, or in the head of an answer without a body.
fn status(headers: &HeaderMap) -> Option<Outcome> {
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    let message = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
    let message = percent_encoding::percent_decode(message).decode_utf8_lossy();
    let details = headers.get("grpc-status-details-bin");
    let details = details.and_then(|value| BASE64.decode(value.as_bytes()).ok());
    let details = details.and_then(|bytes| RpcStatus::decode(bytes.as_slice()).ok()).unwrap_or_default();
    Some(Outcome::of_grpc(code, &message, details.retry_delay()))
}

/// gRPC's own table for answers that come from something in between (grpc/doc/http-grpc-status-mapping.md).
fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The first message of a body; empty where there is none. We accept no compression.
fn message(body: &[u8]) -> &[u8] {
    match body {
        [0, a, b, c, d, rest @ ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            usize::try_from(length).ok().and_then(|length| rest.get(..length)).unwrap_or_default()
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::status_with_delay;
    use super::*;

    fn headers(code: &str, details: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", code.parse().unwrap());
        headers.insert("grpc-message", "too%20many%3A".parse().unwrap());
        headers.insert("grpc-status-details-bin", details.parse().unwrap());
        headers
    }

    #[test]
    fn details_are_read_padded_or_not_and_garbage_is_ignored() {
        let encoded = base64::engine::general_purpose::STANDARD.encode(status_with_delay(7, 0));
        for details in [encoded.as_str(), encoded.trim_end_matches('=')] {
            let expected = Outcome::Retry {
                after: Some(Duration::from_secs(7)),
                reason: "grpc status ResourceExhausted: too many".into(),
            };
            assert_eq!(status(&headers("8", details)), Some(expected));
        }
        for garbage in ["not base64 !", "AAAA", "////"] {
            assert!(matches!(status(&headers("8", garbage)), Some(Outcome::Permanent { .. })));
            assert!(matches!(status(&headers("14", garbage)), Some(Outcome::Retry { after: None, .. })));
        }
        assert_eq!(status(&HeaderMap::new()), None);
        assert!(matches!(status(&headers("99", "")), Some(Outcome::Permanent { blame: Blame::Records, .. })));
    }

    #[test]
    fn the_first_message_is_cut_out() {
        assert_eq!(message(b"\0\0\0\0\x02ab"), b"ab");
        assert_eq!(message(b"\0\0\0\0\x02abcd"), b"ab");
        for nothing in [&b""[..], b"\0\0\0", b"\0\0\0\0\x03ab", b"\x01\0\0\0\x02ab", b"\0\xff\xff\xff\xff"] {
            assert_eq!(message(nothing), b"");
        }
    }

    #[test]
    fn timeouts_fit_eight_digits() {
        let timeout = |timeout| {
            let mut headers = HeaderMap::new();
            set_headers(&mut headers, Compression::None, timeout);
            headers["grpc-timeout"].to_str().unwrap().to_owned()
        };
        assert_eq!(timeout(Duration::from_secs(10)), "10000m");
        assert_eq!(timeout(Duration::ZERO), "1m");
        assert_eq!(timeout(Duration::MAX), "99999999m");
    }
}
