//! One connection: hyper's protocol machine, and a watch over it.
//!
//! The watch sees three things: bytes that are read, requests that begin, requests that end. From them it knows whether
//! the peer owes a request head or is idle, and since when. hyper's own header timeout cannot be used for this: it runs
//! while a kept-alive connection is merely idle, too.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{HEAD_TIME, IDLE_TIME, Peer, Protocol, Stop, stopped};

/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 100;

/// Size of a request's headers; it also bounds how many CONTINUATION frames are taken.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Streams that a client opened and reset before they were looked at ("rapid reset"), and streams that we had to reset
/// for the client's errors ("made you reset"): beyond them the connection is closed.
const MAX_PENDING_RESETS: usize = 20;
const MAX_ERROR_RESETS: usize = 64;

/// Flow control: what a client may send ahead of us. Bodies are read as soon as they arrive, so these only have to cover
/// the time that takes; they bound what an unread connection can hold.
const STREAM_WINDOW_BYTES: u32 = 512 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// HTTP/1.1's read buffer, and so the longest piece of a body; `receive::body` relies on it.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// What a stream that is not read may hold of answers.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// A peer that is gone without a word is found out by HTTP/2 pings.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection that was asked to close may take.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// Serves one connection to its end.
pub(super) async fn serve<I, S, B>(io: I, peer: SocketAddr, protocol: Protocol, service: S, mut stop: Stop)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let watch = Watch::new();
    let builder = builder(protocol);
    let io = TokioIo::new(Watched { io, watch: watch.clone() });
    let mut connection = pin!(builder.serve_connection(io, Counted { service, peer, watch: watch.clone() }));
    let mut closing = false;
    let mut look_at = Instant::now() + HEAD_TIME;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, "connection failed: {error}");
                }
                return;
            }
            () = stopped(&mut stop), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(look_at) => match watch.verdict(Instant::now()) {
                Verdict::LookAgain(at) => look_at = at,
                Verdict::Stalled => {
                    tracing::debug!(%peer, "closed: no whole request head within {HEAD_TIME:?}");
                    return;
                }
                Verdict::Idle if closing => return,
                Verdict::Idle => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                    look_at = Instant::now() + CLOSE_TIME;
                }
            },
        }
    }
}

fn builder(protocol: Protocol) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(READ_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    match protocol {
        Protocol::Http2 => builder.http2_only(),
        Protocol::Auto => builder,
    }
}

/// What is known of a connection.
#[derive(Clone)]
struct Watch(Arc<Mutex<Seen>>);

struct Seen {
    in_flight: usize,
    /// Since when no request is in flight.
    idle_since: Instant,
    /// When the first byte of a head not yet complete was read.
    head_since: Option<Instant>,
    /// Whether bytes outside a request can only be a request head: before the first request, and in HTTP/1.
    bytes_are_head: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The peer has begun a request and does not get on with it.
    Stalled,
    Idle,
    LookAgain(Instant),
}

impl Watch {
    fn new() -> Self {
        let now = Instant::now();
        // A new connection owes its first request from the start.
        let seen = Seen { in_flight: 0, idle_since: now, head_since: Some(now), bytes_are_head: true };
        Self(Arc::new(Mutex::new(seen)))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes_read(&self) {
        let mut seen = self.lock();
        if seen.in_flight == 0 && seen.bytes_are_head && seen.head_since.is_none() {
            seen.head_since = Some(Instant::now());
        }
    }

    fn request_began(&self, version: Version) {
        let mut seen = self.lock();
        seen.in_flight += 1;
        seen.head_since = None;
        seen.bytes_are_head = version < Version::HTTP_2;
    }

    fn request_ended(&self) {
        let mut seen = self.lock();
        seen.in_flight -= 1;
        seen.idle_since = Instant::now();
    }

    fn verdict(&self, now: Instant) -> Verdict {
        let seen = self.lock();
        if seen.in_flight > 0 {
            return Verdict::LookAgain(now + HEAD_TIME);
        }
        let (due, verdict) = match seen.head_since {
            Some(since) => (since + HEAD_TIME, Verdict::Stalled),
            // A head may begin at any time, and is then due before the idle time is over.
            None => (seen.idle_since + IDLE_TIME, Verdict::Idle),
        };
        if due <= now { verdict } else { Verdict::LookAgain(due.min(now + HEAD_TIME)) }
    }
}

/// Tells the watch of bytes that are read.
struct Watched<I> {
    io: I,
    watch: Watch,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, into);
        if into.filled().len() > before {
            self.watch.bytes_read();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Tells the watch of requests.
struct Counted<S> {
    service: S,
    peer: SocketAddr,
    watch: Watch,
}

/// A request in flight.
struct InFlight(Watch);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.watch.request_began(request.version());
        let in_flight = InFlight(self.watch.clone());
        request.extensions_mut().insert(Peer(self.peer));
        let answer = self.service.call(request);
        Box::pin(async move {
            let _in_flight = in_flight;
            answer.await
        })
    }
}

#[cfg(test)]
mod tests;
