//! The client against tonic's server, and against servers that are no good at gRPC.

use ::http::HeaderName;
use http_body_util::{BodyExt as _, Full};
use tonic::Code;

use super::super::client::Client;
use super::super::client::tests::status_with_delay;
use super::server::{Answer, GrpcServer, RawServer, answer, config_for};
use super::*;
use crate::config::Protocol;

async fn send(client: &Client, signal: Signal, bytes: Bytes, compression: Compression) -> Outcome {
    client.export(signal, Payload::pack(vec![bytes], compression).await).await
}

#[tokio::test]
async fn every_signal_and_compression_arrives_at_tonics_server() {
    let server = GrpcServer::start(|| Ok((0, ""))).await;
    let requests = [(Signal::Traces, spans(&["a"])), (Signal::Metrics, gauge(3)), (Signal::Logs, log("l"))];
    let mut expected = Vec::new();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let client = Client::new(&config_for(server.address(), Protocol::Grpc, compression)).unwrap();
        for (signal, bytes) in &requests {
            assert_eq!(send(&client, *signal, bytes.clone(), compression).await, accepted());
            expected.push((*signal, bytes.to_vec()));
        }
    }
    let received = server.received();
    assert_eq!(received.iter().map(|(s, _, bytes)| (*s, bytes.clone())).collect::<Vec<_>>(), expected);
    let metadata = &received[0].1;
    assert_eq!(metadata.get("grpc-timeout").unwrap(), "60000m");
    assert!(metadata.get("user-agent").unwrap().to_str().unwrap().starts_with("qiyas/"));
}

#[tokio::test]
async fn every_code_with_and_without_retry_info() {
    for number in 1..=16 {
        let code = Code::from_i32(number);
        for hint in [None, Some(Duration::new(7, 500_000_000))] {
            let server = GrpcServer::start(move || {
                let details = if hint.is_some() { status_with_delay(7, 500_000_000) } else { Vec::new() };
                Err(tonic::Status::with_details(code, "so it is: é", details.into()))
            })
            .await;
            let client = Client::new(&config_for(server.address(), Protocol::Grpc, Compression::None)).unwrap();
            let outcome = send(&client, Signal::Traces, spans(&["a"]), Compression::None).await;
            assert_eq!(outcome, Outcome::of_grpc(code, "so it is: é", hint), "{code:?}");
        }
    }
}

#[tokio::test]
async fn a_partial_success_is_read_for_every_signal() {
    let server = GrpcServer::start(|| Ok((2, "too old"))).await;
    let client = Client::new(&config_for(server.address(), Protocol::Grpc, Compression::None)).unwrap();
    for (signal, bytes) in [(Signal::Traces, spans(&["a"])), (Signal::Metrics, gauge(3)), (Signal::Logs, log("l"))] {
        let outcome = send(&client, signal, bytes, Compression::None).await;
        assert_eq!(outcome, Outcome::Accepted { rejected: 2, message: "too old".into() });
    }
}

#[tokio::test]
async fn a_message_is_really_compressed() {
    let server = RawServer::start(|_| Some(grpc_answer(&[("grpc-status", "0")], b""))).await;
    let bytes = spans(&["name"; 1000]);
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let client = Client::new(&config_for(server.address, Protocol::Grpc, compression)).unwrap();
        assert_eq!(send(&client, Signal::Traces, bytes.clone(), compression).await, accepted());
        let received = server.received().pop().unwrap();
        assert_eq!(received.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        assert_eq!(received.headers["grpc-encoding"], name);
        assert_eq!(received.body[0], 1, "the flag of a compressed message");
        assert_eq!(received.body[1..5], u32::try_from(received.body.len() - 5).unwrap().to_be_bytes());
        assert!(received.body.len() < bytes.len() / 10);
    }
}

