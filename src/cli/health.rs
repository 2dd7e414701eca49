//! `health`: asks a running sidecar, for exec probes in images without a shell.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{FAILED, Source, print};
use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(3);
const MAX_ANSWER_BYTES: usize = 64 << 10;

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Ask whether it is ready, not only alive
    #[arg(long)]
    ready: bool,
}

pub(super) fn health(options: &Options) -> ExitCode {
    let loaded = match options.source.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let path = if options.ready { "/readyz" } else { "/healthz" };
    let Some(endpoint) = endpoint(&loaded.config) else {
        eprintln!("no listener without TLS answers health: prometheus.endpoint and api.endpoint are off or encrypted");
        return ExitCode::from(FAILED);
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(&endpoint, path)).await });
    match asked {
        Ok(Ok((StatusCode::OK, answer))) => print(&answer),
        Ok(Ok((status, answer))) => {
            eprint!("{status}: {answer}");
            ExitCode::from(FAILED)
        }
        Ok(Err(error)) => {
            eprintln!("cannot ask http://{endpoint}{path}: {error}");
            ExitCode::from(FAILED)
        }
        Err(_) => {
            eprintln!("http://{endpoint}{path} gave no answer in {TIMEOUT:?}");
            ExitCode::from(FAILED)
        }
    }
}

/// A listener that answers probes, as this host reaches it.
fn endpoint(config: &Config) -> Option<String> {
    let api = config.api.endpoint.as_ref().filter(|_| config.api.tls.is_none());
    let prometheus = config.prometheus.endpoint.as_ref().filter(|_| config.prometheus.tls.is_none());
    let endpoint = api.or(prometheus)?;
    Some(endpoint.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:"))
}

async fn ask(endpoint: &str, path: &str) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(endpoint).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, endpoint).body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        answer = exchange => answer,
        ended = connection => Err(ended.err().map_or_else(|| "the connection was closed".into(), Into::into)),
    }
}
