//! Ext tokens that back something else, and come and go with it: kubeconfigs (kubeconfig-and-cli.md §1.4, §1.8).

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::Cx;
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::{MODIFIED, Refusal};
use eartag_core::collections::EXT_TOKENS;
use eartag_core::token::{KubeconfigToken, TokenRefusal};
use eartag_core::{Face, PlainSecret, TokenName};
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Store};

use super::{Ground, cluster_condition, refusal};
use crate::sweeper::removal;

/// The label that names a token's kubeconfig. It is the server's to give and stays for good.
pub const KUBECONFIG_LABEL: &str = "authn.management.cattle.io/kubeconfig-id";

/// How often a token that changes at the same time is tried to be deleted.
const ATTEMPTS: usize = 8;

/// A token that was drawn up and is to be stored together with what it backs.
pub(in crate::resources) struct Drawn {
    pub(in crate::resources) name: String,
    pub(in crate::resources) uid: Uid,
    secret: PlainSecret,
    value: Vec<u8>,
    owner: Condition,
    cluster: String,
}

impl Ground {
    /// Draws up a token of a kubeconfig.
    pub(in crate::resources) fn draw(
        &self,
        token: &KubeconfigToken<'_>,
        kubeconfig: &str,
        cx: &Cx,
    ) -> Result<Drawn, Refusal> {
        let (record, secret) = token.ext(cx.now_s(), &mut |bytes: &mut [u8]| cx.world.random(bytes));
        let labels = [(KUBECONFIG_LABEL.to_owned(), kubeconfig.to_owned())].into();
        let uid = Uid::from_random(cx.random());
        let meta = Meta { uid, created_s: cx.now_s(), generation: 1, labels, ..Meta::default() };
        let value = frame::frame(&record.encode(), &meta);
        let owner =
            self.owner_condition(&record.credential.owner, record.credential.owner_uid).map_err(refusal)?;
        let cluster = record.credential.cluster;
        let mut drawn = Drawn { name: String::new(), uid, secret, value, owner, cluster };
        drawn.rename(cx);
        Ok(drawn)
    }
}

impl Drawn {
    /// Among [`Drawn::conditions`]: that the owner is there.
    pub(in crate::resources) const OWNER: usize = 0;
    /// Among them: that the name is free.
    pub(in crate::resources) const NAME: std::ops::RangeInclusive<usize> = 1..=2;

    /// Takes another name.
    pub(in crate::resources) fn rename(&mut self, cx: &Cx) {
        self.name = TokenName::random(&mut |bytes: &mut [u8]| cx.world.random(bytes)).into();
    }

    /// What must hold when it is stored: the owner is there, the name is free, and nobody is deleting the cluster, if it is restricted to one.
    pub(in crate::resources) fn conditions(&self, store: &Store) -> Result<Vec<Condition>, TokenRefusal> {
        let absent = |face: Face| Condition::Absent {
            collection: face.collection(),
            key: self.name.clone().into_bytes(),
        };
        let mut conditions = vec![self.owner.clone()];
        conditions.extend(Face::ALL.map(absent));
        conditions.extend(cluster_condition(store, &self.cluster)?);
        Ok(conditions)
    }

    /// What stores it.
    pub(in crate::resources) fn op(&self) -> Op {
        Op::Put { collection: EXT_TOKENS, key: self.name.clone().into_bytes(), value: self.value.clone() }
    }

    /// What it is presented as.
    pub(in crate::resources) fn bearer(&self) -> PlainSecret {
        Face::Ext.bearer(&self.name, &self.secret)
    }
}

/// The very token, if it is there.
pub(in crate::resources) fn backing(store: &Store, name: &str, uid: Uid) -> Option<Entry> {
    let entry = store.get(EXT_TOKENS, name.as_bytes())?;
    frame::head(entry.value()).is_some_and(|head| head.uid == uid).then_some(entry)
}

/// Deletes the very token as any other deletion does: while finalizers hold it, it is only marked, and refused from then on. Whether there was anything to do.
pub(in crate::resources) async fn revoke(
    store: &Store,
    name: &str,
    uid: Uid,
    now_s: i64,
    lane: Lane,
) -> Result<bool, Refusal> {
    for _ in 0..ATTEMPTS {
        let Some(entry) = backing(store, name, uid) else { return Ok(false) };
        let Some(op) = removal(EXT_TOKENS, &entry, now_s) else { return Ok(false) };
        let unchanged = Condition::ModRevision {
            collection: EXT_TOKENS,
            key: entry.key().to_vec(),
            revision: entry.modified(),
        };
        match store.commit(Commit { conditions: vec![unchanged], ops: vec![op], lane }).await {
            Ok(_) => return Ok(true),
            Err(CommitError::Conflict { .. } | CommitError::Unknown) => tokio::task::yield_now().await,
            Err(error) => return Err(commit_refusal(error)),
        }
    }
    Err(Refusal::Conflict(MODIFIED.to_owned()))
}
