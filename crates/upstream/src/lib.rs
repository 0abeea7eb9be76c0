//! A client to one Kubernetes API server over HTTPS: whom to trust, what to present, how long to wait. It knows no token rule and nothing of what it carries.
//!
//! ```text
//! Target ─ checked once ─→ Upstream ─ send(request, wait) ─→ name → TCP → TLS (10 s together), or a kept connection
//!                             │                                 └→ head of the answer (wait, counted from the last byte sent) → body, as it comes
//!                             └ json, lines: small documents and watches, bounded
//! ```
//!
//! Only HTTP/1.1 is spoken. Upgrades (exec, attach, port-forward) need it, and with it every request has a connection of its own: on a shared HTTP/2 connection
//! watches soon use up the streams that an API server allows (100 to 250), and those after them wait without an answer.

mod connector;
mod error;
mod json;
mod target;
mod tls;
mod upstream;
mod waiting;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use error::{Untrusted, UpstreamError};
pub use json::{JsonError, Lines};
pub use target::{Credential, Target, TargetError};
pub use tls::{Authorities, ClientCertificate, client_config};
pub use upstream::{Body, Upstream};
