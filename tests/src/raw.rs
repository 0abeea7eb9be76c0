//! Connections below HTTP: half a handshake, a finished one that says nothing, bytes as they are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::wait::PATIENCE;

/// A TLS stream.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// The client side of TLS, trusting this file's certificates, offering these protocols.
pub fn config(ca: &Path, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the authority's certificate") {
        roots.add(certificate.expect("a certificate")).expect("a usable certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A finished handshake.
pub fn tls(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Tls> {
    let mut tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::IpAddress(address.ip().into());
    let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(connection, tcp))
}

/// Sends these bytes over TLS; gives the [`answer`].
pub fn exchange(address: SocketAddr, config: &Arc<ClientConfig>, bytes: &[u8]) -> String {
    let mut stream = tls(address, config).expect("a connection");
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    answer(&mut stream)
}

/// One answer with the body that its head announces, or what came until the server closed.
pub fn answer(stream: &mut Tls) -> String {
    let mut got = Vec::new();
    let mut buffer = [0u8; 16 * 1024];
    while !is_whole(&got) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => got.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8_lossy(&got).into_owned()
}

fn is_whole(got: &[u8]) -> bool {
    let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let body = &got[end + 4..];
    match header("content-length") {
        Some(length) => body.len() >= length.trim().parse().expect("a length"),
        None => header("transfer-encoding").is_some() && body.ends_with(b"0\r\n\r\n"),
    }
}
