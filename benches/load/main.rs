//! What a span costs the running sidecar: `cargo bench --bench load`.
//!
//! The release binary runs as a child process, as it would beside an app; encoded requests are sent to it over loopback,
//! a fixed number of them, as fast as it takes them; then the kernel is asked for the CPU time that the child has used.
//! In the same run, receivers that only count stand in its place: what receiving costs by itself, on this machine and in
//! this minute. Figures from different runs are not to be compared, ratios within one are.
//!
//! Every road must account for every span: the sidecar's own measures, and what arrives at the destination, are compared
//! with what was sent, and any difference fails the run. Options follow `--`; see [`Options`].

mod batches;
mod process;
mod sender;
mod sink;
#[path = "../spans/mod.rs"]
mod spans;

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use batches::Batches;
use process::Process;
use sender::Transport;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A road that has not settled so long after its last request fails.
const SETTLE_TIME: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// A process whose CPU time has not moved for so long has finished its work.
const STILL: Duration = Duration::from_millis(200);

/// What may be given after `--`, as `NAME=VALUE`.
#[derive(Debug)]
struct Options {
    /// Requests measured on each road.
    requests: usize,
    /// Spans in a request; 512 is what SDKs send.
    spans: usize,
    /// How often each road is measured; the median is shown.
    rounds: usize,
    /// Only roads whose name holds this.
    only: String,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { requests: 2000, spans: 512, rounds: 3, only: String::new() };
        for argument in arguments {
            let number = |value: &str| value.parse().map_err(|_| format!("`{argument}`, expected a number"));
            match argument.split_once('=') {
                Some(("requests", value)) => options.requests = number(value)?,
                Some(("spans", value)) => options.spans = number(value)?,
                Some(("rounds", value)) => options.rounds = number(value)?,
                Some(("only", value)) => value.clone_into(&mut options.only),
                // What cargo itself adds.
                _ if argument == "--bench" => {}
                _ => return Err(format!("`{argument}`, expected requests=N, spans=N, rounds=N or only=NAME")),
            }
        }
        Ok(options)
    }
}

