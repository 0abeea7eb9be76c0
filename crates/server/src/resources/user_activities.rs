//! `useractivities.ext.cattle.io`: by which user interfaces report that somebody is there (v3-token.md §4.7, ext-token.md §8).
//!
//! An activity has the name of a login token, of either face, and is a view of it: a report moves the token's usage stamp and nothing else (DEC11), so the
//! `resourceVersion` is the token's and stays.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::ext::{UserActivity, UserActivitySpec, UserActivityStatus};
use eartag_api::frame;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Computed, Cx};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::{format_rfc3339, parse_rfc3339};
use eartag_apiserver::{Map, Tree};
use eartag_core::time::{millis, seconds};
use eartag_core::token::{Target, TokenRefusal, activity_readable, report_activity};
use eartag_core::verifier::Accepted;
use eartag_core::{Credential, Face, LegacyTokenRecord, TokenRecord};
use eartag_storage::Entry;
use serde_json::json;

use super::tokens::token_id;
use super::{EXT, NAME_COLUMN, PATCHES, cell, column, fill, schema, typed};
use crate::authn::Caller;
use crate::observer::Tables;
use crate::sweeper::owner_exists;

/// Verbs of a view: there is nothing to list, to watch or to delete.
const VERBS: &[&str] = &["create", "get", "patch", "update"];

/// The provider of tokens that name none.
const LOCAL: &str = "local";

/// Reports of activity.
pub struct UserActivities {
    info: ResourceInfo,
    tables: Arc<Tables>,
}

/// A login token, taken apart.
struct Token {
    entry: Entry,
    head: eartag_api::meta::Head,
    credential: Credential,
    auth_provider: String,
}

impl UserActivities {
    /// The resource; tokens, their stamps and the idle timeout are in the tables.
    pub fn new(tables: Arc<Tables>) -> Result<UserActivities, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Seen At", 0, "When somebody was last active with the token."),
            column("Expires At", 0, "When the token stops being accepted unless there is more activity."),
        ];
        let info = ResourceInfo {
            columns,
            verbs: VERBS,
            patch_types: PATCHES,
            ..ResourceInfo::new(
                EXT,
                "v1",
                "UserActivity",
                "useractivities",
                "useractivity",
                "UserActivity reports that somebody is active with a login token, which keeps it from idling out.",
                schema::<UserActivity>("io.cattle.ext.v1.UserActivity")?,
            )
        };
        Ok(UserActivities { info, tables })
    }

    /// The token of that name, as far as the caller may know of it. Somebody else's and none at all look alike (DEC12), but to those who see all tokens anyway.
    async fn token(&self, name: &str, cx: &Cx) -> Result<Token, Refusal> {
        let (face, entry) = self.tables.verifier.token(name).ok_or(Refusal::NotFound)?;
        let all = cx.authorizer.full_access(&cx.user, "get", EXT).await?;
        let token = Token::of(face, entry).filter(|token| {
            let credential = &token.credential;
            !token.head.deleted
                && owner_exists(&self.tables, &credential.owner, credential.owner_uid)
                && (all || credential.owner == cx.user.name)
        });
        token.ok_or(Refusal::NotFound)
    }

    /// The token that the request was made with.
    fn by(&self, cx: &Cx) -> Result<Accepted, Refusal> {
        let missing = |refusal: TokenRefusal| Err(Refusal::Forbidden(refusal.to_string()));
        if self.tables.verifier.owner(&cx.user.name).is_none() {
            return missing(TokenRefusal::NotRancherUser(cx.user.name.clone()));
        }
        let mut by = match (cx.fact::<Caller>().and_then(Caller::own_token), token_id(cx)) {
            (Some(token), _) => token.clone(),
            (None, None) => return missing(TokenRefusal::MissingTokenId),
            (None, Some(id)) => {
                let named = self.tables.verifier.resolve(id, cx.now_ms).ok();
                match named.filter(|token| token.owner == cx.user.name) {
                    Some(token) => Arc::unwrap_or_clone(token),
                    None => return missing(TokenRefusal::UnknownToken(id.to_owned())),
                }
            }
        };
        by.auth_provider = or_local(by.auth_provider);
        Ok(by)
    }

    fn shown(&self, name: &str, token: &Token, seen_s: Option<i64>, idle_ms: u64) -> Tree {
        let expires = |seen_s: i64| format_rfc3339(seconds(millis(seen_s).saturating_add(idle_ms)));
        let activity = UserActivity {
            spec: UserActivitySpec { seen_at: seen_s.map(format_rfc3339), token_id: name.to_owned() },
            status: UserActivityStatus { expires_at: seen_s.map(expires).unwrap_or_default() },
        };
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), self.info.api_version().into());
        object.insert("kind".to_owned(), self.info.kind.into());
        let metadata = json!({
            "name": name, "uid": token.head.uid.to_string(),
            "resourceVersion": token.entry.modified().to_string(),
            "creationTimestamp": format_rfc3339(token.head.created_s),
        });
        object.insert("metadata".to_owned(), metadata);
        fill(&mut object, &activity);
        Tree::Object(object)
    }
}

