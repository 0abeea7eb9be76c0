//! Clusters that are being deleted: they go when no token is restricted to them any more, so that none opens a later cluster of the same id.

use eartag_api::frame;
use eartag_api::meta::Meta;
use eartag_core::Face;
use eartag_core::collections::CLUSTERS;
use eartag_core::record::Gist;
use eartag_storage::{CollectionId, Condition, Entry, Op, Scope};

use super::{Pages, Removed, Stop, Sweeper, body, unchanged};
use crate::cluster::{TOKENS_FINALIZER, belongings};

const TASK: &str = "tokens_of_deleted_clusters";

impl Sweeper {
    /// Finishes the clusters that are being deleted; whether all of them are.
    pub(super) async fn deleted_clusters(&self) -> Result<bool, Stop> {
        let mut finished = true;
        let mut pages = Pages::new(CLUSTERS, Scope::All);
        while let Some(entries) = pages.next(self)? {
            for entry in &entries {
                let Some(meta) = frame::meta(entry.value()) else { continue };
                let held = meta.finalizers.iter().any(|finalizer| finalizer == TOKENS_FINALIZER);
                if meta.deleted_s.is_some() && held {
                    finished &= self.finish_cluster(entry, meta).await?;
                }
            }
        }
        Ok(finished)
    }

    async fn finish_cluster(&self, entry: &Entry, mut meta: Meta) -> Result<bool, Stop> {
        let mut clean = true;
        for face in Face::ALL {
            clean &= self.tokens_of_cluster(face.collection(), entry.key()).await?;
        }
        if !clean {
            return Ok(false);
        }
        meta.finalizers.retain(|finalizer| finalizer != TOKENS_FINALIZER);
        let key = entry.key().to_vec();
        let ops = if meta.finalizers.is_empty() {
            let id = String::from_utf8_lossy(entry.key()).into_owned();
            let mut ops = vec![Op::Delete { collection: CLUSTERS, key }];
            ops.extend(belongings(&self.store, &self.tables, &id));
            ops
        } else {
            vec![Op::Put { collection: CLUSTERS, key, value: frame::frame(body(entry), &meta) }]
        };
        self.commit_all(vec![unchanged(CLUSTERS, entry)], ops).await
    }

    /// Removes the tokens that are restricted to a cluster; whether none is left that could be good again. None is made meanwhile: that takes the cluster as it was
    /// before its deletion began.
    async fn tokens_of_cluster(&self, collection: CollectionId, cluster: &[u8]) -> Result<bool, Stop> {
        let mut clean = true;
        let mut pages = Pages::new(collection, Scope::All);
        while let Some(entries) = pages.next(self)? {
            let mut gone = 0;
            for token in entries.iter().filter(|token| restricted_to(token, cluster)) {
                match self.remove_token(collection, token).await? {
                    Removed::Gone => gone += 1,
                    // Marked: it is refused for good, and waits for somebody's finalizer only.
                    Removed::Kept => {
                        let now = self.store.get(collection, token.key());
                        let head = now.as_ref().and_then(|now| frame::head(now.value()));
                        clean &= now.is_none() || head.is_some_and(|head| head.deleted);
                    }
                }
            }
            self.count(TASK, gone);
            tokio::task::yield_now().await;
        }
        Ok(clean)
    }

    /// A token's restriction cannot be changed, so it goes whatever else its owner changes in the same moment.
    pub(super) async fn remove_token(
        &self,
        collection: CollectionId,
        token: &Entry,
    ) -> Result<Removed, Stop> {
        let (key, revision) = (token.key().to_vec(), token.created());
        let plain = frame::meta(token.value()).is_some_and(|meta| meta.finalizers.is_empty());
        if !plain {
            return self.remove(collection, token).await;
        }
        let very = Condition::CreateRevision { collection, key: key.clone(), revision };
        let gone = self.commit_all(vec![very], vec![Op::Delete { collection, key }]).await?;
        Ok(if gone { Removed::Gone } else { Removed::Kept })
    }
}

fn restricted_to(token: &Entry, cluster: &[u8]) -> bool {
    Gist::decode(body(token)).is_some_and(|gist| gist.cluster.as_bytes() == cluster)
}
