//! HTTP/2 clients that break the rules, by raw frames. Each flood is bounded; the server has to end the connection (or
//! outlive the flood) and to serve others meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Server, raw_grpc};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:method: POST`, `:scheme: http`, `:path: /` by their indices in HPACK's static table.
const REQUEST: &[u8] = &[0x83, 0x86, 0x84];

const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Writes the frames, then reads to the end. Gives the error code of the GOAWAY, if one came before the end.
async fn flood(address: SocketAddr, frames: Vec<u8>) -> Option<u32> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let writing = tokio::spawn(async move {
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        // The server may end the connection before everything is written.
        let written = write.write_all(&[hello, frames].concat()).await;
        (write, written)
    });
    let mut code = None;
    let reading = async {
        let mut head = [0; 9];
        while read.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if read.read_exact(&mut payload).await.is_err() {
                break;
            }
            if head[3] == GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
    writing.abort();
    code
}

async fn serves_others(server: &Server) {
    let ok = raw_grpc(server.grpc, &[], vec![0; 5]).await;
    assert_eq!(ok, "0");
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

#[tokio::test]
async fn rapid_reset_ends_the_connection() {
    let server = Server::start().await;
    let open_and_reset = |stream| {
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())]
    };
    let frames: Vec<u8> = streams(20_000).flat_map(open_and_reset).flatten().collect();
    for address in [server.grpc, server.http] {
        assert_eq!(flood(address, frames.clone()).await, Some(ENHANCE_YOUR_CALM));
    }
    serves_others(&server).await;
}

/// Scenario: the client makes the server reset each stream, by a window that overflows.
#[tokio::test]
async fn made_you_reset_ends_the_connection() {
    let server = Server::start().await;
    let open_and_break = |stream| {
        [frame(HEADERS, END_HEADERS, stream, REQUEST), frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())]
    };
    let frames: Vec<u8> = streams(20_000).flat_map(open_and_break).flatten().collect();
    assert_eq!(flood(server.grpc, frames).await, Some(ENHANCE_YOUR_CALM));
    serves_others(&server).await;
}

#[tokio::test]
async fn endless_continuations_end_the_connection() {
    let server = Server::start().await;
    let mut frames = frame(HEADERS, 0, 1, REQUEST);
    // Literal headers without indexing: `a: <1000 bytes>`.
    let header = [&[0x00, 1, b'a', 0x7f, 0xe9, 0x06][..], &[b'x'; 1000]].concat();
    for _ in 0..20_000 {
        frames.extend(frame(CONTINUATION, 0, 1, &header));
    }
    for address in [server.grpc, server.http] {
        assert!(flood(address, frames.clone()).await.is_some_and(|code| code != 0), "ended with an error");
    }
    serves_others(&server).await;
}

#[tokio::test]
async fn floods_of_small_frames_stop_nobody() {
    let server = Server::start().await;
    let data_of_nothing = || {
        let mut frames = frame(HEADERS, END_HEADERS, 1, REQUEST);
        frames.extend(frame(DATA, 0, 1, b"").repeat(20_000));
        frames
    };
    let floods = [
        frame(PING, 0, 0, &[0; 8]).repeat(20_000),
        frame(SETTINGS, 0, 0, &[]).repeat(20_000),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()).repeat(20_000),
        frame(0xbb, 0, 0, b"unknown").repeat(20_000),
        data_of_nothing(),
        vec![0xff; 1 << 20],
    ];
    for frames in floods {
        let attack = tokio::spawn(flood(server.grpc, frames));
        for _ in 0..5 {
            serves_others(&server).await;
        }
        attack.abort();
    }
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let server = Server::start().await;
    let long = "x".repeat(40 << 10);
    let stream = TcpStream::connect(server.grpc).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://a/b").header("x-long", long).body(()).unwrap();
    let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 431);
    serves_others(&server).await;
}

#[tokio::test]
async fn what_is_no_http_at_all_is_closed() {
    let server = Server::start().await;
    for address in [server.grpc, server.http] {
        for garbage in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello"[..],
            b"\0\0\0\0\0\0\0\0\r\n\r\n\r\n",
            b"HELO\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
        }
    }
    serves_others(&server).await;
}
