//! What every listener shares (TLS, authentication, CORS) and the two that give answers: Prometheus and the API.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::receivers::{OtlpGrpc, OtlpHttp};
use super::values::Dur;

/// A listener that can be turned off.
pub(super) trait TurnOff: Default {
    /// The listener with no endpoint.
    fn off() -> Self;
}

/// Reads a listener's section; `null` is the listener turned off.
pub(super) fn off_if_null<'de, D: Deserializer<'de>, T: TurnOff + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_else(T::off))
}

impl TurnOff for OtlpGrpc {
    fn off() -> Self {
        Self { endpoint: None }
    }
}

impl TurnOff for OtlpHttp {
    fn off() -> Self {
        Self { endpoint: None, ..Self::default() }
    }
}

impl TurnOff for Prometheus {
    fn off() -> Self {
        Self { endpoint: None, ..Self::default() }
    }
}

impl TurnOff for Api {
    fn off() -> Self {
        Self { endpoint: None, ..Self::default() }
    }
}

/// A listener's certificate, and the authority its clients must be signed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["cert_file", "key_file"]))]
pub struct ServerTls {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Clients must present a certificate signed by one of these (mTLS), PEM.
    pub client_ca_file: Option<PathBuf>,
}

/// What a client must present: one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer <token>`; the file holds one token a line.
    BearerTokenFile(PathBuf),
    /// `Authorization: Basic …`; the file is in the form of Apache's `htpasswd`.
    HtpasswdFile(PathBuf),
}

impl Auth {
    pub fn file(&self) -> &PathBuf {
        match self {
            Self::BearerTokenFile(file) | Self::HtpasswdFile(file) => file,
        }
    }
}

/// Which web pages may send from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins such as `https://shop.example`; `https://*.shop.example` and `*` are patterns. Empty: none.
    pub allowed_origins: Vec<String>,
}

/// The Prometheus endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// `host:port` to listen on; `null` turns the listener off.
    pub endpoint: Option<String>,
    /// The page that is scraped.
    pub path: String,
    /// How OTLP names become Prometheus names.
    pub translation_strategy: TranslationStrategy,
    pub tls: Option<ServerTls>,
    pub auth: Option<Auth>,
    /// Shows a scraper each cumulative series born since its last scrape at 0 once, so that `increase()` loses nothing.
    pub zero_births: bool,
    /// Adds `_created` lines in OpenMetrics: one more series each.
    pub created_lines: bool,
    /// The app's own OTLP metrics, which stand on the endpoint beside the derived ones.
    pub received: Received,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            endpoint: Some("127.0.0.1:9464".to_owned()),
            path: "/metrics".to_owned(),
            translation_strategy: TranslationStrategy::UnderscoreEscapingWithSuffixes,
            tls: None,
            auth: None,
            zero_births: true,
            created_lines: false,
            received: Received::default(),
        }
    }
}

/// How OTLP names become Prometheus names: Prometheus's own four strategies, by its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum TranslationStrategy {
    /// Other characters become `_`; unit and type suffixes are added.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Other characters become `_`; no suffixes.
    UnderscoreEscapingWithoutSuffixes,
    /// UTF-8 names as they are; unit and type suffixes are added.
    NoUTF8EscapingWithSuffixes,
    /// Names as they are.
    NoTranslation,
}

/// The app's own metrics on the Prometheus endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Received {
    /// Whether they are on the endpoint at all.
    pub enabled: bool,
    /// A series without a point for so long is left out.
    pub expiry: Dur,
}

impl Default for Received {
    fn default() -> Self {
        Self { enabled: true, expiry: Dur::from_secs(300) }
    }
}

/// The REST API and the dashboard page.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// `host:port` to listen on; `null` turns the listener off.
    pub endpoint: Option<String>,
    pub auth: Option<Auth>,
    pub tls: Option<ServerTls>,
    /// Names accepted in the `Host` header beside the endpoint's own and loopback ones.
    pub allowed_hosts: Vec<String>,
}

impl Default for Api {
    fn default() -> Self {
        Self { endpoint: Some("127.0.0.1:5000".to_owned()), auth: None, tls: None, allowed_hosts: Vec::new() }
    }
}
