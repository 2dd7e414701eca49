//! Where telemetry is sent on to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measures::Histogram;
use super::secrets::{HeaderValue, Url};
use super::values::Dur;

/// One OTLP destination.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Forward {
    /// The label `destination` of this destination's metrics; default: the endpoint's host and port.
    pub name: String,
    /// `http://host:port` or `https://host:port`. Over HTTP, `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended.
    #[schemars(required)]
    pub endpoint: Url,
    pub protocol: Protocol,
    /// What is sent. `traces`, `metrics` and `logs` are the app's own items, byte for byte unless `enrich` or `content`
    /// say otherwise; `derived` is everything Qiyas makes.
    pub signals: Vec<Signal>,
    pub compression: Compression,
    /// Sent with each request; a value is text or `{file: path}`.
    pub headers: BTreeMap<String, HeaderValue>,
    /// For `https://` endpoints; `null`: the built-in roots.
    pub tls: Option<ClientTls>,
    /// Longest wait for one answer.
    pub timeout: Dur,
    /// Adds cost and canonical names to AI spans.
    pub enrich: bool,
    /// `drop` cuts prompt and answer text out of what is sent.
    pub content: Content,
    /// What happens when the destination is further behind than the journal holds.
    pub when_behind: WhenBehind,
    pub retry: Retry,
    /// Time between two exports of derived metrics.
    pub interval: Dur,
    /// The temporality of derived metrics.
    pub temporality: Temporality,
    /// The form of derived histograms.
    pub histogram: Histogram,
    /// URLs by signal, used as they are in place of `endpoint` and the signal's path. Only the standard environment
    /// variables (`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` …) set it.
    #[serde(skip)]
    pub signal_urls: BTreeMap<Signal, Url>,
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            name: String::new(),
            endpoint: Url::default(),
            protocol: Protocol::Grpc,
            signals: Signal::ALL.to_vec(),
            compression: Compression::Gzip,
            headers: BTreeMap::new(),
            tls: None,
            timeout: Dur::from_secs(10),
            enrich: true,
            content: Content::Keep,
            when_behind: WhenBehind::DropOldest,
            retry: Retry::default(),
            interval: Dur::from_secs(60),
            temporality: Temporality::Cumulative,
            histogram: Histogram::Exponential,
            signal_urls: BTreeMap::new(),
        }
    }
}

impl Forward {
    /// The destination's name: as given, else the endpoint's host and port.
    pub fn display_name(&self) -> &str {
        if self.name.is_empty() { self.endpoint.authority() } else { &self.name }
    }

    /// Gives a destination without a name its endpoint's.
    pub(super) fn name_after_endpoint(&mut self) {
        self.name = self.display_name().to_owned();
    }

    /// The URL that requests of one kind are posted to over HTTP. `Derived` data is metrics and logs: ask for those.
    pub fn http_url(&self, signal: Signal) -> String {
        if let Some(url) = self.signal_urls.get(&signal) {
            return url.as_str().to_owned();
        }
        let path = match signal {
            Signal::Traces => "v1/traces",
            Signal::Metrics | Signal::Derived => "v1/metrics",
            Signal::Logs => "v1/logs",
        };
        format!("{}/{path}", self.endpoint.as_str().trim_end_matches('/'))
    }
}

/// The transport of an OTLP destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Protocol {
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// What a destination takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
    Derived,
}

impl Signal {
    pub const ALL: [Self; 4] = [Self::Traces, Self::Metrics, Self::Logs, Self::Derived];
}

/// How a request's body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    #[default]
    Gzip,
    Zstd,
    None,
}

/// How the sidecar trusts a server, and shows who it is itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// Authorities the server's certificate may be signed by, PEM; default: the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// The sidecar's own certificate chain, PEM; with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// The name the server's certificate must have; default: the endpoint's host.
    pub server_name: Option<String>,
}

/// Whether prompt and answer text is sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    #[default]
    Keep,
    Drop,
}

/// What happens when a destination is further behind than the journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenBehind {
    /// Its oldest records are dropped and counted.
    #[default]
    DropOldest,
    /// New requests are refused with a retry hint.
    Refuse,
}

/// How long a failed export is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// After so long a batch is given up and counted; `0s`: never.
    pub max_elapsed: Dur,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_elapsed: Dur::from_secs(300) }
    }
}

/// The temporality of exported metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Temporality {
    #[default]
    Cumulative,
    Delta,
}
