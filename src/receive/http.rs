//! OTLP over HTTP/1.1 and HTTP/2: protobuf and JSON on one port, told apart by `Content-Type`.
//!
//! Invariants: success is 200 with the response message in the request's content type; every 4xx and 5xx body is a
//! `google.rpc.Status` in the request's content type (JSON where that is neither of the two); an HTTP/1.1 client that is
//! refused while still sending gets to read the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header, request};
use http_body::Body;

use super::body::{self, Reply};
use super::cors::Cors;
use super::inflate::Encoding;
use super::intake::{Arrived, Format, Intake, Transport};
use super::refusal::Refusal;
use super::reply;
use super::serve::Auth;
use crate::otlp::Signal;

/// The HTTP service; clones share it.
pub struct Http<R> {
    intake: Intake<R>,
    auth: Option<Arc<Auth>>,
    cors: Arc<Cors>,
}

impl<R> Clone for Http<R> {
    fn clone(&self) -> Self {
        Self { intake: self.intake.clone(), auth: self.auth.clone(), cors: Arc::clone(&self.cors) }
    }
}

impl Format {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let essence = value.split(|byte| *byte == b';').next()?.trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/x-protobuf") {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(b"application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    fn content_type(self) -> HeaderValue {
        match self {
            Self::Protobuf => HeaderValue::from_static("application/x-protobuf"),
            Self::Json => HeaderValue::from_static("application/json"),
        }
    }
}

fn signal_of(path: &str) -> Option<Signal> {
    match path {
        "/v1/traces" => Some(Signal::Traces),
        "/v1/metrics" => Some(Signal::Metrics),
        "/v1/logs" => Some(Signal::Logs),
        _ => None,
    }
}

impl<R: Send + Sync + 'static> Http<R> {
    pub fn new(intake: Intake<R>, auth: Option<Arc<Auth>>, cors: Cors) -> Self {
        Self { intake, auth, cors: Arc::new(cors) }
    }

    /// Answers one request.
    pub async fn call<B>(&self, request: Request<B>) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::fmt::Display,
    {
        if signal_of(request.uri().path()).is_some()
            && let Some(answer) = self.cors.preflight(&request)
        {
            return answer;
        }
        let (head, mut body) = request.into_parts();
        let signal = signal_of(head.uri.path());
        let format = Format::of(&head.headers);
        let origin = head.headers.get(header::ORIGIN).cloned();
        let version = head.version;
        let mut response = match self.answer(head, &mut body).await {
            Ok((format, message)) => with_type(Response::new(Reply::data(message)), format),
            Err(refusal) => {
                self.intake.refused(Transport::Http, signal, &refusal);
                let mut response = refused(&refusal, format.unwrap_or(Format::Json), self.cors.is_on());
                if version < Version::HTTP_2 && !body.is_end_stream() {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    tokio::spawn(body::discard(body));
                }
                response
            }
        };
        self.cors.decorate(origin.as_ref(), response.headers_mut());
        response
    }

    async fn answer<B>(&self, head: request::Parts, body: &mut B) -> Result<(Format, Vec<u8>), Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let signal = signal_of(head.uri.path()).ok_or_else(|| Refusal::unknown_path(head.uri.path()))?;
        if head.method != Method::POST {
            return Err(Refusal::WrongMethod(head.method.to_string()));
        }
        if let Some(auth) = &self.auth {
            auth.check(&head.headers).await.map_err(|_| Refusal::Unauthenticated)?;
        }
        let content_type = || head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let format = Format::of(&head.headers).ok_or_else(|| {
            Refusal::unsupported_media_type(content_type(), "application/x-protobuf or application/json")
        })?;
        let encoding = head.headers.get(header::CONTENT_ENCODING);
        let encoding = Encoding::from_header(encoding).map_err(Refusal::UnsupportedEncoding)?;
        let limit_bytes = self.intake.limits().max_request_bytes;
        // Announced: enough to refuse, and before the client has sent it all; nothing is charged or allocated by it.
        if body.size_hint().lower() > limit_bytes as u64 {
            return Err(Refusal::TooLarge { limit_bytes });
        }
        // While the body arrives the head, which no charge covers, is not kept.
        drop(head);
        let mut charge = self.intake.admission().open();
        let arriving = body::collect(body, limit_bytes, &mut charge, |_| Ok(()));
        let body = self.intake.within_time(None, arriving).await?;
        let accepted = self.intake.take(Transport::Http, Arrived { signal, format, encoding, body, charge }).await?;
        let message = match format {
            Format::Protobuf => reply::protobuf(accepted.warning.as_deref()),
            Format::Json => reply::json(accepted.warning.as_deref()),
        };
        Ok((format, message))
    }
}

fn with_type(mut response: Response<Reply>, format: Format) -> Response<Reply> {
    response.headers_mut().insert(header::CONTENT_TYPE, format.content_type());
    response
}

fn refused(refusal: &Refusal, format: Format, cors_is_on: bool) -> Response<Reply> {
    let answer = refusal.answer();
    let status = match format {
        Format::Protobuf => refusal.status().to_protobuf(),
        Format::Json => refusal.status().to_json(),
    };
    let mut response = with_type(Response::new(Reply::data(status)), format);
    *response.status_mut() = answer.http;
    let headers = response.headers_mut();
    if let Some(after) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    match refusal {
        Refusal::WrongMethod(_) => {
            let allowed = if cors_is_on { "POST, OPTIONS" } else { "POST" };
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        Refusal::UnsupportedEncoding(_) => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(Encoding::ACCEPTED));
        }
        Refusal::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"otlp\""));
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests;
