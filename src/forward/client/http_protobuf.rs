//! OTLP/HTTP with protobuf bodies.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Incoming;
use prost::Message as _;

use super::answer::{self, RpcStatus};
use crate::config::Compression;
use crate::forward::outcome::Outcome;
use crate::forward::payload::encoding_name;

const PROTOBUF: &str = "application/x-protobuf";

pub fn set_headers(headers: &mut HeaderMap, compression: Compression) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    if let Some(encoding) = encoding_name(compression) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
}

pub async fn outcome(response: Response<Incoming>) -> Outcome {
    let (head, body) = response.into_parts();
    // The status decides; a body that cannot be read or is too long only leaves its message unknown.
    let body = answer::collect(body).await.map(|body| body.to_bytes()).unwrap_or_default();
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_protobuf = content_type.starts_with(PROTOBUF);
    if head.status.is_success() {
        return answer::accepted(if is_protobuf { &body } else { &[] });
    }
    let status = if is_protobuf { RpcStatus::decode(body.clone()).ok() } else { None };
    let message = match &status {
        Some(status) => status.message.clone(),
        None => readable(content_type, &body),
    };
    let after =
        retry_after(&head.headers, SystemTime::now()).or_else(|| status.and_then(|status| status.retry_delay()));
    Outcome::of_http(head.status, &message, after)
}

/// A body that people can read, for the log.
fn readable(content_type: &str, body: &[u8]) -> String {
    if content_type.starts_with("text/plain") || content_type.starts_with("application/json") {
        String::from_utf8_lossy(body).trim().to_owned()
    } else {
        String::new()
    }
}

/// `Retry-After`: seconds, or an HTTP date, which is a time from `now`; zero where it has passed.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let after = |value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after(" 0 "), Some(Duration::ZERO));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Sunday, 06-Nov-94 08:49:38 GMT"), Some(Duration::from_secs(1)));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("18446744073709551615"), Some(Duration::from_secs(u64::MAX)));
        for garbage in ["", "-1", "soon", "1.5", "18446744073709551616"] {
            assert_eq!(after(garbage), None, "{garbage:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
