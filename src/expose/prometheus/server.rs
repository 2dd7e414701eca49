//! The endpoint that Prometheus scrapes, as a function from request to response; the listener is its caller's.
//!
//! - Every request is answered, and no answer depends on another one: scrapes may come at the same time, from any number
//!   of scrapers. At most [`CONCURRENT_SCRAPES`] are built at a time and the others wait, so that their memory is bounded.
//! - What a scrape leaves out is counted (`qiyas.expose.left_out`) and each family left out whole is named in the log
//!   once.
//! - Only `GET` and `HEAD`; bodies are never read.
//!
//! Whatever depends on *who* scrapes has its seat in [`Endpoint::scrape`], between the families and their assembly: the
//! request is at hand there with its headers and extensions.

use std::collections::HashSet;
use std::future::Future;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use tokio::sync::Semaphore;

use crate::config;
use crate::expose::health::{Health, plain};
use crate::series::Family;
use crate::telemetry::own::OwnMetrics;

use super::assemble::{LeftOut, assemble};
use super::labels::Form;
use super::naming::Namer;
use super::negotiate::{self, Choice, Format};
use super::protobuf;
use super::text::{self, Dialect};

/// Scrapes that are built at the same time.
pub const CONCURRENT_SCRAPES: usize = 2;

/// Names of left-out families remembered, so that each is logged once.
const NAMED_FAMILIES: usize = 256;

/// Below this an answer is sent as it is: compressing it gains less than a packet.
const GZIP_FROM_BYTES: usize = 1024;

/// The Prometheus listener's service.
pub struct Endpoint<F, H> {
    path: String,
    strategy: config::TranslationStrategy,
    created_lines: bool,
    families: F,
    health: H,
    own: Arc<OwnMetrics>,
    slots: Arc<Semaphore>,
    named: Mutex<HashSet<String>>,
}

impl<F, Fut, H> Endpoint<F, H>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Vec<Family>>,
    H: Fn() -> Health,
{
    /// `families` gives what is to be shown now; of two families that want one exposed name, its earlier one is shown.
    pub fn new(config: &config::Prometheus, own: Arc<OwnMetrics>, families: F, health: H) -> Self {
        Self {
            path: config.path.clone(),
            strategy: config.translation_strategy,
            created_lines: config.created_lines,
            families,
            health,
            own,
            slots: Arc::new(Semaphore::new(CONCURRENT_SCRAPES)),
            named: Mutex::new(HashSet::new()),
        }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let known = path == self.path || matches!(path, "/" | "/healthz" | "/readyz");
        if !known {
            return plain(StatusCode::NOT_FOUND, format!("no such page; metrics are at {}\n", self.path));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let response = match path {
            path if path == self.path => self.scrape(request).await,
            "/healthz" => (self.health)().healthz(),
            "/readyz" => (self.health)().readyz(),
            _ => self.index(),
        };
        if *request.method() == Method::HEAD { without_body(response) } else { response }
    }

    async fn scrape<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        // The semaphore is never closed.
        let Ok(slot) = self.slots.clone().acquire_owned().await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".to_owned());
        };
        let choice = negotiate::choose(request.headers());
        let gzip = negotiate::accepts_gzip(request.headers());
        let families = (self.families)().await;
        let namer = Namer { strategy: self.strategy, escaping: choice.escaping };
        let dialect = match choice.format {
            Format::Text004 | Format::Text100 => Some(Dialect::Prometheus),
            Format::OpenMetrics001 | Format::OpenMetrics100 => {
                Some(Dialect::OpenMetrics { created: self.created_lines })
            }
            Format::Protobuf => None,
        };
        // The slot goes along: building continues when the client leaves.
        let build = move || {
            let _slot = slot;
            build(&families, namer, dialect, gzip)
        };
        let built = tokio::task::spawn_blocking(build).await;
        let Ok(Built { body, compressed, left_out }) = built else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "the exposition could not be built\n".to_owned());
        };
        self.count(left_out);
        exposition(body, choice, compressed)
    }

    fn count(&self, left_out: LeftOut) {
        for (reason, series) in left_out.by_reason() {
            if series > 0 {
                self.own.expose_left_out.add(&[reason], series);
            }
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for family in left_out.families {
            if named.len() < NAMED_FAMILIES && !named.contains(&family) {
                tracing::warn!(
                    metric = family,
                    "left out of scrapes: its Prometheus name is empty or belongs to another metric"
                );
                named.insert(family);
            }
        }
    }

    fn index(&self) -> Response<Full<Bytes>> {
        let path = self.path.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let page = format!(
            "<!DOCTYPE html>\n<title>Qiyas</title>\n<h1>Qiyas {}</h1>\n\
             <p><a href=\"{path}\">{path}</a>: metrics\n\
             <p><a href=\"/readyz\">/readyz</a>: is everything ready\n\
             <p><a href=\"/healthz\">/healthz</a>: is the process alive\n",
            env!("CARGO_PKG_VERSION"),
        );
        let mut response = plain(StatusCode::OK, page);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }
}

struct Built {
    body: Vec<u8>,
    compressed: bool,
    left_out: LeftOut,
}

/// A text format, or protobuf where none is given.
fn build(families: &[Family], namer: Namer, dialect: Option<Dialect>, gzip: bool) -> Built {
    let scrape = assemble(families, namer, if dialect.is_some() { Form::Text } else { Form::Protobuf });
    let body = match dialect {
        Some(dialect) => text::encode(&scrape, dialect),
        None => protobuf::encode(&scrape),
    };
    let left_out = scrape.left_out;
    if gzip
        && body.len() >= GZIP_FROM_BYTES
        && let Some(compressed) = gzipped(&body)
    {
        return Built { body: compressed, compressed: true, left_out };
    }
    Built { body, compressed: false, left_out }
}

/// Expositions repeat themselves so much that the fastest level already takes most of it away.
fn gzipped(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn exposition(body: Vec<u8>, choice: Choice, compressed: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::try_from(choice.content_type()) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same head, with the length that `GET` would have had.
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Full::default())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
