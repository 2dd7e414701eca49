//! TLS towards a destination: rustls with the built-in roots or the configured authorities, and our own certificate where
//! the server asks for one. The files are read once, at start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::{ClientTls, Forward, Protocol};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read as PEM: {error}", file.display())]
    Pem { file: PathBuf, error: PemError },
    #[error("{} holds no certificate", file.display())]
    Empty { file: PathBuf },
    #[error("{} holds a certificate that cannot be an authority: {error}", file.display())]
    Authority { file: PathBuf, error: rustls::Error },
    #[error("cert_file and key_file belong together: only one is given")]
    Halved,
    #[error("the certificate of {} does not fit its key: {error}", file.display())]
    Identity { file: PathBuf, error: rustls::Error },
    #[error("server_name `{name}` is neither a host name nor an address")]
    ServerName { name: String },
    #[error("no TLS version in common with the cryptography built in: {0}")]
    Versions(rustls::Error),
}

/// A connector that speaks TLS to `https://` and plain TCP to `http://`.
pub fn connector(config: &Forward, tcp: HttpConnector) -> Result<HttpsConnector<HttpConnector>, TlsError> {
    let tls = config.tls.clone().unwrap_or_default();
    let builder = HttpsConnectorBuilder::new().with_tls_config(client_config(&tls)?).https_or_http();
    let builder = match &tls.server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName { name: name.clone() })?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(match config.protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(tcp),
        Protocol::HttpProtobuf => builder.enable_all_versions().wrap_connector(tcp),
    })
}

fn client_config(tls: &ClientTls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?;
    let builder = builder.with_root_certificates(authorities(tls.ca_file.as_deref())?);
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert_file), Some(key_file)) => {
            let pem = |error| TlsError::Pem { file: key_file.clone(), error };
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(pem)?;
            let identity = |error| TlsError::Identity { file: cert_file.clone(), error };
            builder.with_client_auth_cert(certificates(cert_file)?, key).map_err(identity)
        }
        _ => Err(TlsError::Halved),
    }
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| TlsError::Authority { file: file.into(), error })?;
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |error| TlsError::Pem { file: file.into(), error };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(file).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { file: file.into() });
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(tls: ClientTls) -> String {
        let config = Forward { tls: Some(tls), ..Forward::default() };
        connector(&config, HttpConnector::new()).err().unwrap().to_string()
    }

    #[test]
    fn bad_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.pem");
        assert!(error(ClientTls { ca_file: Some(missing), ..ClientTls::default() }).contains("missing.pem"));
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate here").unwrap();
        let holds_none = error(ClientTls { ca_file: Some(empty.clone()), ..ClientTls::default() });
        assert!(holds_none.ends_with("empty.pem holds no certificate"), "{holds_none}");
        let halved = error(ClientTls { cert_file: Some(empty), ..ClientTls::default() });
        assert!(halved.contains("belong together"), "{halved}");
        let name = error(ClientTls { server_name: Some("not a host".into()), ..ClientTls::default() });
        assert!(name.contains("`not a host`"), "{name}");
    }
}
