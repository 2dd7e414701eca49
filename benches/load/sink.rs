//! Receivers that do nothing but count spans: what receiving costs by itself.
//!
//! [`count`] takes what HTTP and gRPC need and no more, and walks only as far as it takes to count. [`decode`] is what a
//! program gets that receives OTLP by the book: tonic, and messages decoded into structs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use qiyas::otlp::wire::{Cursor, Value};
use tokio::net::TcpListener;

use crate::batches::FRAME_BYTES;

/// What clients may send ahead, as in the sidecar.
const STREAM_WINDOW_BYTES: u32 = 512 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// An empty message in gRPC's frame.
const EMPTY_FRAME: [u8; FRAME_BYTES] = [0; FRAME_BYTES];

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Serves until the process is ended. `GET /` on any connection answers with the number of spans so far.
pub async fn count() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("sink listening on {}", listener.local_addr()?);
    let spans = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let spans = Arc::clone(&spans);
        let service = service_fn(move |request| {
            let spans = Arc::clone(&spans);
            async move { answer(request, &spans).await }
        });
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder
                .http2()
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            builder.serve_connection(TokioIo::new(stream), service).await
        });
    }
}

async fn answer(request: Request<Incoming>, spans: &AtomicU64) -> Result<Answer, hyper::Error> {
    if request.method() == Method::GET {
        let text = spans.load(Ordering::Relaxed).to_string();
        return Ok(Response::new(Full::from(text).boxed()));
    }
    let is_grpc =
        request.headers().get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let mut body = request.into_body().collect().await?.aggregate();
    if is_grpc {
        let compressed = body.get_u8() == 1;
        body.advance(FRAME_BYTES - 1);
        let message = body.copy_to_bytes(body.remaining());
        let found = if compressed { count_spans(&inflate(&message)) } else { count_spans(&message) };
        spans.fetch_add(found, Ordering::Relaxed);
        let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
        let body = Full::from(EMPTY_FRAME.as_slice()).with_trailers(std::future::ready(Some(Ok(trailers))));
        let mut answer = Response::new(body.boxed());
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        return Ok(answer);
    }
    spans.fetch_add(count_spans(&body.copy_to_bytes(body.remaining())), Ordering::Relaxed);
    Ok(Response::new(Full::default().boxed()))
}

fn inflate(message: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(message), &mut plain).expect("gzip");
    plain
}

/// Walks to the spans and not into them: `resource_spans` 1, `scope_spans` 2, `spans` 2.
fn count_spans(request: &[u8]) -> u64 {
    inner(request, 1).flat_map(|resource| inner(resource, 2)).map(|scope| inner(scope, 2).count() as u64).sum()
}

fn inner(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let mut cursor = Cursor::new(message);
    std::iter::from_fn(move || cursor.field().expect("valid")).filter_map(move |field| match field {
        (found, Value::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

/// Serves until the process is ended.
pub async fn decode() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("sink listening on {}", listener.local_addr()?);
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let service = TraceServiceServer::new(Decoding::default());
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(service)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

#[derive(Default)]
struct Decoding {
    spans: AtomicU64,
}

#[tonic::async_trait]
impl TraceService for Decoding {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let scopes = request.get_ref().resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        self.spans.fetch_add(scopes.map(|scope| scope.spans.len() as u64).sum(), Ordering::Relaxed);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}
