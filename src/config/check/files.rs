//! The files a configuration names: they must be there and readable when the sidecar starts.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use super::path;
use crate::config::Config;
use crate::config::forward::ClientTls;
use crate::config::listeners::{Auth, ServerTls};
use crate::config::secrets::HeaderValue;
use crate::config::tree::Path;

/// What cannot be read of the files that `config` names.
pub(in crate::config) fn files(config: &Config) -> Vec<(Path, String)> {
    let mut named = Named::default();
    named.listener("receivers.otlp", &config.receivers.otlp.tls, &config.receivers.otlp.auth);
    named.listener("prometheus", &config.prometheus.tls, &config.prometheus.auth);
    named.listener("api", &config.api.tls, &config.api.auth);
    for (index, target) in config.receivers.prometheus.targets.iter().enumerate() {
        named.headers(&path("receivers.prometheus.targets").index(index), &target.headers);
    }
    for (index, forward) in config.forward.iter().enumerate() {
        let at = path("forward").index(index);
        named.headers(&at, &forward.headers);
        named.client_tls(&at, &forward.tls);
    }
    for (index, receiver) in config.alerts.receivers.iter().enumerate() {
        let at = path("alerts.receivers").index(index);
        named.headers(&at, &receiver.headers);
        named.client_tls(&at, &receiver.tls);
        named.option(at.key("url_file"), &receiver.url_file);
        named.option(at.key("routing_key_file"), &receiver.routing_key_file);
        named.option(at.key("password_file"), &receiver.password_file);
    }
    for (index, slo) in config.slos.iter().enumerate() {
        named.option(path("slos").index(index).key("openslo"), &slo.openslo);
    }
    named.option(path("ai.prices.file"), &config.ai.prices.file);
    named.option(path("ai.drift.baseline_file"), &config.ai.drift.baseline_file);
    named.option(path("users.hash_key_file"), &config.users.hash_key_file);
    let mut wrong: Vec<(Path, String)> =
        named.0.into_iter().filter_map(|(at, file)| Some((at, unreadable(&file)?))).collect();
    let host = &config.receivers.host;
    if host.enabled && !host.root_path.is_dir() {
        wrong.push((path("receivers.host.root_path"), format!("`{}` is not a folder", host.root_path.display())));
    }
    wrong
}

/// Why `file` cannot be read, if so.
fn unreadable(file: &FilePath) -> Option<String> {
    let name = file.display();
    match std::fs::File::open(file).and_then(|opened| opened.metadata()) {
        Ok(metadata) if metadata.is_dir() => Some(format!("`{name}` is a folder; expected a file")),
        Ok(_) => None,
        Err(error) => Some(format!("`{name}` cannot be read: {error}")),
    }
}

#[derive(Default)]
struct Named(Vec<(Path, PathBuf)>);

impl Named {
    fn option(&mut self, at: Path, file: &Option<PathBuf>) {
        self.0.extend(file.clone().map(|file| (at, file)));
    }

    fn listener(&mut self, section: &str, tls: &Option<ServerTls>, auth: &Option<Auth>) {
        let section = path(section);
        if let Some(tls) = tls {
            let at = section.key("tls");
            self.option(at.key("cert_file"), &Some(tls.cert_file.clone()));
            self.option(at.key("key_file"), &Some(tls.key_file.clone()));
            self.option(at.key("client_ca_file"), &tls.client_ca_file);
        }
        if let Some(auth) = auth {
            let key = match auth {
                Auth::BearerTokenFile(_) => "bearer_token_file",
                Auth::HtpasswdFile(_) => "htpasswd_file",
            };
            self.option(section.key("auth").key(key), &Some(auth.file().clone()));
        }
    }

    fn client_tls(&mut self, at: &Path, tls: &Option<ClientTls>) {
        let Some(tls) = tls else { return };
        let at = at.key("tls");
        self.option(at.key("ca_file"), &tls.ca_file);
        self.option(at.key("cert_file"), &tls.cert_file);
        self.option(at.key("key_file"), &tls.key_file);
    }

    fn headers(&mut self, at: &Path, headers: &BTreeMap<String, HeaderValue>) {
        for (name, value) in headers {
            if let HeaderValue::File(file) = value {
                self.option(at.key("headers").key(name).key("file"), &Some(file.clone()));
            }
        }
    }
}
