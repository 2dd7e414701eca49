//! An OTLP/gRPC server that keeps what it is sent.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

pub struct Destination {
    pub address: SocketAddr,
    traces: UnboundedReceiver<ExportTraceServiceRequest>,
    metrics: UnboundedReceiver<ExportMetricsServiceRequest>,
    logs: UnboundedReceiver<ExportLogsServiceRequest>,
}

impl Destination {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trace_sender, traces) = unbounded_channel();
        let (metric_sender, metrics) = unbounded_channel();
        let (log_sender, logs) = unbounded_channel();
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Kept(trace_sender)))
            .add_service(MetricsServiceServer::new(Kept(metric_sender)))
            .add_service(LogsServiceServer::new(Kept(log_sender)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        Self { address, traces, metrics, logs }
    }

    pub async fn traces(&mut self) -> ExportTraceServiceRequest {
        next(&mut self.traces).await
    }

    pub async fn metrics(&mut self) -> ExportMetricsServiceRequest {
        next(&mut self.metrics).await
    }

    pub async fn logs(&mut self) -> ExportLogsServiceRequest {
        next(&mut self.logs).await
    }
}

async fn next<T>(requests: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(ARRIVES_WITHIN, requests.recv()).await.expect("a request arrives").expect("the server runs")
}

struct Kept<T>(UnboundedSender<T>);

impl<T> Kept<T> {
    fn keep<A: Default>(&self, request: Request<T>) -> Result<Response<A>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("the test has ended"))?;
        Ok(Response::new(A::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Kept<ExportTraceServiceRequest> {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request)
    }
}

#[tonic::async_trait]
impl MetricsService for Kept<ExportMetricsServiceRequest> {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.keep(request)
    }
}

#[tonic::async_trait]
impl LogsService for Kept<ExportLogsServiceRequest> {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.keep(request)
    }
}
