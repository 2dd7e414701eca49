use super::*;
use crate::receive::fixture::{Fixture, Stuck, count, gzip, request, zstd};
use crate::receive::intake::IntakeLimits;
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut framed = vec![flag];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

fn call(path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body)).unwrap()
}

fn grpc(fixture: &Fixture) -> Grpc<&'static str> {
    Grpc::new(fixture.intake.clone(), None)
}

#[derive(Debug)]
struct Answered {
    status: u16,
    headers: HeaderMap,
    /// Headers of a refusal, trailers of a success.
    last: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn code(&self) -> &str {
        self.last["grpc-status"].to_str().unwrap()
    }

    fn message(&self) -> &str {
        self.last["grpc-message"].to_str().unwrap()
    }
}

async fn answered(response: Response<Reply>) -> Answered {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let last = collected.trailers().cloned().unwrap_or_else(|| head.headers.clone());
    Answered { status: head.status.as_u16(), headers: head.headers, last, body: collected.to_bytes() }
}

async fn send(fixture: &Fixture, request: Request<Full<Bytes>>) -> Answered {
    answered(grpc(fixture).call(request).await).await
}

#[tokio::test]
async fn takes_every_signal_in_every_encoding() {
    for (path, signal) in [(TRACES, Signal::Traces), (METRICS, Signal::Metrics), (LOGS, Signal::Logs)] {
        let mut fixture = Fixture::new();
        let plain = request(signal, 100);
        let requests = [
            call(path, &[], frame(0, &plain)),
            call(path, &[("grpc-encoding", "gzip")], frame(1, &gzip(&plain))),
            call(path, &[("grpc-encoding", "zstd")], frame(1, &zstd(&plain))),
            call(path, &[("grpc-encoding", "gzip")], frame(0, &plain)),
        ];
        for request in requests {
            let answer = send(&fixture, request).await;
            assert_eq!((answer.status, answer.code()), (200, "0"));
            assert_eq!(answer.headers["content-type"], "application/grpc");
            assert_eq!(&answer.body[..], [0, 0, 0, 0, 0], "an empty message: full success");
        }
        let journaled = fixture.journaled();
        assert_eq!(journaled.len(), 4);
        assert!(journaled.iter().all(|record| *record == (signal, 2, plain.clone().into())));
        assert_eq!(fixture.own.receiver_accepted.total(&[signal.as_str(), "grpc"]), 8);
        assert_eq!(fixture.intake.admission().held_bytes(), 0);
    }
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let mut fixture = Fixture::new();
    assert_eq!(send(&fixture, call(TRACES, &[], frame(0, b""))).await.code(), "0");
    assert!(fixture.journaled().is_empty());
}

#[tokio::test]
async fn a_warning_is_a_partial_success_of_nothing_rejected() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    let limits = Fixture::new().intake.limits();
    let fixture = Fixture::with_journal(limits, 1 << 20, count(Some("spans from the future")));
    let answer = send(&fixture, call(TRACES, &[], frame(0, &request(Signal::Traces, 3)))).await;
    let response = ExportTraceServiceResponse::decode(&answer.body[5..]).unwrap().partial_success.unwrap();
    assert_eq!((response.rejected_spans, response.error_message.as_str()), (0, "spans from the future"));
}

#[tokio::test]
async fn every_refusal_has_its_status_and_reason() {
    let plain = request(Signal::Traces, 10);
    let large = request(Signal::Traces, 600_000);
    let truncated = plain[..plain.len() - 1].to_vec();
    let cut_gzip = gzip(&plain)[..20].to_vec();
    let no_headers: &[(&str, &str)] = &[];
    // Request, code, reason, the message's beginning.
    let cases = [
        (
            call("/nope.Service/Export", no_headers, frame(0, &plain)),
            "12",
            "unknown_path",
            "unknown path `/nope.Service/Export`",
        ),
        (call(TRACES, no_headers, frame(0, &truncated)), "3", "malformed", "the message ends inside a field"),
        (call(TRACES, no_headers, frame(0, &large)), "8", "too_large", "the request is larger than 1048576 bytes"),
        (call(TRACES, no_headers, vec![0, 255, 255, 255, 255]), "8", "too_large", "the request is larger"),
        (
            call(TRACES, &[("grpc-encoding", "gzip")], frame(1, &gzip(&large))),
            "8",
            "too_large",
            "the request is larger",
        ),
        (
            call(TRACES, &[("grpc-encoding", "zstd")], frame(1, &zstd(&large))),
            "8",
            "too_large",
            "the request is larger",
        ),
        (
            call(TRACES, &[("grpc-encoding", "gzip")], frame(1, &cut_gzip)),
            "3",
            "malformed",
            "the gzip body is malformed",
        ),
        (
            call(TRACES, &[("grpc-encoding", "zstd")], frame(1, b"no zstd")),
            "3",
            "malformed",
            "the zstd body is malformed",
        ),
        (
            call(TRACES, &[("grpc-encoding", "snappy")], frame(1, &plain)),
            "12",
            "encoding",
            "unsupported encoding `snappy`",
        ),
        (call(TRACES, no_headers, frame(1, &plain)), "13", "encoding", "the message is marked as compressed"),
        (call(TRACES, no_headers, frame(2, &plain)), "3", "malformed", "frame flag 2"),
        (call(TRACES, no_headers, vec![]), "12", "malformed", "a unary call has exactly one message"),
        (call(TRACES, no_headers, [frame(0, &plain), frame(0, &plain)].concat()), "12", "malformed", "a unary call"),
        (call(TRACES, no_headers, frame(0, &plain)[..9].to_vec()), "3", "malformed", "the stream ends inside a frame"),
        (call(TRACES, no_headers, vec![0, 0]), "3", "malformed", "the stream ends inside a frame"),
        (call(TRACES, &[("grpc-timeout", "soon")], frame(0, &plain)), "3", "malformed", "grpc-timeout `soon`"),
    ];
    for (request, code, reason, message) in cases {
        let fixture = Fixture::new();
        let answer = send(&fixture, request).await;
        assert_eq!((answer.status, answer.code()), (200, code), "{answer:?}");
        assert!(answer.message().starts_with(message), "{answer:?}");
        assert!(answer.body.is_empty() && answer.headers.contains_key("grpc-status"), "trailers only");
        assert!(!answer.last.contains_key("grpc-status-details-bin"), "no retry hint: {answer:?}");
        let signal = if reason == "unknown_path" { "unknown" } else { "traces" };
        assert_eq!(fixture.own.receiver_refused.total(&[signal, "grpc", reason]), 1, "{reason}");
        assert_eq!(fixture.own.receiver_refused.total(&[]), 1);
        assert_eq!(fixture.own.receiver_accepted.total(&[]), 0);
        assert_eq!(fixture.intake.admission().held_bytes(), 0);
    }
}

