//! The standard OpenTelemetry environment variables: where to export to, and who the sidecar itself is.
//!
//! `OTEL_EXPORTER_OTLP_*` make destinations; each signal's own variable (`…_TRACES_ENDPOINT`) wins over the general one,
//! and is used as it is, while a signal's path is appended to the general one over HTTP. As the specification asks, a
//! value that cannot be used is named in a warning and ignored.
//!
//! Protocol: where none is named, port 4317 means gRPC and any other HTTP, the specification's default.

use std::collections::BTreeMap;
use std::time::Duration;

use super::forward::{ClientTls, Compression, Forward, Protocol, Signal};
use super::problem::{Problem, Severity};
use super::secrets::{HeaderValue, Secret, Url};
use super::substitute::Env;
use super::values::Dur;

/// The resource of the sidecar's own telemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Attributes by key; `service.name` is always among them.
    pub attributes: BTreeMap<String, String>,
}

impl Resource {
    /// The sidecar's `service.name`; `qiyas` unless the environment says otherwise.
    pub fn service_name(&self) -> &str {
        self.attributes.get("service.name").map_or("qiyas", String::as_str)
    }
}

/// The sidecar's own resource from `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`, and what could not be used.
pub(super) fn resource(env: Env) -> (Resource, Vec<Problem>) {
    let mut warnings = Vec::new();
    let mut attributes = BTreeMap::new();
    if let Some(text) = set(env, "OTEL_RESOURCE_ATTRIBUTES") {
        match pairs(&text) {
            Ok(given) => attributes = given,
            Err(message) => warnings.push(warning("OTEL_RESOURCE_ATTRIBUTES", message)),
        }
    }
    if let Some(name) = set(env, "OTEL_SERVICE_NAME") {
        attributes.insert("service.name".to_owned(), name);
    }
    attributes.entry("service.name".to_owned()).or_insert_with(|| "qiyas".to_owned());
    (Resource { attributes }, warnings)
}

/// The destinations that the environment names, and what could not be used.
pub(super) fn destinations(env: Env) -> (Vec<Forward>, Vec<Problem>) {
    let mut reader = Reader { env, warnings: Vec::new() };
    let mut destinations: Vec<Forward> = Vec::new();
    for (signal, word) in [(Signal::Traces, "TRACES"), (Signal::Metrics, "METRICS"), (Signal::Logs, "LOGS")] {
        let Some(destination) = reader.destination(signal, word) else { continue };
        let same = destinations.iter_mut().find(|known| can_share(known, &destination));
        match same {
            Some(known) => {
                // The general endpoint is the one that paths are appended to.
                if destination.signal_urls.is_empty() {
                    known.endpoint = destination.endpoint;
                }
                known.signals.extend(destination.signals);
                known.signal_urls.extend(destination.signal_urls);
            }
            None => destinations.push(destination),
        }
    }
    let derived_home = destinations.iter().position(|destination| destination.signals.contains(&Signal::Metrics));
    if let Some(destination) = derived_home.and_then(|at| destinations.get_mut(at)) {
        destination.signals.push(Signal::Derived);
    }
    let several = destinations.len() > 1;
    for destination in &mut destinations {
        let signal = destination.signals.first().map_or("", |signal| match signal {
            Signal::Traces => "-traces",
            Signal::Metrics => "-metrics",
            Signal::Logs => "-logs",
            Signal::Derived => "-derived",
        });
        destination.name = if several { format!("otel{signal}") } else { "otel".to_owned() };
    }
    let mut warnings = reader.warnings;
    warnings.dedup();
    (destinations, warnings)
}

