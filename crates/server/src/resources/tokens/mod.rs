//! Tokens: one credential with two faces (DEC22). What the lenses over them share is here: who may have one more, for whom, and for which cluster.

mod backing;
mod ext;
mod issued;
mod legacy;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::kind::Cx;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::{CLUSTERS, USERS};
use eartag_core::token::{ClusterAccess, Creator, Proof, RefusalKind, TokenRefusal};
use eartag_core::verifier::Accepted;
use eartag_core::{Credential, Face};
use eartag_storage::{Condition, Entry, Store};

pub use self::backing::KUBECONFIG_LABEL;
pub(super) use self::backing::{Drawn, revoke};
pub(super) use self::ext::Tokens;
pub use self::issued::kubeconfig_token;
pub(super) use self::legacy::LegacyTokens;
use super::owned;
use super::quota::{Limited, Places, Wanted};
use crate::authn::{Caller, TOKEN_ID};
use crate::cluster::{Cluster, may_use_here};
use crate::observer::Tables;
use crate::sweeper::owner_exists;

/// Longest description, in bytes.
pub const MAX_DESCRIPTION: usize = 4096;
/// What labels, annotations, finalizers and owner references of a token may take together, in bytes. Kubernetes' own bound of 256 KiB for annotations alone
/// is meant for objects that few may create; tokens are made by everybody.
const MAX_METADATA: usize = 32 << 10;
/// So many tokens, of both faces and expired ones included until they are purged, may somebody without full access have: it bounds the memory that one user
/// can take. Whoever has full access is not limited.
pub const MOST_TOKENS: u64 = 50_000;

/// What both lenses stand on.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) tables: Arc<Tables>,
    pub(super) store: Store,
    /// [`MOST_TOKENS`], less in tests.
    pub(super) most: u64,
}

impl Ground {
    pub(super) fn new(tables: Arc<Tables>, store: Store) -> Ground {
        Ground { tables, store, most: MOST_TOKENS }
    }

    /// Places for so many more tokens of this user, if the caller may make them: held until they are stored.
    pub(super) async fn places(
        &self,
        cx: &Cx,
        owner: &str,
        group: &str,
        count: u64,
    ) -> Result<Option<Places>, Refusal> {
        let wanted = Wanted { what: Limited::Tokens, owner, group, count, most: self.most };
        self.tables.quotas.places(cx, wanted, || tokens_of(&self.store, owner)).await
    }

    fn owner_enabled(&self, credential: &Credential) -> bool {
        self.tables.verifier.owner_enabled(&credential.owner, credential.owner_uid)
    }

    /// The tokens of a deleted user are gone when the user is; the sweeper only tidies up.
    pub(super) fn owner_exists(&self, owner: &str, uid: Uid) -> bool {
        owner_exists(&self.tables, owner, uid)
    }

    /// The longest time to live, in ms, if there is one.
    fn max_ttl(&self) -> Option<u64> {
        self.tables.settings.snapshot().max_ttl
    }

    /// Whether the caller may use the cluster that a token shall be restricted to (DEC44).
    async fn cluster_access(&self, cluster: &str, cx: &Cx) -> ClusterAccess {
        if cluster.is_empty() {
            return ClusterAccess::Unrestricted;
        }
        if Cluster::find(&self.store, cluster).is_none() {
            return ClusterAccess::Absent;
        }
        if may_use_here(cx, &self.tables, cluster).await {
            ClusterAccess::Granted
        } else {
            ClusterAccess::Denied
        }
    }

    /// The token that an impersonated request names; it must be a good one of the very user, and good here: one that is restricted to a cluster makes no other.
    fn named_token(&self, cx: &Cx) -> Option<Arc<Accepted>> {
        token_id(cx)
            .and_then(|id| self.tables.verifier.resolve(id, cx.now_ms).ok())
            .filter(|token| token.owner == cx.user.name && token.cluster.is_empty())
    }

    /// Whoever acts as somebody else must name a good token of that user (DEC15): a token that is made lasts longer than the right to impersonate.
    fn no_nameless_impersonation(&self, cx: &Cx) -> Result<(), TokenRefusal> {
        if cx.fact::<Caller>().is_none_or(|caller| caller.impersonator.is_none())
            || self.named_token(cx).is_some()
        {
            return Ok(());
        }
        Err(token_id(cx).map_or(TokenRefusal::MissingTokenId, |id| TokenRefusal::UnknownToken(id.to_owned())))
    }

