use super::*;
use crate::receive::fixture::{Fixture, Stuck, count, gzip, request, zstd};
use http_body_util::{BodyExt as _, Full};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

#[derive(Debug)]
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

async fn answered(response: Response<Reply>) -> Answered {
    let (head, body) = response.into_parts();
    Answered { status: head.status.as_u16(), headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

fn http(fixture: &Fixture) -> Http<&'static str> {
    Http::new(fixture.intake.clone(), None, Cors::default())
}

async fn send(fixture: &Fixture, request: Request<Full<Bytes>>) -> Answered {
    answered(http(fixture).call(request).await).await
}

#[tokio::test]
async fn takes_every_signal_in_both_formats_and_every_encoding() {
    let json = |signal| match signal {
        Signal::Traces => r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}]}"#,
        Signal::Metrics => r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a"},{"name":"b"}]}]}]}"#,
        Signal::Logs => r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"a"},{"eventName":"b"}]}]}]}"#,
    };
    for signal in Signal::ALL {
        let mut fixture = Fixture::new();
        let path = format!("/v1/{}", signal.as_str());
        let protobuf = request(signal, 1);
        for (content_type, body) in
            [(PROTOBUF, protobuf.as_slice()), ("application/json; charset=utf-8", json(signal).as_bytes())]
        {
            let encodings =
                [("identity", body.to_vec()), ("gzip", gzip(body)), ("zstd", zstd(body)), ("", body.to_vec())];
            for (encoding, encoded) in encodings {
                let headers = [("content-type", content_type), ("content-encoding", encoding)];
                let answer = send(&fixture, post(&path, &headers, encoded)).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                let (response_type, message) = if content_type == PROTOBUF { (PROTOBUF, "") } else { (JSON, "{}") };
                assert_eq!(answer.headers["content-type"], response_type);
                assert_eq!(answer.body, message);
            }
        }
        let journaled = fixture.journaled();
        assert_eq!(journaled.len(), 8);
        assert!(journaled.iter().all(|(of, items, _)| (*of, *items) == (signal, 2)));
        assert_eq!(journaled[0].2, protobuf, "protobuf is journaled as it came");
        assert_eq!(fixture.own.receiver_accepted.total(&[signal.as_str(), "http"]), 16);
        assert_eq!(fixture.intake.admission().held_bytes(), 0);
    }
}

#[tokio::test]
async fn an_empty_request_succeeds_in_both_formats() {
    let fixture = Fixture::new();
    for (content_type, body, message) in [(PROTOBUF, "", ""), (JSON, "{}", "{}")] {
        let answer = send(&fixture, post("/v1/logs", &[("content-type", content_type)], body)).await;
        assert_eq!((answer.status, &answer.body[..]), (200, message.as_bytes()));
    }
}

#[tokio::test]
async fn a_warning_is_a_partial_success() {
    let limits = Fixture::new().intake.limits();
    let fixture = Fixture::with_journal(limits, 1 << 20, count(Some("odd")));
    let answer = send(&fixture, post("/v1/logs", &[("content-type", JSON)], "{}")).await;
    assert_eq!(answer.body, r#"{"partialSuccess":{"errorMessage":"odd"}}"#);
}

/// Guarantees: each refusal's status, body, headers and count, once asked in protobuf and once in JSON.
#[tokio::test]
async fn every_refusal_has_its_status_body_and_reason() {
    let plain = request(Signal::Traces, 10);
    let large = request(Signal::Traces, 600_000);
    let malformed = "{\"resourceSpans\": [1".as_bytes().to_vec();
    let nested = format!("{{\"resourceSpans\":{}", "[".repeat(10_000)).into_bytes();
    let invalid_utf8 = b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}".to_vec();
    // Path, type, encoding, body, HTTP status, gRPC code, reason.
    let cases = [
        ("/v1/trace", PROTOBUF, "", plain.clone(), 404, 12, "unknown_path"),
        ("/", JSON, "", plain.clone(), 404, 12, "unknown_path"),
        ("/v1/traces", PROTOBUF, "", plain[1..].to_vec(), 400, 3, "malformed"),
        ("/v1/traces", JSON, "", malformed, 400, 3, "malformed"),
        ("/v1/traces", JSON, "", nested, 400, 3, "malformed"),
        ("/v1/traces", JSON, "", invalid_utf8, 400, 3, "malformed"),
        ("/v1/traces", JSON, "", plain.clone(), 400, 3, "malformed"),
        ("/v1/traces", PROTOBUF, "gzip", plain.clone(), 400, 3, "malformed"),
        ("/v1/traces", PROTOBUF, "zstd", zstd(&plain)[..12].to_vec(), 400, 3, "malformed"),
        ("/v1/traces", PROTOBUF, "", large.clone(), 413, 8, "too_large"),
        ("/v1/traces", PROTOBUF, "gzip", gzip(&large), 413, 8, "too_large"),
        ("/v1/traces", JSON, "zstd", zstd(&large), 413, 8, "too_large"),
        ("/v1/traces", PROTOBUF, "br", plain.clone(), 415, 12, "encoding"),
        ("/v1/traces", "text/plain", "", plain.clone(), 415, 3, "content_type"),
        ("/v1/traces", "application/x-protobuf-ish", "", plain.clone(), 415, 3, "content_type"),
    ];
    for (path, content_type, encoding, body, http_status, code, reason) in cases {
        let fixture = Fixture::new();
        let answer =
            send(&fixture, post(path, &[("content-type", content_type), ("content-encoding", encoding)], body)).await;
        assert_eq!(answer.status, http_status, "{answer:?}");
        assert!(!answer.headers.contains_key("retry-after"), "{answer:?}");
        if content_type == PROTOBUF {
            assert_eq!(answer.headers["content-type"], PROTOBUF);
            assert_eq!(answer.body[..3], [0x08, code, 0x12], "a google.rpc.Status with code and message");
        } else {
            assert_eq!(answer.headers["content-type"], JSON);
            let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(status["code"], code);
            assert!(!status["message"].as_str().unwrap().is_empty());
        }
        let signal = if http_status == 404 { "unknown" } else { "traces" };
        assert_eq!(fixture.own.receiver_refused.total(&[signal, "http", reason]), 1, "{reason}");
        assert_eq!(fixture.own.receiver_accepted.total(&[]), 0);
        assert_eq!(fixture.intake.admission().held_bytes(), 0);
    }
}

