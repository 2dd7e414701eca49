//! Why a request is refused, and what each transport answers: the one table.
//!
//! Invariants: a reason that a retry can cure carries a retry hint, one that it cannot carries none; overload is
//! `UNAVAILABLE`/503, which every OTLP client retries (several never retry `RESOURCE_EXHAUSTED`/429); a request over the
//! size limit is never retried (`RESOURCE_EXHAUSTED` without RetryInfo, 413).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::status::{Code, Status};

/// When a client whose request met an overload may come again. The fold clears the ring in far less.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request is refused. The message is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("the request is larger than {limit_bytes} bytes after decompression")]
    TooLarge { limit_bytes: usize },
    #[error("too many request bytes are in flight")]
    InFlight,
    #[error("reader `{reader}` is {lag} records behind")]
    Behind { reader: Arc<str>, lag: u64 },
    #[error("the request did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("the request ended early: {0}")]
    Aborted(String),
    #[error("shutting down")]
    ShuttingDown,
    #[error("unsupported content type `{found}`, expected {expected}")]
    UnsupportedMediaType { found: String, expected: &'static str },
    #[error("unsupported encoding `{0}`, expected gzip, zstd or identity")]
    UnsupportedEncoding(String),
    #[error("the message is marked as compressed, but no grpc-encoding is given")]
    CompressedWithoutEncoding,
    #[error("a unary call has exactly one message")]
    NotOneMessage,
    #[error("unknown path `{0}`")]
    UnknownPath(String),
    #[error("method {0} is not allowed, expected POST")]
    WrongMethod(String),
    #[error("missing or wrong credentials")]
    Unauthenticated,
    #[error("internal error")]
    Internal,
}

/// What a refusal is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The value of the `reason` label.
    pub reason: &'static str,
    pub http: StatusCode,
    pub grpc: Code,
    pub retry_after: Option<Duration>,
}

/// The longest piece of a request that an answer repeats, in characters.
const SHOWN_CHARS: usize = 100;

impl Refusal {
    pub fn unknown_path(path: &str) -> Self {
        Self::UnknownPath(path.chars().take(SHOWN_CHARS).collect())
    }

    pub fn unsupported_media_type(found: &[u8], expected: &'static str) -> Self {
        let found = String::from_utf8_lossy(found).chars().take(SHOWN_CHARS).collect();
        Self::UnsupportedMediaType { found, expected }
    }

    pub fn answer(&self) -> Answer {
        let (reason, http, grpc, retry_after) = match self {
            Self::Malformed(_) => ("malformed", StatusCode::BAD_REQUEST, Code::InvalidArgument, None),
            Self::TooLarge { .. } => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, None),
            Self::InFlight => ("in_flight", StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, Some(RETRY_AFTER)),
            Self::Behind { .. } => ("behind", StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, Some(RETRY_AFTER)),
            Self::Timeout(_) => ("timeout", StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, Some(RETRY_AFTER)),
            Self::Aborted(_) => ("aborted", StatusCode::BAD_REQUEST, Code::Cancelled, None),
            Self::ShuttingDown => {
                ("shutting_down", StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, Some(RETRY_AFTER))
            }
            Self::UnsupportedMediaType { .. } => {
                ("content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, None)
            }
            Self::UnsupportedEncoding(_) => ("encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented, None),
            Self::CompressedWithoutEncoding => ("encoding", StatusCode::BAD_REQUEST, Code::Internal, None),
            Self::NotOneMessage => ("malformed", StatusCode::BAD_REQUEST, Code::Unimplemented, None),
            Self::UnknownPath(_) => ("unknown_path", StatusCode::NOT_FOUND, Code::Unimplemented, None),
            Self::WrongMethod(_) => ("method", StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, None),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, Code::Unauthenticated, None),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, None),
        };
        Answer { reason, http, grpc, retry_after }
    }

    pub fn status(&self) -> Status {
        let answer = self.answer();
        Status { code: answer.grpc, message: self.to_string(), retry_after: answer.retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guarantees: FACTS' rule in both transports: retryable codes and retry hints go together.
    #[test]
    fn a_hint_stands_exactly_where_a_retry_can_help() {
        let all = [
            Refusal::Malformed(String::new()),
            Refusal::TooLarge { limit_bytes: 1 },
            Refusal::InFlight,
            Refusal::Behind { reader: "fold".into(), lag: 3 },
            Refusal::Timeout(Duration::from_secs(10)),
            Refusal::ShuttingDown,
            Refusal::UnsupportedMediaType { found: String::new(), expected: "" },
            Refusal::UnsupportedEncoding(String::new()),
            Refusal::CompressedWithoutEncoding,
            Refusal::NotOneMessage,
            Refusal::UnknownPath(String::new()),
            Refusal::WrongMethod(String::new()),
            Refusal::Unauthenticated,
            Refusal::Internal,
        ];
        for refusal in all {
            let answer = refusal.answer();
            let retryable = matches!(answer.grpc, Code::Unavailable | Code::DeadlineExceeded);
            assert_eq!(answer.retry_after.is_some(), retryable, "{refusal:?}");
            let retried_http = matches!(answer.http.as_u16(), 408 | 429 | 502 | 503 | 504);
            assert_eq!(answer.retry_after.is_some(), retried_http, "{refusal:?}");
        }
    }

    #[test]
    fn messages_name_the_wrong_value_and_the_expected() {
        let refusal = Refusal::UnsupportedMediaType { found: "text/plain".to_owned(), expected: "application/json" };
        assert_eq!(refusal.to_string(), "unsupported content type `text/plain`, expected application/json");
        let refusal = Refusal::Behind { reader: "fold".into(), lag: 7 };
        assert_eq!(refusal.status().message, "reader `fold` is 7 records behind");
    }
}
