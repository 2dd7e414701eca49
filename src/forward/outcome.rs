//! What one attempt to send came to, whatever the protocol.
//!
//! The two tables of OTLP's specification (opentelemetry-proto, docs/specification.md, "Failures" and "Throttling") stand
//! here and nowhere else: [`Outcome::of_grpc`] and [`Outcome::of_http`].

use std::time::Duration;

use http::StatusCode;
use tonic::Code;

/// The longest wait that a destination may ask for; a longer hint counts as this.
const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);

/// The longest reason kept, in characters: it goes to the log.
const REASON_CHARS: usize = 300;

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination took the request, but for `rejected` of its items. These must not be sent again.
    Accepted {
        rejected: u64,
        /// What the destination says about the rejected items, or a warning; often empty.
        message: String,
    },
    /// The same request may succeed later, not before `after` where the destination names a time.
    Retry { after: Option<Duration>, reason: String },
    /// The same request will fail again.
    Permanent { blame: Blame, reason: String },
}

/// What a permanent refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Something in the request: another record may pass.
    Records,
    /// Who sends it or where to: any record fails the same way.
    Sender,
}

impl Outcome {
    /// By gRPC status. `after` is the delay of the answer's `RetryInfo`, if it carried one.
    pub fn of_grpc(code: Code, message: &str, after: Option<Duration>) -> Self {
        let reason = || reason(format_args!("grpc status {code:?}: {message}"));
        match code {
            Code::Ok => Self::Accepted { rejected: 0, message: String::new() },
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Self::Retry { after: after.map(capped), reason: reason() },
            // Only with a hint does it say "later"; without one it says "too large".
            Code::ResourceExhausted if after.is_some() => Self::Retry { after: after.map(capped), reason: reason() },
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
                Self::Permanent { blame: Blame::Sender, reason: reason() }
            }
            Code::ResourceExhausted
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::AlreadyExists
            | Code::Internal
            | Code::Unknown => Self::Permanent { blame: Blame::Records, reason: reason() },
        }
    }

    /// By HTTP status. `after` is the answer's `Retry-After`, if it carried one. Redirects are not followed: a body with
    /// credentials goes where the configuration says and nowhere else.
    pub fn of_http(status: StatusCode, message: &str, after: Option<Duration>) -> Self {
        let reason = || reason(format_args!("http status {}: {message}", status.as_u16()));
        match status.as_u16() {
            200..=299 => Self::Accepted { rejected: 0, message: String::new() },
            429 | 502 | 503 | 504 => Self::Retry { after: after.map(capped), reason: reason() },
            300..=399 | 401 | 402 | 403 | 404 | 405 | 406 | 407 | 410 | 415 | 421 => {
                Self::Permanent { blame: Blame::Sender, reason: reason() }
            }
            _ => Self::Permanent { blame: Blame::Records, reason: reason() },
        }
    }

    /// The connection failed, or no answer came in time.
    pub fn unreachable(why: impl std::fmt::Display) -> Self {
        Self::Retry { after: None, reason: reason(format_args!("{why}")) }
    }
}

fn capped(hint: Duration) -> Duration {
    hint.min(LONGEST_HINT)
}

/// Text from outside, cut to what a log line can carry.
pub fn reason(text: std::fmt::Arguments<'_>) -> String {
    let full = text.to_string();
    let mut cut: String = full.chars().take(REASON_CHARS).collect();
    if cut.len() < full.len() {
        cut.push('…');
    }
    cut.truncate(cut.trim_end_matches([' ', ':']).len());
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINT: Option<Duration> = Some(Duration::from_secs(7));

    fn class(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Retry { .. } => "retry",
            Outcome::Permanent { blame: Blame::Records, .. } => "records",
            Outcome::Permanent { blame: Blame::Sender, .. } => "sender",
        }
    }

    #[test]
    fn every_grpc_code() {
        let expected = [
            (Code::Ok, "accepted", "accepted"),
            (Code::Cancelled, "retry", "retry"),
            (Code::Unknown, "records", "records"),
            (Code::InvalidArgument, "records", "records"),
            (Code::DeadlineExceeded, "retry", "retry"),
            (Code::NotFound, "records", "records"),
            (Code::AlreadyExists, "records", "records"),
            (Code::PermissionDenied, "sender", "sender"),
            (Code::ResourceExhausted, "records", "retry"),
            (Code::FailedPrecondition, "records", "records"),
            (Code::Aborted, "retry", "retry"),
            (Code::OutOfRange, "retry", "retry"),
            (Code::Unimplemented, "sender", "sender"),
            (Code::Internal, "records", "records"),
            (Code::Unavailable, "retry", "retry"),
            (Code::DataLoss, "retry", "retry"),
            (Code::Unauthenticated, "sender", "sender"),
        ];
        for (number, (code, without_hint, with_hint)) in expected.into_iter().enumerate() {
            assert_eq!(Code::from_i32(number as i32), code, "the list leaves no code out");
            assert_eq!(class(&Outcome::of_grpc(code, "", None)), without_hint, "{code:?}");
            let hinted = Outcome::of_grpc(code, "", HINT);
            assert_eq!(class(&hinted), with_hint, "{code:?} with RetryInfo");
            if let Outcome::Retry { after, .. } = hinted {
                assert_eq!(after, HINT);
            }
        }
    }

    #[test]
    fn every_http_status() {
        for number in 200..600_u16 {
            let expected = match number {
                200..=299 => "accepted",
                429 | 502 | 503 | 504 => "retry",
                300..=399 | 401..=407 | 410 | 415 | 421 => "sender",
                _ => "records",
            };
            let status = StatusCode::from_u16(number).unwrap();
            assert_eq!(class(&Outcome::of_http(status, "", HINT)), expected, "{number}");
        }
        let busy = Outcome::of_http(StatusCode::TOO_MANY_REQUESTS, "slow down", HINT);
        assert_eq!(busy, Outcome::Retry { after: HINT, reason: "http status 429: slow down".into() });
    }

    #[test]
    fn hints_and_reasons_are_bounded() {
        let forever = Outcome::of_grpc(Code::Unavailable, &"x".repeat(10_000), Some(Duration::MAX));
        let Outcome::Retry { after: Some(after), reason } = forever else { panic!("{forever:?}") };
        assert_eq!(after, Duration::from_secs(86_400));
        assert_eq!(reason.chars().count(), REASON_CHARS + 1);
        assert_eq!(reason.chars().last(), Some('…'));
    }
}
