//! What is promised: services and their availability, KPI targets, and who is told when a promise breaks.
//!
//! SLOs have their own module, `slos`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forward::ClientTls;
use super::secrets::{HeaderValue, Secret, Url};
use super::values::{Dur, Percent, Ratio, Timestamp};

/// A service whose availability is kept.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct Service {
    /// Its `service.name`.
    pub name: String,
    /// The availability that is promised, in percent.
    pub sla_target: Percent,
    /// When its spans say that it is down.
    pub down_when: DownWhen,
    /// Planned outages; they count neither as up nor as down.
    pub maintenance: Vec<Maintenance>,
    /// Outages less than this apart are one incident.
    pub merge: Dur,
    /// A page that is asked whether the service is up.
    pub probe: Option<Probe>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            name: String::new(),
            sla_target: Percent(99.9),
            down_when: DownWhen::default(),
            maintenance: Vec::new(),
            merge: Dur::from_secs(60),
            probe: None,
        }
    }
}

/// When a service's spans say that it is down.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DownWhen {
    /// The share of failed requests from which on it is down.
    pub error_ratio: Ratio,
    /// For how long.
    pub r#for: Dur,
    /// Fewer requests in that time say nothing.
    pub min_requests: u64,
}

impl Default for DownWhen {
    fn default() -> Self {
        Self { error_ratio: Ratio(0.5), r#for: Dur::from_secs(180), min_requests: 10 }
    }
}

/// A planned outage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["start", "end"]))]
pub struct Maintenance {
    /// RFC 3339, such as `2026-03-01T22:00:00Z`.
    pub start: Timestamp,
    /// RFC 3339, after `start`.
    pub end: Timestamp,
}

/// A page that is asked whether a service is up.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url"]))]
pub struct Probe {
    /// Asked with `GET`; a status below 400 is up.
    pub url: Url,
    /// Time between two questions.
    pub interval: Dur,
    /// Longest wait for an answer.
    pub timeout: Dur,
}

impl Default for Probe {
    fn default() -> Self {
        Self { url: Url::default(), interval: Dur::from_secs(30), timeout: Dur::from_secs(5) }
    }
}

/// The targets of the KPI table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kpis {
    /// CPU usage stays below.
    pub cpu: Percent,
    /// Memory usage stays below.
    pub memory: Percent,
    /// Disk usage stays below.
    pub disk: Percent,
    /// 95th percentile of request latency stays below.
    pub request_latency_p95: Dur,
    /// Availability stays above.
    pub availability: Percent,
    /// 95th percentile of inference latency stays below.
    pub inference_latency_p95: Dur,
    /// Cost of one AI request stays below, in USD.
    pub cost_per_request_usd: f64,
    /// Accuracy stays above.
    pub accuracy: Percent,
    /// Drift (population stability index) stays below.
    pub drift: f64,
    /// Fairness score stays above.
    pub fairness: f64,
    /// Health score (0–100) stays above.
    pub health: f64,
    /// Growth of monthly active users reaches.
    pub mau_growth: Percent,
    /// Daily over monthly active users stays above.
    pub stickiness: Ratio,
    /// Conversion rate stays above.
    pub conversion: Percent,
    /// Bounce rate stays below.
    pub bounce: Percent,
    /// Mean session lasts longer than.
    pub session_duration: Dur,
    /// Day-7 retention stays above.
    pub day_7_retention: Percent,
    /// Net promoter score (−100 to 100) stays above.
    pub nps: f64,
}

impl Default for Kpis {
    fn default() -> Self {
        Self {
            cpu: Percent(80.0),
            memory: Percent(80.0),
            disk: Percent(80.0),
            request_latency_p95: Dur::from_millis(100),
            availability: Percent(99.9),
            inference_latency_p95: Dur::from_millis(200),
            cost_per_request_usd: 0.01,
            accuracy: Percent(95.0),
            drift: 0.1,
            fairness: 0.9,
            health: 90.0,
            mau_growth: Percent(10.0),
            stickiness: Ratio(0.2),
            conversion: Percent(5.0),
            bounce: Percent(40.0),
            session_duration: Dur::from_secs(300),
            day_7_retention: Percent(40.0),
            nps: 40.0,
        }
    }
}

/// Alerts and who receives them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Time between two evaluations.
    pub interval: Dur,
    /// Who is told.
    pub receivers: Vec<AlertReceiver>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { interval: Dur::from_secs(30), receivers: Vec::new() }
    }
}

/// The kind of an alert receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertReceiverType {
    /// Prometheus's Alertmanager, API v2.
    Alertmanager,
    /// Any URL, in the shape of Alertmanager's webhook version 4.
    Webhook,
    /// A Slack incoming webhook.
    Slack,
    /// PagerDuty's Events API v2.
    Pagerduty,
    /// SMTP.
    Email,
}

/// One receiver of alerts. Which keys it needs follows from its type: `url` (or `url_file`) for alertmanager, webhook and
/// slack; `routing_key` (or `routing_key_file`) for pagerduty; `smtp`, `from` and `to` for email.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["type"]))]
pub struct AlertReceiver {
    #[schemars(required)]
    pub r#type: Option<AlertReceiverType>,
    /// The label `receiver` of this receiver's metrics; default: its type.
    pub name: Option<String>,
    /// Where alerts are posted. Held as a secret, because the address of a webhook is one.
    pub url: Option<Secret>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// PagerDuty's integration key.
    pub routing_key: Option<Secret>,
    /// A file that holds PagerDuty's integration key.
    pub routing_key_file: Option<PathBuf>,
    /// The mail server, as `host:port`.
    pub smtp: Option<String>,
    /// How the mail server is spoken to.
    pub smtp_tls: SmtpTls,
    /// The mail server's user; with `password_file`.
    pub username: Option<String>,
    /// A file that holds the user's password.
    pub password_file: Option<PathBuf>,
    /// The sender's address.
    pub from: Option<String>,
    /// The addresses of those who are told.
    pub to: Vec<String>,
    /// Sent with each request; a value is text or `{file: path}`.
    pub headers: BTreeMap<String, HeaderValue>,
    pub tls: Option<ClientTls>,
    /// Longest wait for one answer.
    pub timeout: Dur,
    /// Tells also when an alert is over.
    pub send_resolved: bool,
}

impl Default for AlertReceiver {
    fn default() -> Self {
        Self {
            r#type: None,
            name: None,
            url: None,
            url_file: None,
            routing_key: None,
            routing_key_file: None,
            smtp: None,
            smtp_tls: SmtpTls::Starttls,
            username: None,
            password_file: None,
            from: None,
            to: Vec::new(),
            headers: BTreeMap::new(),
            tls: None,
            timeout: Dur::from_secs(10),
            send_resolved: true,
        }
    }
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// Plain, then upgraded; refused where the server does not offer it.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Plain; a password is not sent over it.
    None,
}
