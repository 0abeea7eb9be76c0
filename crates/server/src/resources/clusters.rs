//! `clusters.management.cattle.io`: for now the built-in cluster `local`, which is this server itself.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_api::management::{
    Cluster, ClusterCondition, ClusterSpec, ClusterStatus, ControlPlaneNode, LocalClusterAuthEndpoint,
};
use eartag_api::meta::Meta;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored, Verb};
use eartag_apiserver::object::name_of;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::format_rfc3339;
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::CLUSTERS;
use eartag_core::{AuthEndpoint, ClusterRecord};
use eartag_storage::{CollectionId, Range, Scope, Store};

use super::{AGE_COLUMN, MANAGEMENT, NAME_COLUMN, READ, age, cell, column, fill, management, schema};

/// The lens over cluster records.
pub struct Clusters {
    info: ResourceInfo,
    store: Store,
}

impl Clusters {
    /// The lens.
    pub fn new(store: Store) -> Result<Clusters, SchemaError> {
        let columns = vec![NAME_COLUMN, column("Display Name", 0, "Name shown to people."), AGE_COLUMN];
        let info = ResourceInfo {
            verbs: READ,
            ..management(
                "Cluster",
                "clusters",
                "cluster",
                "Cluster is a Kubernetes cluster that tokens can be restricted to.",
                schema::<Cluster>("io.cattle.management.v3.Cluster")?,
                columns,
            )
        };
        Ok(Clusters { info, store })
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

/// Clusters whose visibility is asked one by one.
const MOST_ASKED: usize = 1000;

async fn may_get(cx: &Cx, name: &str) -> bool {
    cx.authorizer
        .authorize(&cx.user, &Attributes::resource("get", MANAGEMENT, "clusters", name))
        .await
        .allowed()
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
        if verb == Verb::Get || may_get(cx, "").await {
            return Ok(Scope::All);
        }
        let range =
            Range { collection: CLUSTERS, scope: Scope::All, after: None, limit: MOST_ASKED, at: None };
        let known = self.store.range(&range).map(|page| page.entries).unwrap_or_default();
        let mut visible = Vec::new();
        for entry in &known {
            if may_get(cx, &name_of(entry)).await {
                visible.push(entry.key().to_vec());
            }
        }
        Ok(Scope::names(visible))
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

    async fn admit(&self, _name: &str, _asked: &Tree, _meta: &mut Meta, _cx: &Cx) -> Result<Draft, Refusal> {
        Err(Refusal::MethodNotAllowed)
    }

    async fn change(
        &self,
        _old: &Stored<'_>,
        _seen: &Tree,
        _asked: &Tree,
        _meta: &mut Meta,
        _cx: &Cx,
    ) -> Result<Draft, Refusal> {
        Err(Refusal::MethodNotAllowed)
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        vec![cell(object, "/metadata/name"), cell(object, "/spec/displayName"), age(object, cx)]
    }
}