/// Who receives.
#[derive(Clone, Copy)]
enum Receiver {
    CountingSink,
    DecodingSink,
    /// With this as its configuration's `forward`, `SINK` replaced.
    Sidecar(Option<&'static str>),
}

struct Road {
    name: &'static str,
    transport: Transport,
    receiver: Receiver,
}

const ROADS: [Road; 9] = [
    Road { name: "sink: count", transport: Transport::Grpc, receiver: Receiver::CountingSink },
    Road { name: "sink: count", transport: Transport::Http, receiver: Receiver::CountingSink },
    Road { name: "sink: tonic and prost", transport: Transport::Grpc, receiver: Receiver::DecodingSink },
    Road { name: "sidecar", transport: Transport::Grpc, receiver: Receiver::Sidecar(None) },
    Road { name: "sidecar", transport: Transport::Http, receiver: Receiver::Sidecar(None) },
    Road {
        name: "sidecar, forward",
        transport: Transport::Grpc,
        receiver: Receiver::Sidecar(Some("enrich: false, compression: none")),
    },
    Road {
        name: "sidecar, forward, enrich",
        transport: Transport::Grpc,
        receiver: Receiver::Sidecar(Some("enrich: true, compression: none")),
    },
    Road {
        name: "sidecar, forward, gzip",
        transport: Transport::Grpc,
        receiver: Receiver::Sidecar(Some("enrich: false, compression: gzip")),
    },
    Road {
        name: "sidecar, forward, enrich, gzip",
        transport: Transport::Grpc,
        receiver: Receiver::Sidecar(Some("enrich: true, compression: gzip")),
    },
];

#[derive(Clone, Copy)]
struct Measured {
    cpu_time: Duration,
    wall_time: Duration,
    peak_rss_bytes: u64,
    refused: u64,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let sink = arguments.next_if(|argument| argument.starts_with("sink="));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let ended = runtime.block_on(async {
        match sink.as_deref() {
            Some("sink=count") => sink::count().await.map_err(Failure::from),
            Some(_) => sink::decode().await.map_err(|error| error.to_string().into()),
            None => compare(&Options::parse(arguments)?).await,
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(options: &Options) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let batches = Arc::new(Batches::encode(options.spans, u64::try_from(now.as_nanos())?));
    println!(
        "{} requests of {} spans, {} bytes a span, half HTTP and half AI calls; median of {} rounds",
        options.requests,
        options.spans,
        batches.bytes_each() / batches.spans_each(),
        options.rounds
    );
    let roads: Vec<&Road> = ROADS.iter().filter(|road| road.name.contains(&options.only)).collect();
    let mut measured: Vec<Vec<Measured>> = roads.iter().map(|_| Vec::new()).collect();
    // Round by round, so that what else the machine does falls on all of them.
    for _ in 0..options.rounds {
        for (road, measured) in roads.iter().zip(&mut measured) {
            measured.push(
                measure(road, &batches, options.requests)
                    .await
                    .map_err(|error| format!("{}, {}: {error}", road.name, road.transport.as_str()))?,
            );
        }
    }
    println!(
        "{:<32} {:<5} {:>12} {:>10} {:>12} {:>9} {:>8}",
        "", "", "spans/CPU-s", "CPU ns", "spans/s", "peak MiB", "refused"
    );
    let spans = (options.requests * options.spans) as f64;
    for (road, mut measured) in roads.iter().zip(measured) {
        measured.sort_by_key(|one| one.cpu_time);
        let Some(median) = measured.get(measured.len() / 2) else { continue };
        let cpu_seconds = median.cpu_time.as_secs_f64();
        println!(
            "{:<32} {:<5} {:>12.0} {:>10.0} {:>12.0} {:>9.1} {:>8}",
            road.name,
            road.transport.as_str(),
            spans / cpu_seconds,
            cpu_seconds / spans * 1e9,
            spans / median.wall_time.as_secs_f64(),
            median.peak_rss_bytes as f64 / f64::from(1 << 20),
            measured.iter().map(|one| one.refused).sum::<u64>(),
        );
    }
    Ok(())
}

async fn measure(road: &Road, batches: &Arc<Batches>, requests: usize) -> Result<Measured, Failure> {
    let folder = tempfile::tempdir()?;
    let destination = match road.receiver {
        Receiver::Sidecar(Some(_)) => Some(start_sink("sink=count")?),
        _ => None,
    };
    let (receiver, address) = match road.receiver {
        Receiver::CountingSink => own_address(start_sink("sink=count")?),
        Receiver::DecodingSink => own_address(start_sink("sink=decode")?),
        Receiver::Sidecar(forward) => {
            let sink = destination.as_ref().map(|sink| sink.address("sink"));
            let sidecar = start_sidecar(folder.path(), forward.zip(sink))?;
            let address = sidecar.address(&format!("otlp/{}", road.transport.as_str()));
            (sidecar, address)
        }
    };
    // What is done once, allocations and connections and first series, is not what a span costs.
    let warm_up = requests / 10;
    let mut refused = sender::send(road.transport, address, batches, 0..warm_up).await?;
    settle(&receiver).await?;
    let (cpu_before, started) = (receiver.cpu_time(), Instant::now());
    refused += sender::send(road.transport, address, batches, warm_up..warm_up + requests).await?;
    let wall_time = started.elapsed();
    settle(&receiver).await?;
    let cpu_time = receiver.cpu_time() - cpu_before;
    let sent = ((warm_up + requests) * batches.spans_each()) as u64;
    match road.receiver {
        Receiver::CountingSink => arrived(address, sent).await?,
        Receiver::DecodingSink => {}
        Receiver::Sidecar(_) => {
            let page = sender::get(receiver.address("prometheus"), "/metrics").await?;
            expect_total(&page, "qiyas_receiver_accepted_total", sent)?;
            expect_total(&page, "qiyas_ai_requests_total", sent / 2)?;
        }
    }
    if let Some(sink) = &destination {
        arrived(sink.address("sink"), sent).await?;
    }
    Ok(Measured { cpu_time, wall_time, peak_rss_bytes: receiver.peak_rss_bytes(), refused })
}

fn start_sink(which: &str) -> Result<Process, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(which);
    Ok(Process::start(command, 1)?)
}

fn own_address(sink: Process) -> (Process, SocketAddr) {
    let address = sink.address("sink");
    (sink, address)
}

/// The sidecar on free ports and defaults, but that a destination which is behind pushes back: nothing may be lost here.
fn start_sidecar(folder: &std::path::Path, forward: Option<(&str, SocketAddr)>) -> Result<Process, Failure> {
    let forward = forward.map_or(String::new(), |(options, sink)| {
        format!(
            "forward: [{{name: sink, endpoint: 'http://{sink}', signals: [traces], when_behind: refuse, {options}}}]"
        )
    });
    let config = format!(
        "receivers: {{host: {{enabled: false}}, otlp: {{grpc: {{endpoint: '127.0.0.1:0'}}, http: {{endpoint: \
         '127.0.0.1:0'}}}}}}\nprometheus: {{endpoint: '127.0.0.1:0'}}\napi: {{endpoint: '127.0.0.1:0'}}\n\
         telemetry: {{logs: {{level: error}}}}\n{forward}\n"
    );
    let file = folder.join("qiyas.yaml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_qiyas"));
    command.args(["run", "--config"]).arg(file);
    // Variables that configure OpenTelemetry are for others.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
        command.env_remove(name);
    }
    let sidecar = Process::start(command, 4)?;
    eprintln!("sidecar {}", sidecar.id());
    Ok(sidecar)
}

/// Waits until the process has nothing more to do.
async fn settle(process: &Process) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE_TIME;
    let (mut cpu_time, mut since) = (process.cpu_time(), Instant::now());
    while since.elapsed() < STILL {
        if Instant::now() > deadline {
            return Err(format!("still busy {SETTLE_TIME:?} after the last request").into());
        }
        tokio::time::sleep(POLL).await;
        let now = process.cpu_time();
        if now != cpu_time {
            (cpu_time, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Checks that the counting sink has every span.
async fn arrived(sink: SocketAddr, sent: u64) -> Result<(), Failure> {
    let counted = sender::get(sink, "/").await?;
    if counted == sent.to_string() { Ok(()) } else { Err(format!("{counted} spans arrived of {sent} sent").into()) }
}

/// Checks the sum of a family's samples.
fn expect_total(page: &str, family: &str, expected: u64) -> Result<(), Failure> {
    let samples =
        page.lines().filter(|line| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let total: f64 = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    if total == expected as f64 { Ok(()) } else { Err(format!("{family} is {total}, expected {expected}").into()) }
}
