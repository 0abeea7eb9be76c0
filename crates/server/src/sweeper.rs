//! The one place that deletes in the background: tokens of users who are gone, bindings of such users, expired tokens.
//!
//! Every deletion is conditioned on the record being the one that was judged, goes through the bulk lane, and is counted. What it removes is dead already:
//! the verifier wants the owner alive and the token unexpired, so nothing here is urgent.

use std::sync::Arc;
use std::time::Duration;

use eartag_api::frame;
use eartag_api::meta::Uid;
use eartag_core::Face;
use eartag_core::collections::{EXT_TOKENS, GLOBAL_ROLE_BINDINGS, LEGACY_TOKENS, USERS};
use eartag_core::record::Gist;
use eartag_storage::{CollectionId, Commit, CommitError, Condition, Entry, Lane, Op, Range, Scope, Store, WatchEnd};
use tokio::time::{Instant, sleep_until};

use crate::metrics::Metrics;
use crate::observer::Tables;
use crate::shutdown::Shutdown;
use crate::world::SystemWorld;

/// Entries looked at before others get their turn.
const BATCH: usize = 500;
/// Between two purges of expired tokens (v3-token.md §11): an hour, and up to a tenth more.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// After a failure of the store.
const BACK_OFF: Duration = Duration::from_secs(5);

/// Deletes what nobody can use any more.
pub struct Sweeper {
    store: Store,
    tables: Arc<Tables>,
    world: Arc<SystemWorld>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl Sweeper {
    /// A sweeper over this store.
    pub fn new(
        store: Store,
        tables: Arc<Tables>,
        world: Arc<SystemWorld>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Sweeper {
        Sweeper { store, tables, world, metrics, shutdown }
    }

    /// Runs until the server ends: everything once, then what follows from each deleted user, and the purge every hour.
    pub async fn run(self) {
        loop {
            let from = self.store.revision();
            self.orphans().await;
            let Ok(mut users) = self.store.watch(USERS, Scope::All, from) else { continue };
            let mut purge_at = Instant::now() + self.first_purge();
            loop {
                tokio::select! {
                    () = self.shutdown.drained() => return,
                    change = users.next() => match change {
                        Ok(change) if change.new.is_none() => {
                            if let Some(old) = &change.old {
                                self.after_user(old.key()).await;
                            }
                        }
                        Ok(_) => {}
                        // Fell behind: look at everything again.
                        Err(WatchEnd::Lagged) => break,
                        Err(WatchEnd::Closed) => return,
                    },
                    () = sleep_until(purge_at) => {
                        self.expired().await;
                        purge_at = Instant::now() + PURGE_EVERY + self.jitter();
                    }
                }
            }
        }
    }

    /// The purge needs a clock that has kept pace for a while, so the first one comes soon after that can be so.
    fn first_purge(&self) -> Duration {
        Duration::from_millis(eartag_core::clock::STEADY_MS + 2 * eartag_core::clock::MARK_EVERY_MS) + self.jitter() / 10
    }

    fn jitter(&self) -> Duration {
        let mut bytes = [0; 8];
        eartag_apiserver::kind::World::random(self.world.as_ref(), &mut bytes);
        PURGE_EVERY / 10 * u32::try_from(u64::from_le_bytes(bytes) % 1000).unwrap_or(0) / 1000
    }

    /// What belonged to a user who is gone.
    async fn after_user(&self, user: &[u8]) {
        for face in Face::ALL {
            self.sweep("tokens_of_deleted_users", face.collection(), Scope::Owner(user.to_vec()), |e| self.is_orphan(e)).await;
        }
        self.sweep("bindings_of_deleted_users", GLOBAL_ROLE_BINDINGS, Scope::Owner(user.to_vec()), |_| {
            self.store.get(USERS, user).is_none()
        })
        .await;
    }

    /// Everything whose owner is gone; users may have been deleted while no server ran.
    async fn orphans(&self) {
        for collection in [EXT_TOKENS, LEGACY_TOKENS] {
            self.sweep("tokens_of_deleted_users", collection, Scope::All, |e| self.is_orphan(e)).await;
        }
    }

    fn is_orphan(&self, entry: &Entry) -> bool {
        let body = frame::split(entry.value()).map(|(body, _)| body).unwrap_or_default();
        // A corrupt record is kept for the administrators to see (DEC23).
        Gist::decode(body).is_some_and(|gist| !owner_exists(&self.tables, gist.owner, gist.owner_uid))
    }

    /// Tokens that expired before a time that is surely past (DEC58).
    async fn expired(&self) {
        let Some(before_ms) = self.world.clock.purge_before(self.world.now()) else {
            tracing::debug!("no purge: the clock is not steady");
            return;
        };
        let mut purged = 0_u64;
        for collection in [EXT_TOKENS, LEGACY_TOKENS] {
            loop {
                let expired = self.store.expiring(collection, before_ms, BATCH);
                if expired.is_empty() || self.shutdown.requested() {
                    break;
                }
                let mut gone = 0;
                for entry in &expired {
                    gone += u64::from(self.remove(collection, entry).await);
                }
                purged += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        self.metrics.swept("expired_tokens", purged);
        if purged > 0 {
            tracing::info!(purged, "purged expired tokens");
        }
    }

    /// Deletes the entries of a scope that are judged dead, page by page.
    async fn sweep(&self, task: &'static str, collection: CollectionId, scope: Scope, dead: impl Fn(&Entry) -> bool) {
        let mut after = None;
        let mut swept = 0;
        loop {
            let range = Range { collection, scope: scope.clone(), after: after.take(), limit: BATCH, at: None };
            let Ok(page) = self.store.range(&range) else { break };
            for entry in page.entries.iter().filter(|entry| dead(entry)) {
                swept += u64::from(self.remove(collection, entry).await);
            }
            if !page.more || self.shutdown.requested() {
                break;
            }
            after = page.entries.last().map(|entry| entry.key().to_vec());
            tokio::task::yield_now().await;
        }
        self.metrics.swept(task, swept);
        if swept > 0 {
            tracing::info!(task, swept, "swept");
        }
    }

    /// Whether the entry is gone through us; one that changed meanwhile is judged again in the next round.
    async fn remove(&self, collection: CollectionId, entry: &Entry) -> bool {
        let key = entry.key().to_vec();
        let commit = Commit {
            conditions: vec![Condition::ModRevision { collection, key: key.clone(), revision: entry.modified() }],
            ops: vec![Op::Delete { collection, key }],
            lane: Lane::Bulk,
        };
        match self.store.commit(commit).await {
            Ok(_) => true,
            Err(CommitError::Conflict { .. }) => false,
            Err(error) => {
                tracing::warn!(%error, "the sweep pauses");
                tokio::time::sleep(BACK_OFF).await;
                false
            }
        }
    }
}

/// Whether the very user that owns a token still exists.
pub fn owner_exists(tables: &Tables, owner: &str, uid: Uid) -> bool {
    tables.verifier.owner(owner).is_some_and(|state| state.uid == uid)
}
