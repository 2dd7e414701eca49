//! Listeners: addresses that can be bound, that do not meet each other, and that are not forwarded to.

use std::net::IpAddr;

use super::{Checker, path};
use crate::config::Config;
use crate::config::listeners::{Auth, ServerTls};
use crate::config::secrets::Url;
use crate::config::tree::Path;
use crate::config::values::shown;

/// A listener of ours: the key of its endpoint, and the endpoint.
type Listener<'a> = (&'static str, &'a str);

fn listeners(config: &Config) -> Vec<Listener<'_>> {
    let all = [
        ("receivers.otlp.grpc.endpoint", &config.receivers.otlp.grpc.endpoint),
        ("receivers.otlp.http.endpoint", &config.receivers.otlp.http.endpoint),
        ("prometheus.endpoint", &config.prometheus.endpoint),
        ("api.endpoint", &config.api.endpoint),
    ];
    all.into_iter().filter_map(|(key, endpoint)| Some((key, endpoint.as_deref()?))).collect()
}

/// Splits `host:port`. The host of an IPv6 address is given without its brackets.
fn host_port(endpoint: &str) -> Result<(String, u16), String> {
    let shown = shown(endpoint);
    if endpoint.contains("://") {
        return Err(format!("`{shown}` has a scheme; expected host:port alone, such as 127.0.0.1:4317"));
    }
    let wrong = || format!("`{shown}` is not host:port, such as 127.0.0.1:4317");
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse::<u16>().map_err(|_| wrong())?;
    if host.is_empty() {
        return Err(format!("`{shown}` has no host; write 127.0.0.1:{port}, or 0.0.0.0:{port} for every address"));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    if valid { Ok((bare.unwrap_or(host).to_owned(), port)) } else { Err(wrong()) }
}

/// Which machine a host names, as far as the text tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// `0.0.0.0` or `::`: every address of this machine.
    Unspecified,
    /// This machine alone.
    Loopback,
    Other,
}

fn reach(host: &str) -> Reach {
    let lower = host.to_ascii_lowercase();
    if lower == "localhost" || lower.ends_with(".localhost") {
        return Reach::Loopback;
    }
    match lower.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Reach::Unspecified,
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()) => Reach::Loopback,
        Ok(address) if address.is_loopback() => Reach::Loopback,
        _ => Reach::Other,
    }
}

/// The key of the listener of ours that `url` leads back to.
pub(in crate::config) fn own_listener(config: &Config, url: &Url) -> Option<&'static str> {
    let (host, port) = url.host_port()?;
    let leads_back = |endpoint: &str| {
        let Ok((own_host, own_port)) = host_port(endpoint) else { return false };
        if own_port != port || port == 0 {
            return false;
        }
        let local = match reach(&own_host) {
            Reach::Other => false,
            Reach::Loopback | Reach::Unspecified => reach(&host) != Reach::Other,
        };
        local || own_host.eq_ignore_ascii_case(&host)
    };
    listeners(config).into_iter().find(|(_, endpoint)| leads_back(endpoint)).map(|(key, _)| key)
}

