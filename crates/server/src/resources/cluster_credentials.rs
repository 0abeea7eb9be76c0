//! `clustercredentials.management.cattle.io`: gives the server what opens a cluster. It is carried out and not stored as an object, so no list, watch or annotation
//! can show it.

use async_trait::async_trait;
use eartag_api::management::ClusterCredential as Given;
use eartag_apiserver::Tree;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Cx, Once, Review, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_core::PlainSecret;
use serde_json::json;

use super::clusters::only_admins;
use super::{Foundation, MANAGEMENT, schema, take_secret};
use crate::cluster::{Cluster, ClusterCredential, keep};
use crate::tls::{certificates_of, fit_together};

/// Takes credentials of clusters.
pub struct ClusterCredentials {
    info: ResourceInfo,
    foundation: Foundation,
}

/// Largest token or key, in bytes.
const LARGEST: usize = 64 << 10;

impl ClusterCredentials {
    /// The resource.
    pub fn new(foundation: Foundation) -> Result<ClusterCredentials, SchemaError> {
        let description = "ClusterCredential gives the server what it presents to a cluster's API server. It is carried out and not stored as an object.";
        let schema = schema::<Given>("io.cattle.management.v3.ClusterCredential")?;
        let info = ResourceInfo {
            verbs: &["create"],
            ..ResourceInfo::new(
                MANAGEMENT,
                "v3",
                "ClusterCredential",
                "clustercredentials",
                "clustercredential",
                description,
                schema,
            )
        };
        Ok(ClusterCredentials { info, foundation })
    }
}

/// What is given, checked. `at` names the members in refusals.
pub fn checked(
    at: &str,
    token: PlainSecret,
    certificates: &str,
    key: PlainSecret,
) -> Result<ClusterCredential, Refusal> {
    let field = |member: &str| format!("{at}{member}");
    let mut errors = Vec::new();
    for (member, length) in [
        ("token", token.expose().len()),
        ("clientCertificate", certificates.len()),
        ("clientKey", key.expose().len()),
    ] {
        if length > LARGEST {
            errors.push(FieldError::too_long(field(member), LARGEST));
        }
    }
    let credential = match (token.expose().is_empty(), certificates.is_empty(), key.expose().is_empty()) {
        (false, true, true) => {
            // A header's value, and nothing that could end the header.
            if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
                errors.push(FieldError::invalid(field("token"), "", "must be a bearer token in one line"));
            }
            ClusterCredential::Token(token)
        }
        (true, false, false) => {
            if certificates_of(certificates.as_bytes()).is_none() {
                errors.push(FieldError::invalid(
                    field("clientCertificate"),
                    "",
                    "must be certificates in PEM form, leaf first",
                ));
            } else if !fit_together(certificates.as_bytes(), key.expose().as_bytes()) {
                errors.push(FieldError::invalid(
                    field("clientKey"),
                    "",
                    "must be the private key of the certificate, in PEM form",
                ));
            }
            ClusterCredential::Certificate { certificates: certificates.to_owned(), key }
        }
        _ => {
            let why = "either token, or clientCertificate and clientKey must be given";
            errors.push(FieldError::required(at.trim_end_matches('.'), why));
            ClusterCredential::Token(token)
        }
    };
    if errors.is_empty() { Ok(credential) } else { Err(Refusal::Invalid(errors)) }
}

#[async_trait]
impl Review for ClusterCredentials {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    async fn create(&self, mut asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        // Out of the tree first, so that no copy of them is left behind in freed memory.
        let token = take_secret(&mut asked, "/spec/token");
        let key = take_secret(&mut asked, "/spec/clientKey");
        let text =
            |pointer: &str| asked.pointer(pointer).and_then(Tree::as_str).unwrap_or_default().to_owned();
        let (id, certificates) = (text("/spec/clusterName"), text("/spec/clientCertificate"));
        if id.is_empty() {
            return Err(Refusal::Invalid(vec![FieldError::required(
                "spec.clusterName",
                "names the cluster",
            )]));
        }
        let Foundation { store, vault, world, .. } = &self.foundation;
        only_admins(cx, Verb::Update, &id).await?;
        let cluster = Cluster::find(store, &id)
            .ok_or_else(|| Refusal::Invalid(vec![FieldError::not_found("spec.clusterName", id.clone())]))?;
        let credential = checked("spec.", token, &certificates, key)?;
        if cluster.record.internal {
            return Err(Refusal::Invalid(vec![FieldError::forbidden(
                "spec.clusterName",
                "this cluster is the server itself",
            )]));
        }
        if !cx.dry_run {
            keep(store, vault, &**world, &cluster, &credential).await?;
        }
        if let Some(object) = asked.as_object_mut() {
            object.insert("spec".to_owned(), json!({"clusterName": id}));
            object.insert("status".to_owned(), json!({"summary": "Completed"}));
        }
        Ok((asked, None))
    }
}
