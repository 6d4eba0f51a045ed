//! What TLS negotiates with a server.
//!
//! async-nats keeps its TLS session to itself. So one handshake more is made, with the same files and the
//! same versions, ahead of the connection proper; both parties choose by their settings alone, so that the
//! connection gets the same. A server that is replaced by another later may choose another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use async_nats::rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where the certificates are: paths of PEM files.
#[derive(Debug, Clone, rustler::NifMap)]
pub(crate) struct TlsFiles {
    ca: String,
    certificate: Option<String>,
    key: Option<String>,
}

impl TlsFiles {
    pub(crate) fn ca(&self) -> PathBuf {
        PathBuf::from(&self.ca)
    }

    pub(crate) fn certificate(&self) -> Option<(PathBuf, PathBuf)> {
        Some((self.certificate.as_ref()?.into(), self.key.as_ref()?.into()))
    }
}

/// Protocol and cipher suite.
#[derive(Debug, Clone)]
pub(crate) struct Negotiated {
    pub(crate) version: String,
    pub(crate) cipher: String,
}

/// Makes a handshake with a server. A failure names the file, or is what one party told the other.
pub(crate) async fn negotiate(
    host: &str,
    port: u16,
    files: &TlsFiles,
) -> Result<Negotiated, String> {
    let config = config(files)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let session = async {
        let mut stream = BufReader::new(TcpStream::connect((host, port)).await?);
        // The server speaks first, a line in clear, and then waits for the handshake.
        let mut greeting = String::new();
        stream.read_line(&mut greeting).await?;
        if !greeting.starts_with("INFO ") {
            return Err(io::Error::other("this is no NATS server"));
        }
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let session = session.await.map_err(|error| error.to_string())?;
    let (_, connection) = session.get_ref();
    match (connection.protocol_version(), connection.negotiated_cipher_suite()) {
        (Some(version), Some(suite)) => Ok(Negotiated {
            version: version_name(version),
            cipher: format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1),
        }),
        _ => Err("nothing was negotiated".to_owned()),
    }
}

/// As OpenSSL and Erlang's users write it; cipher suites are written as IANA does.
fn version_name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The same as async-nats makes of the same files.
fn config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let path = files.ca();
    for certificate in certificates(&path)? {
        roots.add(certificate).map_err(in_file(&path))?;
    }
    if roots.is_empty() {
        return Err(in_file(&path)("there is no certificate in it"));
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some((certificate, key)) = files.certificate() else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(&certificate)?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(in_file(&key))?;
    builder.with_client_auth_cert(chain, private).map_err(in_file(&certificate))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(in_file(path))
}

fn in_file<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}
