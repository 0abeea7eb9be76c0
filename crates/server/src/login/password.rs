//! Passwords of local users: checked, changed and stored in one place, for `/v3/users`, logins and password change requests (DEC51, v3-token.md §5.6).
//!
//! Hashing runs in the bounded pool; a password is in memory in clear only for the request that carries it.

use std::net::IpAddr;
use std::sync::Arc;

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::World;
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::{MODIFIED, Refusal};
use eartag_core::PasswordHash;
use eartag_core::collections::{PASSWORDS, SETTINGS, USERS};
use eartag_core::password::{PasswordRefusal, check_new};
use eartag_core::record::{PasswordRecord, SettingRecord, UserRecord};
use eartag_core::secret::PlainSecret;
use eartag_core::settings::{FIRST_LOGIN, Source};
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Store};

use crate::authn::Busy;
use crate::observer::Tables;
use crate::state::State;
use crate::throttle::RetryAfter;

/// Writes that lost a race are tried so often.
const ATTEMPTS: usize = 8;

/// What password work needs.
#[derive(Clone)]
pub struct Passwords {
    store: Store,
    tables: Arc<Tables>,
    world: Arc<dyn World>,
}

/// Why a password was not changed.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeError {
    /// One of the two passwords is not acceptable.
    Password(PasswordRefusal),
    /// Anything else.
    Refused(Refusal),
}

impl Passwords {
    /// Over these parts of a server.
    #[must_use]
    pub fn new(store: Store, tables: Arc<Tables>, world: Arc<dyn World>) -> Passwords {
        Passwords { store, tables, world }
    }

    /// Those of a running server.
    #[must_use]
    pub fn of(state: &State) -> Passwords {
        Passwords::new(state.store.clone(), Arc::clone(&state.tables), Arc::clone(&state.world))
    }

    /// Whether a password may be set for the user with this login name.
    ///
    /// # Errors
    /// [`PasswordRefusal`].
    pub fn check_new(&self, plain: &PlainSecret, username: &str) -> Result<(), PasswordRefusal> {
        check_new(plain, username, self.tables.settings.snapshot().password_min_length)
    }

    /// The stored hash of a user's password.
    #[must_use]
    pub fn stored(&self, user: &str) -> Option<PasswordHash> {
        self.store.get(PASSWORDS, user.as_bytes()).and_then(|entry| hash_of(&entry))
    }

    /// Hashes a password for storing.
    ///
    /// # Errors
    /// 429 when too many wait.
    pub async fn hash(&self, plain: Arc<PlainSecret>) -> Result<PasswordHash, Refusal> {
        let mut salt = [0; 32];
        self.world.random(&mut salt);
        self.tables.gate.pool.run(move || PasswordHash::make(&plain, salt)).await.map_err(busy)
    }

    /// Whether the password is the one that was hashed.
    ///
    /// # Errors
    /// 429 when too many wait.
    pub async fn verify(&self, hash: PasswordHash, plain: Arc<PlainSecret>) -> Result<bool, Refusal> {
        self.tables.gate.pool.run(move || hash.verify(&plain)).await.map_err(busy)
    }

