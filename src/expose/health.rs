//! `/healthz` and `/readyz`: what an orchestrator asks.
//!
//! - `/healthz` fails only where a restart would help: the fold stands still while records wait.
//! - `/readyz` names every part that is not ready, and why.
//!
//! Whoever owns the listeners, the journal and the fold reports; this module judges and answers. The routes stand on the
//! Prometheus listener and on the API's.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;

/// The fold may stand still for so long while records wait before it counts as dead.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The state of the process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// How long the fold has not moved while records waited for it; zero while it moves or has nothing to do.
    pub fold_stalled: Duration,
    /// Everything that must be ready before traffic may come: listeners, journal, state.
    pub parts: Vec<Part>,
}

/// Something that must be ready.
#[derive(Clone, Debug)]
pub struct Part {
    /// As a person would call it: `otlp/grpc 127.0.0.1:4317`, `journal`.
    pub name: Cow<'static, str>,
    /// Why it is not ready; `None`: it is.
    pub problem: Option<Cow<'static, str>>,
}

impl Part {
    pub fn ready(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), problem: None }
    }

    pub fn not_ready(name: impl Into<Cow<'static, str>>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), problem: Some(problem.into()) }
    }
}

impl Health {
    pub fn is_alive(&self) -> bool {
        self.fold_stalled < STALLED_AFTER
    }

    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.problem.is_none())
    }

    /// The answer to `/healthz`.
    pub fn healthz(&self) -> Response<Full<Bytes>> {
        if self.is_alive() {
            return plain(StatusCode::OK, "ok\n".to_owned());
        }
        let seconds = self.fold_stalled.as_secs();
        plain(StatusCode::SERVICE_UNAVAILABLE, format!("the fold has not moved for {seconds} s while records wait\n"))
    }

    /// The answer to `/readyz`: a line for each part.
    pub fn readyz(&self) -> Response<Full<Bytes>> {
        let (status, first) =
            if self.is_ready() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        let mut body = format!("{first}\n");
        for Part { name, problem } in &self.parts {
            // Writing to a string cannot fail.
            _ = writeln!(body, "{name}: {}", problem.as_deref().unwrap_or("ok"));
        }
        plain(status, body)
    }
}

/// A text answer that no cache keeps.
pub(super) fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn text(response: Response<Full<Bytes>>) -> (u16, String) {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_names_every_part() {
        let mut health = Health { parts: vec![Part::ready("otlp/grpc 127.0.0.1:4317")], ..Health::default() };
        assert_eq!(text(health.readyz()).await, (200, "ready\notlp/grpc 127.0.0.1:4317: ok\n".to_owned()));
        health.parts.push(Part::not_ready("journal", "disk full"));
        let body = "not ready\notlp/grpc 127.0.0.1:4317: ok\njournal: disk full\n";
        assert_eq!(text(health.readyz()).await, (503, body.to_owned()));
    }

    #[tokio::test]
    async fn alive_until_the_fold_stands_still() {
        let stalled = |seconds| Health { fold_stalled: Duration::from_secs(seconds), ..Health::default() };
        assert_eq!(text(stalled(29).healthz()).await, (200, "ok\n".to_owned()));
        let (status, body) = text(stalled(31).healthz()).await;
        assert_eq!(status, 503);
        assert!(body.contains("31 s"), "{body}");
    }
}
