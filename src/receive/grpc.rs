//! OTLP over gRPC: unary calls, framed here, directly on HTTP/2.
//!
//! Invariants: every answer is a gRPC answer (status in the trailers, or in the headers where there is no message),
//! save those that the protocol gives to HTTP: 405, and 415 for a content type that is not gRPC's. A message is never
//! decoded into structs. The length prefix is believed only to refuse, never to allocate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;

use super::body::{self, Reply};
use super::inflate::Encoding;
use super::intake::{Arrived, Format, Intake, Transport};
use super::refusal::Refusal;
use super::reply;
use super::serve::Auth;
use super::status::{Code, Status};
use crate::otlp::Signal;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static(Encoding::ACCEPTED);

/// One byte says whether the message is compressed, four how long it is.
const PREFIX_BYTES: usize = 5;

/// `HealthCheckResponse { status: SERVING }`.
const SERVING: &[u8] = &[0x08, 0x01];

/// The gRPC service; clones share it.
pub struct Grpc<R> {
    intake: Intake<R>,
    auth: Option<Arc<Auth>>,
}

impl<R> Clone for Grpc<R> {
    fn clone(&self) -> Self {
        Self { intake: self.intake.clone(), auth: self.auth.clone() }
    }
}

/// The methods that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Export(Signal),
    Health,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Self::Export(Signal::Traces)),
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Self::Export(Signal::Metrics)),
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Self::Export(Signal::Logs)),
            "/grpc.health.v1.Health/Check" => Some(Self::Health),
            _ => None,
        }
    }

    fn signal(self) -> Option<Signal> {
        match self {
            Self::Export(signal) => Some(signal),
            Self::Health => None,
        }
    }
}

impl<R: Send + Sync + 'static> Grpc<R> {
    pub fn new(intake: Intake<R>, auth: Option<Arc<Auth>>) -> Self {
        Self { intake, auth }
    }

    /// Answers one call.
    pub async fn call<B>(&self, request: Request<B>) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let route = Route::of(request.uri().path());
        match self.answer(route, request).await {
            Ok(message) => success(&message),
            Err(refusal) => {
                self.intake.refused(Transport::Grpc, route.and_then(Route::signal), &refusal);
                refused(&refusal)
            }
        }
    }

    async fn answer<B>(&self, route: Option<Route>, request: Request<B>) -> Result<Vec<u8>, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let (head, mut body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Refusal::WrongMethod(head.method.to_string()));
        }
        check_content_type(&head.headers)?;
        let route = route.ok_or_else(|| Refusal::unknown_path(head.uri.path()))?;
        if let (Route::Export(_), Some(auth)) = (route, &self.auth) {
            auth.check(&head.headers).await.map_err(|_| Refusal::Unauthenticated)?;
        }
        let encoding = head.headers.get(GRPC_ENCODING);
        let declared = Encoding::from_header(encoding).map_err(Refusal::UnsupportedEncoding)?;
        let client_time = head.headers.get(GRPC_TIMEOUT).map(parse_timeout).transpose()?;

        // While the body arrives the head, which no charge covers, is not kept.
        drop(head);
        let mut charge = self.intake.admission().open();
        let limit_bytes = self.intake.limits().max_request_bytes;
        let framed_limit_bytes = limit_bytes.saturating_add(PREFIX_BYTES);
        let too_long = |prefix: &[u8]| match split_prefix(prefix) {
            Some((_, message_bytes, _)) if message_bytes > limit_bytes => Err(Refusal::TooLarge { limit_bytes }),
            _ => Ok(()),
        };
        let arriving = body::collect(&mut body, framed_limit_bytes, &mut charge, too_long);
        let framed = self.intake.within_time(client_time, arriving).await.map_err(|refusal| match refusal {
            Refusal::TooLarge { .. } => Refusal::TooLarge { limit_bytes },
            other => other,
        })?;
        let (compressed, message) = unframe(framed)?;
        let encoding = match (compressed, declared) {
            (false, _) => Encoding::Identity,
            (true, Encoding::Identity) => return Err(Refusal::CompressedWithoutEncoding),
            (true, encoding) => encoding,
        };
        match route {
            Route::Health => Ok(SERVING.to_vec()),
            Route::Export(signal) => {
                let arrived = Arrived { signal, format: Format::Protobuf, encoding, body: message, charge };
                let accepted = self.intake.take(Transport::Grpc, arrived).await?;
                Ok(reply::protobuf(accepted.warning.as_deref()))
            }
        }
    }
}

