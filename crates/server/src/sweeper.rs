//! The one place that deletes and changes in the background: tokens, bindings and attributes of users who are gone, expired tokens, the mark of hashed tokens,
//! users who have been away for too long ([`retention`]), and kubeconfigs that nobody can use any more ([`kubeconfigs`]).
//!
//! Every deletion is conditioned on the record being the one that was judged, goes through the bulk lane, and is counted. But for inactive users, what it removes
//! is dead already: the verifier wants the owner alive and the token unexpired, so nothing here is urgent.

mod clusters;
mod kubeconfigs;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::World;
use eartag_core::collections::{
    CLUSTERS, FEATURES, GLOBAL_ROLE_BINDINGS, GLOBAL_ROLES, LEGACY_TOKENS, SETTINGS, USER_ATTRIBUTES, USERS,
};
use eartag_core::features::Feature;
use eartag_core::record::Gist;
use eartag_core::{Face, GlobalRoleBindingRecord, LegacyTokenRecord, Now, UserAttributeRecord};
use eartag_storage::{
    CollectionId, Commit, CommitError, Condition, Entry, Lane, Op, Range, Scope, Store, WatchEnd,
};
use tokio::time::{Instant, sleep_until};

use self::retention::Retention;
use crate::metrics::Metrics;
use crate::observer::Tables;
use crate::shutdown::Shutdown;
use crate::world::SystemWorld;

