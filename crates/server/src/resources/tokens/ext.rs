//! `tokens.ext.cattle.io`: people's own API tokens (seed 1, ext-token.md).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::ext::{Token, TokenPrincipal, TokenSpec, TokenStatus};
use eartag_api::meta::Meta;
use eartag_apiserver::info::{Column, Naming, ResourceInfo};
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Once, Stored, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::format_rfc3339;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::EXT_TOKENS;
use eartag_core::duration::ttl_cell;
use eartag_core::features::Feature;
use eartag_core::record::Gist;
use eartag_core::token::{CreateToken, Standing, UpdateToken, create, shown_enabled, update};
use eartag_core::{Credential, Face, Lifetime, Principal, TokenRecord};
use eartag_storage::{CollectionId, Scope, Store};
use secrecy::SecretString;
use serde_json::Value;

use super::super::{
    AGE_COLUMN, ALL_VERBS, EXT, NAME_COLUMN, PATCHES, age, cell, column, fill, owned, schema, typed,
};
use super::{Ground, KUBECONFIG_LABEL, bounded, changed_marks, refusal, seconds, token_id};
use crate::observer::Tables;

/// Prefix of every token's name.
const PREFIX: &str = "token-";
/// A label that selectors see and nobody else (ext-token.md §7.3).
const HIDDEN_LABEL: (&str, &str) = ("cattle.io/kind", "token");
/// Where the secret stands in the one reply that holds it.
const VALUE: &[&str] = &["status", "value"];
/// Where the description stands.
const DESCRIPTION: &str = "spec.description";
/// The same, ready for an Authorization header.
const BEARER: &[&str] = &["status", "bearerToken"];

/// The lens over ext tokens.
pub struct Tokens {
    info: ResourceInfo,
    pub(in crate::resources) ground: Ground,
}

impl Tokens {
    /// The lens; owners, settings and usage come from the tables, clusters from the store.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<Tokens, SchemaError> {
        let columns = vec![
            Column { description: "Name of the token, unique among all tokens.", ..NAME_COLUMN },
            column("User", 1, "User is the owner of the token"),
            column("Kind", 0, "Kind/purpose of the token"),
            column("TTL", 0, "The time-to-live for the token"),
            AGE_COLUMN,
            column("Description", 1, "Human readable description of the token"),
        ];
        let description = "Token is a credential of a user for the API. Its secret is shown once, in the answer to its creation.";
        let schema = schema::<Token>("io.cattle.ext.v1.Token")?;
        let info = ResourceInfo {
            columns,
            selectable: &["spec.userID", "spec.kind", "spec.enabled", "spec.clusterName"],
            verbs: ALL_VERBS,
            naming: Naming::Generated { prefix: PREFIX },
            delete_returns_object: true,
            patch_types: PATCHES,
            ..ResourceInfo::new(EXT, "v1", "Token", "tokens", "token", description, schema)
        };
        Ok(Tokens { info, ground: Ground::new(tables, store) })
    }

    fn decode(stored: &Stored<'_>) -> Result<Credential, Corrupt> {
        TokenRecord::decode(stored.body)
            .map(|record| record.credential)
            .ok_or_else(|| Corrupt("the token cannot be decoded".to_owned()))
    }
}

#[async_trait]
impl Kind for Tokens {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn served(&self) -> bool {
        self.ground.tables.features.enabled(Feature::ExtTokens)
    }

    fn collection(&self) -> CollectionId {
        EXT_TOKENS
    }

    async fn scope(&self, cx: &Cx, verb: Verb) -> Result<Scope, Refusal> {
        owned::scope(cx, verb, EXT).await
    }

