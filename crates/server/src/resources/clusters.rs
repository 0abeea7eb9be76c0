//! `clusters.management.cattle.io`: the clusters that tokens open, and `local`, which is this server itself (DEC44).

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_api::management::{
    Cluster, ClusterCondition, ClusterSpec, ClusterStatus, ControlPlaneNode, LocalClusterAuthEndpoint,
};
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored, Verb};
use eartag_apiserver::object::name_of;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::format_rfc3339;
use eartag_apiserver::{Map, Tree};
use eartag_core::cluster::{Wrong, bad_id, check};
use eartag_core::collections::CLUSTERS;
use eartag_core::{AuthEndpoint, ClusterRecord, EndpointNode};
use eartag_storage::{CollectionId, Op, Range, Scope, Store};

use super::{AGE_COLUMN, MANAGEMENT, NAME_COLUMN, age, cell, column, fill, management, schema, typed};
use crate::authn::Caller;
use crate::cluster::{self, LOCAL, TOKENS_FINALIZER, may_use};
use crate::observer::Tables;
use crate::tls::certificates_of;

/// What generated ids begin with.
const PREFIX: &str = "c-";

/// The lens over cluster records.
pub struct Clusters {
    info: ResourceInfo,
    store: Store,
    tables: Arc<Tables>,
}

impl Clusters {
    /// The lens.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<Clusters, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Display Name", 0, "Name shown to people."),
            column("Endpoint", 1, "Address of the cluster's API server."),
            AGE_COLUMN,
        ];
        let info = management(
            "Cluster",
            "clusters",
            "cluster",
            "Cluster is a Kubernetes cluster that tokens open and can be restricted to.",
            schema::<Cluster>("io.cattle.management.v3.Cluster")?,
            columns,
        );
        Ok(Clusters { info, store, tables })
    }
}

/// Clusters are made and changed by those with full access only (DEC44): a changed address is where the stored credential goes to. For the same reason no token does
/// it that is restricted to a cluster, be it `local` or the very one: it is for the use of its cluster, and of no other's credential.
pub(super) async fn only_admins(cx: &Cx, verb: Verb, name: &str) -> Result<(), Refusal> {
    if cx.fact::<Caller>().is_some_and(Caller::is_restricted) {
        let why = "a token that is restricted to a cluster changes no clusters and nothing that opens them";
        return Err(Refusal::Forbidden(why.to_owned()));
    }
    if cx.authorizer.full_access(&cx.user, verb.access_verb(), MANAGEMENT).await? {
        return Ok(());
    }
    let verb = verb.access_verb();
    Err(Refusal::Forbidden(format!(
        "User {:?} cannot {verb} cluster {name:?}: that takes full access to {MANAGEMENT}",
        cx.user.name
    )))
}

/// The finalizer of the tokens is the sweeper's alone to take off: a manifest that does not name it, as people keep them, does not let tokens of this cluster open
/// a later one of its id.
fn keep_finalizer(old: &Meta, new: &mut Meta) {
    let at = old.finalizers.iter().position(|finalizer| finalizer == TOKENS_FINALIZER);
    if let Some(at) = at
        && !new.finalizers.iter().any(|finalizer| finalizer == TOKENS_FINALIZER)
    {
        new.finalizers.insert(at.min(new.finalizers.len()), TOKENS_FINALIZER.to_owned());
    }
}

/// A record as people see and write it.
fn spec_of(record: ClusterRecord) -> ClusterSpec {
    let AuthEndpoint { enabled, fqdn, ca_certificates, nodes } = record.auth_endpoint;
    let endpoint = LocalClusterAuthEndpoint {
        enabled,
        fqdn,
        ca_certs: ca_certificates,
        nodes: nodes
            .into_iter()
            .map(|node| ControlPlaneNode {
                hostname: node.hostname,
                address: node.address,
                ready: node.ready,
            })
            .collect(),
    };
    ClusterSpec {
        description: record.description,
        display_name: record.display_name,
        internal: record.internal,
        api_endpoint: record.api_endpoint,
        ca_cert: record.ca_certificate,
        tls_server_name: record.tls_server_name,
        local_cluster_auth_endpoint: Some(endpoint).filter(|e| *e != LocalClusterAuthEndpoint::default()),
    }
}

/// What people wrote, as a record.
fn record_of(spec: ClusterSpec) -> ClusterRecord {
    let endpoint = spec.local_cluster_auth_endpoint.unwrap_or_default();
    ClusterRecord {
        display_name: spec.display_name,
        description: spec.description,
        internal: spec.internal,
        api_endpoint: spec.api_endpoint,
        ca_certificate: spec.ca_cert,
        version: String::new(),
        tls_server_name: spec.tls_server_name,
        auth_endpoint: AuthEndpoint {
            enabled: endpoint.enabled,
            fqdn: endpoint.fqdn,
            ca_certificates: endpoint.ca_certs,
            nodes: endpoint
                .nodes
                .into_iter()
                .map(|node| EndpointNode {
                    hostname: node.hostname,
                    address: node.address,
                    ready: node.ready,
                })
                .collect(),
        },
    }
}

