//! Which server a command talks to, and as whom: a kubeconfig, or a login of one's own.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::cache::Document;
use crate::client::Client;
use crate::client::kubeconfig::{Kubeconfig, Login, Sources, Target};
use crate::login::trust::{Said, Server};
use crate::program::Invocation;

/// Which server to talk to, and as whom.
#[derive(Args, Debug, Default)]
pub struct Connection {
    /// The kubeconfig to use; otherwise $KUBECONFIG, then the last login, then ./eartag-data/kubeconfig/admin.yaml or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use, instead of its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// The login to use, by the name that login gave it, whatever kubeconfigs there are.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["kubeconfig", "context"])]
    pub login: Option<String>,
}

impl Connection {
    /// A client for the server that the flags, the environment and the files say.
    ///
    /// # Errors
    /// What is missing or cannot be used, as one sentence.
    pub fn client(&self, invocation: &Invocation) -> anyhow::Result<Client> {
        Ok(Client::new(self.target(invocation)?)?)
    }

    fn target(&self, invocation: &Invocation) -> anyhow::Result<Target> {
        let sources = Sources::of_process(self.kubeconfig.as_deref());
        let wants_kubeconfig = self.kubeconfig.is_some()
            || self.context.is_some()
            || sources.variable.as_ref().is_some_and(|list| !list.is_empty());
        if self.login.is_some() || !wants_kubeconfig {
            let known = invocation.cache().read().document;
            if let Some(target) = logged_in(self.login.as_deref(), &known)? {
                return Ok(target);
            }
        }
        Ok(Kubeconfig::load(&sources)?.target(self.context.as_deref())?)
    }
}

/// The login of this name, which must be there, or the last one, if there is one.
fn logged_in(named: Option<&str>, known: &Document) -> anyhow::Result<Option<Target>> {
    let Some(name) = named.or(known.current()) else { return Ok(None) };
    let Some(login) = known.login(name) else {
        match named {
            Some(name) => bail!("there is no login {name:?}"),
            None => return Ok(None),
        }
    };
    let server = Server::find(name, &login.url, &Said::default(), known)?;
    Ok(Some(Target { login: Login::Bearer(login.token), ..server.target() }))
}
