//! Listeners and their connections, hardened once for every port the sidecar opens.
//!
//! Invariants:
//! - binding is apart from serving: a port that is taken is an error before anything runs, and "ready" means bound;
//! - over all listeners at most the configured number of connections is open. One more is accepted and closed at once,
//!   and counted: its client sees a reset that it may retry, not a silence until its own timeout;
//! - a connection that has not brought a whole request head in [`HEAD_TIME`], or is idle for [`IDLE_TIME`], is closed,
//!   however steadily it drips. The time that a request's body takes is the service's to limit;
//! - what one connection can make the process hold is bounded: header size, streams, windows, frames, resets;
//! - at shutdown listeners close first, requests in flight are finished (HTTP/2 clients are told by GOAWAY), and what is
//!   still open after the grace period is cut.
//!
//! Nothing here knows OTLP; the service is anything that hyper can serve. [`Peer`] is in each request's extensions.

mod auth;
mod connection;
mod reload;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

pub use auth::{Auth, Denied};
pub use reload::FileError;
pub use tls::Tls;

use crate::telemetry::OwnMetrics;

/// Longest time for a request's head to arrive, and for a TLS handshake.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

/// Longest time without a request. Longer than the interval at which metrics are exported by default (60 s).
pub const IDLE_TIME: Duration = Duration::from_secs(180);

/// After a failed `accept` (out of file descriptors, as a rule) so long is waited.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}: {reason}")]
pub struct BindError {
    pub endpoint: String,
    reason: String,
    #[source]
    pub cause: io::Error,
}

impl BindError {
    fn new(endpoint: &str, cause: io::Error) -> Self {
        let reason = match cause.kind() {
            io::ErrorKind::AddrInUse => "address already in use".to_owned(),
            io::ErrorKind::AddrNotAvailable => "no interface has this address".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => cause.to_string(),
        };
        Self { endpoint: endpoint.to_owned(), reason, cause }
    }
}

/// A listener that is bound and not yet served: connections wait in the kernel.
#[derive(Debug)]
pub struct Bound {
    /// Names the listener in the log and in the `transport` label.
    pub name: &'static str,
    /// The address it got, where port 0 was asked for.
    pub address: SocketAddr,
    listener: TcpListener,
}

/// Binds `host:port`; port 0 takes a free one.
pub async fn bind(name: &'static str, endpoint: &str) -> Result<Bound, BindError> {
    let bound = async {
        let listener = TcpListener::bind(endpoint).await?;
        let address = listener.local_addr()?;
        Ok(Bound { name, address, listener })
    };
    bound.await.map_err(|cause| BindError::new(endpoint, cause))
}

/// Which protocols a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 alone: gRPC.
    Http2,
    /// HTTP/1.1 and HTTP/2, by the connection's first bytes.
    Auto,
}

/// The peer's address, in every request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The bound on open connections that all listeners share.
#[derive(Clone)]
pub struct Connections {
    free: Arc<Semaphore>,
    own: Arc<OwnMetrics>,
}

impl Connections {
    /// `limit` is that of the configuration: open connections over all listeners.
    pub fn new(limit: usize, own: Arc<OwnMetrics>) -> Self {
        Self { free: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))), own }
    }

    fn admit(&self, listener: &'static str) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok();
        if permit.is_none() {
            self.own.receiver_refused.add(&["unknown", listener, "connections"], 1);
            tracing::debug!(listener, "closed a connection: the limit is reached");
        }
        permit
    }
}

/// How a listener is served.
#[derive(Clone)]
pub struct Settings {
    pub protocol: Protocol,
    pub tls: Option<Arc<Tls>>,
    pub connections: Connections,
    /// Longest time that requests in flight are given at shutdown.
    pub grace: Duration,
}

/// The signal to stop. It is given when the sender sends `true` or is dropped.
pub type Stop = watch::Receiver<bool>;

pub(crate) async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves a listener until `stop`, then finishes what is in flight, for at most the grace period.
pub async fn serve<S, B>(bound: Bound, settings: Settings, service: S, mut stop: Stop)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Bound { name, listener, .. } = bound;
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(permit) = settings.connections.admit(name) {
                        let one = serve_stream(stream, peer, settings.clone(), service.clone(), stop.clone());
                        open.spawn(async move {
                            let _permit = permit;
                            one.await;
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(listener = name, "cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(settings.grace, async { while open.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(listener = name, connections = open.len(), "cut connections that did not end in time");
    }
}

async fn serve_stream<S, B>(stream: TcpStream, peer: SocketAddr, settings: Settings, service: S, stop: Stop)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Answers are small; waiting to fill a segment would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &settings.tls else {
        return connection::serve(stream, peer, settings.protocol, service, stop).await;
    };
    match tokio::time::timeout(HEAD_TIME, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(stream, peer, settings.protocol, service, stop).await,
        Ok(Err(error)) => tracing::debug!(%peer, "TLS handshake failed: {error}"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took longer than {HEAD_TIME:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = bind("grpc", "127.0.0.1:0").await.unwrap();
        let endpoint = first.address.to_string();
        let error = bind("grpc", &endpoint).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {endpoint}: address already in use"));
        drop(first);
        bind("grpc", &endpoint).await.unwrap();
    }

    #[tokio::test]
    async fn an_endpoint_that_is_none_is_named() {
        let error = bind("http", "nonsense").await.unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on nonsense: "), "{error}");
    }
}