    /// Stores a hash for an existing user. `must_change` also sets that flag of the user, in the same commit.
    ///
    /// # Errors
    /// 404 if there is no such user; what the store says.
    pub async fn set(
        &self,
        user: &str,
        hash: PasswordHash,
        must_change: Option<bool>,
    ) -> Result<(), Refusal> {
        let key = user.as_bytes().to_vec();
        for _ in 0..ATTEMPTS {
            let owner = self.store.get(USERS, &key).ok_or(Refusal::NotFound)?;
            let mut commit = Commit { lane: Lane::Interactive, ..Commit::default() };
            commit.ops.push(self.put_password(&key, &hash));
            match must_change.and_then(|must| with_must_change(&owner, must)) {
                Some(value) => {
                    let (collection, revision) = (USERS, owner.modified());
                    commit.conditions.push(Condition::ModRevision { collection, key: key.clone(), revision });
                    commit.ops.push(Op::Put { collection, key: key.clone(), value });
                }
                None => {
                    let (collection, revision) = (USERS, owner.created());
                    commit.conditions.push(Condition::CreateRevision {
                        collection,
                        key: key.clone(),
                        revision,
                    });
                }
            }
            if must_change.is_some() {
                self.end_first_login(&mut commit);
            }
            match self.store.commit(commit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) => tokio::task::yield_now().await,
                Err(error) => return Err(commit_refusal(error)),
            }
        }
        Err(Refusal::Conflict(MODIFIED.to_owned()))
    }

    /// Replaces an outdated hash of a password that was just verified. Losing a race to a real change is fine: that one stays.
    pub async fn refresh(&self, user: &str, plain: Arc<PlainSecret>) -> Result<(), Refusal> {
        let key = user.as_bytes().to_vec();
        let Some(before) = self.store.get(PASSWORDS, &key) else { return Ok(()) };
        let hash = self.hash(plain).await?;
        let revision = before.modified();
        let commit = Commit {
            conditions: vec![Condition::ModRevision { collection: PASSWORDS, key: key.clone(), revision }],
            ops: vec![self.put_password(&key, &hash)],
            lane: Lane::Interactive,
        };
        match self.store.commit(commit).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(commit_refusal(error)),
        }
    }

    /// Changes a user's own password. Wrong current passwords count as failed logins.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change(
        &self,
        user: &str,
        current: PlainSecret,
        new: PlainSecret,
        client: IpAddr,
    ) -> Result<(), ChangeError> {
        self.check_change(user, current, &new, client).await?;
        let hash = self.hash(Arc::new(new)).await.map_err(ChangeError::Refused)?;
        self.set(user, hash, Some(false)).await.map_err(ChangeError::Refused)
    }

    /// All that can be wrong with a change of a user's own password. Wrong current passwords count as failed logins here too.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn check_change(
        &self,
        user: &str,
        current: PlainSecret,
        new: &PlainSecret,
        client: IpAddr,
    ) -> Result<(), ChangeError> {
        let owner = self.store.get(USERS, user.as_bytes()).ok_or(ChangeError::Refused(Refusal::NotFound))?;
        let username = record_of(&owner).map(|record| record.username).unwrap_or_default();
        let stored = self.stored(user).ok_or(ChangeError::Password(PasswordRefusal::WrongCurrent))?;
        if current.expose().is_empty() {
            return Err(ChangeError::Password(PasswordRefusal::NoCurrent));
        }
        self.check_new(new, &username).map_err(ChangeError::Password)?;
        let attempt = self
            .tables
            .gate
            .logins
            .begin(&username, client, self.world.now_ms())
            .map_err(|retry| ChangeError::Refused(throttled(retry)))?;
        let same = current.expose() == new.expose();
        match self.verify(stored, Arc::new(current)).await {
            Ok(true) => attempt.succeeded(),
            Ok(false) => return Err(ChangeError::Password(PasswordRefusal::WrongCurrent)),
            Err(refusal) => {
                attempt.undecided();
                return Err(ChangeError::Refused(refusal));
            }
        }
        // Only whoever knows the current password learns that the new one is the same.
        if same {
            return Err(ChangeError::Password(PasswordRefusal::SameAsCurrent));
        }
        Ok(())
    }

    fn put_password(&self, key: &[u8], hash: &PasswordHash) -> Op {
        let mut uid = [0; 16];
        self.world.random(&mut uid);
        let meta = Meta {
            uid: Uid::from_random(uid),
            created_s: eartag_core::time::seconds(self.world.now_ms()),
            generation: 1,
            ..Meta::default()
        };
        let value = frame::frame(&PasswordRecord { hash: hash.clone() }.encode(), &meta);
        Op::Put { collection: PASSWORDS, key: key.to_vec(), value }
    }

    /// The setting `first-login` is `true` until somebody has set a password (v3-token.md §5.7).
    fn end_first_login(&self, commit: &mut Commit) {
        let effective = self.tables.settings.effective(FIRST_LOGIN);
        if effective.value != "true" || effective.source == Source::Env {
            return;
        }
        let key = FIRST_LOGIN.as_bytes().to_vec();
        let Some(entry) = self.store.get(SETTINGS, &key) else { return };
        let Some(meta) = frame::meta(entry.value()) else { return };
        let meta = Meta { generation: meta.generation.saturating_add(1), ..meta };
        let record = SettingRecord { value: "false".to_owned(), env: false };
        let (collection, revision) = (SETTINGS, entry.modified());
        commit.conditions.push(Condition::ModRevision { collection, key: key.clone(), revision });
        commit.ops.push(Op::Put { collection, key, value: frame::frame(&record.encode(), &meta) });
    }
}

/// 429 for a full pool.
pub(super) fn busy(_: Busy) -> Refusal {
    Refusal::TooManyRequests {
        message: "too many passwords are being checked at the moment, please try again later".to_owned(),
        retry_after_s: 1,
    }
}

/// 429 for too many failures.
pub(super) fn throttled(RetryAfter(seconds): RetryAfter) -> Refusal {
    Refusal::TooManyRequests {
        message: format!("too many failed attempts, please try again in {seconds} seconds"),
        retry_after_s: seconds,
    }
}

fn hash_of(entry: &Entry) -> Option<PasswordHash> {
    let (body, _) = frame::split(entry.value())?;
    PasswordRecord::decode(body).map(|record| record.hash)
}

/// A user's record.
pub(super) fn record_of(entry: &Entry) -> Option<UserRecord> {
    let (body, _) = frame::split(entry.value())?;
    UserRecord::decode(body)
}

/// The user's value with the flag set so; `None` if it already is.
fn with_must_change(owner: &Entry, must_change_password: bool) -> Option<Vec<u8>> {
    let record = record_of(owner)?;
    if record.must_change_password == must_change_password {
        return None;
    }
    let meta = frame::meta(owner.value())?;
    let meta = Meta { generation: meta.generation.saturating_add(1), ..meta };
    Some(frame::frame(&UserRecord { must_change_password, ..record }.encode(), &meta))
}
