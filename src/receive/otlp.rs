//! The OTLP receiver from its configuration: bound first, served after.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;

use super::cors::Cors;
use super::grpc::Grpc;
use super::http::Http;
use super::intake::{Intake, IntakeLimits};
use super::serve::{self, Auth, BindError, Bound, Connections, FileError, Protocol, Settings, Stop, Tls};
use crate::config;

/// Before the grace period ends, bodies still arriving are refused, so that their clients get an answer.
const LAST_ANSWER_TIME: Duration = Duration::from_millis(500);

/// The receiver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("receivers.otlp: {0}")]
    File(#[from] FileError),
}

/// The receiver, its listeners bound and not yet served.
pub struct BoundOtlp {
    grpc: Option<(Bound, Option<Arc<Tls>>)>,
    http: Option<(Bound, Option<Arc<Tls>>)>,
    auth: Option<Arc<Auth>>,
    cors: Cors,
}

impl IntakeLimits {
    pub fn of(otlp: &config::Otlp, limits: &config::Limits) -> Self {
        Self {
            max_request_bytes: otlp.max_request_size.bytes(),
            in_flight_bytes: limits.in_flight.bytes(),
            request_time: limits.request_time.0,
        }
    }
}

impl BoundOtlp {
    /// Reads certificates and credentials, and binds the listeners that are on.
    pub async fn bind(config: &config::Otlp) -> Result<Self, StartError> {
        let auth = config.auth.as_ref().map(Auth::load).transpose()?.map(Arc::new);
        let cors = Cors::new(&config.http.cors.allowed_origins);
        let grpc = listen("grpc", config.grpc.endpoint.as_deref(), config, Protocol::Http2).await?;
        let http = listen("http", config.http.endpoint.as_deref(), config, Protocol::Auto).await?;
        Ok(Self { grpc, http, auth, cors })
    }

    /// Where each listener listens: its name and address.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        [&self.grpc, &self.http].into_iter().flatten().map(|(bound, _)| (bound.name, bound.address)).collect()
    }

    /// Serves until `stop`, then finishes what is in flight within `grace`.
    pub async fn serve<R: Send + Sync + 'static>(
        self,
        intake: Intake<R>,
        connections: Connections,
        grace: Duration,
        stop: Stop,
    ) {
        let Self { grpc, http, auth, cors } = self;
        let settings = |protocol, tls| Settings { protocol, tls, connections: connections.clone(), grace };
        let serve_grpc = async {
            let Some((bound, tls)) = grpc else { return };
            let service = Grpc::new(intake.clone(), auth.clone());
            let answer = service_fn(move |request: Request<Incoming>| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.call(request).await) }
            });
            serve::serve(bound, settings(Protocol::Http2, tls), answer, stop.clone()).await;
        };
        let serve_http = async {
            let Some((bound, tls)) = http else { return };
            let service = Http::new(intake.clone(), auth.clone(), cors);
            let answer = service_fn(move |request: Request<Incoming>| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.call(request).await) }
            });
            serve::serve(bound, settings(Protocol::Auto, tls), answer, stop.clone()).await;
        };
        let close_intake = async {
            serve::stopped(&mut stop.clone()).await;
            tokio::time::sleep(grace.saturating_sub(LAST_ANSWER_TIME)).await;
            intake.close();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = async { tokio::join!(serve_grpc, serve_http) } => {}
            () = close_intake => {}
        }
    }
}

async fn listen(
    name: &'static str,
    endpoint: Option<&str>,
    config: &config::Otlp,
    protocol: Protocol,
) -> Result<Option<(Bound, Option<Arc<Tls>>)>, StartError> {
    let Some(endpoint) = endpoint else { return Ok(None) };
    let tls = config.tls.as_ref().map(|files| Tls::load(files, protocol)).transpose()?.map(Arc::new);
    Ok(Some((serve::bind(name, endpoint).await?, tls)))
}
