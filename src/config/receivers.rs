//! What comes in: OTLP listeners, the host scraper, scrapes of Prometheus endpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listeners::{Auth, Cors, ServerTls, off_if_null};
use super::secrets::{HeaderValue, Url};
use super::values::{Dur, Size};

/// What the sidecar takes in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Receivers {
    pub otlp: Otlp,
    pub host: Host,
    pub prometheus: Scrape,
}

/// The OTLP receiver: gRPC, and HTTP with protobuf or JSON.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// OTLP over gRPC. `null` turns the listener off.
    #[serde(deserialize_with = "off_if_null")]
    #[schemars(with = "Option<OtlpGrpc>")]
    pub grpc: OtlpGrpc,
    /// OTLP over HTTP. `null` turns the listener off.
    #[serde(deserialize_with = "off_if_null")]
    #[schemars(with = "Option<OtlpHttp>")]
    pub http: OtlpHttp,
    /// The largest request, counted after decompression; a larger one is refused (`RESOURCE_EXHAUSTED`, 413) before
    /// `limits.in_flight` is asked. At most a quarter of `limits.memory`.
    pub max_request_size: Size,
    /// TLS on both listeners; `client_ca_file` makes it mTLS.
    pub tls: Option<ServerTls>,
    /// What a client must present on both listeners.
    pub auth: Option<Auth>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            grpc: OtlpGrpc::default(),
            http: OtlpHttp::default(),
            max_request_size: Size::mib(64),
            tls: None,
            auth: None,
        }
    }
}

/// The OTLP/gRPC listener.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpGrpc {
    /// `host:port` to listen on; `null` turns the listener off.
    pub endpoint: Option<String>,
}

impl Default for OtlpGrpc {
    fn default() -> Self {
        Self { endpoint: Some("127.0.0.1:4317".to_owned()) }
    }
}

/// The OTLP/HTTP listener.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpHttp {
    /// `host:port` to listen on; `null` turns the listener off.
    pub endpoint: Option<String>,
    /// Which web pages may send from a browser.
    pub cors: Cors,
}

impl Default for OtlpHttp {
    fn default() -> Self {
        Self { endpoint: Some("127.0.0.1:4318".to_owned()), cors: Cors::default() }
    }
}

/// The host scraper.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Whether the host is read at all.
    pub enabled: bool,
    /// Time between two readings.
    pub interval: Dur,
    /// Where the host's root is seen: `/`, or `/hostfs` in a pod that mounts the node there.
    pub root_path: PathBuf,
    /// Whose numbers are reported: the node's, the container's, or decided by what is visible.
    pub scope: HostScope,
    /// What is read.
    pub scrapers: Vec<Scraper>,
    /// Attribute names: the current semantic conventions, or the Collector's older ones.
    pub names: HostNames,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Dur::from_secs(10),
            root_path: PathBuf::from("/"),
            scope: HostScope::Auto,
            scrapers: Scraper::ALL.to_vec(),
            names: HostNames::Semconv,
        }
    }
}

/// Whose resources the host scraper reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostScope {
    /// The container from its cgroup, and the node only where a host root is mounted.
    #[default]
    Auto,
    /// The node, as `root_path` shows it.
    Host,
    /// The container, from its cgroup.
    Container,
}

/// Which attribute names host metrics carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostNames {
    /// The current semantic conventions.
    #[default]
    Semconv,
    /// The older attribute names of the Collector's host metrics receiver.
    Collector,
}

/// One group of host metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scraper {
    Cpu,
    Load,
    Memory,
    Paging,
    Disk,
    Filesystem,
    Network,
    Processes,
    System,
    Process,
    Container,
    Gpu,
}

impl Scraper {
    pub const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Load,
        Self::Memory,
        Self::Paging,
        Self::Disk,
        Self::Filesystem,
        Self::Network,
        Self::Processes,
        Self::System,
        Self::Process,
        Self::Container,
        Self::Gpu,
    ];
}

/// Scrapes of Prometheus endpoints: model servers, and the app's own `/metrics`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scrape {
    /// What is scraped: `{url, name, interval, timeout, headers}` each.
    pub targets: Vec<ScrapeTarget>,
    /// Time between two scrapes of a target.
    pub interval: Dur,
}

impl Default for Scrape {
    fn default() -> Self {
        Self { targets: Vec::new(), interval: Dur::from_secs(15) }
    }
}

/// One scraped endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url"]))]
pub struct ScrapeTarget {
    /// The page to read, such as `http://127.0.0.1:8000/metrics`.
    pub url: Url,
    /// Becomes `service.name` where the target's own metrics do not say; default: the URL's host and port.
    pub name: Option<String>,
    /// Time between two scrapes; default: `receivers.prometheus.interval`.
    pub interval: Option<Dur>,
    /// Longest wait for a page.
    pub timeout: Dur,
    /// Sent with each scrape; a value is text or `{file: path}`.
    pub headers: BTreeMap<String, HeaderValue>,
}

impl Default for ScrapeTarget {
    fn default() -> Self {
        Self { url: Url::default(), name: None, interval: None, timeout: Dur::from_secs(10), headers: BTreeMap::new() }
    }
}
