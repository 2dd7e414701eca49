//! The OTLP receiver over real sockets, with real clients and hostile ones.

mod floods;
mod harness;
mod tls;

use std::time::Duration;

use harness::{Options, Server, gzip, traces};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use qiyas::config::Size;
use qiyas::otlp::Signal;
use qiyas::receive::BoundOtlp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding;

#[tokio::test]
async fn a_tonic_client_sends_every_signal_in_every_encoding() {
    let mut server = Server::start().await;
    let url = format!("http://{}", server.grpc);
    let encodings = [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)];
    for encoding in encodings {
        let mut client = TraceServiceClient::connect(url.clone()).await.unwrap();
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding).accept_compressed(encoding);
        }
        let response = client.export(traces(100, 30)).await.unwrap().into_inner();
        assert_eq!(response.partial_success, None, "full success leaves it unset");
    }
    let records = server.journaled();
    assert_eq!(records.len(), 3);
    for (signal, items, bytes) in records {
        assert_eq!((signal, items), (Signal::Traces, 100));
        assert_eq!(bytes, traces(100, 30).encode_to_vec(), "byte for byte");
    }
    let mut metrics = MetricsServiceClient::connect(url.clone()).await.unwrap();
    metrics.export(ExportMetricsServiceRequest::default()).await.unwrap();
    let mut logs = LogsServiceClient::connect(url).await.unwrap();
    logs.export(ExportLogsServiceRequest::default()).await.unwrap();
    assert_eq!(server.own.receiver_accepted.total(&["traces", "grpc"]), 300);
}

/// Scenario: requests of many frames, up to just below the limit, on one connection at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_share_a_connection() {
    let mut server = Server::start().await;
    let client = TraceServiceClient::connect(format!("http://{}", server.grpc)).await.unwrap();
    let client = client.max_encoding_message_size(usize::MAX);
    let sends = (1..=8).map(|n| {
        let mut client = client.clone();
        tokio::spawn(async move { client.export(traces(n * 100, 1000)).await.map(|_| ()) })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap().unwrap();
    }
    let items: u32 = server.journaled().iter().map(|(_, items, _)| items).sum();
    assert_eq!(items, 3600);
}

#[tokio::test]
async fn a_tonic_client_reads_refusals() {
    let server = Server::start().await;
    let client = TraceServiceClient::connect(format!("http://{}", server.grpc)).await.unwrap();
    let too_large = traces(1, 2 << 20);
    let status = client.clone().max_encoding_message_size(usize::MAX).export(too_large).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert!(status.details().is_empty(), "no RetryInfo: it is never retried");

    let full = Server::with_journal(1000).await;
    let mut client = TraceServiceClient::connect(format!("http://{}", full.grpc)).await.unwrap();
    client.export(traces(1, 10)).await.unwrap();
    let status = client.export(traces(1, 900)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::Unavailable, "reader `fold` is 1 records behind"));
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(details.contains("google.rpc.RetryInfo"), "{details}");
}

