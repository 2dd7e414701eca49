//! TLS and client certificates, with certificates made here.

use std::path::Path;
use std::sync::Arc;

use qiyas::config::ServerTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Options, Server};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem().as_bytes()).unwrap()).unwrap();
        roots
    }
}

fn put(directory: &Path, name: &str, content: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn client(authority: &Authority, identity: Option<(String, String)>, alpn: &[u8]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(authority.roots());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// The status line of a request over TLS, or the error.
async fn ask(server: &Server, connector: TlsConnector) -> std::io::Result<String> {
    let stream = TcpStream::connect(server.http).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let request = b"POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request).await?;
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_listener_with_a_certificate_speaks_tls_and_may_ask_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, strangers) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.issue("localhost");
    let files = ServerTls {
        cert_file: put(directory.path(), "cert.pem", &certificate),
        key_file: put(directory.path(), "key.pem", &key),
        client_ca_file: None,
    };
    let mut options = Options::default();
    options.otlp.tls = Some(files.clone());
    let server = Server::with(options).await;
    assert_eq!(ask(&server, client(&authority, None, b"http/1.1")).await.unwrap(), "HTTP/1.1 200 OK");
    assert!(ask(&server, client(&strangers, None, b"http/1.1")).await.is_err(), "another authority");

    let stream = TcpStream::connect(server.grpc).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = client(&authority, None, b"h2").connect(name, stream).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let path = "https://localhost/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let request = http::Request::post(path).header("content-type", "application/grpc").body(()).unwrap();
    let (response, mut body) = sender.ready().await.unwrap().send_request(request, false).unwrap();
    body.send_data(bytes::Bytes::from_static(&[0; 5]), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);

    let mut options = Options::default();
    options.otlp.tls =
        Some(ServerTls { client_ca_file: Some(put(directory.path(), "ca.pem", &authority.0.pem())), ..files });
    let server = Server::with(options).await;
    let known = client(&authority, Some(authority.issue("app")), b"http/1.1");
    assert_eq!(ask(&server, known).await.unwrap(), "HTTP/1.1 200 OK");
    let stranger = client(&authority, Some(strangers.issue("app")), b"http/1.1");
    assert!(ask(&server, stranger).await.is_err());
    assert!(ask(&server, client(&authority, None, b"http/1.1")).await.is_err(), "no certificate");
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = put(directory.path(), "empty.pem", "nothing here");
    let mut config = Options::default().otlp;
    config.tls = Some(ServerTls { cert_file: empty.clone(), key_file: empty.clone(), client_ca_file: None });
    let error = qiyas::receive::BoundOtlp::bind(&config).await.err().unwrap().to_string();
    assert_eq!(error, format!("receivers.otlp: {}: holds no certificate in PEM", empty.display()));
}
