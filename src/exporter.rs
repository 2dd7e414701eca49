//! The sidecar inside a Rust program: `opentelemetry_sdk` exporters over its journal, without a socket.
//!
//! Invariants: what is exported here takes the road of what is received, from the check on: journaled whole before the
//! export returns `Ok`, forwarded, measured, and counted under the transport `in_process`. An export never waits: where
//! the journal is full, or the sidecar has stopped, it fails, and the SDK logs it; nothing is tried again.
//!
//! An exporter turns the SDK's batch into the OTLP message that `opentelemetry-otlp` would have sent, and encodes it.
//! Start the [`Sidecar`], give its exporters to the SDK's providers, and at the end shut the providers down before
//! [`Sidecar::stop`], so that their last batches are taken:
//!
//! ```no_run
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use qiyas::{config, sidecar::Sidecar};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let loaded = config::load(None, &[], &|name| std::env::var(name).ok())?;
//! let sidecar = Sidecar::start(&loaded.config, &loaded.resource).await?;
//! let tracers = SdkTracerProvider::builder().with_batch_exporter(sidecar.span_exporter()).build();
//! // … the program, with `tracers` …
//! tracers.shutdown()?;
//! sidecar.stop(loaded.config.shutdown.0).await;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::LogBatch;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;

use crate::observe::Observations;
use crate::otlp::Signal;
use crate::receive::Intake;
use crate::sidecar::Sidecar;

impl Sidecar {
    /// For `SdkTracerProvider::builder().with_batch_exporter`.
    pub fn span_exporter(&self) -> SpanExporter {
        SpanExporter { road: Road::new(self), resource: ResourceAttributesWithSchema::default() }
    }

    /// For `SdkLoggerProvider::builder().with_batch_exporter`.
    pub fn log_exporter(&self) -> LogExporter {
        LogExporter { road: Road::new(self), resource: ResourceAttributesWithSchema::default() }
    }

    /// For `SdkMeterProvider::builder().with_periodic_exporter`. Cumulative, unless told otherwise.
    pub fn metric_exporter(&self) -> MetricExporter {
        MetricExporter { road: Road::new(self), temporality: Temporality::Cumulative }
    }
}

/// Exports finished spans into a [`Sidecar`] of this process.
#[derive(Debug)]
pub struct SpanExporter {
    road: Road,
    resource: ResourceAttributesWithSchema,
}

/// Exports log records into a [`Sidecar`] of this process.
#[derive(Debug)]
pub struct LogExporter {
    road: Road,
    resource: ResourceAttributesWithSchema,
}

/// Exports metrics into a [`Sidecar`] of this process.
#[derive(Debug)]
pub struct MetricExporter {
    road: Road,
    temporality: Temporality,
}

impl MetricExporter {
    /// The same exporter, which asks the SDK for this temporality.
    #[must_use]
    pub fn with_temporality(self, temporality: Temporality) -> Self {
        Self { temporality, ..self }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for SpanExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        self.road.take(Signal::Traces, &ExportTraceServiceRequest { resource_spans })
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.road.close()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl opentelemetry_sdk::logs::LogExporter for LogExporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        self.road.take(Signal::Logs, &ExportLogsServiceRequest { resource_logs })
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.road.close()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl PushMetricExporter for MetricExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.road.take(Signal::Metrics, &ExportMetricsServiceRequest::from(metrics))
    }

    /// Nothing is held back, so there is nothing to flush.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.road.close()
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

/// The way into the journal, until the exporter is shut down.
struct Road {
    intake: Intake<Observations>,
    is_closed: AtomicBool,
}

impl Road {
    fn new(sidecar: &Sidecar) -> Self {
        Self { intake: sidecar.intake().clone(), is_closed: AtomicBool::new(false) }
    }

    fn take(&self, signal: Signal, request: &impl Message) -> OTelSdkResult {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        match self.intake.take_encoded(signal, request.encode_to_vec().into()) {
            Ok(_accepted) => Ok(()),
            Err(refusal) => Err(OTelSdkError::InternalFailure(refusal.to_string())),
        }
    }

    fn close(&self) -> OTelSdkResult {
        if self.is_closed.swap(true, Ordering::AcqRel) { Err(OTelSdkError::AlreadyShutdown) } else { Ok(()) }
    }
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Road").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}
