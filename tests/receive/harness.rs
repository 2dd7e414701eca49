//! A receiver on free ports, over a journal that a test reads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use qiyas::config;
use qiyas::journal::{Behind, Journal, Reader, Wants};
use qiyas::otlp::{self, Signal, visit};
use qiyas::receive::admission::Admission;
use qiyas::receive::serve::Connections;
use qiyas::receive::{BoundOtlp, Intake, IntakeLimits, Observe, Observed};
use qiyas::telemetry::OwnMetrics;
use qiyas::units::UnixNanos;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Server {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub own: Arc<OwnMetrics>,
    admission: Admission,
    fold: Reader<()>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

pub struct Options {
    pub otlp: config::Otlp,
    pub journal_bytes: usize,
    pub limits: config::Limits,
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let mut otlp = config::Otlp::default();
        otlp.grpc.endpoint = Some("127.0.0.1:0".to_owned());
        otlp.http.endpoint = Some("127.0.0.1:0".to_owned());
        otlp.max_request_size = config::Size::mib(1);
        Self { otlp, journal_bytes: 64 << 20, limits: config::Limits::default(), grace: Duration::from_secs(30) }
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with_journal(journal_bytes: usize) -> Self {
        Self::with(Options { journal_bytes, ..Options::default() }).await
    }

    pub async fn with_connections(connections: usize) -> Self {
        let limits = config::Limits { connections, ..config::Limits::default() };
        Self::with(Options { limits, ..Options::default() }).await
    }

    pub async fn with_grace(grace: Duration) -> Self {
        Self::with(Options { grace, ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        let Options { otlp, journal_bytes, limits, grace } = options;
        let bound = BoundOtlp::bind(&otlp).await.unwrap();
        let [("grpc", grpc), ("http", http)] = bound.addresses()[..] else { panic!("two listeners") };
        let journal = Journal::in_memory(journal_bytes);
        let fold = journal.reader("fold", Behind::Refuse, Wants::ALL, || {});
        let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
        let intake = Intake::new(IntakeLimits::of(&otlp, &limits), count(), journal, Arc::clone(&own));
        let admission = intake.admission().clone();
        let connections = Connections::new(limits.connections, Arc::clone(&own));
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(bound.serve(intake, connections, grace, stopped));
        Self { grpc, http, own, admission, fold, stop, serving }
    }

    pub fn journaled(&mut self) -> Vec<(Signal, u32, Bytes)> {
        let records = std::iter::from_fn(|| self.fold.read());
        records.map(|record| (record.signal().unwrap(), record.items, record.bytes.clone())).collect()
    }

    pub fn held_bytes(&self) -> usize {
        self.admission.held_bytes()
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub async fn ended(&self) {
        let ended = async {
            while !self.serving.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("serving ends");
    }

    /// Waits until so many body bytes have arrived.
    pub async fn until_held(&self, bytes: usize) {
        let arrived = async {
            while self.held_bytes() < bytes {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("the bytes arrive");
    }

    /// Waits until no connection is taken any more.
    pub async fn until_refusing(&self) {
        let refusing = async {
            while TcpStream::connect(self.http).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), refusing).await.expect("the listener closes");
    }
}

fn count() -> Observe<()> {
    Arc::new(|signal, request: &Bytes| {
        let mut counter = Counter(0);
        otlp::visit(signal, request, &mut counter)?;
        Ok(Observed { rides: (), rides_bytes: 0, items: counter.0, warning: None })
    })
}

struct Counter(u32);

impl<'a> visit::Visitor<'a> for Counter {
    fn span(&mut self, _: visit::Span<'a>) {
        self.0 += 1;
    }
}

/// `count` spans with names of `name_bytes`.
pub fn traces(count: usize, name_bytes: usize) -> ExportTraceServiceRequest {
    let span = |n: usize| Span {
        name: "n".repeat(name_bytes),
        trace_id: vec![n as u8; 16],
        span_id: vec![1; 8],
        ..Span::default()
    };
    let scope = ScopeSpans { spans: (0..count).map(span).collect(), ..ScopeSpans::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }],
    }
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Sends one framed message to the trace service; gives back `grpc-status`.
pub async fn raw_grpc(address: SocketAddr, headers: &[(&str, &str)], framed: Vec<u8>) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let path = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let mut request =
        http::Request::post(format!("http://{address}/{path}")).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut body) = sender.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(framed.into(), true).unwrap();
    let response = response.await.unwrap();
    if let Some(status) = response.headers().get("grpc-status") {
        return status.to_str().unwrap().to_owned();
    }
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    body.trailers().await.unwrap().unwrap()["grpc-status"].to_str().unwrap().to_owned()
}