/// A gRPC answer with these trailers.
fn grpc_answer(trailers: &[(&str, &str)], body: &[u8]) -> Answer {
    let trailers = trailers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<::http::HeaderValue>().unwrap()))
        .collect();
    let body = Full::new(Bytes::copy_from_slice(body)).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    ::http::Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

#[tokio::test]
async fn bad_answers_are_judged_and_never_a_panic() {
    type Case = (&'static str, fn() -> Answer, &'static str);
    let cases: [Case; 8] = [
        ("ok without a message", || grpc_answer(&[("grpc-status", "0")], b""), "accepted"),
        (
            "ok with a broken message",
            || grpc_answer(&[("grpc-status", "0")], b"\0\0\0\0\x04\xff\xff\xff\xff"),
            "accepted",
        ),
        ("broken details", || grpc_answer(&[("grpc-status", "14"), ("grpc-status-details-bin", "#!")], b""), "retry"),
        ("no status", || grpc_answer(&[], b""), "retry"),
        ("too long", || grpc_answer(&[("grpc-status", "0")], &[0; 100_000]), "retry"),
        ("a page", || answer(200, &[("content-type", "text/html")], "<html>"), "permanent"),
        ("a proxy's 503", || answer(503, &[], "no upstream"), "retry"),
        ("a proxy's 401", || answer(401, &[], "who are you"), "permanent"),
    ];
    for (case, answer, expected) in cases {
        let server = RawServer::start(move |_| Some(answer())).await;
        let client = Client::new(&config_for(server.address, Protocol::Grpc, Compression::None)).unwrap();
        let found = match send(&client, Signal::Traces, spans(&["a"]), Compression::None).await {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Retry { .. } => "retry",
            Outcome::Permanent { .. } => "permanent",
        };
        assert_eq!(found, expected, "{case}");
    }
}

#[tokio::test]
async fn a_connection_that_gives_no_answer_is_not_used_again() {
    let server = RawServer::start(|_| None).await;
    let client = Arc::new(Client::new(&config_for(server.address, Protocol::Grpc, Compression::None)).unwrap());
    for attempt in 1..=2 {
        let sending = Arc::clone(&client);
        let outcome =
            tokio::spawn(async move { send(&sending, Signal::Traces, spans(&["a"]), Compression::None).await });
        server.received_reach(attempt).await;
        // Only from here on may time pass by itself.
        tokio::time::pause();
        let expected = Outcome::Retry { after: None, reason: "no answer within 60s".into() };
        assert_eq!(outcome.await.unwrap(), expected);
        tokio::time::resume();
        assert_eq!(server.connections(), attempt);
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = RawServer::start(|_| Some(grpc_answer(&[("grpc-status", "0")], b""))).await;
    let client = Client::new(&config_for(server.address, Protocol::Grpc, Compression::None)).unwrap();
    for _ in 0..10 {
        assert_eq!(send(&client, Signal::Traces, spans(&["a"]), Compression::None).await, accepted());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn nobody_there_is_worth_a_retry() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&config_for(address, Protocol::Grpc, Compression::None)).unwrap();
    let outcome = send(&client, Signal::Traces, spans(&["a"]), Compression::None).await;
    let Outcome::Retry { after: None, reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_whole_road_over_grpc() {
    let server = GrpcServer::start(|| Ok((0, ""))).await;
    let mut road = Road::new();
    let config = config_for(server.address(), Protocol::Grpc, Compression::Gzip);
    road.forwarder.add(&config, &road.journal, Lent { enrich: None, derive: None }).unwrap();
    for _ in 0..100 {
        road.append(&["a", "b"]);
    }
    road.try_append(Origin::App, Signal::Logs, 1, log("l")).unwrap();
    let drained = road.drain().await;
    assert_eq!((drained.sent, drained.failed, drained.dropped), (201, 0, 0));
    let received = server.received();
    let spans: usize =
        received.iter().filter(|(s, ..)| *s == Signal::Traces).map(|(_, _, bytes)| span_names(bytes).len()).sum();
    assert_eq!(spans, 200);
}