    /// Calls `make` with who asks for a token of their own, and by what right (DEC15).
    pub(super) fn as_creator<T>(&self, cx: &Cx, make: impl FnOnce(&Creator<'_>) -> T) -> T {
        let user = self.tables.verifier.owner(&cx.user.name);
        let caller = cx.fact::<Caller>();
        let named = self.named_token(cx);
        let proof = match (caller.and_then(Caller::own_token), token_id(cx)) {
            (Some(token), _) => Proof::Token(&token.principal),
            _ if caller.is_some_and(Caller::is_certificate_login) => Proof::Certificate,
            (None, Some(id)) => {
                named.as_ref().map_or(Proof::Unknown(id), |token| Proof::Token(&token.principal))
            }
            (None, None) => Proof::Missing,
        };
        make(&Creator { name: &cx.user.name, user: user.as_deref(), proof })
    }

    /// The conditions of a new token: its name is absent from the other face (DEC21), the very owner who was judged is still there, and the cluster that it is
    /// restricted to, if any, is as it was: nobody is deleting it.
    fn conditions(
        &self,
        face: Face,
        name: &str,
        credential: &Credential,
    ) -> Result<Vec<Condition>, TokenRefusal> {
        let others = Face::ALL.into_iter().filter(|other| *other != face);
        let mut conditions: Vec<Condition> = others
            .map(|other| Condition::Absent { collection: other.collection(), key: name.as_bytes().to_vec() })
            .collect();
        conditions.push(self.owner_condition(&credential.owner, credential.owner_uid)?);
        conditions.extend(cluster_condition(&self.store, &credential.cluster)?);
        Ok(conditions)
    }

    /// That the very owner who was judged is still there.
    pub(super) fn owner_condition(&self, owner: &str, uid: Uid) -> Result<Condition, TokenRefusal> {
        let same = |entry: &Entry| frame::head(entry.value()).is_some_and(|head| head.uid == uid);
        let entry = self.store.get(USERS, owner.as_bytes()).filter(same);
        let entry = entry.ok_or_else(|| TokenRefusal::NotRancherUser(owner.to_owned()))?;
        let (key, revision) = (entry.key().to_vec(), entry.created());
        Ok(Condition::CreateRevision { collection: USERS, key, revision })
    }
}

/// That the cluster that a token is restricted to, if any, is as it was: nobody is deleting it.
pub fn cluster_condition(store: &Store, cluster: &str) -> Result<Option<Condition>, TokenRefusal> {
    if cluster.is_empty() {
        return Ok(None);
    }
    let found = Cluster::find(store, cluster);
    let found = found.ok_or_else(|| TokenRefusal::ClusterNotFound(cluster.to_owned()))?;
    let (key, revision) = (found.id.into_bytes(), found.modified);
    Ok(Some(Condition::ModRevision { collection: CLUSTERS, key, revision }))
}

/// How many tokens of both faces a user has.
pub fn tokens_of(store: &Store, owner: &str) -> u64 {
    let owner = owned::of(owner);
    Face::ALL.into_iter().map(|face| store.count(face.collection(), &owner)).sum()
}

/// The `requesttokenid` of a request; several count as none.
pub(super) fn token_id(cx: &Cx) -> Option<&str> {
    match cx.user.extra.get(TOKEN_ID).map(Vec::as_slice) {
        Some([one]) => Some(one),
        _ => None,
    }
}

/// Refuses texts that would make one token take the room of thousands. `None`: it is not being written.
pub(super) fn bounded(
    field: &'static str,
    description: Option<&str>,
    meta: Option<&Meta>,
) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    if description.is_some_and(|text| text.len() > MAX_DESCRIPTION) {
        errors.push(FieldError::too_long(field, MAX_DESCRIPTION));
    }
    if meta.is_some_and(|meta| size_of_marks(meta) > MAX_METADATA) {
        errors.push(FieldError::too_long("metadata", MAX_METADATA));
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}

/// The metadata of a change, if it differs in what is bounded: what is stored already, by whichever way, may stay.
pub(super) fn changed_marks<'m>(old: &Meta, new: &'m Meta) -> Option<&'m Meta> {
    let same = old.labels == new.labels
        && old.annotations == new.annotations
        && old.finalizers == new.finalizers
        && old.owners == new.owners;
    (!same).then_some(new)
}

fn size_of_marks(meta: &Meta) -> usize {
    let pairs = meta.labels.iter().chain(&meta.annotations).map(|(key, value)| key.len() + value.len());
    let owners = meta.owners.iter().map(|o| o.api_version.len() + o.kind.len() + o.name.len() + o.uid.len());
    pairs.chain(owners).chain(meta.finalizers.iter().map(String::len)).sum()
}

/// The rules' refusals in the library's words. `ttl_field` is where this face keeps it.
pub(super) fn refusal(refusal: TokenRefusal) -> Refusal {
    let text = refusal.to_string();
    match (refusal.kind(), refusal) {
        (_, TokenRefusal::Invalid { field, value, message }) => {
            Refusal::Invalid(vec![FieldError::invalid(field, value, message)])
        }
        (RefusalKind::Forbidden, _) => Refusal::Forbidden(text),
        _ => Refusal::BadRequest(text),
    }
}

/// Whole seconds.
fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}
