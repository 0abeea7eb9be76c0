//! What commands talk to a server with.
//!
//! ```text
//! kubeconfig  files → which server, whom to trust, who I am        tls    trust and client certificate as rustls wants them
//! http        JSON over HTTPS, bounded, no redirects               error  what went wrong, as one sentence
//! pages       whole lists, page by page                            output tables, JSON, YAML, names
//! duration    times as people type them
//! ```
//!
//! Nothing here prints, and no secret can be printed: what a command shows is its own business.

pub mod duration;
mod error;
mod http;
pub mod kubeconfig;
pub mod output;
mod pages;
mod tls;

use std::path::PathBuf;

use clap::Args;

pub use error::ClientError;
pub use http::{Client, Route};

/// Which server to talk to, and as whom.
#[derive(Args, Debug, Default)]
pub struct Connection {
    /// The kubeconfig to use; otherwise $KUBECONFIG, ./eartag-data/kubeconfig/admin.yaml, or ~/.kube/config, the first that is there.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use, instead of its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl Connection {
    /// A client for the server that the flags, the environment and the files say.
    ///
    /// # Errors
    /// What is missing or cannot be used, as one sentence.
    pub fn client(&self) -> anyhow::Result<Client> {
        let sources = kubeconfig::Sources::of_process(self.kubeconfig.as_deref());
        let target = kubeconfig::Kubeconfig::load(&sources)?.target(self.context.as_deref())?;
        Ok(Client::new(target)?)
    }
}
