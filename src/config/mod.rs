//! The configuration: one YAML file, all of it optional.
//!
//! Invariants: [`Config::default`] is what runs without a file, and is safe (every listener on loopback). Every key is
//! known or the load fails; an error names file, line and column. No secret leaves through `Debug` or `Serialize`.
//! Nothing here reads the environment or a clock: both are passed in.

pub mod budget;
mod check;
mod decode;
mod forward;
mod journal;
mod listeners;
mod load;
mod measures;
mod node_de;
mod objectives;
mod otel_env;
mod problem;
mod process;
mod receivers;
mod reference;
mod secrets;
mod show;
mod slo_terms;
mod slos;
mod substitute;
mod suggest;
mod tree;
mod unused;
mod users;
mod values;
mod yaml;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use forward::{ClientTls, Compression, Content, Forward, Protocol, Retry, Signal, Temporality, WhenBehind};
pub use journal::{Fsync, Journal, State};
pub use listeners::{Api, Auth, Cors, Prometheus, Received, ServerTls, TranslationStrategy};
pub use load::{Loaded, load, load_text};
pub use measures::{AgentSource, Agents, Ai, Drift, DurationUnit, Fairness, Histogram, PriceOverride, Prices, Spans};
pub use objectives::{AlertReceiver, AlertReceiverType, Alerts, DownWhen, Kpis, Maintenance, Probe, Service, SmtpTls};
pub use otel_env::Resource;
pub use problem::{Problem, Problems, Severity};
pub use process::{Limits, LogFormat, LogLevel, Logs, Memory, Telemetry, Traces};
pub use receivers::{Host, HostNames, HostScope, Otlp, OtlpGrpc, OtlpHttp, Receivers, Scrape, ScrapeTarget, Scraper};
pub use reference::{reference, schema};
pub use secrets::{HeaderValue, REDACTED, Secret, Url};
pub use show::show;
pub use slo_terms::{SloMetric, Threshold};
pub use slos::{Bound, Indicator, Objective, Slo, SloError};
pub use substitute::Env;
pub use users::{
    AttributeValue, Bounce, Conversion, Experiment, Funnel, FunnelOrder, FunnelStep, Match, Session, Users,
};
pub use values::{Dur, Percent, Ratio, Size, Timestamp};

/// The whole configuration. Field names are the YAML's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub receivers: Receivers,
    pub journal: Journal,
    pub state: State,
    pub spans: Spans,
    pub ai: Ai,
    pub users: Users,
    /// Services whose availability is kept.
    pub services: Vec<Service>,
    /// Service level objectives.
    pub slos: Vec<Slo>,
    pub kpis: Kpis,
    pub alerts: Alerts,
    /// OTLP destinations. Empty: the standard `OTEL_EXPORTER_OTLP_*` variables make one.
    pub forward: Vec<Forward>,
    /// The Prometheus endpoint. `null` turns it off.
    #[serde(deserialize_with = "listeners::off_if_null")]
    #[schemars(with = "Option<Prometheus>")]
    pub prometheus: Prometheus,
    /// The REST API and the dashboard page. `null` turns it off.
    #[serde(deserialize_with = "listeners::off_if_null")]
    #[schemars(with = "Option<Api>")]
    pub api: Api,
    pub telemetry: Telemetry,
    /// Longest drain after SIGTERM.
    pub shutdown: Dur,
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receivers: Receivers::default(),
            journal: Journal::default(),
            state: State::default(),
            spans: Spans::default(),
            ai: Ai::default(),
            users: Users::default(),
            services: Vec::new(),
            slos: Vec::new(),
            kpis: Kpis::default(),
            alerts: Alerts::default(),
            forward: Vec::new(),
            prometheus: Prometheus::default(),
            api: Api::default(),
            telemetry: Telemetry::default(),
            shutdown: Dur::from_secs(10),
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests;