/// Everything that is wrong with a record, certificates included.
fn errors_of(record: &ClusterRecord) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = check(record).into_iter().map(field_error).collect();
    for (field, bundle) in [
        ("spec.caCert", &record.ca_certificate),
        ("spec.localClusterAuthEndpoint.caCerts", &record.auth_endpoint.ca_certificates),
    ] {
        if !bundle.is_empty() && certificates_of(bundle.as_bytes()).is_none() {
            errors.push(FieldError::invalid(field, "", "must be certificates in PEM form"));
        }
    }
    errors
}

fn field_error(wrong: Wrong) -> FieldError {
    FieldError::invalid(wrong.field, wrong.value, wrong.why)
}

/// Clusters that are looked at before others get their turn.
const PAGE: usize = 500;

fn unreadable() -> Refusal {
    Refusal::Internal("the clusters could not be read".to_owned())
}

#[async_trait]
impl Kind for Clusters {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        CLUSTERS
    }

    /// Whoever may list sees what they may get (DEC50). That is always said by name: a cluster that comes later is not theirs to see because they may see all
    /// that there are now.
    async fn scope(&self, cx: &Cx, verb: Verb) -> Result<Scope, Refusal> {
        if !matches!(verb, Verb::List | Verb::Watch) || may_use(&*cx.authorizer, &cx.user, "").await {
            return Ok(Scope::All);
        }
        let mut range = Range { collection: CLUSTERS, scope: Scope::All, after: None, limit: PAGE, at: None };
        let mut visible = Vec::new();
        loop {
            let page = self.store.range(&range).map_err(|_| unreadable())?;
            for entry in &page.entries {
                if may_use(&*cx.authorizer, &cx.user, &name_of(entry)).await {
                    visible.push(entry.key().to_vec());
                }
            }
            if !page.more {
                return Ok(Scope::names(visible));
            }
            range.after = page.entries.last().map(|entry| entry.key().to_vec());
            tokio::task::yield_now().await;
        }
    }

    fn default_base(&self, _asked: &Tree, _cx: &Cx) -> Option<String> {
        Some(PREFIX.to_owned())
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = ClusterRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the cluster cannot be decoded".to_owned()))?;
        let updated = ClusterCondition {
            kind: "Updated".to_owned(),
            status: "True".to_owned(),
            last_update_time: format_rfc3339(stored.meta.created_s),
            ..ClusterCondition::default()
        };
        let cluster = Cluster {
            status: ClusterStatus {
                api_endpoint: record.api_endpoint.clone(),
                ca_cert: STANDARD.encode(&record.ca_certificate),
                conditions: vec![updated],
                provider: String::new(),
            },
            spec: spec_of(record),
        };
        fill(object, &cluster);
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        only_admins(cx, Verb::Create, name).await?;
        let mut record = record_of(typed::<Cluster>(asked)?.spec);
        let mut errors: Vec<FieldError> = bad_id(name).map(field_error).into_iter().collect();
        if std::mem::take(&mut record.internal) {
            errors.push(FieldError::forbidden(
                "spec.internal",
                "only the cluster \"local\" is this server itself",
            ));
        }
        errors.extend(errors_of(&record));
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        // Holds the object until the tokens that are restricted to it are gone, so that they open no later cluster of its id.
        if !meta.finalizers.iter().any(|f| f == TOKENS_FINALIZER) {
            meta.finalizers.push(TOKENS_FINALIZER.to_owned());
        }
        Ok(Draft::of(record.encode()))
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        keep_finalizer(old.meta, meta);
        let before = ClusterRecord::decode(old.body).unwrap_or_default();
        let spec = typed::<Cluster>(asked)?.spec;
        let record = ClusterRecord { version: before.version.clone(), ..record_of(spec) };
        if record == before && *meta == *old.meta {
            return Ok(Draft::of(old.body.to_vec()));
        }
        only_admins(cx, Verb::Update, old.name).await?;
        if record.internal != before.internal {
            return Err(Refusal::Invalid(vec![FieldError::forbidden("spec.internal", "cannot be changed")]));
        }
        let errors = if record == before { Vec::new() } else { errors_of(&record) };
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        Ok(Draft::of(record.encode()))
    }

    async fn removing(&self, old: &Stored<'_>, cx: &Cx) -> Result<Vec<Op>, Refusal> {
        only_admins(cx, Verb::Delete, old.name).await?;
        if old.name == LOCAL {
            return Err(Refusal::Forbidden("the cluster \"local\" is this server itself".to_owned()));
        }
        Ok(cluster::belongings(&self.store, &self.tables, old.name))
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        vec![
            cell(object, "/metadata/name"),
            cell(object, "/spec/displayName"),
            cell(object, "/spec/apiEndpoint"),
            age(object, cx),
        ]
    }
}
