//! The client over OTLP/HTTP against a hyper server.

use ::http::StatusCode;

use super::super::client::Client;
use super::super::client::tests::status_with_delay;
use super::server::{RawServer, answer, config_for};
use super::*;
use crate::config::Protocol;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

async fn send(client: &Client, compression: Compression) -> Outcome {
    client.export(Signal::Traces, Payload::pack(vec![spans(&["a"])], compression).await).await
}

fn client(server: &RawServer, compression: Compression) -> Client {
    Client::new(&config_for(server.address, Protocol::HttpProtobuf, compression)).unwrap()
}

#[tokio::test]
async fn every_signal_goes_to_its_path_and_is_really_compressed() {
    let server = RawServer::start(|_| Some(answer(200, &[PROTOBUF], ""))).await;
    let bytes = spans(&["name"; 1000]);
    for (compression, encoding) in
        [(Compression::None, None), (Compression::Gzip, Some("gzip")), (Compression::Zstd, Some("zstd"))]
    {
        let client = client(&server, compression);
        for signal in Signal::ALL {
            let payload = Payload::pack(vec![bytes.clone()], compression).await;
            assert_eq!(client.export(signal, payload).await, accepted());
            let received = server.received().pop().unwrap();
            assert_eq!(received.path, format!("/v1/{}", signal.as_str()));
            assert_eq!(received.headers["content-type"], "application/x-protobuf");
            assert_eq!(received.headers["content-length"], received.body.len().to_string());
            assert_eq!(received.headers.get("content-encoding").map(|e| e.to_str().unwrap()), encoding);
            let plain = match compression {
                Compression::None => received.body.to_vec(),
                Compression::Gzip => {
                    let mut plain = Vec::new();
                    std::io::copy(&mut flate2::read::GzDecoder::new(&*received.body), &mut plain).unwrap();
                    plain
                }
                Compression::Zstd => zstd::decode_all(&*received.body).unwrap(),
            };
            assert_eq!(plain, bytes);
            assert!(encoding.is_none() || received.body.len() < bytes.len() / 10);
        }
    }
}

#[tokio::test]
async fn every_status_with_and_without_retry_after() {
    let statuses = [200, 202, 301, 307, 400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 501, 502, 503, 504];
    for status in statuses {
        for hint in [None, Some(Duration::from_secs(7))] {
            let server = RawServer::start(move |_| {
                let mut headers = vec![("content-type", "text/plain; charset=utf-8"), ("location", "/elsewhere")];
                headers.extend(hint.map(|_| ("retry-after", "7")));
                Some(answer(status, &headers, "so it is\n"))
            })
            .await;
            let outcome = send(&client(&server, Compression::None), Compression::None).await;
            let expected = Outcome::of_http(StatusCode::from_u16(status).unwrap(), "so it is", hint);
            assert_eq!(outcome, expected, "{status}");
            assert_eq!(server.received().len(), 1, "no redirect is followed");
        }
    }
}

#[tokio::test]
async fn a_status_body_gives_message_and_delay() {
    let server = RawServer::start(|_| Some(answer(503, &[PROTOBUF], status_with_delay(9, 0)))).await;
    let outcome = send(&client(&server, Compression::None), Compression::None).await;
    let expected = Outcome::Retry { after: Some(Duration::from_secs(9)), reason: "http status 503: busy".into() };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn a_partial_success_is_read_if_the_answer_is_protobuf() {
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    let partial_success = ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".into() };
    let body = ExportTraceServiceResponse { partial_success: Some(partial_success) }.encode_to_vec();
    let protobuf = RawServer::start({
        let body = body.clone();
        move |_| Some(answer(200, &[PROTOBUF], body.clone()))
    })
    .await;
    let other = RawServer::start(move |_| Some(answer(200, &[("content-type", "text/plain")], body.clone()))).await;
    let outcome = send(&client(&protobuf, Compression::None), Compression::None).await;
    assert_eq!(outcome, Outcome::Accepted { rejected: 1, message: "too old".into() });
    assert_eq!(send(&client(&other, Compression::None), Compression::None).await, accepted());
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    for (status, expected) in [(200, accepted()), (400, Outcome::of_http(StatusCode::BAD_REQUEST, "", None))] {
        let server = RawServer::start(move |_| Some(answer(status, &[PROTOBUF], vec![0; 10 << 20]))).await;
        assert_eq!(send(&client(&server, Compression::None), Compression::None).await, expected);
    }
}

#[tokio::test]
async fn a_secret_in_a_file_is_rotated_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = RawServer::start(|_| Some(answer(200, &[PROTOBUF], ""))).await;
    let mut config = config_for(server.address, Protocol::HttpProtobuf, Compression::None);
    config.headers.insert("Authorization".into(), config::HeaderValue::File(file.clone()));
    config.headers.insert("x-tenant".into(), config::HeaderValue::Inline(config::Secret::new("t1")));
    let client = Client::new(&config).unwrap();
    let missing = send(&client, Compression::None).await;
    assert!(matches!(missing, Outcome::Retry { .. }), "nothing leaves without its credentials: {missing:?}");
    assert!(server.received().is_empty());
    for token in ["Bearer one", "Bearer two"] {
        // As Kubernetes does it: a new file takes the old one's name.
        let next = folder.path().join("next");
        std::fs::write(&next, format!("{token}\n")).unwrap();
        std::fs::rename(&next, &file).unwrap();
        assert_eq!(send(&client, Compression::None).await, accepted());
        let received = server.received().pop().unwrap();
        assert_eq!(received.headers["authorization"], token);
        assert_eq!(received.headers["x-tenant"], "t1");
    }
}

#[tokio::test]
async fn one_server_that_hangs_delays_no_other() {
    let slow = RawServer::start(|_| None).await;
    let fast = RawServer::start(|_| Some(answer(200, &[PROTOBUF], ""))).await;
    let mut road = Road::new();
    for (name, server) in [("slow", &slow), ("d", &fast)] {
        let config =
            Forward { name: name.into(), ..config_for(server.address, Protocol::HttpProtobuf, Compression::Gzip) };
        road.forwarder.add(&config, &road.journal, Lent { enrich: None, derive: None }).unwrap();
    }
    road.append(&["a"]);
    slow.received_reach(1).await;
    road.append(&["b"]);
    while road.sent() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(slow.received().len(), 1);
}
