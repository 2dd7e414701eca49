//! The service of both Rust examples: a shop that asks a model about each order. It is instrumented with `tracing` and the
//! OpenTelemetry SDK, by the semantic conventions; nothing in it knows who takes its telemetry.

use std::future::Future;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Router, routing};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::{LogExporter, SdkLoggerProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The SDK, set up for all three signals.
pub struct Telemetry {
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    loggers: SdkLoggerProvider,
}

impl Telemetry {
    /// Batches what the program does and hands it to these exporters; from now on `tracing`'s spans and events go there.
    pub fn start(
        service: &'static str,
        spans: impl SpanExporter + 'static,
        metrics: impl PushMetricExporter,
        logs: impl LogExporter + 'static,
    ) -> Self {
        let resource = Resource::builder().with_service_name(service).build();
        let tracers = SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(spans).build();
        let meters =
            SdkMeterProvider::builder().with_resource(resource.clone()).with_periodic_exporter(metrics).build();
        let loggers = SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(logs).build();
        tracing_subscriber::registry()
            // The exporters' own libraries write below this level: what they do is not the program's telemetry.
            .with(LevelFilter::INFO)
            .with(tracing_opentelemetry::layer().with_tracer(tracers.tracer("shop")))
            .with(OpenTelemetryTracingBridge::new(&loggers))
            .init();
        Self { tracers, meters, loggers }
    }

    /// Exports what is left. Blocks until it is taken, so not on a thread that others wait for.
    pub fn shut_down(self) -> Result<(), OTelSdkError> {
        self.tracers.shutdown()?;
        self.meters.shutdown()?;
        self.loggers.shutdown()
    }
}

#[derive(Clone)]
struct Shop {
    orders: Counter<u64>,
}

/// Sells until the process is told to end.
pub async fn serve(address: &str, telemetry: &Telemetry) -> std::io::Result<()> {
    let orders = telemetry.meters.meter("shop").u64_counter("shop.orders").with_unit("{order}").build();
    let shop = Router::new().route("/orders/{id}", routing::get(order)).with_state(Shop { orders });
    let told = told_to_end()?;
    let listener = TcpListener::bind(address).await?;
    println!("shop listening on {}", listener.local_addr()?);
    axum::serve(listener, shop).with_graceful_shutdown(told).await
}

async fn order(State(shop): State<Shop>, Path(id): Path<u32>, headers: HeaderMap) -> String {
    let user = headers.get("x-user").and_then(|name| name.to_str().ok()).unwrap_or("guest");
    let span = tracing::info_span!(
        "GET /orders/{id}",
        otel.kind = "server",
        http.request.method = "GET",
        http.route = "/orders/{id}",
        http.response.status_code = 200,
        user.id = user,
    );
    async move {
        let answer = ask_model(&format!("What goes well with order {id}?")).await;
        shop.orders.add(1, &[KeyValue::new("shop.kind", "online")]);
        tracing::info!(order = id, "order looked at");
        answer
    }
    .instrument(span)
    .await
}

/// Stands in for a model: answers from memory, and says what it would have cost.
async fn ask_model(question: &str) -> String {
    let span = tracing::info_span!(
        "chat gpt-4o-mini",
        otel.kind = "client",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "openai",
        gen_ai.request.model = "gpt-4o-mini",
        gen_ai.response.model = "gpt-4o-mini-2024-07-18",
        gen_ai.usage.input_tokens = question.len() as i64,
        gen_ai.usage.output_tokens = 12_i64,
    );
    async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        "Tea, as with everything.\n".to_owned()
    }
    .instrument(span)
    .await
}

fn told_to_end() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
