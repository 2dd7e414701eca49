//! Where each signal's requests go.

use base64::Engine as _;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::config::{self, Forward, Protocol, Url};
use crate::otlp::Signal;

/// The URLs of one destination.
pub struct Routes([Route; 3]);

#[derive(Clone, Debug)]
pub struct Route {
    /// Without user and password.
    pub uri: Uri,
    /// User and password of the URL, as the value of `authorization`.
    pub basic_auth: Option<HeaderValue>,
}

#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("endpoint `{url}` is not a URL: expected http://host:port or https://host:port")]
    Url { url: Url },
}

impl Routes {
    pub fn new(config: &Forward) -> Result<Self, RouteError> {
        let [traces, metrics, logs] = Signal::ALL.map(|signal| route(config, signal));
        Ok(Self([traces?, metrics?, logs?]))
    }

    pub fn of(&self, signal: Signal) -> &Route {
        let [traces, metrics, logs] = &self.0;
        match signal {
            Signal::Traces => traces,
            Signal::Metrics => metrics,
            Signal::Logs => logs,
        }
    }
}

fn route(config: &Forward, signal: Signal) -> Result<Route, RouteError> {
    let own_url = config.signal_urls.get(&match signal {
        Signal::Traces => config::Signal::Traces,
        Signal::Metrics => config::Signal::Metrics,
        Signal::Logs => config::Signal::Logs,
    });
    let url = own_url.unwrap_or(&config.endpoint);
    let wrong = || RouteError::Url { url: url.clone() };
    let given: Uri = url.as_str().parse().map_err(|_| wrong())?;
    let parts = given.into_parts();
    let scheme = parts.scheme.filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme)).ok_or_else(wrong)?;
    let (basic_auth, authority) = credentials(&parts.authority.ok_or_else(wrong)?).ok_or_else(wrong)?;
    let given_path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    if !has_host_and_port(&authority) {
        return Err(wrong());
    }
    let path_and_query = match config.protocol {
        Protocol::Grpc => PathAndQuery::from_static(service(signal)),
        Protocol::HttpProtobuf if own_url.is_some() => given_path,
        Protocol::HttpProtobuf => below(&given_path, signal).ok_or_else(wrong)?,
    };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path_and_query);
    Ok(Route { uri: uri.build().map_err(|_| wrong())?, basic_auth })
}

fn service(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// The signal's default path below the endpoint's; a query stays at the end.
fn below(endpoint: &PathAndQuery, signal: Signal) -> Option<PathAndQuery> {
    let path = endpoint.path().trim_end_matches('/');
    let query = endpoint.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}/v1/{}{query}", signal.as_str()).parse().ok()
}

/// The parser of `http` lets an empty host and any text for a port pass.
fn has_host_and_port(authority: &Authority) -> bool {
    let rest = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    !authority.host().is_empty() && (rest.is_empty() || authority.port_u16().is_some())
}

/// Parts `user:password@host` into the header that carries the first and the authority that remains.
fn credentials(authority: &Authority) -> Option<(Option<HeaderValue>, Authority)> {
    let Some((user_password, host)) = authority.as_str().rsplit_once('@') else {
        return Some((None, authority.clone()));
    };
    let decoded: Vec<u8> = percent_decode_str(user_password).collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(decoded);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some((Some(value), host.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(endpoint: &str, protocol: Protocol) -> Vec<String> {
        let config = Forward { endpoint: Url::new(endpoint), protocol, ..Forward::default() };
        let routes = Routes::new(&config).unwrap();
        Signal::ALL.map(|signal| routes.of(signal).uri.to_string()).into()
    }

    #[test]
    fn http_appends_the_signal() {
        let expected =
            ["https://collector:4318/v1/traces", "https://collector:4318/v1/metrics", "https://collector:4318/v1/logs"];
        assert_eq!(uris("https://collector:4318", Protocol::HttpProtobuf), expected);
        assert_eq!(uris("https://collector:4318/", Protocol::HttpProtobuf), expected);
        assert_eq!(uris("http://h/otlp/", Protocol::HttpProtobuf)[0], "http://h/otlp/v1/traces");
        assert_eq!(uris("http://h/otlp?key=1", Protocol::HttpProtobuf)[2], "http://h/otlp/v1/logs?key=1");
    }

    #[test]
    fn grpc_calls_the_service_whatever_the_path() {
        for endpoint in ["http://h:4317", "http://h:4317/ignored"] {
            let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
            assert_eq!(uris(endpoint, Protocol::Grpc)[2], format!("http://h:4317{path}"));
        }
    }

    #[test]
    fn a_signals_own_url_is_used_as_it_is() {
        let mut config =
            Forward { endpoint: Url::new("http://all:4318"), protocol: Protocol::HttpProtobuf, ..Forward::default() };
        config.signal_urls.insert(config::Signal::Metrics, Url::new("https://m/custom"));
        let routes = Routes::new(&config).unwrap();
        assert_eq!(routes.of(Signal::Metrics).uri, "https://m/custom");
        assert_eq!(routes.of(Signal::Traces).uri, "http://all:4318/v1/traces");
    }

    #[test]
    fn user_and_password_become_a_header() {
        let config = Forward { endpoint: Url::new("https://us%40er:p%3Ass@h:1"), ..Forward::default() };
        let routes = Routes::new(&config).unwrap();
        let route = routes.of(Signal::Traces);
        assert_eq!(route.uri.authority().unwrap().as_str(), "h:1");
        let header = route.basic_auth.as_ref().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNAZXI6cDpzcw==");
        assert!(header.is_sensitive());
    }

    #[test]
    fn what_is_no_url_is_named_without_its_password() {
        for endpoint in ["", "collector:4317", "ftp://h", "http://", "http://user:hunter2@h:port"] {
            let config = Forward { endpoint: Url::new(endpoint), ..Forward::default() };
            let error = Routes::new(&config).err().unwrap_or_else(|| panic!("{endpoint:?}")).to_string();
            assert!(error.contains("expected http://host:port") && !error.contains("hunter2"), "{error}");
        }
    }
}
