//! Answers leave here: metric families as Prometheus exposition and as OTLP.
//!
//! Encoders only read [`Family`](crate::series::Family) values; they know no measure and keep no state of their own.
//!
//! - [`prometheus`]: names, the scrape model, the exposition formats and the endpoint.
//! - [`otlp`]: export requests of derived metrics.
//! - [`api`]: the REST listener.
//! - [`health`]: `/healthz` and `/readyz`, on whichever listener carries them.

pub mod api;
pub mod health;
pub mod otlp;
pub mod prometheus;

/// What an endpoint answers.
pub type Answer = http::Response<http_body_util::Full<bytes::Bytes>>;

/// The answer to credentials that are missing or wrong.
pub fn denied(message: &str) -> Answer {
    let mut answer = api::error(http::StatusCode::UNAUTHORIZED, "unauthorized", message);
    let challenge = http::HeaderValue::from_static("Bearer, Basic");
    answer.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
    answer
}
