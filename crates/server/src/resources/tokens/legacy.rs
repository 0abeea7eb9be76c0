//! `tokens.management.cattle.io`: logins, the API keys of `/v3/tokens`, and the system's own tokens (seed 2, v3-token.md §1, §10, DEC34). `/v3/tokens` shows the
//! same objects in its own shape.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::management::{self, Token};
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::{Column, ResourceInfo};
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Once, Stored, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::format_rfc3339;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::LEGACY_TOKENS;
use eartag_core::duration::ttl_cell;
use eartag_core::record::Gist;
use eartag_core::secret::PlainSecret;
use eartag_core::token::{
    ClusterAccess, CreateToken, KIND_SESSION, Standing, SystemKind, SystemToken, TokenRefusal, UpdateToken,
    create_legacy, shown_enabled, system_token, update,
};
use eartag_core::{Face, LegacyTokenRecord, Lifetime, Principal};
use eartag_storage::{CollectionId, Scope, Store};
use secrecy::SecretString;
use serde_json::Value;

use super::super::quota::Places;
use super::super::rules::may_overrule;
use super::super::{
    AGE_COLUMN, MANAGEMENT, NAME_COLUMN, age, cell, column, fill, management as resource, owned, schema,
    typed,
};
use super::{Ground, bounded, changed_marks, refusal, seconds, token_id};
use crate::hashing;
use crate::observer::Tables;

/// What the names of API keys and logins begin with.
const API_KEY: &str = "token-";
/// The annotation of tokens that are hashed, as clients know it (DEC31).
const HASHED: &str = "authn.management.cattle.io/token-hashed";
/// Where the whole bearer value stands in the one reply that holds it.
const TOKEN: &[&str] = &["token"];
const DESCRIPTION: &str = "description";

/// A record, its secret and what to warn of.
type Made = (LegacyTokenRecord, PlainSecret, Vec<String>);

/// The lens over legacy tokens.
pub struct LegacyTokens {
    info: ResourceInfo,
    pub(super) ground: Ground,
}

impl LegacyTokens {
    /// The lens; owners, settings and usage come from the tables, clusters from the store.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<LegacyTokens, SchemaError> {
        let columns = vec![
            Column { description: "Name of the token, unique among all tokens.", ..NAME_COLUMN },
            column("User", 0, "User is the owner of the token"),
            column("Kind", 0, "Kind/purpose of the token"),
            column("TTL", 0, "The time-to-live for the token"),
            AGE_COLUMN,
            column("Cluster", 1, "The cluster the token is restricted to"),
            column("Description", 1, "Human readable description of the token"),
        ];
        let description = "Token is a credential of the older kind: of a login, made at /v3/tokens, or the system's own. Its value is shown once, in the answer to its creation.";
        let schema = schema::<Token>("io.cattle.management.v3.Token")?;
        let info = ResourceInfo {
            selectable: &["userId", "clusterName", "authProvider"],
            ..resource("Token", "tokens", "token", description, schema, columns)
        };
        Ok(LegacyTokens { info, ground: Ground::new(tables, store) })
    }

    fn decode(stored: &Stored<'_>) -> Result<LegacyTokenRecord, Corrupt> {
        LegacyTokenRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the token cannot be decoded".to_owned()))
    }

    /// An API key of the caller's.
    async fn api_key(&self, asked: &Token, hashed: bool, cx: &Cx) -> Result<(Made, Option<Places>), Refusal> {
        let places = self.ground.places(cx, &cx.user.name, MANAGEMENT, 1).await?;
        let cluster = self.ground.cluster_access(&asked.cluster_name, cx).await;
        let max = self.ground.max_ttl();
        let wanted = CreateToken {
            user_id: asked.user_id.clone(),
            kind: String::new(),
            description: asked.description.clone(),
            ttl: Some(asked.ttl),
            enabled: asked.enabled,
            cluster: asked.cluster_name.clone(),
        };
        let random = &mut |bytes: &mut [u8]| cx.world.random(bytes);
        self.ground
            .as_creator(cx, |creator| {
                create_legacy(&wanted, creator, cluster, max, hashed, cx.now_s(), random)
            })
            .map(|made| (made, places))
            .map_err(|why| legacy_refusal(why, asked.ttl))
    }

    /// A system token, for whom the caller may act (DEC34).
    async fn system(
        &self,
        kind: SystemKind,
        asked: &Token,
        hashed: bool,
        cx: &Cx,
    ) -> Result<(Made, Option<Places>), Refusal> {
        self.ground.no_nameless_impersonation(cx).map_err(refusal)?;
        let owner = if asked.user_id.is_empty() { &cx.user.name } else { &asked.user_id };
        let places = self.ground.places(cx, owner, MANAGEMENT, 1).await?;
        if !cx.authorizer.full_access(&cx.user, "create", MANAGEMENT).await? {
            may_overrule(&self.ground.tables, cx, owner).await?;
        }
        let Some(user) = self.ground.tables.verifier.owner(owner) else {
            return Err(Refusal::Invalid(vec![FieldError::not_found("userId", owner.as_str())]));
        };
        match self.ground.cluster_access(&asked.cluster_name, cx).await {
            ClusterAccess::Absent | ClusterAccess::Denied => {
                return Err(refusal(TokenRefusal::ClusterNotFound(asked.cluster_name.clone())));
            }
            ClusterAccess::Unrestricted | ClusterAccess::Granted => {}
        }
        let wanted = SystemToken {
            kind,
            owner,
            description: &asked.description,
            ttl: Some(asked.ttl),
            cluster: &asked.cluster_name,
        };
        let random = &mut |bytes: &mut [u8]| cx.world.random(bytes);
        system_token(&wanted, &user, self.ground.max_ttl(), hashed, cx.now_s(), random)
            .map(|(mut record, secret, warnings)| {
                record.credential.enabled = asked.enabled.unwrap_or(true);
                ((record, secret, warnings), places)
            })
            .map_err(|why| legacy_refusal(why, asked.ttl))
    }
}

