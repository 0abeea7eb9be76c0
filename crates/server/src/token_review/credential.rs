//! The credential by which a cluster's API server asks about tokens: a token restricted to the cluster, of a user of the system who may do nothing else.
//!
//! ```text
//! user u-cluster-<id>, principal system://<id> ── binding cluster-webhook-<id> ──→ global role cluster-webhook: create tokenreviews
//!   └── agent-u-cluster-<id>…  a system token that never expires, restricted to the cluster (DEC34)
//! ```
//!
//! The user is made when the first credential is, and goes with the cluster, and so does every credential. Each call makes another token, so that one can be
//! replaced before it is taken away.

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::Cx;
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::{MODIFIED, Refusal};
use eartag_core::collections::{CLUSTERS, GLOBAL_ROLE_BINDINGS, USERS};
use eartag_core::rbac::CLUSTER_WEBHOOK;
use eartag_core::record::GlobalRoleBindingRecord;
use eartag_core::time::seconds;
use eartag_core::token::SystemKind;
use eartag_core::verifier::Verifier;
use eartag_core::{Face, UserRecord};
use eartag_storage::{Commit, CommitError, Condition, Lane, Op};
use secrecy::SecretString;
use serde_json::json;

use crate::cluster::{Cluster, SYSTEM_USER_PREFIX, system_principal, system_user};
use crate::state::State;

/// Whether this is a user as whom a cluster asks: their tokens are good for asking, and nowhere else.
#[must_use]
pub fn only_asks(verifier: &Verifier, user: &str) -> bool {
    user.starts_with(SYSTEM_USER_PREFIX) && verifier.owner(user).is_some_and(|owner| owner.system)
}

/// Makes a credential for the cluster. That the caller of `cx` may change it was found out before.
///
/// # Errors
/// 409 where the user's name belongs to somebody else, or when the cluster was changed meanwhile; what the kind of tokens says.
pub async fn make(state: &State, cluster: &Cluster, cx: &Cx) -> Result<SecretString, Refusal> {
    let user = system_user(&cluster.id);
    ensure_user(state, cluster, &user).await?;
    let asked = json!({
        "metadata": {
            "generateName": format!("{}{user}", SystemKind::Agent.prefix()),
            "labels": {Face::Legacy.kind_label(): SystemKind::Agent.name()},
        },
        "userId": user,
        "clusterName": cluster.id,
        "description": format!("Asks about tokens for the cluster {}", cluster.shown_name()),
    });
    let created = state.api.create(&*state.kinds.legacy_tokens, cx, asked).await?;
    let secret = created.once.and_then(|once| once.fields.into_iter().next());
    let (_, secret) =
        secret.ok_or_else(|| Refusal::Internal("the token came without its value".to_owned()))?;
    tracing::info!(cluster = %cluster.id, by = %cx.user.name, "a credential was made by which a cluster asks about tokens");
    Ok(secret)
}

/// The user with their one right, in one commit, while the cluster is as it was looked at.
async fn ensure_user(state: &State, cluster: &Cluster, user: &str) -> Result<(), Refusal> {
    let store = &state.store;
    let mut random = [[0; 16]; 2];
    random.iter_mut().for_each(|bytes| state.world.random(bytes));
    let [user_uid, binding_uid] = random.map(Uid::from_random);
    let created_s = seconds(state.world.now_ms());
    let meta = |uid| Meta { uid, created_s, generation: 1, ..Meta::default() };
    let mut conditions = vec![Condition::ModRevision {
        collection: CLUSTERS,
        key: cluster.id.clone().into_bytes(),
        revision: cluster.modified,
    }];
    let mut ops = Vec::new();

    let key = user.as_bytes().to_vec();
    let bound = match store.get(USERS, &key) {
        Some(entry) => {
            let record = frame::split(entry.value()).and_then(|(body, _)| UserRecord::decode(body));
            let ours = record.is_some_and(|r| r.principal_ids.contains(&system_principal(&cluster.id)));
            let head = frame::head(entry.value()).filter(|head| ours && !head.deleted);
            let Some(head) = head else {
                return Err(Refusal::Conflict(format!(
                    "the user {user} is not the system's: delete it, or give the cluster another id"
                )));
            };
            conditions.push(Condition::CreateRevision { collection: USERS, key, revision: entry.created() });
            head.uid
        }
        None => {
            let record = UserRecord {
                display_name: format!("System account for Cluster {}", cluster.id),
                principal_ids: vec![system_principal(&cluster.id)],
                ..UserRecord::default()
            };
            conditions.push(Condition::Absent { collection: USERS, key: key.clone() });
            let value = frame::frame(&record.encode(), &meta(user_uid));
            ops.push(Op::Put { collection: USERS, key, value });
            user_uid
        }
    };

    let wanted = GlobalRoleBindingRecord {
        role: CLUSTER_WEBHOOK.to_owned(),
        user: user.to_owned(),
        user_uid: Some(bound),
        ..GlobalRoleBindingRecord::default()
    };
    let key = format!("{CLUSTER_WEBHOOK}-{}", cluster.id).into_bytes();
    let there = store.get(GLOBAL_ROLE_BINDINGS, &key);
    let stored =
        there.as_ref().and_then(|entry| GlobalRoleBindingRecord::decode(frame::split(entry.value())?.0));
    if stored.as_ref() != Some(&wanted) {
        // One that an earlier cluster of this id left is replaced; one that somebody made for something else is not.
        if stored.is_some_and(|stored| stored.user != user) {
            let name = String::from_utf8_lossy(&key).into_owned();
            return Err(Refusal::Conflict(format!("the global role binding {name} is for somebody else")));
        }
        let (collection, key) = (GLOBAL_ROLE_BINDINGS, key);
        conditions.push(match there {
            Some(entry) => {
                Condition::ModRevision { collection, key: key.clone(), revision: entry.modified() }
            }
            None => Condition::Absent { collection, key: key.clone() },
        });
        ops.push(Op::Put { collection, key, value: frame::frame(&wanted.encode(), &meta(binding_uid)) });
    }
    if ops.is_empty() {
        return Ok(());
    }
    match store.commit(Commit { conditions, ops, lane: Lane::Interactive }).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict { .. }) => Err(Refusal::Conflict(MODIFIED.to_owned())),
        Err(error) => Err(commit_refusal(error)),
    }
}