/// `application/grpc`, with `+proto` or parameters; not `application/grpc-web`, which is another protocol.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let found = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = found.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/grpc") || essence.eq_ignore_ascii_case(b"application/grpc+proto") {
        return Ok(());
    }
    Err(Refusal::unsupported_media_type(found, "application/grpc"))
}

/// The first frame's flag and length, and what follows them.
fn split_prefix(framed: &[u8]) -> Option<(u8, usize, &[u8])> {
    let ([flag, length @ ..], message) = framed.split_first_chunk::<PREFIX_BYTES>()?;
    Some((*flag, u32::from_be_bytes(*length) as usize, message))
}

/// Takes the one message out of its frame; says whether it is compressed.
fn unframe(framed: Bytes) -> Result<(bool, Bytes), Refusal> {
    let Some((flag, message_bytes, rest)) = split_prefix(&framed) else {
        return Err(if framed.is_empty() { Refusal::NotOneMessage } else { ends_inside_a_frame() });
    };
    if flag > 1 {
        return Err(Refusal::Malformed(format!("frame flag {flag}, expected 0 or 1")));
    }
    if rest.len() < message_bytes {
        return Err(ends_inside_a_frame());
    }
    if rest.len() > message_bytes {
        return Err(Refusal::NotOneMessage);
    }
    Ok((flag == 1, framed.slice(PREFIX_BYTES..)))
}

fn ends_inside_a_frame() -> Refusal {
    Refusal::Malformed("the stream ends inside a frame".to_owned())
}

/// `grpc-timeout`: at most eight digits and a unit.
fn parse_timeout(value: &HeaderValue) -> Result<Duration, Refusal> {
    let text = value.to_str().unwrap_or_default();
    let parsed = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(digits, unit)| {
        let plausible = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let amount = digits.parse::<u64>().ok().filter(|_| plausible)?;
        match unit {
            "H" => Some(Duration::from_secs(amount * 3600)),
            "M" => Some(Duration::from_secs(amount * 60)),
            "S" => Some(Duration::from_secs(amount)),
            "m" => Some(Duration::from_millis(amount)),
            "u" => Some(Duration::from_micros(amount)),
            "n" => Some(Duration::from_nanos(amount)),
            _ => None,
        }
    });
    parsed.ok_or_else(|| Refusal::Malformed(format!("grpc-timeout `{text}`, expected digits and one of H M S m u n")))
}

fn success(message: &[u8]) -> Response<Reply> {
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    framed.push(0);
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(Code::Ok as u16))]);
    let mut response = Response::new(Reply::data(framed).with_trailers(trailers));
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    response
}

/// A refusal has no message: its status stands in the headers, which end the stream.
fn refused(refusal: &Refusal) -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = match refusal {
        Refusal::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::OK,
    };
    let headers = response.headers_mut();
    if matches!(refusal, Refusal::WrongMethod(_)) {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    put_status(headers, &refusal.status());
    response
}

fn put_status(headers: &mut HeaderMap, status: &Status) {
    headers.insert(GRPC_STATUS, HeaderValue::from(status.code as u16));
    if let Ok(message) = HeaderValue::try_from(status.grpc_message()) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Some(details) = status.grpc_details().and_then(|details| HeaderValue::try_from(details).ok()) {
        headers.insert(GRPC_STATUS_DETAILS, details);
    }
}

#[cfg(test)]
mod tests;
