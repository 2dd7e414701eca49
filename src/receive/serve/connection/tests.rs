//! Time is paused: it passes only when nothing else can happen, and exactly as much as a timer waits for.

use super::*;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// A connection under test whose service answers after `takes`.
fn connect(protocol: Protocol, takes: Duration) -> (DuplexStream, watch::Sender<bool>, JoinHandle<Duration>) {
    let (client, server) = tokio::io::duplex(64 << 10);
    let (stop, stopped) = watch::channel(false);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| async move {
        assert_eq!(request.extensions().get::<Peer>(), Some(&Peer(PEER)));
        tokio::time::sleep(takes).await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let start = Instant::now();
    let served = tokio::spawn(async move {
        serve(server, PEER, protocol, service, stopped).await;
        start.elapsed()
    });
    (client, stop, served)
}

async fn answer(client: &mut DuplexStream) -> String {
    let mut read = vec![0; 4096];
    let bytes = client.read(&mut read).await.unwrap();
    String::from_utf8(read[..bytes].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    for protocol in [Protocol::Auto, Protocol::Http2] {
        let (_client, _stop, served) = connect(protocol, Duration::ZERO);
        assert_eq!(served.await.unwrap(), HEAD_TIME);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dripping_head_is_closed() {
    for (protocol, begins) in [(Protocol::Auto, REQUEST), (Protocol::Http2, &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..])] {
        let (mut client, _stop, served) = connect(protocol, Duration::ZERO);
        let dripping = tokio::spawn(async move {
            for byte in begins {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(served.await.unwrap(), HEAD_TIME);
        dripping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_alive_connection_may_be_idle_but_not_for_ever() {
    let (mut client, _stop, served) = connect(Protocol::Auto, Duration::ZERO);
    for _ in 0..3 {
        client.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut client).await.starts_with("HTTP/1.1 200 OK"));
        tokio::time::sleep(IDLE_TIME - Duration::from_secs(1)).await;
    }
    assert_eq!(served.await.unwrap(), (IDLE_TIME - Duration::from_secs(1)) * 2 + IDLE_TIME);
}

/// Scenario: a good first request, then the second one's head begins after a minute and stalls.
#[tokio::test(start_paused = true)]
async fn a_later_head_has_its_time_from_its_first_byte() {
    let (mut client, _stop, served) = connect(Protocol::Auto, Duration::ZERO);
    client.write_all(REQUEST).await.unwrap();
    answer(&mut client).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    client.write_all(b"GET / HT").await.unwrap();
    let lived = served.await.unwrap();
    let due = Duration::from_secs(60) + HEAD_TIME;
    assert!(lived >= due && lived <= due + HEAD_TIME, "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_is_not_idle() {
    let (mut client, _stop, _served) = connect(Protocol::Auto, IDLE_TIME * 3);
    client.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_an_idle_connection_at_once_and_finishes_a_request() {
    let takes = Duration::from_secs(7);
    let (mut client, stop, served) = connect(Protocol::Auto, takes);
    client.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    let answer = answer(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
    assert_eq!(served.await.unwrap(), takes);

    let (mut client, stop, served) = connect(Protocol::Auto, Duration::ZERO);
    client.write_all(REQUEST).await.unwrap();
    super::tests::answer(&mut client).await;
    drop(stop);
    assert_eq!(served.await.unwrap(), Duration::ZERO, "a sender that is gone stops, too");
}

async fn http2(client: DuplexStream) -> (h2::client::SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let (sender, connection) = h2::client::handshake(client).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get() -> Request<()> {
    Request::get("http://a/").body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_told_to_go_away() {
    let (client, _stop, served) = connect(Protocol::Http2, Duration::ZERO);
    let (sender, connection) = http2(client).await;
    let (response, _) = sender.clone().ready().await.unwrap().send_request(get(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    connection.await.unwrap().unwrap();
    let lived = served.await.unwrap();
    assert!(lived >= IDLE_TIME && lived <= IDLE_TIME + CLOSE_TIME, "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_http2_peer_is_found_out_by_pings() {
    let (client, _stop, served) = connect(Protocol::Http2, IDLE_TIME * 3);
    let (sender, connection) = http2(client).await;
    let (response, _) = sender.ready().await.unwrap().send_request(get(), true).unwrap();
    let waiting = tokio::spawn(response);
    tokio::time::sleep(Duration::from_secs(30)).await;
    // From here on nobody reads or writes on the client's side, but its end stays open.
    let parked = tokio::spawn(std::future::pending::<()>());
    connection.abort();
    let lived = served.await.unwrap();
    assert!(lived <= PING_INTERVAL * 2 + PING_TIMEOUT, "{lived:?}");
    parked.abort();
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_http2_requests_and_takes_no_more() {
    let takes = Duration::from_secs(7);
    let (client, stop, served) = connect(Protocol::Http2, takes);
    let (sender, connection) = http2(client).await;
    let (response, _) = sender.clone().ready().await.unwrap().send_request(get(), true).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    assert_eq!(response.await.unwrap().status(), 200);
    assert_eq!(served.await.unwrap(), takes);
    connection.await.unwrap().unwrap();
    assert!(sender.ready().await.is_err());
}
