//! The client of one destination.
//!
//! Invariants: no redirect is followed; an answer's body is read up to a bound; an attempt ends after the configured
//! timeout, and the connection it waited on is not used again; header values never reach a log line.
//!
//! Both protocols are POSTs through one pooled HTTP client, differing in route, framing and how the answer is read. gRPC
//! is spoken by hand over HTTP/2: a unary call with ready bytes is a five-byte prefix and two header names, and doing so
//! lets a batch be compressed once for all its attempts. (tonic's reader of status headers, moreover, panics on a
//! `grpc-status-details-bin` that is not base64, which is the peer's to choose.)

mod answer;
mod grpc;
mod headers;
mod http_protobuf;
mod route;
mod tls;

use std::future::Future;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::headers::Headers;
use self::route::Routes;
use super::outcome::Outcome;
use super::payload::Payload;
use crate::config::{Forward, Protocol};
use crate::otlp::Signal;

pub use self::headers::HeaderError;
pub use self::route::RouteError;
pub use self::tls::TlsError;

/// One way of sending a request on. What stands behind it may be a destination or a test's script.
pub trait Export: Send + Sync + 'static {
    /// One attempt; it always ends.
    fn export(&self, signal: Signal, payload: Payload) -> impl Future<Output = Outcome> + Send;
}

/// Why a destination's client cannot be made from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A prefix (gRPC's) and the bytes themselves, without copying these.
type Body = Full<bytes::buf::Chain<Bytes, Bytes>>;

/// A destination's client. Connects when first used, and again when the connection is lost.
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Body>,
    protocol: Protocol,
    routes: Routes,
    headers: Headers,
    timeout: Duration,
}

/// Longest time to establish a TCP connection with one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

const USER_AGENT: &str = concat!("qiyas/", env!("CARGO_PKG_VERSION"));

impl Client {
    /// Reads the TLS files; connects to nothing.
    pub fn new(config: &Forward) -> Result<Self, ClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = tls::connector(config, tcp)?;
        let mut pool = Pool::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new());
        if config.protocol == Protocol::Grpc {
            pool.http2_only(true);
        }
        Ok(Self {
            pool: pool.build(connector),
            protocol: config.protocol,
            routes: Routes::new(config)?,
            headers: Headers::new(&config.headers)?,
            timeout: config.timeout.0,
        })
    }

    fn request(&self, signal: Signal, payload: &Payload) -> Result<Request<Body>, HeaderError> {
        let route = self.routes.of(signal);
        let mut headers = HeaderMap::new();
        if let Some(credentials) = &route.basic_auth {
            headers.insert(header::AUTHORIZATION, credentials.clone());
        }
        self.headers.add_to(&mut headers)?;
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let (prefix, version) = match self.protocol {
            Protocol::Grpc => {
                grpc::set_headers(&mut headers, payload.compression, self.timeout);
                (grpc::prefix(payload), Version::HTTP_2)
            }
            Protocol::HttpProtobuf => {
                http_protobuf::set_headers(&mut headers, payload.compression);
                (Bytes::new(), Version::HTTP_11)
            }
        };
        let mut request = Request::new(Full::new(prefix.chain(payload.body.clone())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = route.uri.clone();
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn answer(&self, answer: Result<Response<Incoming>, PoolError>) -> Outcome {
        match answer {
            Ok(answer) => match self.protocol {
                Protocol::Grpc => grpc::outcome(answer).await,
                Protocol::HttpProtobuf => http_protobuf::outcome(answer).await,
            },
            Err(error) => Outcome::unreachable(answer::causes(&error)),
        }
    }
}

impl Export for Client {
    async fn export(&self, signal: Signal, payload: Payload) -> Outcome {
        let mut request = match self.request(signal, &payload) {
            Ok(request) => request,
            // A header's file may be there again in a moment: secrets are rotated by renaming.
            Err(error) => return Outcome::unreachable(error),
        };
        let connection = capture_connection(&mut request);
        let attempt = async { self.answer(self.pool.request(request).await).await };
        match tokio::time::timeout(self.timeout, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // It may be dead without knowing it, and HTTP/2 would share it with every later attempt.
                if let Some(connection) = connection.connection_metadata().as_ref() {
                    connection.poison();
                }
                Outcome::unreachable(format_args!("no answer within {:?}", self.timeout))
            }
        }
    }
}

#[cfg(test)]
pub use self::answer::tests;
