//! `kubeconfigs.ext.cattle.io`: files for kubectl, with tokens of their own (kubeconfig-and-cli.md §1).
//!
//! ```text
//! create ── rules, clusters, Plan ──► commit: record + its first token ──► commit: record + the next one … ──► the file, once
//! delete ── what is still being made: commit: it failed, at which its making stops ──► each token in a commit of its own ──► the record
//! the last token goes otherwise ──► the sweeper removes the record
//! ```
//!
//! A commit writes one key of a collection, so each token is stored together with its mention in the record: however a create ends, the record names all its tokens, and
//! deleting it revokes them.

mod make;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::ext::{Condition, Kubeconfig, KubeconfigSpec, KubeconfigStatus};
use eartag_api::frame;
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::{Column, Naming, ResourceInfo};
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::format_rfc3339;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::{EXT_TOKENS, KUBECONFIGS};
use eartag_core::duration::ttl_cell;
use eartag_core::features::Feature;
use eartag_core::kubeconfig::{
    KubeconfigRefusal, KubeconfigRefusalKind, MAX_CLUSTERS_BYTES, MOST_CLUSTERS, UpdateKubeconfig, update,
};
use eartag_core::record::{KubeconfigFailure, KubeconfigStep, KubeconfigSummary};
use eartag_core::{Face, KubeconfigRecord, Lifetime};
use eartag_storage::{CollectionId, Lane, Scope, Store};
use serde_json::Value;

use super::tokens::{Ground, KUBECONFIG_LABEL, bounded, changed_marks, revoke};
use super::{
    AGE_COLUMN, ALL_VERBS, EXT, NAME_COLUMN, PATCHES, age, cell, column, fill, owned, schema, typed,
};
use crate::config::ServerUrl;
use crate::observer::Tables;

/// Prefix of every kubeconfig's name.
const PREFIX: &str = "kubeconfig-";
/// A label that selectors see and nobody else (§1.9).
const HIDDEN_LABEL: (&str, &str) = ("cattle.io/kind", "kubeconfig");
const DESCRIPTION: &str = "spec.description";
/// So many kubeconfigs may somebody without full access have.
pub const MOST_KUBECONFIGS: u64 = 5_000;
/// Said to a client whose deletion fails when the tokens have gone (§1.8).
const ALREADY_REVOKED: &str = "this attempt has already revoked the kubeconfig's tokens and the delete should be retried to remove the record";

/// The lens over kubeconfigs.
pub struct Kubeconfigs {
    info: ResourceInfo,
    ground: Ground,
    server_url: Option<ServerUrl>,
    /// [`MOST_KUBECONFIGS`], less in tests.
    most: u64,
}

impl Kubeconfigs {
    /// The lens; owners and settings come from the tables, clusters and tokens from the store, and how clients reach this server perhaps from a flag.
    pub fn new(
        tables: Arc<Tables>,
        store: Store,
        server_url: Option<ServerUrl>,
    ) -> Result<Kubeconfigs, SchemaError> {
        let columns = vec![
            Column { description: "Name of the kubeconfig, unique among all kubeconfigs.", ..NAME_COLUMN },
            column("TTL", 0, "The time-to-live for the kubeconfig"),
            column("Tokens", 0, "Tokens of the kubeconfig that still exist, of those that were made"),
            column("Status", 0, "How far the making of the kubeconfig got"),
            AGE_COLUMN,
            column("User", 1, "User is the owner of the kubeconfig"),
            column("Clusters", 1, "The clusters that were asked for"),
            column("Description", 1, "Human readable description of the kubeconfig"),
        ];
        let description = "Kubeconfig is a file for kubectl, with tokens of its own. It is shown once, in the answer to its creation.";
        let schema = schema::<Kubeconfig>("io.cattle.ext.v1.Kubeconfig")?;
        let info = ResourceInfo {
            columns,
            verbs: ALL_VERBS,
            naming: Naming::Generated { prefix: PREFIX },
            patch_types: PATCHES,
            ..ResourceInfo::new(EXT, "v1", "Kubeconfig", "kubeconfigs", "kubeconfig", description, schema)
        };
        Ok(Kubeconfigs { info, ground: Ground::new(tables, store), server_url, most: MOST_KUBECONFIGS })
    }