    fn owner<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        Gist::decode(body).map(|gist| gist.owner.as_bytes())
    }

    fn exists(&self, body: &[u8]) -> bool {
        Gist::decode(body).is_none_or(|gist| self.ground.owner_exists(gist.owner, gist.owner_uid))
    }

    fn hidden_label(&self) -> Option<(&'static str, &'static str)> {
        Some(HIDDEN_LABEL)
    }

    fn show(&self, stored: &Stored<'_>, cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let credential = Tokens::decode(stored)?;
        let kind = (Face::Ext.kind_label(), credential.kind.as_str());
        owned::show_metadata(object, PREFIX, &credential.owner, &[kind]);
        let created_s = stored.meta.created_s;
        let expires_ms = credential.lifetime.expires_ms(created_s);
        let stamp = self.ground.tables.usage.get(stored.meta.uid);
        let token = Token {
            spec: TokenSpec {
                enabled: Some(shown_enabled(&credential, self.ground.owner_enabled(&credential))),
                ttl: Face::Ext.shown_ttl(credential.lifetime),
                user_principal: credential.principal.into(),
                user_id: credential.owner,
                kind: credential.kind,
                description: credential.description,
                cluster_name: credential.cluster,
            },
            status: TokenStatus {
                current: token_id(cx).is_some_and(|id| id == stored.name),
                expired: credential.lifetime.expired(created_s, cx.now_ms),
                expires_at: expires_ms.map(|ms| format_rfc3339(seconds(ms))).unwrap_or_default(),
                last_update_time: format_rfc3339(credential.last_update_s),
                last_used_at: stamp.last_used_s.map(format_rfc3339),
                last_activity_seen: stamp.last_activity_s.map(format_rfc3339),
                ..TokenStatus::default()
            },
        };
        fill(object, &token);
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        strip_reserved(meta, None);
        let spec: TokenSpec = typed::<Token>(asked)?.spec;
        bounded(DESCRIPTION, Some(&spec.description), Some(meta))?;
        let places = self.ground.places(cx, &cx.user.name, EXT, 1).await?;
        let asked = CreateToken {
            user_id: spec.user_id,
            kind: spec.kind,
            description: spec.description,
            ttl: Some(spec.ttl),
            enabled: spec.enabled,
            cluster: spec.cluster_name,
        };
        let cluster = self.ground.cluster_access(&asked.cluster, cx).await;
        let max = self.ground.max_ttl();
        let random = &mut |bytes: &mut [u8]| cx.world.random(bytes);
        let made = self
            .ground
            .as_creator(cx, |creator| create(&asked, creator, cluster, max, cx.now_s(), random))
            .map_err(refusal)?;
        made.warnings.into_iter().for_each(|warning| cx.warn(warning));
        let bearer = Face::Ext.bearer(name, &made.secret);
        let once = Once {
            fields: vec![
                (VALUE, SecretString::from(made.secret.expose().to_owned())),
                (BEARER, SecretString::from(bearer.expose().to_owned())),
            ],
        };
        let conditions = self.ground.conditions(Face::Ext, name, &made.credential).map_err(refusal)?;
        let body = TokenRecord { credential: made.credential }.encode();
        Ok(Draft { body, once: Some(once), conditions, held: Some(Box::new(places)), ..Draft::default() })
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        strip_reserved(meta, Some(old.meta));
        let before = Tokens::decode(old).map_err(|Corrupt(why)| Refusal::Internal(why))?;
        let text = |key: &str| asked.pointer(&format!("/spec/{key}")).and_then(Value::as_str);
        let principal: Option<Principal> = match asked.pointer("/spec/userPrincipal") {
            None => None,
            Some(tree) => Some(typed::<TokenPrincipal>(tree)?.into()).filter(|p| *p != Principal::default()),
        };
        let wishes = UpdateToken {
            uid: asked.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty()),
            // Clients in Go cannot tell the empty text from none.
            user_id: text("userID").filter(|id| !id.is_empty()),
            kind: text("kind"),
            principal: principal.as_ref(),
            cluster: text("clusterName"),
            description: Some(text("description").unwrap_or_default()),
            ttl: asked.pointer("/spec/ttl").and_then(Value::as_i64),
            enabled: asked.pointer("/spec/enabled").and_then(Value::as_bool),
        };
        let description = wishes.description.filter(|text| *text != before.description);
        bounded(DESCRIPTION, description, changed_marks(old.meta, meta))?;
        let standing = Standing {
            face: Face::Ext,
            uid: old.meta.uid,
            created_s: old.meta.created_s,
            owner_enabled: self.ground.owner_enabled(&before),
            full_access: cx.authorizer.full_access(&cx.user, "update", EXT).await?,
        };
        let max = self.ground.max_ttl();
        let updated = update(&before, &standing, &wishes, max, cx.now_ms).map_err(refusal)?;
        updated.warnings.into_iter().for_each(|warning| cx.warn(warning));
        if updated.credential.same_as(&before) && *meta == *old.meta {
            return Ok(Draft::of(old.body.to_vec()));
        }
        Ok(Draft::of(TokenRecord { credential: updated.credential }.encode()))
    }

    fn uid_differs(&self, _sent: &str, _stored: &str) -> Refusal {
        Refusal::BadRequest("meta.UID is immutable".to_owned())
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let ttl = object.pointer("/spec/ttl").and_then(Value::as_i64).unwrap_or_default();
        let lifetime = u64::try_from(ttl).map_or(Lifetime::Forever, Lifetime::For);
        vec![
            cell(object, "/metadata/name"),
            cell(object, "/spec/userID"),
            cell(object, "/spec/kind"),
            ttl_cell(lifetime).into(),
            age(object, cx),
            cell(object, "/spec/description"),
        ]
    }
}

/// Reserved labels are derived from the record, so they are never stored; and what a token backs stays as it was made.
fn strip_reserved(meta: &mut Meta, old: Option<&Meta>) {
    meta.labels.remove(KUBECONFIG_LABEL);
    if let Some((label, kubeconfig)) = old.and_then(|old| old.labels.get_key_value(KUBECONFIG_LABEL)) {
        meta.labels.insert(label.clone(), kubeconfig.clone());
    }
    for label in [Face::Ext.owner_label(), Face::Ext.kind_label(), HIDDEN_LABEL.0] {
        meta.labels.remove(label);
    }
}
