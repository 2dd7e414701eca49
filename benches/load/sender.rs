//! Sends requests as fast as they are taken: raw HTTP/2 frames for gRPC, HTTP/1.1 for the other transport.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::batches::{Batches, FRAME_BYTES};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const CONNECTIONS: usize = 2;
/// Requests in flight on one HTTP/2 connection.
const STREAMS: usize = 2;
/// A refused request is sent again after so long.
const RETRY_AFTER: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// Sends the requests of `indices`; gives the number of refusals, after each of which the request was sent again.
pub async fn send(
    transport: Transport,
    to: SocketAddr,
    batches: &Arc<Batches>,
    indices: std::ops::Range<usize>,
) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let queue = Arc::new(Queue { next: AtomicUsize::new(indices.start), end: indices.end, refused: AtomicU64::new(0) });
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        match transport {
            Transport::Grpc => {
                let (client, connection) = h2::client::handshake(connect(to).await?).await?;
                tokio::spawn(connection);
                for _ in 0..STREAMS {
                    let (client, batches, queue) = (client.clone(), Arc::clone(batches), Arc::clone(&queue));
                    workers.spawn(async move { grpc(client, to, &batches, &queue).await });
                }
            }
            Transport::Http => {
                for _ in 0..STREAMS {
                    let (batches, queue) = (Arc::clone(batches), Arc::clone(&queue));
                    workers.spawn(async move { http1(to, &batches, &queue).await });
                }
            }
        }
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(queue.refused.load(Ordering::Relaxed))
}

struct Queue {
    next: AtomicUsize,
    end: usize,
    refused: AtomicU64,
}

impl Queue {
    fn take(&self) -> Option<usize> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < self.end)
    }

    async fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn grpc(
    mut client: h2::client::SendRequest<Bytes>,
    to: SocketAddr,
    batches: &Batches,
    queue: &Queue,
) -> Result<(), Failure> {
    while let Some(index) = queue.take() {
        let framed = Bytes::from(batches.framed(index));
        loop {
            let head = Request::post(format!("http://{to}{EXPORT}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())?;
            client = client.ready().await?;
            let (response, mut body) = client.send_request(head, false)?;
            body.send_data(framed.clone(), true)?;
            let (head, mut body) = response.await?.into_parts();
            while let Some(data) = body.data().await {
                let length = data?.len();
                body.flow_control().release_capacity(length)?;
            }
            let trailers = body.trailers().await?;
            let status = trailers.as_ref().unwrap_or(&head.headers).get("grpc-status").cloned();
            match status.as_ref().map(http::HeaderValue::as_bytes) {
                Some(b"0") => break,
                // UNAVAILABLE and RESOURCE_EXHAUSTED ask for another try.
                Some(b"14" | b"8") => queue.refused().await,
                other => return Err(format!("grpc-status {other:?}, expected 0, 8 or 14").into()),
            }
        }
    }
    Ok(())
}

async fn http1(to: SocketAddr, batches: &Batches, queue: &Queue) -> Result<(), Failure> {
    let stream = TokioIo::new(connect(to).await?);
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    while let Some(index) = queue.take() {
        let body = Bytes::from(batches.framed(index)).slice(FRAME_BYTES..);
        loop {
            let request = Request::post("/v1/traces")
                .header("host", to.to_string())
                .header("content-type", "application/x-protobuf")
                .body(Full::new(body.clone()))?;
            client.ready().await?;
            let response = client.send_request(request).await?;
            let status = response.status();
            response.into_body().collect().await?;
            match status {
                StatusCode::OK => break,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => queue.refused().await,
                other => return Err(format!("status {other}, expected 200, 429 or 503").into()),
            }
        }
    }
    Ok(())
}

/// `GET`s a page.
pub async fn get(from: SocketAddr, path: &str) -> Result<String, Failure> {
    let stream = TokioIo::new(connect(from).await?);
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", from.to_string()).body(Full::<Bytes>::default())?;
    let body = client.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}
