//! Why an API server gave no answer, in words for the people who asked: they name no address, for those belong to whoever registered it.

use std::error::Error;
use std::io;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// There is no address for the host's name.
    #[error("its host name cannot be resolved")]
    Unresolvable,
    /// Nothing listens there.
    #[error("it refuses connections")]
    Refused,
    /// There is no way there.
    #[error("it cannot be reached")]
    Unreachable,
    /// No connection was made in time.
    #[error("no connection to it could be made in time")]
    ConnectTimeout,
    /// The server is not who it should be.
    #[error("it is not trusted: {0}")]
    Untrusted(Untrusted),
    /// There is somebody, but no TLS.
    #[error("no TLS connection to it could be made")]
    Tls,
    /// It took the request and did not answer in time. Whether anything happened is not known.
    #[error("it did not answer in time")]
    Timeout,
    /// It ended the connection before it answered. Whether anything happened is not known.
    #[error("it closed the connection without an answer")]
    Closed,
    /// What it answered is not HTTP, or its head is too long.
    #[error("its answer is not proper HTTP")]
    Protocol,
    /// The body that was to be sent ended before its end.
    #[error("the request's own body broke off")]
    RequestBody,
    /// The request cannot be put into HTTP/1.1.
    #[error("the request cannot be sent on")]
    Request,
}

/// Why a server's certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Nobody who is trusted signed it.
    #[error(
        "its certificate is not signed by the certificate authority that was given for it (or, if none was, by none that this machine trusts)"
    )]
    Issuer,
    /// It names others.
    #[error("its certificate is for another name")]
    Name,
    /// Its time is over.
    #[error("its certificate has expired")]
    Expired,
    /// Its time has not come.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// Anything else.
    #[error("its certificate cannot be used")]
    Other,
}

/// The first cause in an error's chain that says something.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> UpstreamError {
    let mut cause = Some(error);
    // A chain is short; the bound is for one that loops.
    for _ in 0..16 {
        let Some(current) = cause else { break };
        if let Some(known) = current.downcast_ref::<UpstreamError>() {
            return *known;
        }
        if let Some(found) = current.downcast_ref::<io::Error>().and_then(of_io) {
            return found;
        }
        if let Some(found) = current.downcast_ref::<hyper::Error>().and_then(of_hyper) {
            return found;
        }
        cause = current.source();
    }
    UpstreamError::Closed
}

fn of_io(error: &io::Error) -> Option<UpstreamError> {
    if let Some(inner) = error.get_ref() {
        if let Some(known) = inner.downcast_ref::<UpstreamError>() {
            return Some(*known);
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(of_tls(tls));
        }
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(UpstreamError::Refused),
        io::ErrorKind::TimedOut => Some(UpstreamError::ConnectTimeout),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => Some(UpstreamError::Unreachable),
        _ => None,
    }
}

fn of_hyper(error: &hyper::Error) -> Option<UpstreamError> {
    if error.is_parse() || error.is_parse_too_large() {
        return Some(UpstreamError::Protocol);
    }
    // What comes through an I/O error says more; the chain goes on with it.
    if error.is_user() {
        return Some(UpstreamError::RequestBody);
    }
    (error.is_incomplete_message() || error.is_canceled()).then_some(UpstreamError::Closed)
}

pub(crate) fn of_tls(error: &rustls::Error) -> UpstreamError {
    match error {
        rustls::Error::InvalidCertificate(why) => UpstreamError::Untrusted(why.into()),
        _ => UpstreamError::Tls,
    }
}

/// What connections of [`crate::client_config`] fail with. A bad signature is here not an authority's but one in the handshake: somebody shows a certificate of
/// which he does not have the key.
impl From<&rustls::CertificateError> for Untrusted {
    fn from(why: &rustls::CertificateError) -> Self {
        use rustls::CertificateError as E;
        match why {
            E::UnknownIssuer => Untrusted::Issuer,
            E::NotValidForName | E::NotValidForNameContext { .. } => Untrusted::Name,
            E::Expired | E::ExpiredContext { .. } => Untrusted::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Untrusted::NotYetValid,
            _ => Untrusted::Other,
        }
    }
}
