//! The REST listener: health, and the answers that exist so far.
//!
//! Every answer is `{"status":"success","data":…}` or `{"status":"error","error":{"code":…,"message":…}}`.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::health::Health;
use crate::measure::Asker;

const MODELS: &str = "/api/v1/metrics/ai/models";

/// Answers one request.
pub async fn answer<B>(request: &Request<B>, health: &Health, asker: &Asker) -> super::Answer {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "only GET and HEAD");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/healthz" => health.healthz(),
        "/readyz" => health.readyz(),
        MODELS => match asker.ask(|state| state.models()).await {
            Ok(models) => success(&models),
            Err(unanswered) => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &unanswered.to_string()),
        },
        _ => error(StatusCode::NOT_FOUND, "not_found", "no such route"),
    }
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Envelope<T, P> {
    Success { data: T },
    Error { error: P },
}

#[derive(Serialize)]
struct Problem<'a> {
    code: &'a str,
    message: &'a str,
}

fn success(data: &impl Serialize) -> super::Answer {
    json(StatusCode::OK, &Envelope::<_, ()>::Success { data })
}

pub(super) fn error(status: StatusCode, code: &str, message: &str) -> super::Answer {
    json(status, &Envelope::<(), _>::Error { error: Problem { code, message } })
}

fn json(status: StatusCode, body: &impl Serialize) -> super::Answer {
    // Our own answers hold no map with keys that are not strings, the one thing that cannot be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
