//! Clusters as the doors use them: looked up, asked about (DEC44), opened.

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::{Cx, World};
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::{MODIFIED, Refusal};
use eartag_apiserver::user::{AUTHENTICATED, Attributes, Authorizer, UserInfo};
pub use eartag_core::cluster::LOCAL;
use eartag_core::collections::{CLUSTER_CREDENTIALS, CLUSTERS, USERS};
use eartag_core::{ClusterCredentialRecord, ClusterRecord, PlainSecret, UserRecord};
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Revision, Store};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::authn::{CATTLE_AUTHENTICATED, Caller};
use crate::authz::roles_allow;
use crate::observer::Tables;
use crate::pki::PkiError;
use crate::resources::MANAGEMENT;
use crate::resources::users::belongings as user_belongings;
use crate::vault::Vault;

/// Holds the object of a deleted cluster until the sweeper has removed the tokens that are restricted to it.
pub const TOKENS_FINALIZER: &str = "controller.cattle.io/cluster-tokens";

/// What those names begin with.
pub const SYSTEM_USER_PREFIX: &str = "u-cluster-";

/// The name of the user as whom a cluster's own API server asks about tokens.
#[must_use]
pub fn system_user(id: &str) -> String {
    format!("{SYSTEM_USER_PREFIX}{id}")
}

/// The principal by which that user is known to be the system's.
#[must_use]
pub fn system_principal(id: &str) -> String {
    format!("system://{id}")
}

/// A cluster that exists.
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Its uid: a later cluster of the same id has another.
    pub uid: Uid,
    /// The revision of its last change.
    pub modified: Revision,
    /// What is known of it.
    pub record: ClusterRecord,
}

impl Cluster {
    /// The cluster of this id, unless it is absent, being deleted or damaged.
    #[must_use]
    pub fn find(store: &Store, id: &str) -> Option<Cluster> {
        Cluster::of(&store.get(CLUSTERS, id.as_bytes())?)
    }

    /// The cluster of an entry, unless it is being deleted or damaged.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Cluster> {
        let (body, _) = frame::split(entry.value())?;
        let head = frame::head(entry.value())?;
        let id = std::str::from_utf8(entry.key()).ok()?.to_owned();
        (!head.deleted).then_some(())?;
        Some(Cluster { id, uid: head.uid, modified: entry.modified(), record: ClusterRecord::decode(body)? })
    }

    /// The name that people see: the display name, else the id.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        if self.record.display_name.is_empty() { &self.id } else { &self.record.display_name }
    }

    /// What opens it; `None` if nothing was given for this very cluster.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub fn credential(&self, store: &Store, vault: &Vault) -> Result<Option<ClusterCredential>, PkiError> {
        let Some(record) = self.credential_record(store) else { return Ok(None) };
        let opened = vault.open(&purpose(&self.id, self.uid), &record.wrapped)?;
        let plain: Plain = postcard::from_bytes(&opened).map_err(|_| PkiError::WrongRootKey)?;
        Ok(Some(match plain {
            Plain::Token(token) => ClusterCredential::Token(PlainSecret::new(token)),
            Plain::Certificate { certificates, key } => ClusterCredential::Certificate {
                certificates: certificates.to_owned(),
                key: PlainSecret::new(key),
            },
        }))
    }

    /// The stored credential, still closed.
    #[must_use]
    pub fn credential_record(&self, store: &Store) -> Option<ClusterCredentialRecord> {
        let entry = store.get(CLUSTER_CREDENTIALS, self.id.as_bytes())?;
        let (body, _) = frame::split(entry.value())?;
        ClusterCredentialRecord::decode(body).filter(|record| record.cluster_uid == self.uid)
    }
}

/// What this server presents to a cluster's own API server.
pub enum ClusterCredential {
    /// A bearer token.
    Token(PlainSecret),
    /// A client certificate.
    Certificate {
        /// The chain, leaf first, as PEM.
        certificates: String,
        /// Its private key, as PEM.
        key: PlainSecret,
    },
}

/// The same as it is wrapped, with postcard. Variants are only ever appended.
#[derive(Serialize, Deserialize)]
enum Plain<'a> {
    Token(&'a str),
    Certificate { certificates: &'a str, key: &'a str },
}

impl ClusterCredential {
    /// Wraps it for this very cluster.
    ///
    /// # Errors
    /// [`PkiError`], which does not happen to credentials of any sane size.
    pub fn close(
        &self,
        id: &str,
        cluster_uid: Uid,
        vault: &Vault,
        world: &dyn World,
    ) -> Result<ClusterCredentialRecord, PkiError> {
        let (plain, kind) = match self {
            ClusterCredential::Token(token) => (Plain::Token(token.expose()), "token"),
            ClusterCredential::Certificate { certificates, key } => {
                (Plain::Certificate { certificates, key: key.expose() }, "certificate")
            }
        };
        let bytes = Zeroizing::new(postcard::to_stdvec(&plain).unwrap_or_default());
        let wrapped = vault.close(&purpose(id, cluster_uid), &bytes, world)?;
        Ok(ClusterCredentialRecord { cluster_uid, wrapped, kind: kind.to_owned() })
    }
}