#[async_trait]
impl Kind for LegacyTokens {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        LEGACY_TOKENS
    }

    async fn scope(&self, cx: &Cx, verb: Verb) -> Result<Scope, Refusal> {
        owned::scope(cx, verb, MANAGEMENT).await
    }

    fn owner<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        Gist::decode(body).map(|gist| gist.owner.as_bytes())
    }

    fn exists(&self, body: &[u8]) -> bool {
        Gist::decode(body).is_none_or(|gist| self.ground.owner_exists(gist.owner, gist.owner_uid))
    }

    /// Names of API keys are the server's to choose; those of system tokens say what they are for.
    fn default_base(&self, asked: &Tree, cx: &Cx) -> Option<String> {
        let Some(kind) = kind_label(asked).and_then(SystemKind::parse) else {
            return Some(API_KEY.to_owned());
        };
        let user = asked.get("userId").and_then(Value::as_str).filter(|user| !user.is_empty());
        Some(format!("{}{}", kind.prefix(), user.unwrap_or(&cx.user.name)))
    }

    fn show(&self, stored: &Stored<'_>, cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let LegacyTokenRecord { credential, derived, auth_provider, hashed_mark } =
            LegacyTokens::decode(stored)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let kind = (!credential.kind.is_empty()).then(|| credential.kind.clone());
            mark(metadata, "labels", Face::Legacy.owner_label(), Some(credential.owner.clone()));
            mark(metadata, "labels", Face::Legacy.kind_label(), kind);
            mark(metadata, "annotations", HASHED, hashed_mark.then(|| "true".to_owned()));
        }
        let created_s = stored.meta.created_s;
        let expires_ms = credential.lifetime.expires_ms(created_s);
        let stamp = self.ground.tables.usage.get(stored.meta.uid);
        let token = Token {
            activity_last_seen_at: stamp.last_activity_s.map(format_rfc3339),
            auth_provider,
            current: !derived && token_id(cx).is_some_and(|id| id == stored.name),
            enabled: Some(shown_enabled(&credential, self.ground.owner_enabled(&credential))),
            expired: credential.lifetime.expired(created_s, cx.now_ms),
            expires_at: expires_ms.map(|ms| format_rfc3339(seconds(ms))).unwrap_or_default(),
            is_derived: derived,
            last_used_at: stamp.last_used_s.map(format_rfc3339),
            token: None,
            ttl: Face::Legacy.shown_ttl(credential.lifetime),
            user_principal: credential.principal.into(),
            cluster_name: credential.cluster,
            description: credential.description,
            user_id: credential.owner,
        };
        fill(object, &token);
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        let kind = kind_label(asked).map(str::to_owned);
        strip_reserved(meta);
        if asked.get("token").is_some_and(|token| !token.is_null()) {
            let why = "the server makes the secret and shows it once: leave it out";
            return Err(Refusal::Invalid(vec![FieldError::forbidden("token", why)]));
        }
        let token: Token = typed(asked)?;
        bounded(DESCRIPTION, Some(&token.description), Some(meta))?;
        let hashing::Mark { on, condition } = hashing::mark(&self.ground.store, &self.ground.tables.features);
        let ((record, secret, warnings), places) = match kind.as_deref() {
            None | Some("") => {
                named_by_the_server(asked)?;
                self.api_key(&token, on, cx).await?
            }
            Some(text) => {
                let kind = system_kind(text)?;
                named_for(kind, name)?;
                self.system(kind, &token, on, cx).await?
            }
        };
        warnings.into_iter().for_each(|warning| cx.warn(warning));
        let bearer = Face::Legacy.bearer(name, &secret);
        let once = Once { fields: vec![(TOKEN, SecretString::from(bearer.expose().to_owned()))] };
        let mut conditions =
            self.ground.conditions(Face::Legacy, name, &record.credential).map_err(refusal)?;
        conditions.push(condition);
        let held = Some(Box::new(places) as _);
        Ok(Draft { body: record.encode(), once: Some(once), conditions, held, ..Draft::default() })
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        seen: &Tree,
        asked: &Tree,
        meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let kind = kind_label(asked).map(str::to_owned);
        strip_reserved(meta);
        let before = LegacyTokens::decode(old).map_err(|Corrupt(why)| Refusal::Internal(why))?;
        for member in ["authProvider", "isDerived"] {
            if asked.get(member).is_some_and(|value| Some(value) != seen.get(member)) {
                return Err(Refusal::BadRequest(format!("{member} is immutable")));
            }
        }
        if asked.get("token").is_some_and(|token| !token.is_null()) {
            return Err(Refusal::BadRequest("token is immutable".to_owned()));
        }
        let text = |key: &str| asked.get(key).and_then(Value::as_str);
        let principal: Option<Principal> = match asked.get("userPrincipal") {
            None | Some(Value::Null) => None,
            Some(tree) => {
                Some(typed::<management::Principal>(tree)?.into()).filter(|p| *p != Principal::default())
            }
        };
        let credential = &before.credential;
        let wishes = UpdateToken {
            uid: asked.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty()),
            user_id: text("userId").filter(|id| !id.is_empty()),
            kind: kind.as_deref(),
            principal: principal.as_ref(),
            cluster: text("clusterName"),
            description: Some(text(DESCRIPTION).unwrap_or_default()),
            ttl: asked.get("ttl").and_then(Value::as_i64),
            enabled: asked.get("enabled").and_then(Value::as_bool),
        };
        let description = wishes.description.filter(|text| *text != credential.description);
        bounded(DESCRIPTION, description, changed_marks(old.meta, meta))?;
        let standing = Standing {
            face: Face::Legacy,
            uid: old.meta.uid,
            created_s: old.meta.created_s,
            owner_enabled: self.ground.owner_enabled(credential),
            full_access: cx.authorizer.full_access(&cx.user, "update", MANAGEMENT).await?,
        };
        // The maximum is not for logins (seed 2).
        let max = if credential.session { None } else { self.ground.max_ttl() };
        let updated = update(credential, &standing, &wishes, max, cx.now_ms)
            .map_err(|why| legacy_refusal(why, wishes.ttl.unwrap_or_default()))?;
        updated.warnings.into_iter().for_each(|warning| cx.warn(warning));
        if updated.credential.same_as(credential) && *meta == *old.meta {
            return Ok(Draft::of(old.body.to_vec()));
        }
        Ok(Draft::of(LegacyTokenRecord { credential: updated.credential, ..before }.encode()))
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let ttl = object.get("ttl").and_then(Value::as_u64).unwrap_or_default();
        let lifetime = if ttl == 0 { Lifetime::Forever } else { Lifetime::For(ttl) };
        vec![
            cell(object, "/metadata/name"),
            cell(object, "/userId"),
            kind_label(object).unwrap_or_default().into(),
            ttl_cell(lifetime).into(),
            age(object, cx),
            cell(object, "/clusterName"),
            cell(object, "/description"),
        ]
    }
}