/// Entries looked at before others get their turn.
const BATCH: usize = 500;
/// Between two purges of expired tokens (v3-token.md §11): an hour, and up to a tenth more.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// Until a deleted cluster is looked at again whose tokens could not be removed.
const CLUSTERS_AGAIN: Duration = Duration::from_secs(1);
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

    /// Runs until the server ends: everything once, then what follows from each deleted user, the purge every hour, and user retention when its schedule says so.
    /// After a failure of the store it waits a little and begins anew.
    pub async fn run(self) {
        let mut retention = Retention::new(self.moment().now_ms);
        while let Err(stop) = self.round(&mut retention).await {
            match stop {
                Stop::Shutdown => return,
                Stop::Again => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Stop::Store(error) => tracing::warn!(%error, "the sweep pauses"),
            }
            tokio::select! {
                () = self.shutdown.drained() => return,
                () = tokio::time::sleep(BACK_OFF) => {}
            }
        }
    }

    async fn round(&self, retention: &mut Retention) -> Result<(), Stop> {
        let from = self.store.revision();
        self.orphans().await?;
        self.hash_marks().await?;
        let mut tokens = self.watch_tokens()?;
        self.dead_kubeconfigs(Scope::All).await?;
        let mut users = self.store.watch(USERS, Scope::All, from).map_err(|_| Stop::Again)?;
        let mut features = self.store.watch(FEATURES, Scope::All, from).map_err(|_| Stop::Again)?;
        let mut clusters = self.store.watch(CLUSTERS, Scope::All, from).map_err(|_| Stop::Again)?;
        let mut settings = self.store.watch(SETTINGS, Scope::All, from).map_err(|_| Stop::Again)?;
        let mut purge_at = Instant::now() + self.first_purge();
        let mut retain_at = Instant::now();
        let mut clusters_at = Instant::now();
        loop {
            tokio::select! {
                () = self.shutdown.drained() => return Err(Stop::Shutdown),
                change = users.next() => match change {
                    Ok(change) if change.new.is_none() => {
                        if let Some(old) = &change.old {
                            self.after_user(old.key()).await?;
                        }
                    }
                    Ok(_) => {}
                    // Fell behind: look at everything again.
                    Err(WatchEnd::Lagged) => return Err(Stop::Again),
                    Err(WatchEnd::Closed) => return Ok(()),
                },
                change = tokens.next() => match change {
                    Ok(change) => self.after_token(&change).await?,
                    // There can be very many of them, and what else is watched need not be looked at again for that.
                    Err(WatchEnd::Lagged) => {
                        tokens = self.watch_tokens()?;
                        self.dead_kubeconfigs(Scope::All).await?;
                    }
                    Err(WatchEnd::Closed) => return Ok(()),
                },
                change = features.next() => match change {
                    Ok(_) => self.hash_marks().await?,
                    Err(WatchEnd::Lagged) => return Err(Stop::Again),
                    Err(WatchEnd::Closed) => return Ok(()),
                },
                change = clusters.next() => match change {
                    Ok(_) => clusters_at = Instant::now(),
                    Err(WatchEnd::Lagged) => return Err(Stop::Again),
                    Err(WatchEnd::Closed) => return Ok(()),
                },
                change = settings.next() => match change {
                    Ok(_) => retain_at = Instant::now(),
                    Err(WatchEnd::Lagged) => return Err(Stop::Again),
                    Err(WatchEnd::Closed) => return Ok(()),
                },
                () = sleep_until(clusters_at) => {
                    let pause = if self.deleted_clusters().await? { PURGE_EVERY } else { CLUSTERS_AGAIN };
                    clusters_at = Instant::now() + pause;
                }
                () = sleep_until(retain_at) => {
                    let pause = self.retention(retention, self.moment()).await?;
                    retain_at = Instant::now() + pause;
                }
                () = sleep_until(purge_at) => {
                    self.expired(self.world.now()).await?;
                    self.cut_off_kubeconfigs().await?;
                    // Of roles that were deleted there is no other sign.
                    self.bindings(Scope::All).await?;
                    purge_at = Instant::now() + PURGE_EVERY + self.jitter();
                }
            }
        }
    }

    /// The purge needs a clock that has kept pace for a while, so the first one comes soon after that can be so.
    fn first_purge(&self) -> Duration {
        Duration::from_millis(eartag_core::clock::STEADY_MS + 2 * eartag_core::clock::MARK_EVERY_MS)
            + self.jitter() / 10
    }

    fn jitter(&self) -> Duration {
        let mut bytes = [0; 8];
        self.world.random(&mut bytes);
        PURGE_EVERY / 10 * u32::try_from(u64::from_le_bytes(bytes) % 1000).unwrap_or(0) / 1000
    }

    /// What belonged to a user who is gone.
    async fn after_user(&self, user: &[u8]) -> Result<(), Stop> {
        for face in Face::ALL {
            self.tokens(face.collection(), Scope::Owner(user.to_vec())).await?;
        }
        self.kubeconfigs(Scope::Owner(user.to_vec())).await?;
        self.attributes(Scope::Name(user.to_vec())).await?;
        self.bindings(Scope::Owner(user.to_vec())).await
    }

    /// Everything whose owner is gone; users may have been deleted while no server ran.
    pub(crate) async fn orphans(&self) -> Result<(), Stop> {
        for face in Face::ALL {
            self.tokens(face.collection(), Scope::All).await?;
        }
        self.kubeconfigs(Scope::All).await?;
        self.attributes(Scope::All).await?;
        self.bindings(Scope::All).await
    }

    /// They go with the user, so this is for what was left behind by other ways.
    async fn attributes(&self, scope: Scope) -> Result<(), Stop> {
        self.sweep("attributes_of_deleted_users", USER_ATTRIBUTES, scope, |entry| {
            let user = String::from_utf8_lossy(entry.key());
            UserAttributeRecord::decode(body(entry))
                .is_some_and(|record| !owner_exists(&self.tables, &user, record.user_uid))
        })
        .await
        .map(drop)
    }

    async fn tokens(&self, collection: CollectionId, scope: Scope) -> Result<(), Stop> {
        self.sweep("tokens_of_deleted_users", collection, scope, |entry| {
            // A corrupt record is kept for the administrators to see (DEC23).
            Gist::decode(body(entry))
                .is_some_and(|gist| !owner_exists(&self.tables, gist.owner, gist.owner_uid))
        })
        .await
        .map(drop)
    }

    async fn bindings(&self, scope: Scope) -> Result<(), Stop> {
        self.sweep("bindings_of_deleted_users", GLOBAL_ROLE_BINDINGS, scope, |entry| {
            GlobalRoleBindingRecord::decode(body(entry)).is_some_and(|binding| self.is_void(&binding))
        })
        .await
        .map(drop)
    }

    /// Whether a binding is for a user, or to a role, that is gone. It grants nothing already.
    fn is_void(&self, binding: &GlobalRoleBindingRecord) -> bool {
        let of = |bound: Option<Uid>, is: Option<Uid>| {
            is.is_none() || bound.is_some_and(|bound| is != Some(bound))
        };
        let user = self.tables.verifier.owner(&binding.user).map(|state| state.uid);
        let role = self.store.get(GLOBAL_ROLES, binding.role.as_bytes());
        let role = role.and_then(|entry| frame::head(entry.value())).map(|head| head.uid);
        (!binding.user.is_empty() && of(binding.user_uid, user))
            || (binding.role_uid.is_some() && of(binding.role_uid, role))
    }

    /// Tokens that expired before a time that is surely past (DEC58).
    async fn expired(&self, now: Now) -> Result<(), Stop> {
        let Some(before_ms) = self.world.clock.purge_before(now) else {
            tracing::debug!("no purge: the clock is not steady");
            return Ok(());
        };
        for face in Face::ALL {
            self.purge(face.collection(), before_ms).await?;
        }
        Ok(())
    }

    /// Gives legacy tokens the mark of hashed ones, once the feature is on (DEC31). Tokens that are made from then on have it from the start.
    async fn hash_marks(&self) -> Result<(), Stop> {
        if !self.tables.features.enabled(Feature::TokenHashing) {
            return Ok(());
        }
        self.change_all("hash_marks", LEGACY_TOKENS, |entry| {
            let (body, meta) = (body(entry), frame::meta(entry.value())?);
            let record = LegacyTokenRecord::decode(body).filter(|record| !record.hashed_mark)?;
            Some(frame::frame(&LegacyTokenRecord { hashed_mark: true, ..record }.encode(), &meta))
        })
        .await
    }

    async fn purge(&self, collection: CollectionId, before_ms: u64) -> Result<(), Stop> {
        const TASK: &str = "expired_tokens";
        loop {
            let expired = self.store.expiring(collection, before_ms, BATCH);
            if expired.is_empty() {
                return Ok(());
            }
            let mut gone = 0;
            for entry in &expired {
                gone += u64::from(self.remove(collection, entry).await? == Removed::Gone);
            }
            self.count(TASK, gone);
            if gone == 0 {
                break;
            }
        }
        // What finalizers hold stands before all others for ever, so the rest is looked for the long way.
        let expired = |entry: &Entry| entry.expires_ms().is_some_and(|at| at < before_ms);
        self.sweep(TASK, collection, Scope::All, expired).await.map(drop)
    }

    /// Deletes the entries of a scope that are judged dead. How many are gone.
    async fn sweep(
        &self,
        task: &'static str,
        collection: CollectionId,
        scope: Scope,
        dead: impl Fn(&Entry) -> bool,
    ) -> Result<u64, Stop> {
        let mut swept = 0;
        let mut pages = Pages::new(collection, scope);
        while let Some(entries) = pages.next(self)? {
            let mut gone = 0;
            for entry in entries.iter().filter(|entry| dead(entry)) {
                gone += u64::from(self.remove(collection, entry).await? == Removed::Gone);
            }
            self.count(task, gone);
            swept += gone;
            tokio::task::yield_now().await;
        }
        Ok(swept)
    }

    /// Gives every entry the value that `wanted` makes of it, where that is one. An entry that changes meanwhile is looked at again.
    async fn change_all(
        &self,
        task: &'static str,
        collection: CollectionId,
        wanted: impl Fn(&Entry) -> Option<Vec<u8>>,
    ) -> Result<(), Stop> {
        let mut pages = Pages::new(collection, Scope::All);
        while let Some(entries) = pages.next(self)? {
            let mut changed = 0;
            for entry in entries {
                let mut found = Some(entry);
                while let Some(entry) = found.take()
                    && let Some(value) = wanted(&entry)
                {
                    let key = entry.key().to_vec();
                    let op = Op::Put { collection, key: key.clone(), value };
                    if self.commit(collection, &entry, op).await? {
                        changed += 1;
                    } else {
                        found = self.store.get(collection, &key);
                    }
                }
            }
            self.count(task, changed);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn count(&self, task: &'static str, gone: u64) {
        self.metrics.swept(task, gone);
        if gone > 0 {
            tracing::info!(task, gone, "swept");
        }
    }

    /// Deletes an entry, or marks it as being deleted while finalizers hold it, as any other deletion does. One that changed meanwhile is judged again in the
    /// next round.
    async fn remove(&self, collection: CollectionId, entry: &Entry) -> Result<Removed, Stop> {
        let now_s = eartag_core::time::seconds(World::now_ms(self.world.as_ref()));
        let Some(op) = removal(collection, entry, now_s) else { return Ok(Removed::Kept) };
        let outcome = if matches!(op, Op::Delete { .. }) { Removed::Gone } else { Removed::Kept };
        Ok(if self.commit(collection, entry, op).await? { outcome } else { Removed::Kept })
    }

    /// Writes to an entry if it is still the one that was judged; whether it was.
    async fn commit(&self, collection: CollectionId, entry: &Entry, op: Op) -> Result<bool, Stop> {
        self.commit_all(vec![unchanged(collection, entry)], vec![op]).await
    }

    /// Writes if all of this still holds; whether it did.
    async fn commit_all(&self, conditions: Vec<Condition>, ops: Vec<Op>) -> Result<bool, Stop> {
        let commit = Commit { conditions, ops, lane: Lane::Bulk };
        tokio::select! {
            biased;
            () = self.shutdown.drained() => Err(Stop::Shutdown),
            committed = self.store.commit(commit) => match committed {
                Ok(_) => Ok(true),
                Err(CommitError::Conflict { .. }) => Ok(false),
                Err(error) => Err(Stop::Store(error)),
            },
        }
    }
}

/// What deletes an entry, or marks it while finalizers hold it; `None` where nothing is to be done.
pub fn removal(collection: CollectionId, entry: &Entry, now_s: i64) -> Option<Op> {
    let key = entry.key().to_vec();
    // Corrupt: an administrator's to delete (DEC23).
    let meta = frame::meta(entry.value())?;
    if meta.finalizers.is_empty() {
        return Some(Op::Delete { collection, key });
    }
    if meta.deleted_s.is_some() {
        return None;
    }
    let meta = Meta { deleted_s: Some(now_s), generation: meta.generation.saturating_add(1), ..meta };
    Some(Op::Put { collection, key, value: frame::frame(body(entry), &meta) })
}

/// That an entry is the one that was judged.
fn unchanged(collection: CollectionId, entry: &Entry) -> Condition {
    Condition::ModRevision { collection, key: entry.key().to_vec(), revision: entry.modified() }
}

/// A collection, page by page.
struct Pages {
    collection: CollectionId,
    scope: Scope,
    after: Option<Vec<u8>>,
    done: bool,
}

impl Pages {
    fn new(collection: CollectionId, scope: Scope) -> Pages {
        Pages { collection, scope, after: None, done: false }
    }

    fn next(&mut self, sweeper: &Sweeper) -> Result<Option<Vec<Entry>>, Stop> {
        if self.done {
            return Ok(None);
        }
        if self.after.is_some() && sweeper.shutdown.requested() {
            return Err(Stop::Shutdown);
        }
        let range = Range {
            collection: self.collection,
            scope: self.scope.clone(),
            after: self.after.take(),
            limit: BATCH,
            at: None,
        };
        let page = sweeper.store.range(&range).map_err(|_| Stop::Again)?;
        self.done = !page.more;
        self.after = page.entries.last().map(|entry| entry.key().to_vec());
        Ok(Some(page.entries))
    }
}

/// What became of an entry that was judged dead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removed {
    Gone,
    /// For now.
    Kept,
}

/// Why a round ended early.
pub(crate) enum Stop {
    /// The server stops.
    Shutdown,
    /// Everything must be looked at again.
    Again,
    /// The store takes no writes.
    Store(CommitError),
}

fn body(entry: &Entry) -> &[u8] {
    frame::split(entry.value()).map(|(body, _)| body).unwrap_or_default()
}

/// Whether the very user that owns a token still exists.
pub fn owner_exists(tables: &Tables, owner: &str, uid: Uid) -> bool {
    tables.verifier.owner(owner).is_some_and(|state| state.uid == uid)
}

#[cfg(test)]
pub(crate) mod tests;