/// The variable that named `endpoint`.
pub(super) fn endpoint_variable(env: Env, endpoint: &Url) -> &'static str {
    let variables = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    ];
    let names = |variable: &&&str| set(env, variable).is_some_and(|text| endpoint.as_str().ends_with(&text));
    variables.iter().find(names).copied().unwrap_or("OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// Whether two signals can go through one destination.
fn can_share(a: &Forward, b: &Forward) -> bool {
    let same_server = a.endpoint.as_str() == b.endpoint.as_str()
        || (a.protocol == Protocol::HttpProtobuf
            && a.endpoint.authority() == b.endpoint.authority()
            && a.endpoint.scheme() == b.endpoint.scheme());
    same_server
        && a.protocol == b.protocol
        && a.compression == b.compression
        && a.timeout == b.timeout
        && a.headers == b.headers
        && a.tls == b.tls
}

struct Reader<'a> {
    env: Env<'a>,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    /// The value of a signal's own variable, else of the general one, with its name.
    fn signal_or_general(&self, word: &str, suffix: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{word}_{suffix}"), format!("OTEL_EXPORTER_OTLP_{suffix}")];
        names.into_iter().find_map(|name| set(self.env, &name).map(|value| (name, value)))
    }

    fn warn(&mut self, variable: &str, message: impl Into<String>) {
        let problem = warning(variable, message);
        if !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }

    fn destination(&mut self, signal: Signal, word: &str) -> Option<Forward> {
        let (variable, text) = self.signal_or_general(word, "ENDPOINT")?;
        let own_variable = variable.contains(word);
        let protocol = self.protocol(word, &text);
        let endpoint = match self.endpoint(word, &text, protocol) {
            Ok(endpoint) => endpoint,
            Err(message) => {
                self.warn(&variable, message);
                return None;
            }
        };
        let mut destination = Forward {
            endpoint: endpoint.clone(),
            protocol,
            signals: vec![signal],
            compression: self.compression(word),
            headers: self.headers(word),
            tls: self.tls(word),
            ..Forward::default()
        };
        if let Some(timeout) = self.timeout(word) {
            destination.timeout = timeout;
        }
        if own_variable && protocol == Protocol::HttpProtobuf {
            destination.signal_urls.insert(signal, endpoint);
        }
        Some(destination)
    }

    fn protocol(&mut self, word: &str, endpoint: &str) -> Protocol {
        let by_port = if port_is_4317(endpoint) { Protocol::Grpc } else { Protocol::HttpProtobuf };
        let Some((variable, protocol)) = self.signal_or_general(word, "PROTOCOL") else { return by_port };
        match protocol.as_str() {
            "grpc" => Protocol::Grpc,
            "http/protobuf" => Protocol::HttpProtobuf,
            "http/json" => {
                self.warn(&variable, "http/json is received but not sent; http/protobuf is used");
                Protocol::HttpProtobuf
            }
            other => {
                self.warn(&variable, format!("`{other}` is not one of grpc, http/protobuf; it is ignored"));
                by_port
            }
        }
    }

    fn endpoint(&mut self, word: &str, text: &str, protocol: Protocol) -> Result<Url, String> {
        let url = if text.contains("://") {
            Url::new(text)
        } else if protocol == Protocol::Grpc {
            let insecure =
                self.signal_or_general(word, "INSECURE").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
            Url::new(format!("{}://{text}", if insecure { "http" } else { "https" }))
        } else {
            return Err(format!("`{}` has no scheme; expected http:// or https://; it is ignored", Url::new(text)));
        };
        url.check_http().map_err(|message| format!("{message}; it is ignored"))?;
        Ok(url)
    }

    fn compression(&mut self, word: &str) -> Compression {
        let Some((variable, compression)) = self.signal_or_general(word, "COMPRESSION") else {
            return Compression::None;
        };
        match compression.as_str() {
            "gzip" => Compression::Gzip,
            "zstd" => Compression::Zstd,
            "none" => Compression::None,
            other => {
                self.warn(&variable, format!("`{other}` is not one of gzip, zstd, none; it is ignored"));
                Compression::None
            }
        }
    }

    fn headers(&mut self, word: &str) -> BTreeMap<String, HeaderValue> {
        let Some((variable, text)) = self.signal_or_general(word, "HEADERS") else { return BTreeMap::new() };
        let mut headers = BTreeMap::new();
        match pairs(&text) {
            Ok(given) => {
                for (name, value) in given {
                    let usable =
                        http::HeaderName::try_from(&name).is_ok() && http::HeaderValue::try_from(&value).is_ok();
                    if usable {
                        headers.insert(name, HeaderValue::Inline(Secret::new(value)));
                    } else {
                        self.warn(&variable, format!("header `{name}` is not one that can be sent; it is ignored"));
                    }
                }
            }
            Err(message) => self.warn(&variable, message),
        }
        headers
    }

    /// The longest wait for an answer. The variable is in milliseconds.
    fn timeout(&mut self, word: &str) -> Option<Dur> {
        let (variable, text) = self.signal_or_general(word, "TIMEOUT")?;
        match text.parse::<u64>() {
            Ok(millis) if millis > 0 => Some(Dur(Duration::from_millis(millis))),
            _ => {
                self.warn(&variable, format!("`{text}` is not a number of milliseconds above 0; it is ignored"));
                None
            }
        }
    }

    fn tls(&mut self, word: &str) -> Option<ClientTls> {
        let file = |suffix| self.signal_or_general(word, suffix).map(|(_, path)| path.into());
        let tls = ClientTls {
            ca_file: file("CERTIFICATE"),
            cert_file: file("CLIENT_CERTIFICATE"),
            key_file: file("CLIENT_KEY"),
            server_name: None,
        };
        (tls != ClientTls::default()).then_some(tls)
    }
}

/// A variable that is set and not empty; the specification has an empty one mean unset.
fn set(env: Env, name: &str) -> Option<String> {
    env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn warning(variable: &str, message: impl Into<String>) -> Problem {
    Problem::of(Severity::Warning, variable, message)
}

fn port_is_4317(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split('/').next().is_some_and(|authority| authority.ends_with(":4317"))
}

/// `key=value,key=value` with percent-encoded values, as W3C Baggage. One bad pair makes the whole unusable.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("expected key=value pairs with commas between; it is ignored")?;
        let key = key.trim();
        let decoded = percent_decoded(value.trim());
        match decoded {
            Some(value) if !key.is_empty() => pairs.insert(key.to_owned(), value),
            _ => return Err(format!("the pair of `{key}` is not key=value, percent-encoded; it is ignored")),
        };
    }
    Ok(pairs)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}