#[tokio::test]
async fn what_is_not_grpc_is_answered_in_http() {
    let fixture = Fixture::new();
    for content_type in ["application/json", "application/grpc-web", "application/grpc+json", "application/grpcx"] {
        let mut request = call(TRACES, &[], frame(0, b""));
        request.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
        assert_eq!(send(&fixture, request).await.status, 415, "{content_type}");
    }
    for content_type in ["application/grpc+proto", "Application/GRPC", "application/grpc; charset=utf-8"] {
        let mut request = call(TRACES, &[], frame(0, b""));
        request.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
        assert_eq!(send(&fixture, request).await.code(), "0", "{content_type}");
    }
    let mut request = call(TRACES, &[], frame(0, b""));
    *request.method_mut() = Method::GET;
    let answer = send(&fixture, request).await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "POST"));
}

/// Reads the retry hint the way clients do: base64, `google.rpc.Status`, `RetryInfo`.
fn retry_seconds(answer: &Answered) -> u8 {
    use base64::Engine as _;
    let encoded = answer.last["grpc-status-details-bin"].to_str().unwrap();
    let status = base64::engine::general_purpose::STANDARD_NO_PAD.decode(encoded).unwrap();
    let type_url = b"type.googleapis.com/google.rpc.RetryInfo";
    let at = status.windows(type_url.len()).position(|window| window == type_url).unwrap();
    let [0x12, 4, 0x0a, 2, 0x08, seconds] = status[at + type_url.len()..] else { panic!("{status:?}") };
    seconds
}

#[tokio::test]
async fn overload_is_unavailable_with_a_retry_hint() {
    let plain = request(Signal::Traces, 100);
    let limits = Fixture::new().intake.limits();
    // The journal holds one record, which the fold does not read.
    let fixture = Fixture::with_journal(limits, 600, count(None));
    assert_eq!(send(&fixture, call(TRACES, &[], frame(0, &plain))).await.code(), "0");
    let behind = send(&fixture, call(TRACES, &[], frame(0, &plain))).await;
    assert_eq!((behind.code(), behind.message()), ("14", "reader `fold` is 1 records behind"));
    assert_eq!(retry_seconds(&behind), 1);

    let fixture = Fixture::new();
    let (mut fills, mut passes) = (fixture.intake.admission().open(), fixture.intake.admission().open());
    fills.add(4 << 20).unwrap();
    passes.add(1).unwrap();
    let busy = send(&fixture, call(TRACES, &[], frame(0, &plain))).await;
    assert_eq!((busy.code(), busy.message()), ("14", "too many request bytes are in flight"));
    assert_eq!(retry_seconds(&busy), 1);
    assert_eq!(fixture.own.receiver_refused.total(&["traces", "grpc", "in_flight"]), 1);
    drop(passes);
    assert_eq!(send(&fixture, call(TRACES, &[], frame(0, &plain))).await.code(), "0");
}

