//! `cluster add`: a cluster and its credential out of a kubeconfig.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use secrecy::ExposeSecret;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{CLUSTERS, RESOURCE};
use crate::client::kubeconfig::{Kubeconfig, Login, Sources, Target, Trust};
use crate::client::{Client, Route};
use crate::login::trust::certificates;
use crate::terminal;

const CREDENTIALS: &str = "/apis/management.cattle.io/v3/clustercredentials";

/// `cluster add`.
#[derive(Args)]
pub struct AddArgs {
    /// The cluster's id, such as c-m-abcde.
    #[arg(value_name = "ID")]
    id: String,

    /// A kubeconfig of the cluster: where its API server is, whom to trust, and a token or a client certificate that may impersonate.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,

    /// The context of that kubeconfig to use, instead of its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The name to show to people, and to use in kubeconfigs.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,

    /// What the cluster is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// The name in DNS by which clients reach the cluster without this server.
    #[arg(long, value_name = "HOST")]
    endpoint_fqdn: Option<String>,

    /// The authorities (PEM) of that endpoint.
    #[arg(long, value_name = "FILE", requires = "endpoint_fqdn")]
    endpoint_ca: Option<PathBuf>,

    /// A control-plane node that clients reach without this server, where there is no name in DNS; as often as there are nodes.
    #[arg(long, value_name = "HOSTNAME=ADDRESS", conflicts_with = "endpoint_fqdn", value_parser = node)]
    endpoint_node: Vec<(String, String)>,

    #[command(flatten)]
    pub(super) connection: AddConnection,
}

/// Which server to register it at. `--kubeconfig` is the cluster's here.
#[derive(Args, Debug)]
pub struct AddConnection {
    /// The kubeconfig of the server to register it at; otherwise $KUBECONFIG, then the last login, then ./eartag-data/kubeconfig/admin.yaml or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    server_kubeconfig: Option<PathBuf>,

    /// The context of that kubeconfig to use.
    #[arg(long, value_name = "NAME")]
    server_context: Option<String>,

    /// The login to use, by the name that login gave it.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["server_kubeconfig", "server_context"])]
    login: Option<String>,
}

impl AddConnection {
    /// A client for that server.
    pub fn client(&self, invocation: &crate::program::Invocation) -> anyhow::Result<Client> {
        let connection = crate::connection::Connection {
            kubeconfig: self.server_kubeconfig.clone(),
            context: self.server_context.clone(),
            login: self.login.clone(),
        };
        connection.client(invocation)
    }
}

fn node(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((hostname, address)) if !hostname.is_empty() && !address.is_empty() => {
            Ok((hostname.to_owned(), address.to_owned()))
        }
        _ => Err("give HOSTNAME=ADDRESS, such as node-1=10.0.0.1".into()),
    }
}

/// Registers it whole or not at all.
pub fn run(args: &AddArgs, client: &Client) -> anyhow::Result<()> {
    let sources = Sources { flag: Some(args.kubeconfig.clone()), ..Sources::default() };
    let target = Kubeconfig::load(&sources)?.target(args.context.as_deref())?;
    let credential = credential(&args.id, &target)
        .map_err(|why| anyhow::anyhow!("{} cannot be used: {why}", args.kubeconfig.display()))?;
    let created = client.post::<IgnoredAny>(&Route::new(CLUSTERS), &cluster(args, &target)?)?;
    for warning in &created.warnings {
        terminal::warn(warning);
    }
    if let Err(error) = client.post::<IgnoredAny>(&Route::new(CREDENTIALS), &credential) {
        let undone = client.delete::<IgnoredAny>(&Route::new(CLUSTERS).item(&args.id), &json!({}));
        match undone {
            Ok(_) => bail!("the credential was not accepted, so the cluster was not added: {error}"),
            Err(second) => bail!(
                "the credential was not accepted: {error}; the cluster {:?} is there without one, because it could not be removed: {second}",
                args.id
            ),
        }
    }
    terminal::say(&format!("{RESOURCE} {:?} added\n", args.id))
}

fn cluster(args: &AddArgs, target: &Target) -> anyhow::Result<Value> {
    let mut spec = json!({"apiEndpoint": target.server});
    let authority = match &target.trust {
        Trust::Only(pem) => Some(text(pem.clone(), "the certificate authority")?),
        Trust::System => None,
    };
    let endpoint_authority = match &args.endpoint_ca {
        Some(file) => Some(text(certificates(file)?, "the endpoint's certificate authority")?),
        None => None,
    };
    let members = [
        ("displayName", args.display_name.clone()),
        ("description", args.description.clone()),
        ("caCert", authority),
        ("tlsServerName", target.server_name.clone()),
    ];
    insert(&mut spec, members);
    if args.endpoint_fqdn.is_some() || !args.endpoint_node.is_empty() {
        let nodes: Vec<Value> = args
            .endpoint_node
            .iter()
            .map(|(hostname, address)| json!({"hostname": hostname, "address": address, "ready": true}))
            .collect();
        let mut endpoint = json!({"enabled": true, "nodes": nodes});
        insert(&mut endpoint, [("fqdn", args.endpoint_fqdn.clone()), ("caCerts", endpoint_authority)]);
        if let Value::Object(spec) = &mut spec {
            spec.insert("localClusterAuthEndpoint".into(), endpoint);
        }
    }
    Ok(json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": {"name": args.id}, "spec": spec,
    }))
}

fn insert<const N: usize>(object: &mut Value, members: [(&str, Option<String>); N]) {
    let Value::Object(object) = object else { return };
    for (member, value) in members {
        if let Some(value) = value {
            object.insert(member.to_owned(), value.into());
        }
    }
}

/// What opens the cluster. Where a kubeconfig has both, a kube-apiserver goes by the certificate, so that is whom the kubeconfig means.
fn credential(id: &str, target: &Target) -> anyhow::Result<Value> {
    if target.acting_as.is_some() {
        bail!(
            "it acts as somebody else, which cannot be passed on: use the credential of somebody who may impersonate"
        );
    }
    if target.proxy.is_some() {
        bail!("it goes through a proxy, which is not supported");
    }
    let spec = match (&target.certificate, &target.login) {
        (Some(pair), _) => json!({
            "clusterName": id,
            "clientCertificate": text(pair.certificate.clone(), "the client certificate")?,
            "clientKey": text(pair.key.to_vec(), "the client key")?,
        }),
        (None, Login::Bearer(token)) => json!({"clusterName": id, "token": token.expose_secret()}),
        (None, Login::Basic { .. }) => {
            bail!("it has a password, but a token or a client certificate is needed")
        }
        (None, Login::None) => bail!("it has neither a token nor a client certificate"),
    };
    Ok(json!({"apiVersion": "management.cattle.io/v3", "kind": "ClusterCredential", "spec": spec}))
}

/// An empty text would be taken for none: an authority's for trust in whomever the server's machine trusts.
fn text(pem: Vec<u8>, what: &str) -> anyhow::Result<String> {
    let text = String::from_utf8(pem).ok().filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| anyhow::anyhow!("{what} is not in PEM form"))
}
