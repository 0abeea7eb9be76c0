//! What commands talk to a server with.
//!
//! ```text
//! kubeconfig  files → which server, whom to trust, who I am        tls    trust and client certificate as rustls wants them
//! http        JSON over HTTPS, bounded, no redirects               error  what went wrong, as one sentence
//! pages       whole lists, page by page                            output tables, JSON, YAML, names
//! duration    times as people type them                            meeting  what a server says of itself before it is trusted
//! ```
//!
//! Nothing here prints, and no secret can be printed: what a command shows is its own business.

pub mod duration;
mod error;
mod http;
pub mod kubeconfig;
pub mod meeting;
pub mod output;
mod pages;
mod tls;

pub use error::ClientError;
pub use http::{Client, Route};
