//! `POST /v3/clusters/<id>?action=setCredential`: gives the server what opens the cluster, by the rules of `clustercredentials.management.cattle.io`.

use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};
use eartag_core::PlainSecret;

use super::Clusters;
use crate::cluster::{Cluster, keep};
use crate::resources::cluster_credentials::checked;
use crate::v3::door::Door;
use crate::v3::error::V3Error;
use crate::v3::reply::Reply;
use crate::v3::resource::{About, Field, FieldType};

/// Its name.
pub const ACTION: &str = "setCredential";

/// What it takes.
pub static INPUT: About = About::part(
    "setCredentialInput",
    &[
        Field::writable("clientCertificate", FieldType::String, "A client certificate, leaf first, as PEM."),
        Field::writable("clientKey", FieldType::Password, "The private key of the certificate, as PEM."),
        Field::writable("token", FieldType::Password, "A bearer token."),
    ],
);

/// Carries it out. The right to update the cluster was asked before.
pub async fn act(door: &Door, name: &str, body: &Map) -> Result<Reply, V3Error> {
    let refused = |refusal: Refusal| door.error(&Clusters, &refusal, name);
    let text = |member: &str| body.get(member).and_then(Tree::as_str).unwrap_or_default();
    let secret = |member: &str| PlainSecret::new(text(member));
    let state = &door.state;
    let cluster = Cluster::find(&state.store, name).ok_or_else(|| refused(Refusal::NotFound))?;
    if cluster.record.internal {
        return Err(V3Error::new(422, "InvalidAction", "this cluster is the server itself"));
    }
    let credential =
        checked("", secret("token"), text("clientCertificate"), secret("clientKey")).map_err(refused)?;
    keep(&state.store, &state.vault, &*state.world, &cluster, &credential).await.map_err(refused)?;
    Ok(Reply::empty())
}
