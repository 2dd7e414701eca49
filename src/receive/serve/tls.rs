//! TLS on a listener: rustls, with client certificates where a client authority is given.
//!
//! Certificate, key and authority are read again when one of the files changes; connections that stand keep theirs.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Protocol;
use super::reload::{FileError, Reloading, read};
use crate::config::ServerTls;

/// A listener's side of TLS.
pub struct Tls {
    config: Reloading<ServerConfig>,
}

impl Tls {
    /// Reads the files; the error names the one that is wrong.
    pub fn load(files: &ServerTls, protocol: Protocol) -> Result<Self, FileError> {
        let mut paths = vec![files.cert_file.clone(), files.key_file.clone()];
        paths.extend(files.client_ca_file.clone());
        let files = files.clone();
        let config = Reloading::new(paths, move || server_config(&files, protocol), Instant::now())?;
        Ok(Self { config })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.get(Instant::now()))
    }
}

fn server_config(files: &ServerTls, protocol: Protocol) -> Result<ServerConfig, FileError> {
    let chain = certificates(&files.cert_file)?;
    let key_pem = read(&files.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| FileError::content(&files.key_file, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| FileError::content(&files.cert_file, error))?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(authority)? {
                roots.add(certificate).map_err(|error| FileError::content(authority, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|error| FileError::content(authority, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| FileError::content(&files.cert_file, error))?;
    config.alpn_protocols = match protocol {
        Protocol::Http2 => vec![b"h2".to_vec()],
        Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(&path.to_path_buf())?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = parsed.map_err(|error| FileError::content(path, error))?;
    if certificates.is_empty() {
        return Err(FileError::content(path, "holds no certificate in PEM"));
    }
    Ok(certificates)
}
