//! The host receiver: what the machine says of itself, as OTLP metrics under the semantic conventions' names.
//!
//! Invariants:
//! - a source that fails mutes only itself: what it would have said is absent from that scrape, its error is in
//!   [`Scraped::failures`], and every other scraper's metrics stand;
//! - what could not be read is absent, never 0; no content of any file makes it panic;
//! - nothing outside [`HostSettings::root_path`] is read, and time is what the caller passes: the same tree at the same
//!   time gives the same metrics;
//! - every read is bounded, and nothing that may block on a network is asked.
//!
//! How it works: [`Scraper::scrape`] calls each enabled scraper, a function from files below the root to metric families.
//! Sums are cumulative since boot; a counter that was born later (a new interface or disk) says so in its start time. The result is one OTLP request under the scope `qiyas/host`, which takes the same road as received telemetry.
//! A scrape reads files and may take milliseconds on a machine with many sockets: run it where blocking is allowed.
//!
//! The files are parsed here and not by the `procfs` crate: its readers panic on some malformed content, want fields that
//! older kernels and gVisor do not have, forget CPU numbers, leave `\040` in mount points and have no bound on length.
//!
//! In a container `/proc` shows the node's CPU, load and memory, while network and mounts are the container's own.
//! [`Scraped::scope`] tells which it is. `system.*` is reported in both: the node's pressure is worth knowing to whoever
//! runs on it, and a value that is absent explains nothing. The container's own CPU and memory are `container.*`.

mod collector_names;
mod connections;
mod cpu;
mod disk;
mod families;
mod filesystem;
mod load;
mod memory;
mod mounts;
mod network;
mod paging;
mod processes;
mod root;
mod scope;
mod starts;
mod stat;
#[cfg(test)]
mod tests;
mod topology;
mod uptime;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::config;
use crate::units::UnixNanos;
use families::Families;
use root::Root;
use stat::OneReading;

pub use scope::Scope;

/// The instrumentation scope of every host metric.
pub const SCOPE_NAME: &str = "qiyas/host";
/// The version of the semantic conventions that the names are taken from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// One group of host metrics, by its name in `receivers.host.scrapers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScraperKind {
    Cpu,
    Load,
    Memory,
    Paging,
    Disk,
    Filesystem,
    Network,
    Processes,
    /// `system.uptime`.
    System,
}

impl ScraperKind {
    pub const ALL: [Self; 9] = [
        Self::Cpu,
        Self::Load,
        Self::Memory,
        Self::Paging,
        Self::Disk,
        Self::Filesystem,
        Self::Network,
        Self::Processes,
        Self::System,
    ];

    /// The name in the configuration, and the label of its failures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Load => "load",
            Self::Memory => "memory",
            Self::Paging => "paging",
            Self::Disk => "disk",
            Self::Filesystem => "filesystem",
            Self::Network => "network",
            Self::Processes => "processes",
            Self::System => "system",
        }
    }

    /// `None` for the groups that are not of the host as a whole (`process`, `container`, `gpu`).
    pub fn from_config(scraper: config::Scraper) -> Option<Self> {
        match scraper {
            config::Scraper::Cpu => Some(Self::Cpu),
            config::Scraper::Load => Some(Self::Load),
            config::Scraper::Memory => Some(Self::Memory),
            config::Scraper::Paging => Some(Self::Paging),
            config::Scraper::Disk => Some(Self::Disk),
            config::Scraper::Filesystem => Some(Self::Filesystem),
            config::Scraper::Network => Some(Self::Network),
            config::Scraper::Processes => Some(Self::Processes),
            config::Scraper::System => Some(Self::System),
            config::Scraper::Process | config::Scraper::Container | config::Scraper::Gpu => None,
        }
    }
}

/// What to scrape and from where: `receivers.host` of the configuration, and what only the process knows.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// `/`, or where the node's root is mounted.
    pub root_path: PathBuf,
    /// `None` finds it out.
    pub scope: Option<Scope>,
    /// Whether `KUBERNETES_SERVICE_HOST` is in the environment.
    pub in_kubernetes: bool,
    pub scrapers: Vec<ScraperKind>,
    pub names: config::HostNames,
    /// The resource that the metrics stand under: the sidecar's own.
    pub resource: Resource,
}

impl HostSettings {
    /// The settings of `receivers.host`, for a process under `resource`.
    pub fn from_config(host: &config::Host, resource: Resource, in_kubernetes: bool) -> Self {
        Self {
            root_path: host.root_path.clone(),
            scope: match host.scope {
                config::HostScope::Auto => None,
                config::HostScope::Host => Some(Scope::Host),
                config::HostScope::Container => Some(Scope::Container),
            },
            in_kubernetes,
            scrapers: host.scrapers.iter().copied().filter_map(ScraperKind::from_config).collect(),
            names: host.names,
            resource,
        }
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            root_path: PathBuf::from("/"),
            scope: None,
            in_kubernetes: false,
            scrapers: ScraperKind::ALL.to_vec(),
            names: config::HostNames::Semconv,
            resource: Resource::default(),
        }
    }
}