/// What a raw HTTP/1.1 client reads until the connection closes.
async fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(content_type: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{extra}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn http_1_1_requests_are_answered_and_kept_alive() {
    let mut server = Server::start().await;
    let request = post("application/x-protobuf", "", &traces(3, 5).encode_to_vec());
    let last = post("application/json", "connection: close\r\n", b"{}");
    let answer = exchange(&server, &[request.clone(), request, last].concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert_eq!(server.journaled().len(), 2);
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_on_the_http_port() {
    let mut server = Server::start().await;
    let stream = TcpStream::connect(server.http).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/v1/traces", server.http))
        .header("content-type", "application/x-protobuf")
        .body(())
        .unwrap();
    let (response, mut body) = sender.ready().await.unwrap().send_request(request, false).unwrap();
    body.send_data(traces(2, 5).encode_to_vec().into(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    assert_eq!(server.journaled().len(), 1);
}

/// Scenario: an HTTP/1.1 client that writes 8 MiB before it reads, against a limit of 1 MiB.
/// Guarantees: it reads the 413 instead of a reset; with and without an announced length.
#[tokio::test]
async fn an_early_refusal_is_read_by_a_client_still_writing() {
    let server = Server::start().await;
    let answer = exchange(&server, &post("application/json", "", &vec![b' '; 8 << 20])).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large"), "{answer}");
    assert!(answer.contains("connection: close") && answer.ends_with('}'), "{answer}");

    let head =
        "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();
    let answer = exchange(&server, &[head.as_bytes(), &chunk.repeat(8), b"0\r\n\r\n"].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large"), "{answer}");
    assert_eq!(server.own.receiver_refused.total(&["traces", "http", "too_large"]), 2);
}

#[tokio::test]
async fn an_announced_body_that_is_too_large_is_not_asked_for() {
    let server = Server::start().await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\nexpect: 100-continue\r\n\r\n";
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "HTTP/1.1 413");
}

/// Scenario: 1 GiB of zeros, in 1 MiB of gzip (16 members) and less of zstd, by both transports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused_and_cost_little() {
    let mut options = Options::default();
    options.otlp.max_request_size = Size::mib(8);
    let server = Server::with(options).await;
    let block = vec![0_u8; 1 << 20];
    let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1024 {
        std::io::Write::write_all(&mut bomb, &block).unwrap();
    }
    let bombs = [("gzip", gzip(&vec![0; 64 << 20]).repeat(16)), ("zstd", bomb.finish().unwrap())];
    for (encoding, bomb) in &bombs {
        let request =
            post("application/x-protobuf", &format!("content-encoding: {encoding}\r\nconnection: close\r\n"), bomb);
        let answer = exchange(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        let framed = [&[1_u8][..], &(bomb.len() as u32).to_be_bytes(), bomb].concat();
        assert_eq!(harness::raw_grpc(server.grpc, &[("grpc-encoding", encoding)], framed).await, "8");
    }
    assert_eq!(server.held_bytes(), 0);
}

/// Scenario: one body beyond `in_flight` is half sent; others come meanwhile.
/// Guarantees: what was announced costs nothing, what has arrived does; the one that passed the limit gets through and
/// takes no room from small ones; another that is beyond its share is told when to come again, and then may.
#[tokio::test]
async fn one_request_at_a_time_passes_the_limit() {
    let mut options = Options::default();
    options.limits.in_flight = Size(500_000);
    let mut server = Server::with(options).await;
    let large = post("application/x-protobuf", "", &traces(1, 600_000).encode_to_vec());
    let mut first = TcpStream::connect(server.http).await.unwrap();
    first.write_all(&large[..1000]).await.unwrap();
    server.until_held(1).await;
    assert!(server.held_bytes() < 1000, "not what was announced");

    let (most, rest) = large.split_at(590_000);
    first.write_all(&most[1000..]).await.unwrap();
    server.until_held(580_000).await;
    let small = post("application/x-protobuf", "connection: close\r\n", &traces(1, 100).encode_to_vec());
    let answer = exchange(&server, &small).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let medium = traces(1, 300_000).encode_to_vec();
    let second = post("application/x-protobuf", "connection: close\r\n", &medium);
    let refused = exchange(&server, &second).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    let framed = [&[0_u8][..], &(medium.len() as u32).to_be_bytes(), &medium].concat();
    assert_eq!(harness::raw_grpc(server.grpc, &[], framed.clone()).await, "14", "one account for both ports");

    first.write_all(rest).await.unwrap();
    let mut answer = [0; 15];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert_eq!(server.held_bytes(), 0);
    assert!(exchange(&server, &second).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(harness::raw_grpc(server.grpc, &[], framed).await, "0");
    assert_eq!(server.journaled().len(), 4);
}

/// Scenario: 100 connections to each port that have begun a request and do not get on with it: heads, bodies, frames.
/// Guarantees: others are served meanwhile.
#[tokio::test]
async fn slow_clients_do_not_stop_others() {
    let mut server = Server::start().await;
    let mut slow = Vec::new();
    for n in 0..100 {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        let begun = post("application/json", "", b"{\"resourceSpans\":[]}");
        stream.write_all(&begun[..begun.len() - 1 - n]).await.unwrap();
        slow.push(stream);
        let mut stream = TcpStream::connect(server.grpc).await.unwrap();
        stream.write_all(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..n % 24]).await.unwrap();
        slow.push(stream);
    }
    let mut client = TraceServiceClient::connect(format!("http://{}", server.grpc)).await.unwrap();
    client.export(traces(5, 10)).await.unwrap();
    let answer = exchange(&server, &post("application/json", "connection: close\r\n", b"{}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(server.journaled().len(), 1);
    drop(slow);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_counted() {
    let server = Server::with_connections(2).await;
    let mut first = TcpStream::connect(server.http).await.unwrap();
    let second = TcpStream::connect(server.grpc).await.unwrap();
    let request = post("application/json", "", b"{}");
    first.write_all(&request).await.unwrap();
    let mut answer = [0; 15];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");

    let mut third = TcpStream::connect(server.http).await.unwrap();
    let closed = third.read(&mut answer).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert_eq!(server.own.receiver_refused.total(&["unknown", "http", "connections"]), 1);

    drop((first, second));
    // The place is free once the server has seen the end of a connection.
    let again = async {
        loop {
            let mut stream = TcpStream::connect(server.http).await.unwrap();
            if stream.write_all(&request).await.is_ok() && stream.read_exact(&mut answer).await.is_ok() {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_before_anything_is_served() {
    let server = Server::start().await;
    let mut config = qiyas::config::Otlp::default();
    config.grpc.endpoint = Some(server.grpc.to_string());
    config.http.endpoint = None;
    let error = BoundOtlp::bind(&config).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {}: address already in use", server.grpc));
}

/// Scenario: the sidecar is told to stop while a request is half sent.
/// Guarantees: no new connection is taken, the request is finished and acknowledged, then serving ends.
#[tokio::test]
async fn shutdown_finishes_what_is_in_flight() {
    let mut server = Server::start().await;
    let body = traces(4, 10).encode_to_vec();
    let request = post("application/x-protobuf", "", &body);
    let (begun, rest) = request.split_at(request.len() - 10);
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(begun).await.unwrap();
    server.until_held(body.len() - 10).await;
    server.stop();
    server.until_refusing().await;
    stream.write_all(rest).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    server.ended().await;
    assert_eq!(server.journaled().len(), 1);
}

/// Scenario: as before, but the rest never comes.
/// Guarantees: within the grace period the client is told, and serving ends.
#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let server = Server::with_grace(Duration::from_millis(700)).await;
    let request = post("application/json", "", b"{}        ");
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(&request[..request.len() - 5]).await.unwrap();
    server.until_held(5).await;
    server.stop();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable"), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("shutting down"), "{answer}");
    server.ended().await;
}
