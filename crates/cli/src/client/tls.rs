//! TLS on the connections of the HTTP client.
//!
//! They are made here and not by that client, because a kubeconfig may say more than it knows: a name other than the host's (`tls-server-name`), and trust in
//! one certificate that nobody signed.

use std::io::{Read, Write};
use std::sync::Arc;

use eartag_upstream::{Authorities, TargetError, client_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::error::ClientError;
use super::kubeconfig::{ClientCertificate, Trust};

/// The configuration of connections.
///
/// # Errors
/// Certificates or keys that cannot be used.
pub fn config(trust: &Trust, client: Option<&ClientCertificate>) -> Result<ClientConfig, ClientError> {
    let authorities = match trust {
        Trust::Only(pem) => Authorities::Only(pem),
        Trust::System => Authorities::Machine,
    };
    let shown = client.map(|client| eartag_upstream::ClientCertificate {
        certificates_pem: &client.certificate,
        key_pem: &client.key,
    });
    client_config(authorities, shown).map_err(|why| match why {
        TargetError::NoAuthority => ClientError::NoAuthorities,
        why => ClientError::Unusable(why.to_string()),
    })
}

/// Puts TLS on the connections of the HTTP client.
#[derive(Debug)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnector {
    /// Expects this name of the server.
    ///
    /// # Errors
    /// When it is neither a name nor an address.
    pub fn new(config: ClientConfig, name: &str) -> Result<Self, ClientError> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| ClientError::Unusable(format!("{name:?} is no name that a certificate can have")))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let tls = |error: rustls::Error| ureq::Error::Io(std::io::Error::other(error));
        let mut connection = ClientConnection::new(self.config.clone(), self.name.clone()).map_err(tls)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned { conn: connection, sock: socket } })))
    }
}

/// An encrypted connection.
pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