/// Scenario: admission is exhausted, and a small body arrives that inflates beyond the size limit.
/// Guarantees: the size is decided first, in every form, so a client does not retry what can never succeed.
#[tokio::test]
async fn too_large_comes_before_overload() {
    let fixture = Fixture::new();
    let (mut fills, mut passes) = (fixture.intake.admission().open(), fixture.intake.admission().open());
    fills.add((4 << 20) - 300_000).unwrap();
    passes.add(300_001).unwrap();
    passes.release(300_001);
    let large = request(Signal::Traces, 2 << 20);
    let medium = request(Signal::Traces, 400_000);
    for (encoding, bomb, fits) in [("gzip", gzip(&large), gzip(&medium)), ("zstd", zstd(&large), zstd(&medium))] {
        let answer = send(&fixture, call(TRACES, &[("grpc-encoding", encoding)], frame(1, &fits))).await;
        assert_eq!(answer.code(), "14", "{answer:?}");
        let answer = send(&fixture, call(TRACES, &[("grpc-encoding", encoding)], frame(1, &bomb))).await;
        assert_eq!(answer.code(), "8", "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let fixture = Fixture::new();
    let stuck = |timeout: Option<&str>| {
        let mut request = Request::post(TRACES).header("content-type", "application/grpc");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        request.body(Stuck).unwrap()
    };
    for (timeout, waited) in [(None, 10_000), (Some("250m"), 250), (Some("1H"), 10_000), (Some("99999999n"), 100)] {
        let start = tokio::time::Instant::now();
        let answer = answered(grpc(&fixture).call(stuck(timeout)).await).await;
        assert_eq!(answer.code(), "4");
        assert_eq!(start.elapsed().as_millis(), waited, "rounded up to the timer's milliseconds");
    }
    assert_eq!(fixture.own.receiver_refused.total(&["traces", "grpc", "timeout"]), 4);
}

#[tokio::test(start_paused = true)]
async fn a_closed_intake_answers_bodies_still_arriving() {
    let fixture = Fixture::new();
    let request = Request::post(LOGS).header("content-type", "application/grpc").body(Stuck).unwrap();
    let service = grpc(&fixture);
    let (answer, ()) = tokio::join!(service.call(request), async { fixture.intake.close() });
    let answer = answered(answer).await;
    assert_eq!((answer.code(), answer.message()), ("14", "shutting down"));
    assert_eq!(retry_seconds(&answer), 1);
}

#[tokio::test]
async fn health_says_serving_and_needs_no_credentials() {
    let fixture = Fixture::new();
    let answer = send(&fixture, call("/grpc.health.v1.Health/Check", &[], frame(0, b""))).await;
    assert_eq!((answer.code(), &answer.body[..]), ("0", &[0, 0, 0, 0, 2, 8, 1][..]));
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let fixture = Fixture::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret").unwrap();
    let auth = Auth::load(&crate::config::Auth::BearerTokenFile(file.path().into())).unwrap();
    let service = Grpc::new(fixture.intake.clone(), Some(Arc::new(auth)));
    let denied = answered(service.call(call(TRACES, &[], frame(0, b""))).await).await;
    assert_eq!((denied.code(), denied.message()), ("16", "missing or wrong credentials"));
    let right = call(TRACES, &[("authorization", "Bearer secret")], frame(0, b""));
    assert_eq!(answered(service.call(right).await).await.code(), "0");
}

/// Scenario: legal protobuf that repeats a singular message, which the views do not merge.
#[tokio::test]
async fn a_split_message_is_rewritten_and_taken() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let mut fixture = Fixture::new();
    // ResourceSpans with two `resource` fields (1), each an empty message, and a ScopeSpans (2) with one empty Span (2).
    let split = [0x0a, 8, 0x0a, 0, 0x0a, 0, 0x12, 2, 0x12, 0];
    assert_eq!(send(&fixture, call(TRACES, &[], frame(0, &split))).await.code(), "0");
    let [(Signal::Traces, 1, bytes)] = &fixture.journaled()[..] else { panic!("one record of one span") };
    let same = ExportTraceServiceRequest::decode(&split[..]).unwrap();
    assert_eq!(ExportTraceServiceRequest::decode(&bytes[..]).unwrap(), same);
}

/// Scenario: many large requests at once, more than admission holds.
/// Guarantees: each is accepted or refused with a hint; accepted + refused = sent; nothing stays charged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_large_bodies_are_each_answered() {
    let limits =
        IntakeLimits { max_request_bytes: 1 << 20, in_flight_bytes: 1 << 20, request_time: Duration::from_secs(60) };
    let mut fixture = Fixture::with(limits);
    let compressed = gzip(&request(Signal::Traces, 400_000));
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let service = grpc(&fixture);
            let request = call(TRACES, &[("grpc-encoding", "gzip")], frame(1, &compressed));
            tokio::spawn(async move { answered(service.call(request).await).await.code().to_owned() })
        })
        .collect();
    let mut accepted = 0;
    for call in calls {
        match call.await.unwrap().as_str() {
            "0" => accepted += 1,
            code => assert_eq!(code, "14"),
        }
    }
    assert!(accepted > 0);
    assert_eq!(fixture.journaled().len(), accepted);
    assert_eq!(fixture.own.receiver_refused.total(&["traces", "grpc", "in_flight"]), 40 - accepted as u64);
    assert_eq!(fixture.intake.admission().held_bytes(), 0);
}
