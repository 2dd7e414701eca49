//! The same service with Qiyas inside: no second process, and no socket between them.

#[path = "../rust-service/shop.rs"]
mod shop;

use qiyas::config;
use qiyas::sidecar::Sidecar;

/// Nobody else sends telemetry here.
const CONFIG: &str = "receivers: {otlp: {grpc: {endpoint: null}, http: {endpoint: null}}}";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // Any key of the configuration may follow, as in `prometheus.endpoint=127.0.0.1:9000`.
    let sets: Vec<String> = arguments.collect();
    let loaded = config::load_text("in-process", CONFIG, &sets, &|name| std::env::var(name).ok())?;
    let sidecar = Sidecar::start(&loaded.config, &loaded.resource).await?;
    for (name, address) in sidecar.addresses() {
        println!("{name} listening on {address}");
    }
    let telemetry = shop::Telemetry::start(
        "in-process",
        sidecar.span_exporter(),
        sidecar.metric_exporter(),
        sidecar.log_exporter(),
    );
    shop::serve(&address, &telemetry).await?;
    // In this order: the last batches have to be taken before what takes them stops.
    tokio::task::spawn_blocking(|| telemetry.shut_down()).await??;
    sidecar.stop(loaded.config.shutdown.0).await;
    Ok(())
}