/// Why a scraper has no metrics this time.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScrapeError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: Arc<io::Error> },
    #[error("{} is longer than {limit_bytes} bytes", path.display())]
    TooLong { path: PathBuf, limit_bytes: u64 },
    #[error("{}: `{found}` should be {expected}", path.display())]
    Malformed { path: PathBuf, found: String, expected: &'static str },
    #[error("{} lacks {what}", path.display())]
    Missing { path: PathBuf, what: &'static str },
}

impl ScrapeError {
    fn read(path: PathBuf, error: io::Error) -> Self {
        Self::Read { path, error: Arc::new(error) }
    }

    /// `found` is cut to its first 80 characters.
    fn malformed(path: impl Into<PathBuf>, found: &str, expected: &'static str) -> Self {
        let found = found.trim_end().chars().take(80).collect::<String>().escape_debug().to_string();
        Self::Malformed { path: path.into(), found, expected }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// A scraper that failed, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    pub scraper: ScraperKind,
    pub error: ScrapeError,
}

/// What one scrape gave.
#[derive(Clone, Debug)]
pub struct Scraped {
    /// No `resource_metrics` if nothing could be read.
    pub metrics: ExportMetricsServiceRequest,
    pub scope: Scope,
    pub failures: Vec<Failure>,
}

/// Scrapes one machine, again and again.
#[derive(Debug)]
pub struct Scraper {
    root: Root,
    scope: Scope,
    kinds: Vec<ScraperKind>,
    names: config::HostNames,
    resource: Resource,
    boot: Option<UnixNanos>,
    cpu: cpu::CpuScraper,
    disk: disk::DiskScraper,
    network: network::NetworkScraper,
    connections: connections::ConnectionScraper,
}

impl Scraper {
    pub fn new(settings: &HostSettings) -> Self {
        let root = Root::new(&settings.root_path);
        let mut kinds = settings.scrapers.clone();
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            scope: settings.scope.unwrap_or_else(|| scope::detect(&root, settings.in_kubernetes)),
            root,
            kinds,
            names: settings.names,
            resource: settings.resource.clone(),
            boot: None,
            cpu: cpu::CpuScraper::new(rustix::param::clock_ticks_per_second()),
            disk: disk::DiskScraper::new(),
            network: network::NetworkScraper::new(),
            connections: connections::ConnectionScraper::default(),
        }
    }

    /// Whose numbers the scrapes show.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Reads everything once. `now` is the points' time (connection counts keep that of their reading, up to 30 seconds
    /// earlier); it should not go back between calls.
    pub fn scrape(&mut self, now: UnixNanos) -> Scraped {
        // once: a clock that is set later must not make every counter look restarted
        let stat = OneReading::default();
        let boot = *self.boot.get_or_insert_with(|| uptime::boot_time(&self.root, &stat, now).unwrap_or(now));
        let mut families = Families::new(now, boot);
        let mut failures = Vec::new();
        for scraper in self.kinds.clone() {
            for result in self.run(scraper, &stat, &mut families) {
                failures.extend(result.err().map(|error| Failure { scraper, error }));
            }
        }
        Scraped { metrics: self.request(families), scope: self.scope, failures }
    }

    /// A scraper has one result for each of its sources; one that fails leaves the others'.
    fn run(
        &mut self,
        scraper: ScraperKind,
        stat: &OneReading,
        families: &mut Families,
    ) -> Vec<Result<(), ScrapeError>> {
        let root = &self.root;
        match scraper {
            ScraperKind::Cpu => vec![self.cpu.scrape(root, stat, families)],
            ScraperKind::Load => vec![load::scrape(root, families)],
            ScraperKind::Memory => vec![memory::scrape(root, families)],
            ScraperKind::Paging => vec![paging::scrape_swaps(root, families), paging::scrape_vmstat(root, families)],
            ScraperKind::Disk => vec![self.disk.scrape(root, families)],
            ScraperKind::Filesystem => vec![filesystem::scrape(root, families)],
            ScraperKind::Network => {
                vec![self.network.scrape(root, families), self.connections.scrape(root, families)]
            }
            ScraperKind::Processes => {
                vec![processes::scrape_count(root, families), processes::scrape_created(root, stat, families)]
            }
            ScraperKind::System => vec![uptime::scrape(root, families)],
        }
    }

    fn request(&self, families: Families) -> ExportMetricsServiceRequest {
        let mut metrics = families.into_metrics();
        if metrics.is_empty() {
            return ExportMetricsServiceRequest::default();
        }
        let scope = InstrumentationScope {
            name: SCOPE_NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let schema_url = match self.names {
            config::HostNames::Semconv => SCHEMA_URL.to_owned(),
            config::HostNames::Collector => {
                collector_names::rename(&mut metrics);
                String::new()
            }
        };
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, schema_url };
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![scope_metrics],
                schema_url: String::new(),
            }],
        }
    }
}