/// Owner, kind and the mark of hashed tokens are derived from the record, so they are never stored.
fn strip_reserved(meta: &mut Meta) {
    for label in [Face::Legacy.owner_label(), Face::Legacy.kind_label()] {
        meta.labels.remove(label);
    }
    meta.annotations.remove(HASHED);
}

/// Sets a derived label or annotation, or takes it away.
fn mark(metadata: &mut Map, group: &str, key: &str, value: Option<String>) {
    match value {
        Some(value) => {
            let marks = metadata.entry(group).or_insert_with(|| Tree::Object(Map::new()));
            if let Some(marks) = marks.as_object_mut() {
                marks.insert(key.to_owned(), value.into());
            }
        }
        None => {
            if let Some(marks) = metadata.get_mut(group).and_then(Tree::as_object_mut) {
                marks.remove(key);
            }
        }
    }
}

fn kind_label(object: &Tree) -> Option<&str> {
    object.get("metadata")?.get("labels")?.get(Face::Legacy.kind_label())?.as_str()
}

fn system_kind(text: &str) -> Result<SystemKind, Refusal> {
    SystemKind::parse(text).ok_or_else(|| {
        let field = format!("metadata.labels[{}]", Face::Legacy.kind_label());
        let error = if text == KIND_SESSION {
            FieldError::forbidden(field, "only a login makes a session")
        } else {
            let known = SystemKind::ALL.map(SystemKind::name);
            FieldError::unsupported(field, text, &known)
        };
        Refusal::Invalid(vec![error])
    })
}