pub(super) fn check(checker: &mut Checker) {
    let config = checker.config;
    let mut bound: Vec<(&'static str, String, u16)> = Vec::new();
    for (key, endpoint) in listeners(config) {
        match host_port(endpoint) {
            Err(message) => checker.error(path(key), message),
            Ok((host, port)) => {
                let taken =
                    bound.iter().find(|(_, other, other_port)| *other_port == port && port != 0 && meets(other, &host));
                if let Some((other_key, ..)) = taken {
                    // Blame the one that was written; a default stands where the other was moved onto it.
                    let blamed = if checker.given(&path(key)) { key } else { other_key };
                    let met = if blamed == key { *other_key } else { key };
                    checker.error(path(blamed), format!("port {port} is already used by `{met}`"));
                }
                bound.push((key, host, port));
            }
        }
    }
    let otlp = &config.receivers.otlp;
    let otlp_open = [&otlp.grpc.endpoint, &otlp.http.endpoint].into_iter().flatten().any(|endpoint| is_open(endpoint));
    secured(checker, "receivers.otlp", otlp_open, &otlp.tls, &otlp.auth);
    let prometheus_open = config.prometheus.endpoint.as_deref().is_some_and(is_open);
    secured(checker, "prometheus", prometheus_open, &config.prometheus.tls, &config.prometheus.auth);
    let api_open = config.api.endpoint.as_deref().is_some_and(is_open);
    secured(checker, "api", api_open, &config.api.tls, &config.api.auth);
    browsers(checker);
    scraped_page(checker);
    own_traces(checker);
    scrape_targets(checker);
}

/// Whether two hosts of one port cannot both be bound.
fn meets(a: &str, b: &str) -> bool {
    let name_of = |host: &str| {
        if host.eq_ignore_ascii_case("localhost") { "127.0.0.1".to_owned() } else { host.to_ascii_lowercase() }
    };
    reach(a) == Reach::Unspecified || reach(b) == Reach::Unspecified || name_of(a) == name_of(b)
}

fn is_open(endpoint: &str) -> bool {
    host_port(endpoint).is_ok_and(|(host, _)| reach(&host) != Reach::Loopback)
}

fn secured(checker: &mut Checker, section: &str, open: bool, tls: &Option<ServerTls>, auth: &Option<Auth>) {
    if let Some(tls) = tls {
        let at = path(section).key("tls");
        for (key, file) in [("cert_file", &tls.cert_file), ("key_file", &tls.key_file)] {
            if file.as_os_str().is_empty() {
                checker.error(at.key(key), format!("`{key}` is missing: TLS needs a certificate and its key"));
            }
        }
    }
    if open && tls.is_none() && auth.is_some() {
        let message =
            "credentials are asked for without TLS on an address that others reach; whoever listens in has them";
        checker.warn(path(section).key("auth"), message);
    }
}

fn browsers(checker: &mut Checker) {
    let config = checker.config;
    let origins = path("receivers.otlp.http.cors.allowed_origins");
    for (index, origin) in config.receivers.otlp.http.cors.allowed_origins.iter().enumerate() {
        let rest = origin.split_once("://").map(|(_, rest)| rest);
        let is_origin = rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']));
        if origin != "*" && !is_origin {
            let message = format!("`{}` is not an origin; expected one like https://shop.example, or *", shown(origin));
            checker.error(origins.index(index), message);
        }
    }
    for (index, host) in config.api.allowed_hosts.iter().enumerate() {
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            let message =
                format!("`{}` is not a host; expected one like shop.example or shop.example:5000", shown(host));
            checker.error(path("api.allowed_hosts").index(index), message);
        }
    }
}

fn scraped_page(checker: &mut Checker) {
    let page = checker.config.prometheus.path.as_str();
    let at = path("prometheus.path");
    if !page.starts_with('/') || page.contains(['?', '#', ' ']) {
        checker.error(at, format!("`{}` is not a path; expected one like /metrics", shown(page)));
    } else if matches!(page, "/healthz" | "/readyz") {
        checker.error(at, format!("`{page}` is where health is answered; expected another path, like /metrics"));
    }
}

fn own_traces(checker: &mut Checker) {
    let config = checker.config;
    let Some(endpoint) = &config.telemetry.traces.endpoint else { return };
    let at = path("telemetry.traces.endpoint");
    if let Err(message) = endpoint.check_http() {
        checker.error(at, message);
    } else if let Some(key) = own_listener(config, endpoint) {
        checker.error(
            at,
            format!("`{endpoint}` is our own listener (`{key}`); the sidecar's telemetry never enters itself"),
        );
    }
}

fn scrape_targets(checker: &mut Checker) {
    let config = checker.config;
    let scrape = &config.receivers.prometheus;
    checker.above_zero(path("receivers.prometheus.interval"), scrape.interval);
    for (index, target) in scrape.targets.iter().enumerate() {
        let at: Path = path("receivers.prometheus.targets").index(index);
        if target.url.is_empty() {
            checker.error(at.key("url"), "`url` is missing: every target needs one");
        } else if let Err(message) = target.url.check_http() {
            checker.error(at.key("url"), message);
        } else if let Some(key) = own_listener(config, &target.url) {
            checker.error(at.key("url"), format!("`{}` is our own listener (`{key}`)", target.url));
        }
        checker.above_zero(at.key("timeout"), target.timeout);
        if let Some(interval) = target.interval {
            checker.above_zero(at.key("interval"), interval);
        }
    }
}
