//! TLS with an authority made for the test.

use std::path::PathBuf;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::super::client::Client;
use super::server::{RawServer, answer, config_for};
use super::*;
use crate::config::{ClientTls, Protocol};

struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), issuer }
    }

    fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    fn pem(&self, file: &str, kind: &str, der: &[u8]) -> PathBuf {
        let encoded = base64::engine::general_purpose::STANDARD.encode(der);
        let path = self.folder.path().join(file);
        std::fs::write(&path, format!("-----BEGIN {kind}-----\n{encoded}\n-----END {kind}-----\n")).unwrap();
        path
    }

    fn ca_file(&self) -> PathBuf {
        self.pem("ca.pem", "CERTIFICATE", self.issuer.der())
    }

    /// A server with a certificate for `name`; `asks`: and it wants one of this authority's from the client.
    async fn server(&self, name: &str, asks: bool) -> RawServer {
        let (certificate, key) = self.issue(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if asks {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let headers = [("content-type", "application/grpc"), ("grpc-status", "0")];
        RawServer::start_with(move |_| Some(answer(200, &headers, "")), move |stream| acceptor.accept(stream)).await
    }
}

async fn send(server: &RawServer, host: &str, protocol: Protocol, tls: Option<ClientTls>) -> Outcome {
    let endpoint = config::Url::new(format!("https://{host}:{}", server.address.port()));
    let config = Forward { endpoint, tls, ..config_for(server.address, protocol, Compression::None) };
    let payload = Payload::pack(vec![spans(&["a"])], Compression::None).await;
    Client::new(&config).unwrap().export(Signal::Traces, payload).await
}

fn assert_distrusted(outcome: Outcome) {
    let Outcome::Retry { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("certificate"), "the log must say why: {reason}");
}

#[tokio::test]
async fn a_server_is_trusted_by_the_configured_authority_and_no_other() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", false).await;
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let ours = ClientTls { ca_file: Some(authority.ca_file()), ..ClientTls::default() };
        assert_eq!(send(&server, "127.0.0.1", protocol, Some(ours)).await, accepted());
        assert_distrusted(send(&server, "127.0.0.1", protocol, None).await);
        let stranger = Authority::new();
        let other = ClientTls { ca_file: Some(stranger.ca_file()), ..ClientTls::default() };
        assert_distrusted(send(&server, "127.0.0.1", protocol, Some(other)).await);
    }
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn the_servers_name_is_checked_and_may_be_given() {
    let authority = Authority::new();
    let server = authority.server("collector.internal", false).await;
    let tls = |server_name: Option<&str>| {
        Some(ClientTls {
            ca_file: Some(authority.ca_file()),
            server_name: server_name.map(str::to_owned),
            ..ClientTls::default()
        })
    };
    assert_distrusted(send(&server, "127.0.0.1", Protocol::Grpc, tls(None)).await);
    assert_eq!(send(&server, "127.0.0.1", Protocol::Grpc, tls(Some("collector.internal"))).await, accepted());
}

#[tokio::test]
async fn we_show_our_certificate_where_it_is_asked_for() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", true).await;
    let (certificate, key) = authority.issue("sidecar");
    let tls = ClientTls {
        ca_file: Some(authority.ca_file()),
        cert_file: Some(authority.pem("cert.pem", "CERTIFICATE", &certificate)),
        key_file: Some(authority.pem("key.pem", "PRIVATE KEY", key.secret_der())),
        server_name: None,
    };
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        assert_eq!(send(&server, "127.0.0.1", protocol, Some(tls.clone())).await, accepted());
        let nameless = ClientTls { cert_file: None, key_file: None, ..tls.clone() };
        assert!(matches!(send(&server, "127.0.0.1", protocol, Some(nameless)).await, Outcome::Retry { .. }));
    }
    assert_eq!(server.received().len(), 2);
}
