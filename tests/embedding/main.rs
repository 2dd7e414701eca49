//! A sidecar inside a Rust program, and the examples that show it.

mod destination;
mod examples;
mod page;

use std::net::SocketAddr;
use std::time::Duration;

use destination::Destination;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource as SentResource;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter as _};
use qiyas::config::{self, Loaded};
use qiyas::sidecar::Sidecar;

const STOP_TIME: Duration = Duration::from_secs(10);

fn config(more: &str) -> Loaded {
    let text = format!(
        "receivers: {{host: {{enabled: false}}, otlp: {{grpc: {{endpoint: null}}, http: {{endpoint: null}}}}}}\n\
         prometheus: {{endpoint: '127.0.0.1:0'}}\napi: {{endpoint: null}}\n{more}"
    );
    config::load_text("test", &text, &[], &|_| None).unwrap()
}

async fn started(config: &Loaded) -> (Sidecar, SocketAddr) {
    let sidecar = Sidecar::start(&config.config, &config.resource).await.unwrap();
    let [(_, prometheus)] = sidecar.addresses() else { panic!("one listener, not {:?}", sidecar.addresses()) };
    let prometheus = *prometheus;
    (sidecar, prometheus)
}

fn resource() -> Resource {
    Resource::builder_empty().with_service_name("embedded").with_attribute(KeyValue::new("zone", "b")).build()
}

fn assert_is_ours(resource: Option<SentResource>) {
    let mut attributes: Vec<_> = resource.unwrap().attributes.into_iter().map(|attribute| attribute.key).collect();
    attributes.sort();
    assert_eq!(attributes, ["service.name", "zone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdk_exports_is_forwarded_and_measured() {
    let mut destination = Destination::start().await;
    let config = config(&format!(
        "forward: [{{endpoint: 'http://{}', signals: [traces, metrics, logs], enrich: false, compression: none}}]",
        destination.address
    ));
    let (sidecar, prometheus) = started(&config).await;
    let tracers =
        SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(sidecar.span_exporter()).build();
    let meters =
        SdkMeterProvider::builder().with_resource(resource()).with_periodic_exporter(sidecar.metric_exporter()).build();
    let loggers =
        SdkLoggerProvider::builder().with_resource(resource()).with_batch_exporter(sidecar.log_exporter()).build();

    let tracer = tracers.tracer_with_scope(InstrumentationScope::builder("shop").with_version("2").build());
    for name in ["first", "second"] {
        let attributes = [("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "gpt-5")]
            .map(|(key, value)| KeyValue::new(key, value));
        tracer.span_builder(name).with_kind(SpanKind::Client).with_attributes(attributes).start(&tracer).end();
    }
    meters.meter("shop").u64_counter("orders").build().add(3, &[]);
    let logger = loggers.logger("shop");
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Warn);
    record.set_body(AnyValue::from("sold out"));
    logger.emit(record);
    let shut_down = move || {
        tracers.shutdown().unwrap();
        meters.shutdown().unwrap();
        loggers.shutdown().unwrap();
    };
    tokio::task::spawn_blocking(shut_down).await.unwrap();

    let mut traces = destination.traces().await;
    let mut resource_spans = traces.resource_spans.pop().unwrap();
    assert_is_ours(resource_spans.resource);
    let scope_spans = resource_spans.scope_spans.pop().unwrap();
    let scope = scope_spans.scope.unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("shop", "2"));
    let spans: Vec<_> = scope_spans.spans.iter().map(|span| (span.name.as_str(), span.kind)).collect();
    assert_eq!(spans, [("first", 3), ("second", 3)]);
    assert!(scope_spans.spans.iter().all(|span| span.trace_id.len() == 16 && span.attributes.len() == 2));

    let mut metrics = destination.metrics().await;
    let mut resource_metrics = metrics.resource_metrics.pop().unwrap();
    assert_is_ours(resource_metrics.resource);
    let metric = resource_metrics.scope_metrics.pop().unwrap().metrics.pop().unwrap();
    assert_eq!(metric.name, "orders");
    let Some(metric::Data::Sum(sum)) = metric.data else { panic!("{:?} is no sum", metric.data) };
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(3)));

    let mut logs = destination.logs().await;
    let mut resource_logs = logs.resource_logs.pop().unwrap();
    assert_is_ours(resource_logs.resource);
    let log = resource_logs.scope_logs.pop().unwrap().log_records.pop().unwrap();
    assert_eq!(log.severity_number, 13);
    assert_eq!(log.body.unwrap().value, Some(Value::StringValue("sold out".to_owned())));

    let expected = [("traces", 2.0), ("metrics", 1.0), ("logs", 1.0)];
    for (signal, items) in expected {
        let labels = [format!("signal=\"{signal}\""), "transport=\"in_process\"".to_owned()];
        page::eventually(prometheus, "qiyas_receiver_accepted_total", &labels, items).await;
    }
    page::eventually(prometheus, "qiyas_ai_requests_total", &["job=\"embedded\"".to_owned()], 2.0).await;
    sidecar.stop(STOP_TIME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metric_exporter_asks_for_the_temporality_it_was_given() {
    use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
    let (sidecar, _) = started(&config("")).await;
    assert_eq!(sidecar.metric_exporter().temporality(), Temporality::Cumulative);
    let delta = sidecar.metric_exporter().with_temporality(Temporality::Delta);
    assert_eq!(delta.temporality(), Temporality::Delta);
    sidecar.stop(STOP_TIME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_beyond_the_request_limit_is_refused_and_counted() {
    let mut config = config("");
    config.config.receivers.otlp.max_request_size = config::Size(1 << 10);
    let (sidecar, prometheus) = started(&config).await;
    let tracers = SdkTracerProvider::builder().with_simple_exporter(sidecar.span_exporter()).build();
    let tracer = tracers.tracer("test");
    tracer.span_builder("n".repeat(1 << 10)).start(&tracer).end();
    tracer.start("short").end();
    let in_process = "transport=\"in_process\"".to_owned();
    let too_large = [in_process.clone(), "reason=\"too_large\"".to_owned()];
    page::eventually(prometheus, "qiyas_receiver_refused_total", &too_large, 1.0).await;
    page::eventually(prometheus, "qiyas_receiver_accepted_total", &[in_process], 1.0).await;
    sidecar.stop(STOP_TIME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_after_the_end() {
    let (sidecar, _) = started(&config("")).await;
    let (mut exporter, outliving) = (sidecar.span_exporter(), sidecar.span_exporter());
    exporter.set_resource(&resource());
    exporter.export(Vec::new()).await.unwrap();
    exporter.shutdown().unwrap();
    assert!(matches!(exporter.export(Vec::new()).await, Err(OTelSdkError::AlreadyShutdown)));
    assert!(matches!(exporter.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
    sidecar.stop(STOP_TIME).await;
    let refused = outliving.export(Vec::new()).await.unwrap_err();
    assert!(matches!(refused, OTelSdkError::InternalFailure(_)), "{refused:?}");
}
