//! A Rust service whose telemetry goes to a sidecar, by OTLP over gRPC. Nothing in it is Qiyas's.

mod shop;

use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // The standard variables, OTEL_EXPORTER_OTLP_ENDPOINT above all, say where to; by default to localhost:4317.
    let telemetry = shop::Telemetry::start(
        "rust-service",
        SpanExporter::builder().with_tonic().build()?,
        MetricExporter::builder().with_tonic().build()?,
        LogExporter::builder().with_tonic().build()?,
    );
    shop::serve(&address, &telemetry).await?;
    tokio::task::spawn_blocking(|| telemetry.shut_down()).await??;
    Ok(())
}
