//! Pages over HTTP, and the samples of a Prometheus page.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A sample is looked for again after `POLL`, and must be there within `PATIENCE`.
const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

/// The answer to a `GET`, head and body.
pub async fn get(address: SocketAddr, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}

/// Waits until a family's samples with these labels add up to `expected`.
pub async fn eventually(prometheus: SocketAddr, family: &str, labels: &[String], expected: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = get(prometheus, "/metrics", "").await;
        let total = total(&page, family, labels);
        if total == Some(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{family} {labels:?} is {total:?}, expected {expected}:\n{page}");
        tokio::time::sleep(POLL).await;
    }
}

fn total(page: &str, family: &str, labels: &[String]) -> Option<f64> {
    let samples = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(family));
    let values = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
    values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).reduce(|sum, value| sum + value)
}