fn named_by_the_server(asked: &Tree) -> Result<(), Refusal> {
    let text = |key: &str| asked.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or("");
    let why = "the server names API keys: leave it out. Only system tokens, which carry the kind label, can be named";
    if !text("name").is_empty() {
        return Err(Refusal::Invalid(vec![FieldError::forbidden("metadata.name", why)]));
    }
    if !matches!(text("generateName"), "" | API_KEY) {
        return Err(Refusal::Invalid(vec![FieldError::forbidden("metadata.generateName", why)]));
    }
    Ok(())
}

fn named_for(kind: SystemKind, name: &str) -> Result<(), Refusal> {
    let why = if name.starts_with(API_KEY) {
        format!("token names can't start with {API_KEY}")
    } else if !name.starts_with(kind.prefix()) || name.len() == kind.prefix().len() {
        format!("names of tokens of kind {} begin with {}", kind.name(), kind.prefix())
    } else {
        return Ok(());
    };
    Err(Refusal::Invalid(vec![FieldError::invalid("metadata.name", name, why)]))
}

/// A ttl below 0 is a member's fault here (DEC5), and members are not below a `spec`.
fn legacy_refusal(why: TokenRefusal, ttl: i64) -> Refusal {
    match why {
        TokenRefusal::NegativeTtl(why) => Refusal::Invalid(vec![FieldError::invalid("ttl", ttl, why)]),
        TokenRefusal::Immutable(member) => {
            let member = match member.strip_prefix("spec.").unwrap_or(member) {
                "userID" => "userId",
                "userprincipal" => "userPrincipal",
                other => other,
            };
            Refusal::BadRequest(format!("{member} is immutable"))
        }
        why => refusal(why),
    }
}
