//! The sidecar's own logs and traces, through `tracing`.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{self, LogFormat};

/// Spans that are exported carry this target.
pub const TRACES: &str = "qiyas::traces";

/// Keeps the exporter of the sidecar's own traces alive; flushes it when it goes.
pub struct OwnTelemetry {
    traces: Option<SdkTracerProvider>,
}

impl OwnTelemetry {
    /// Sets up logging to standard error, and traces where an endpoint is set. Once in a process, within the runtime.
    pub fn start(settings: &config::Telemetry, resource: &config::Resource) -> Result<Self, ExporterBuildError> {
        let traces = settings.traces.endpoint.as_ref().map(|url| provider(url.as_str(), resource)).transpose()?;
        let exported = traces.as_ref().map(|provider| {
            let filter = Targets::new().with_target(TRACES, LevelFilter::TRACE);
            tracing_opentelemetry::layer().with_tracer(provider.tracer("qiyas")).with_filter(filter)
        });
        let level = settings.logs.level.as_str().parse().unwrap_or(LevelFilter::INFO);
        // Libraries speak only when something is wrong, unless everything is asked for.
        let libraries = if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { LevelFilter::WARN.min(level) };
        // Spans for export are no business of the log: without an exporter they cost nothing.
        let filter =
            Targets::new().with_default(libraries).with_target("qiyas", level).with_target(TRACES, LevelFilter::OFF);
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let lines = match settings.logs.format {
            LogFormat::Text => lines.with_target(false).with_filter(filter).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        };
        // A second start in one process (tests) keeps the first subscriber.
        let _first = tracing_subscriber::registry().with(lines).with(exported).try_init();
        Ok(Self { traces })
    }

    /// Sends what is left.
    pub fn shut_down(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!("the last of the sidecar's own traces was not sent: {error}");
        }
    }
}

fn provider(endpoint: &str, resource: &config::Resource) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let attributes =
        resource.attributes.iter().map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    let resource = Resource::builder().with_attributes(attributes).build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}