#[tokio::test]
async fn a_missing_content_type_is_415_and_names_what_is_expected() {
    let answer = send(&Fixture::new(), post("/v1/logs", &[], "")).await;
    let body =
        r#"{"code":3,"message":"unsupported content type ``, expected application/x-protobuf or application/json"}"#;
    assert_eq!((answer.status, &answer.body[..]), (415, body.as_bytes()));
}

#[tokio::test]
async fn an_unknown_encoding_is_told_which_are_known() {
    let headers = [("content-type", PROTOBUF), ("content-encoding", "deflate")];
    let answer = send(&Fixture::new(), post("/v1/logs", &headers, "")).await;
    assert_eq!((answer.status, answer.headers["accept-encoding"].to_str().unwrap()), (415, "gzip,zstd,identity"));
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let fixture = Fixture::new();
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let mut request = post("/v1/metrics", &[("content-type", JSON)], "{}");
        *request.method_mut() = method;
        let answer = send(&fixture, request).await;
        assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "POST"));
    }
}

#[tokio::test]
async fn overload_is_503_with_retry_after() {
    let limits = Fixture::new().intake.limits();
    let fixture = Fixture::with_journal(limits, 600, count(None));
    let plain = request(Signal::Traces, 100);
    let headers = [("content-type", PROTOBUF)];
    assert_eq!(send(&fixture, post("/v1/traces", &headers, plain.clone())).await.status, 200);
    let answer = send(&fixture, post("/v1/traces", &headers, plain)).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(answer.headers["content-type"], PROTOBUF);
    assert_eq!(answer.body[..2], [0x08, 14]);
    assert_eq!(fixture.own.receiver_refused.total(&["traces", "http", "behind"]), 1);

    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#;
    let [mut half, mut other_half, mut passes] = [(); 3].map(|()| fixture.intake.admission().open());
    half.add(2 << 20).unwrap();
    other_half.add(2 << 20).unwrap();
    passes.add(1).unwrap();
    let answer = send(&fixture, post("/v1/logs", &[("content-type", JSON)], json)).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(status["message"], "too many request bytes are in flight");
    assert_eq!(status["details"][0]["retryDelay"], "1s");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_408_and_the_connection_closes() {
    let fixture = Fixture::new();
    let start = tokio::time::Instant::now();
    let request = Request::post("/v1/traces").header("content-type", JSON).body(Stuck).unwrap();
    let answer = answered(http(&fixture).call(request).await).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!((answer.status, answer.headers["connection"].to_str().unwrap()), (408, "close"));
    assert_eq!(fixture.own.receiver_refused.total(&["traces", "http", "timeout"]), 1);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_send() {
    let fixture = Fixture::new();
    let cors = Cors::new(&["https://*.example".to_owned()]);
    let service = Http::new(fixture.intake.clone(), None, cors);
    let from = |origin| [("content-type", JSON), ("origin", origin)];
    let allowed = answered(service.call(post("/v1/traces", &from("https://app.example"), "{}")).await).await;
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://app.example");
    assert_eq!(allowed.headers["vary"], "Origin");
    let refused = answered(service.call(post("/v1/traces", &from("https://app.example"), "[")).await).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.headers["access-control-allow-origin"], "https://app.example", "a page may read why");
    let other = answered(service.call(post("/v1/traces", &from("https://evil.test"), "{}")).await).await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));

    let mut preflight =
        post("/v1/traces", &[("origin", "https://app.example"), ("access-control-request-method", "POST")], "");
    *preflight.method_mut() = Method::OPTIONS;
    let preflight = answered(service.call(preflight).await).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-headers"], "content-type,content-encoding");
    let mut unknown =
        post("/v1/nope", &[("origin", "https://app.example"), ("access-control-request-method", "POST")], "");
    *unknown.method_mut() = Method::OPTIONS;
    assert_eq!(answered(service.call(unknown).await).await.status, 404);
    let mut get = post("/v1/traces", &[], "");
    *get.method_mut() = Method::GET;
    assert_eq!(answered(service.call(get).await).await.headers["allow"], "POST, OPTIONS");
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let fixture = Fixture::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret").unwrap();
    let auth = Auth::load(&crate::config::Auth::BearerTokenFile(file.path().into())).unwrap();
    let service = Http::new(fixture.intake.clone(), Some(Arc::new(auth)), Cors::default());
    let denied = answered(service.call(post("/v1/traces", &[("content-type", JSON)], "{}")).await).await;
    assert_eq!((denied.status, denied.headers.contains_key("www-authenticate")), (401, true));
    let headers = [("content-type", JSON), ("authorization", "Bearer secret")];
    assert_eq!(answered(service.call(post("/v1/traces", &headers, "{}")).await).await.status, 200);
}
