//! Servers for the clients: one that answers with raw HTTP, one that is tonic's own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;

use super::*;

pub type Answer = Response<BoxBody<Bytes, std::convert::Infallible>>;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A server on a free port of the loopback, for HTTP/1 and HTTP/2.
pub struct RawServer {
    pub address: SocketAddr,
    state: Arc<RawState>,
}

type Answering = Box<dyn Fn(&Received) -> Option<Answer> + Send + Sync>;

struct RawState {
    answer: Answering,
    received: Mutex<Vec<Received>>,
    arrived: Notify,
    connections: AtomicUsize,
}

impl RawServer {
    /// `answer` gives the answer to each request; `None`: never.
    pub async fn start(answer: impl Fn(&Received) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::start_with(answer, |stream| async { Ok(stream) }).await
    }

    /// `wrap` is what is done with an accepted connection first: a TLS handshake.
    pub async fn start_with<S, F>(
        answer: impl Fn(&Received) -> Option<Answer> + Send + Sync + 'static,
        wrap: impl Fn(tokio::net::TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = std::io::Result<S>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(RawState {
            answer: Box::new(answer),
            received: Mutex::default(),
            arrived: Notify::new(),
            connections: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = wrap(stream).await else { continue };
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer_one(Arc::clone(&state), request));
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ended = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, state }
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub async fn received_reach(&self, count: usize) {
        loop {
            let arrived = self.state.arrived.notified();
            if self.received().len() >= count {
                return;
            }
            arrived.await;
        }
    }
}

async fn answer_one(state: Arc<RawState>, request: Request<Incoming>) -> Result<Answer, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let received = Received { path: head.uri.path().to_owned(), headers: head.headers, body };
    let answer = (state.answer)(&received);
    state.received.lock().unwrap().push(received);
    state.arrived.notify_waiters();
    match answer {
        Some(answer) => Ok(answer),
        None => std::future::pending().await,
    }
}

/// An answer with a ready body.
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::new(body.into()).boxed()).unwrap()
}

/// A destination's configuration for a server of a test.
pub fn config_for(address: SocketAddr, protocol: config::Protocol, compression: Compression) -> Forward {
    Forward {
        name: "d".into(),
        endpoint: config::Url::new(format!("http://{address}")),
        protocol,
        compression,
        timeout: config::Dur::from_secs(60),
        ..Forward::default()
    }
}

/// What tonic's server answers.
pub type GrpcAnswer = Result<(i64, &'static str), tonic::Status>;

/// tonic's own server for the three services, which takes gzip and zstd.
#[derive(Clone)]
pub struct GrpcServer(Arc<GrpcState>);

struct GrpcState {
    address: SocketAddr,
    answer: Box<dyn Fn() -> GrpcAnswer + Send + Sync>,
    /// Messages, encoded anew, with the metadata they came with.
    received: Mutex<Vec<(Signal, MetadataMap, Vec<u8>)>>,
}

impl GrpcServer {
    pub async fn start(answer: impl Fn() -> GrpcAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self(Arc::new(GrpcState {
            address: listener.local_addr().unwrap(),
            answer: Box::new(answer),
            received: Mutex::default(),
        }));
        macro_rules! service {
            ($service:ident) => {
                $service::new(server.clone())
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd)
            };
        }
        let router = tonic::transport::Server::builder()
            .add_service(service!(TraceServiceServer))
            .add_service(service!(MetricsServiceServer))
            .add_service(service!(LogsServiceServer));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub fn received(&self) -> Vec<(Signal, MetadataMap, Vec<u8>)> {
        self.0.received.lock().unwrap().clone()
    }

    fn take<M: prost::Message>(&self, signal: Signal, request: tonic::Request<M>) -> GrpcAnswer {
        let (metadata, _, message) = request.into_parts();
        self.0.received.lock().unwrap().push((signal, metadata, message.encode_to_vec()));
        (self.0.answer)()
    }
}

#[tonic::async_trait]
impl TraceService for GrpcServer {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (rejected_spans, message) = self.take(Signal::Traces, request)?;
        let partial_success = ExportTracePartialSuccess { rejected_spans, error_message: message.into() };
        Ok(tonic::Response::new(ExportTraceServiceResponse { partial_success: Some(partial_success) }))
    }
}

#[tonic::async_trait]
impl MetricsService for GrpcServer {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (rejected_data_points, message) = self.take(Signal::Metrics, request)?;
        let partial_success = ExportMetricsPartialSuccess { rejected_data_points, error_message: message.into() };
        Ok(tonic::Response::new(ExportMetricsServiceResponse { partial_success: Some(partial_success) }))
    }
}

#[tonic::async_trait]
impl LogsService for GrpcServer {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let (rejected_log_records, message) = self.take(Signal::Logs, request)?;
        let partial_success = ExportLogsPartialSuccess { rejected_log_records, error_message: message.into() };
        Ok(tonic::Response::new(ExportLogsServiceResponse { partial_success: Some(partial_success) }))
    }
}