impl Token {
    /// `None` for a record that cannot be read.
    fn of(face: Face, entry: Entry) -> Option<Token> {
        let (body, _) = frame::split(entry.value())?;
        let head = frame::head(entry.value())?;
        let (credential, auth_provider) = match face {
            Face::Ext => {
                let credential = TokenRecord::decode(body)?.credential;
                let provider = credential.principal.provider.clone();
                (credential, provider)
            }
            Face::Legacy => {
                let record = LegacyTokenRecord::decode(body)?;
                (record.credential, record.auth_provider)
            }
        };
        Some(Token { entry, head, credential, auth_provider: or_local(auth_provider) })
    }

    fn target(&self, last_activity_s: Option<i64>) -> Target<'_> {
        Target {
            credential: &self.credential,
            auth_provider: &self.auth_provider,
            created_s: self.head.created_s,
            last_activity_s,
        }
    }
}

fn or_local(provider: String) -> String {
    if provider.is_empty() { LOCAL.to_owned() } else { provider }
}

#[async_trait]
impl Computed for UserActivities {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    async fn get(&self, name: &str, cx: &Cx) -> Result<Tree, Refusal> {
        let token = self.token(name, cx).await?;
        let last_s = self.tables.usage.get(token.head.uid).last_activity_s;
        let idle_ms = self.tables.verifier.idle_ms();
        activity_readable(&token.target(last_s), &self.by(cx)?, idle_ms, cx.now_ms)
            .map_err(|refusal| Refusal::Forbidden(refusal.to_string()))?;
        Ok(self.shown(name, &token, last_s, idle_ms))
    }

    async fn put(&self, name: &str, asked: &Tree, cx: &Cx) -> Result<Tree, Refusal> {
        let spec = typed::<UserActivity>(asked)?.spec;
        let token = self.token(name, cx).await?;
        let last_s = self.tables.usage.get(token.head.uid).last_activity_s;
        let idle_ms = self.tables.verifier.idle_ms();
        let by = self.by(cx)?;
        if !spec.token_id.is_empty() && spec.token_id != name {
            let wrong = FieldError::invalid("spec.tokenId", spec.token_id, "must be the name of the object");
            return Err(Refusal::Invalid(vec![wrong]));
        }
        // The schema has seen to its form.
        let seen_s = spec.seen_at.as_deref().and_then(parse_rfc3339);
        let activity = report_activity(&token.target(last_s), &by, seen_s, idle_ms, cx.now_ms)
            .map_err(|refusal| Refusal::Forbidden(refusal.to_string()))?;
        if !cx.dry_run {
            self.tables.usage.report_activity(token.head.uid, activity.seen_s);
        }
        Ok(self.shown(name, &token, Some(activity.seen_s), idle_ms))
    }

    fn row(&self, object: &Tree, _cx: &Cx) -> Vec<Tree> {
        ["/metadata/name", "/spec/seenAt", "/status/expiresAt"].map(|at| cell(object, at)).to_vec()
    }
}

#[cfg(test)]
mod tests;