    /// How many of these tokens of a kubeconfig there still are.
    fn live(&self, kubeconfig: &str, tokens: &[Tree]) -> usize {
        let is_its = |name: &&Tree| {
            let entry = name.as_str().and_then(|name| self.ground.store.get(EXT_TOKENS, name.as_bytes()));
            let meta = entry.and_then(|entry| frame::meta(entry.value()));
            meta.is_some_and(|meta| meta.labels.get(KUBECONFIG_LABEL).is_some_and(|of| of == kubeconfig))
        };
        tokens.iter().filter(is_its).count()
    }
}

#[async_trait]
impl Kind for Kubeconfigs {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn served(&self) -> bool {
        self.ground.tables.features.enabled(Feature::ExtKubeconfigs)
    }

    fn collection(&self) -> CollectionId {
        KUBECONFIGS
    }

    async fn scope(&self, cx: &Cx, verb: Verb) -> Result<Scope, Refusal> {
        owned::scope(cx, verb, EXT).await
    }

    fn owner<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        KubeconfigRecord::owner_of(body).map(|(name, _)| name.as_bytes())
    }

    fn exists(&self, body: &[u8]) -> bool {
        KubeconfigRecord::owner_of(body).is_none_or(|(owner, uid)| self.ground.owner_exists(owner, uid))
    }

    fn hidden_label(&self) -> Option<(&'static str, &'static str)> {
        Some(HIDDEN_LABEL)
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = decode(stored)?;
        owned::show_metadata(object, PREFIX, &record.owner, &[]);
        let kubeconfig = Kubeconfig {
            status: KubeconfigStatus {
                conditions: conditions(&record),
                summary: record.summary.as_str().to_owned(),
                tokens: record.tokens.iter().map(|token| token.name.clone()).collect(),
                value: None,
            },
            spec: KubeconfigSpec {
                ttl: record.shown_ttl(),
                clusters: record.clusters,
                current_context: record.current_context,
                description: record.description,
                include_default_entry: record.include_default_entry,
            },
        };
        fill(object, &kubeconfig);
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        strip_reserved(meta);
        let spec = typed::<Kubeconfig>(asked)?.spec;
        bounded(DESCRIPTION, Some(&spec.description), Some(meta))?;
        few_clusters(&spec.clusters)?;
        self.make(name, spec, meta.uid, cx).await
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        strip_reserved(meta);
        let before = decode(old).map_err(|Corrupt(why)| Refusal::Internal(why))?;
        let text =
            |key: &str| asked.pointer(&format!("/spec/{key}")).and_then(Value::as_str).unwrap_or_default();
        let wishes = UpdateKubeconfig {
            clusters: asked
                .pointer("/spec/clusters")
                .and_then(Value::as_array)
                .map(|clusters| clusters.iter().map(|id| id.as_str().unwrap_or_default()).collect()),
            current_context: text("currentContext"),
            description: text("description"),
            ttl: asked.pointer("/spec/ttl").and_then(Value::as_i64).unwrap_or_default(),
            include_default_entry: asked.pointer("/spec/includeDefaultEntry").and_then(Value::as_bool),
        };
        let description = Some(wishes.description).filter(|text| *text != before.description);
        bounded(DESCRIPTION, description, changed_marks(old.meta, meta))?;
        let updated = update(&before, &wishes, *meta != *old.meta, cx.now_s()).map_err(refusal)?;
        if updated == before {
            return Ok(Draft::of(old.body.to_vec()));
        }
        Ok(Draft::of(updated.encode()))
    }

    fn stopped(&self, old: &Stored<'_>, cx: &Cx) -> Option<Vec<u8>> {
        let record = decode(old).ok().filter(|record| record.summary == KubeconfigSummary::Pending)?;
        let message = make::DELETED.to_owned();
        let failure = Some(KubeconfigFailure { step: KubeconfigStep::Token, message, at_s: cx.now_s() });
        Some(KubeconfigRecord { summary: KubeconfigSummary::Error, failure, ..record }.encode())
    }

    /// Revokes at once whatever finalizers hold the record.
    async fn ending(&self, old: &Stored<'_>, cx: &Cx, lane: Lane) -> Result<Option<&'static str>, Refusal> {
        let Ok(record) = decode(old) else { return Ok(None) };
        let mut revoked = None;
        for token in &record.tokens {
            if revoke(&self.ground.store, &token.name, token.uid, cx.now_s(), lane).await? {
                revoked = Some(ALREADY_REVOKED);
            }
        }
        Ok(revoked)
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let at = |pointer: &str| object.pointer(pointer);
        let list =
            |pointer: &str| at(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ttl = at("/spec/ttl").and_then(Value::as_u64).unwrap_or_default();
        let lifetime = if ttl == 0 { Lifetime::Forever } else { Lifetime::For(ttl.saturating_mul(1000)) };
        let name = at("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let tokens = list("/status/tokens");
        let clusters: Vec<&str> = list("/spec/clusters").iter().filter_map(Value::as_str).collect();
        let summary = at("/status/summary").and_then(Value::as_str).filter(|summary| !summary.is_empty());
        let user = at("/metadata/labels").and_then(|labels| labels.get(Face::Ext.owner_label()));
        vec![
            name.into(),
            ttl_cell(lifetime).into(),
            format!("{}/{}", self.live(name, tokens), tokens.len()).into(),
            summary.unwrap_or("<unknown>").into(),
            age(object, cx),
            user.cloned().unwrap_or_else(|| "".into()),
            clusters.join(",").into(),
            cell(object, "/spec/description"),
        ]
    }
}

fn decode(stored: &Stored<'_>) -> Result<KubeconfigRecord, Corrupt> {
    KubeconfigRecord::decode(stored.body)
        .ok_or_else(|| Corrupt("the kubeconfig cannot be decoded".to_owned()))
}

/// The conditions that follow from a record (§1.1): `reason` is the type, and all are true.
fn conditions(record: &KubeconfigRecord) -> Vec<Condition> {
    let condition = |kind: &str, message: &str, at_s: i64| Condition {
        kind: kind.to_owned(),
        reason: kind.to_owned(),
        status: "True".to_owned(),
        message: message.to_owned(),
        last_transition_time: format_rfc3339(at_s),
        observed_generation: None,
    };
    let failure = record.failure.as_ref();
    let replaced = failure.is_some_and(|failure| failure.step == KubeconfigStep::Generate);
    let tokens = record.tokens.iter().filter(|_| !replaced);
    let mut all: Vec<Condition> =
        tokens.map(|token| condition("TokenCreated", &token.name, token.made_s)).collect();
    all.extend(failure.map(|failure| condition(failure.step.condition(), &failure.message, failure.at_s)));
    all.extend(record.updated_s.map(|at_s| condition("Updated", "", at_s)));
    all
}

/// The owner is derived from the record, so it is never stored.
fn strip_reserved(meta: &mut Meta) {
    for label in [Face::Ext.owner_label(), HIDDEN_LABEL.0] {
        meta.labels.remove(label);
    }
}

fn few_clusters(clusters: &[String]) -> Result<(), Refusal> {
    const FIELD: &str = "spec.clusters";
    if clusters.len() > MOST_CLUSTERS {
        return Err(Refusal::Invalid(vec![FieldError::too_many(FIELD, clusters.len(), MOST_CLUSTERS)]));
    }
    if clusters.iter().map(String::len).sum::<usize>() > MAX_CLUSTERS_BYTES {
        return Err(Refusal::Invalid(vec![FieldError::too_long(FIELD, MAX_CLUSTERS_BYTES)]));
    }
    Ok(())
}

/// The rules' refusals in the library's words.
fn refusal(refusal: KubeconfigRefusal) -> Refusal {
    match refusal.kind() {
        KubeconfigRefusalKind::Forbidden => Refusal::Forbidden(refusal.to_string()),
        KubeconfigRefusalKind::BadRequest => Refusal::BadRequest(refusal.to_string()),
    }
}
