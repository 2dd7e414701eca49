//! Destinations.

use super::{Checker, path};
use crate::config::forward::{ClientTls, Forward, Protocol};
use crate::config::secrets::HeaderValue;
use crate::config::tree::Path;
use crate::config::values::shown;
use std::collections::BTreeMap;

pub(super) fn check(checker: &mut Checker) {
    let config = checker.config;
    let list = path("forward");
    for (index, forward) in config.forward.iter().enumerate() {
        destination(checker, &list.index(index), forward);
    }
    let named = config.forward.iter().map(Forward::display_name);
    let mut seen: Vec<&str> = Vec::new();
    for (index, name) in named.enumerate() {
        if seen.contains(&name) && !name.is_empty() {
            let message = format!("a second destination is called `{}`; give each a `name` of its own", shown(name));
            checker.error(list.index(index).key("name"), message);
        }
        seen.push(name);
    }
}

fn destination(checker: &mut Checker, at: &Path, forward: &Forward) {
    let config = checker.config;
    let endpoint = &forward.endpoint;
    let endpoint_at = at.key("endpoint");
    if endpoint.is_empty() {
        checker.error(endpoint_at, "`endpoint` is missing: every destination needs one, such as http://collector:4317");
    } else if let Err(message) = endpoint.check_http() {
        checker.error(endpoint_at, message);
    } else if let Some(key) = super::own_listener(config, endpoint) {
        checker
            .error(endpoint_at, format!("`{endpoint}` is our own listener (`{key}`); telemetry would go in a circle"));
    } else if forward.protocol == Protocol::Grpc && !matches!(endpoint.path(), "" | "/") {
        let message = format!(
            "`{}` is a path, which gRPC has not; expected host and port alone, or protocol: http/protobuf",
            endpoint.path()
        );
        checker.error(endpoint_at, message);
    } else if ["/v1/traces", "/v1/metrics", "/v1/logs"]
        .iter()
        .any(|path| endpoint.path().trim_end_matches('/').ends_with(path))
    {
        let message = format!("`{}` is appended for each signal; expected the part before it", endpoint.path());
        checker.error(endpoint_at, message);
    }
    if forward.signals.is_empty() {
        checker.error(
            at.key("signals"),
            "no signals: nothing would be sent; expected some of traces, metrics, logs, derived",
        );
    }
    let mut seen = Vec::new();
    for (index, signal) in forward.signals.iter().enumerate() {
        if seen.contains(signal) {
            checker.error(at.key("signals").index(index), "this signal stands here twice");
        }
        seen.push(*signal);
    }
    checker.above_zero(at.key("timeout"), forward.timeout);
    checker.above_zero(at.key("interval"), forward.interval);
    headers(checker, &at.key("headers"), &forward.headers);
    if let Some(tls) = &forward.tls {
        client_tls(checker, &at.key("tls"), tls);
        if endpoint.scheme() == "http" {
            checker.warn(at.key("tls"), format!("`{endpoint}` is plain http; its tls is not used"));
        }
    }
}

pub(super) fn client_tls(checker: &mut Checker, at: &Path, tls: &ClientTls) {
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => checker.error(at.key("cert_file"), "`cert_file` needs its `key_file`"),
        (None, Some(_)) => checker.error(at.key("key_file"), "`key_file` needs its `cert_file`"),
        _ => {}
    }
}

pub(super) fn headers(checker: &mut Checker, at: &Path, headers: &BTreeMap<String, HeaderValue>) {
    for (name, value) in headers {
        if http::HeaderName::try_from(name).is_err() {
            checker.error(at.key(name), format!("`{}` is not a header's name", shown(name)));
        }
        let unsendable =
            matches!(value, HeaderValue::Inline(text) if http::HeaderValue::try_from(text.expose()).is_err());
        if unsendable {
            checker.error(
                at.key(name),
                format!("the value of header `{}` has characters that cannot be sent", shown(name)),
            );
        }
    }
}