fn purpose(id: &str, uid: Uid) -> String {
    format!("eartag/cluster-credential/{id}/{uid}")
}

/// What is deleted in the same commit as the cluster: its credential, and its [`system_user`] with whatever that has.
#[must_use]
pub fn belongings(store: &Store, tables: &Tables, id: &str) -> Vec<Op> {
    let key = id.as_bytes().to_vec();
    let mut also = Vec::new();
    if store.get(CLUSTER_CREDENTIALS, &key).is_some() {
        also.push(Op::Delete { collection: CLUSTER_CREDENTIALS, key });
    }
    let user = system_user(id);
    let entry = tables.verifier.owner(&user).and_then(|_| store.get(USERS, user.as_bytes()));
    let record = entry.and_then(|entry| UserRecord::decode(frame::split(entry.value())?.0));
    if let Some(record) = record.filter(|record| record.principal_ids.contains(&system_principal(id))) {
        also.push(Op::Delete { collection: USERS, key: user.clone().into_bytes() });
        also.extend(user_belongings(store, &user, &record));
    }
    also
}

/// Stores what opens a cluster, in the place of what did before.
///
/// # Errors
/// 409 when the cluster was changed meanwhile; what the store says.
pub async fn keep(
    store: &Store,
    vault: &Vault,
    world: &dyn World,
    cluster: &Cluster,
    credential: &ClusterCredential,
) -> Result<(), Refusal> {
    let record = credential
        .close(&cluster.id, cluster.uid, vault, world)
        .map_err(|error| Refusal::Internal(error.to_string()))?;
    let mut uid = [0; 16];
    world.random(&mut uid);
    let created_s = eartag_core::time::seconds(world.now_ms());
    let meta = Meta { uid: Uid::from_random(uid), created_s, generation: 1, ..Meta::default() };
    let key = cluster.id.as_bytes().to_vec();
    let commit = Commit {
        conditions: vec![Condition::ModRevision {
            collection: CLUSTERS,
            key: key.clone(),
            revision: cluster.modified,
        }],
        ops: vec![Op::Put {
            collection: CLUSTER_CREDENTIALS,
            key,
            value: frame::frame(&record.encode(), &meta),
        }],
        lane: Lane::Interactive,
    };
    match store.commit(commit).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict { .. }) => Err(Refusal::Conflict(MODIFIED.to_owned())),
        Err(error) => Err(commit_refusal(error)),
    }
}

/// Whether the caller of a request may use a cluster. Of whom another cluster vouches for, our own roles decide all the same: what that cluster's rules say about
/// clusters is not about ours.
pub async fn may_use_here(cx: &Cx, tables: &Tables, id: &str) -> bool {
    if !cx.fact::<Caller>().is_some_and(Caller::is_of_the_cluster) {
        return may_use(&*cx.authorizer, &cx.user, id).await;
    }
    let groups = vec![AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()];
    let user = UserInfo { name: cx.user.name.clone(), groups, ..UserInfo::default() };
    our_roles_allow(tables, &user, id)
}

/// The same by our own roles, for whoever cannot wait for an answer.
#[must_use]
pub fn our_roles_allow(tables: &Tables, user: &UserInfo, id: &str) -> bool {
    roles_allow(tables, user, &use_of(id))
}

/// Whether somebody may use a cluster.
pub async fn may_use(authorizer: &dyn Authorizer, user: &UserInfo, id: &str) -> bool {
    authorizer.authorize(user, &use_of(id)).await.allowed()
}

/// What it takes to use a cluster: the right to `get` it, by name (DEC44). Whether it exists is another question.
#[must_use]
pub fn use_of(id: &str) -> Attributes {
    Attributes::resource("get", MANAGEMENT, "clusters", id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::authn::testing::Scene;

    #[tokio::test]
    async fn a_credential_opens_only_for_the_very_cluster_and_is_not_stored_in_clear() {
        let scene = Scene::new().await;
        let state = &scene.state;
        let add = async |body: Vec<u8>| scene.put(CLUSTERS, "c-1", body).await;
        let record = ClusterRecord { display_name: "one".into(), ..ClusterRecord::default() };
        add(record.encode()).await;
        let cluster = Cluster::find(&state.store, "c-1").unwrap();
        assert!(cluster.credential(&state.store, &state.vault).unwrap().is_none());
        let secret = ClusterCredential::Token(PlainSecret::new("a-canary"));
        let closed = secret.close("c-1", cluster.uid, &state.vault, &*state.world).unwrap();
        assert!(!closed.encode().windows(8).any(|w| w == b"a-canary"));
        scene.put(CLUSTER_CREDENTIALS, "c-1", closed.encode()).await;
        let Some(ClusterCredential::Token(token)) = cluster.credential(&state.store, &state.vault).unwrap()
        else {
            panic!()
        };
        assert_eq!(token.expose(), "a-canary");
        add(record.encode()).await;
        let later = Cluster::find(&state.store, "c-1").unwrap();
        assert_ne!(later.uid, cluster.uid);
        assert!(later.credential(&state.store, &state.vault).unwrap().is_none());
    }
}
