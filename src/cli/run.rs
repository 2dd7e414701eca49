//! `run`: the sidecar, from its first line to its exit code.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{BAD_USAGE, FAILED, Source, print};
use crate::config::Loaded;
use crate::config::budget::worker_threads;
use crate::sidecar::Sidecar;
use crate::telemetry::OwnTelemetry;

/// What is still blocked after the drain does not hold the exit up for longer.
const LAST_WAIT: Duration = Duration::from_millis(100);

pub(super) fn run(source: &Source) -> ExitCode {
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(problems) = loaded.check_files() {
        eprintln!("{problems}");
        return ExitCode::from(BAD_USAGE);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads(Path::new("/")))
        .thread_name("qiyas")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(serve(&loaded)).unwrap_or_else(|error| failed(error.as_ref()));
    runtime.shutdown_timeout(LAST_WAIT);
    code
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(FAILED)
}

async fn serve(loaded: &Loaded) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // Taken first: a signal during start-up is then heard.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let telemetry = OwnTelemetry::start(&loaded.config.telemetry, &loaded.resource)?;
    let sidecar = Sidecar::start(&loaded.config, &loaded.resource).await?;
    let lines: String =
        sidecar.addresses().iter().map(|(name, address)| format!("{name} listening on {address}\n")).collect();
    // Nobody may be reading; that is no reason not to run.
    let _code = print(&lines);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    either(&mut terminate, &mut interrupt).await;
    tracing::info!(longest = ?loaded.config.shutdown.0, "stopping: finishing what was accepted");
    let code = tokio::select! {
        () = sidecar.stop(loaded.config.shutdown.0) => ExitCode::SUCCESS,
        () = either(&mut terminate, &mut interrupt) => {
            tracing::warn!("second signal: leaving at once");
            ExitCode::from(FAILED)
        }
    };
    telemetry.shut_down();
    Ok(code)
}

async fn either(first: &mut Signal, second: &mut Signal) {
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}
