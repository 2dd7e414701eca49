//! The Rust examples as processes of their own, told to end as a container's are.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::page;

const ORDERS: u32 = 5;

/// A child that prints `NAME listening on ADDRESS` for each of its listeners. Killed when dropped.
struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(binary: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Reads on until this listener's address.
    fn address(&mut self, name: &str) -> SocketAddr {
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "ended before {name} listened");
            if let Some((listener, address)) = line.trim().split_once(" listening on ")
                && listener == name
            {
                return address.parse().unwrap();
            }
        }
    }

    /// SIGTERM, and the exit that has to follow.
    async fn end(mut self) {
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
        let ended = tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// An example's binary, which `cargo test` builds before it runs the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(binary.is_file(), "{} is not there: `cargo build --examples` first", binary.display());
    binary
}

async fn look_at_orders(shop: SocketAddr) {
    for id in 0..ORDERS {
        let answer = page::get(shop, &format!("/orders/{id}"), "x-user: ada\r\n").await;
        assert!(answer.ends_with("Tea, as with everything.\n"), "{answer}");
    }
}

async fn assert_measured(prometheus: SocketAddr, job: &str, transport: &str) {
    let (orders, job) = (f64::from(ORDERS), format!("job=\"{job}\""));
    page::eventually(prometheus, "qiyas_ai_requests_total", std::slice::from_ref(&job), orders).await;
    let accepted = |signal: &str| [format!("signal=\"{signal}\""), format!("transport=\"{transport}\"")];
    page::eventually(prometheus, "qiyas_receiver_accepted_total", &accepted("traces"), 2.0 * orders).await;
    page::eventually(prometheus, "qiyas_receiver_accepted_total", &accepted("logs"), orders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_service_beside_a_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("qiyas.yaml");
    let text = "receivers: {host: {enabled: false}, otlp: {grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: null}}}\n\
                prometheus: {endpoint: '127.0.0.1:0'}\napi: {endpoint: null}\n";
    std::fs::write(&config, text).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_qiyas"));
    let mut sidecar = Program::start(binary, &["run", "--config", config.to_str().unwrap()], &[]);
    let (grpc, prometheus) = (sidecar.address("otlp/grpc"), sidecar.address("prometheus"));

    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{grpc}"));
    let mut service = Program::start(&example("rust-service"), &["127.0.0.1:0"], &[endpoint]);
    look_at_orders(service.address("shop")).await;
    // Its last batches are sent when it ends.
    service.end().await;
    assert_measured(prometheus, "rust-service", "grpc").await;
    sidecar.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_with_qiyas_inside() {
    let arguments =
        ["127.0.0.1:0", "prometheus.endpoint=127.0.0.1:0", "api.endpoint=null", "receivers.host.enabled=false"];
    let quickly = ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned());
    let quickly_too = ("OTEL_BLRP_SCHEDULE_DELAY", "50".to_owned());
    let mut service = Program::start(&example("in-process"), &arguments, &[quickly, quickly_too]);
    let prometheus = service.address("prometheus");
    look_at_orders(service.address("shop")).await;
    assert_measured(prometheus, "in-process", "in_process").await;
    service.end().await;
}
