//! The one place where legacy-face tokens come into being: logins, and whatever else the server itself makes (DEC21, DEC22, DEC30).

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::World;
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::{EXT_TOKENS, LEGACY_TOKENS, USERS};
use eartag_core::features::Features;
use eartag_core::names::random_name;
use eartag_core::secret::{PlainSecret, Random};
use eartag_core::time::{rfc3339, seconds};
use eartag_core::{Face, LegacyTokenRecord};
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Store};

use super::last_login;
use crate::hashing;
use crate::resources::tokens::cluster_condition;

/// Names are drawn so often before giving up; with 14 million of them one draw nearly always does.
const DRAWS: usize = 8;

/// The condition that the owner is still there, among those of a commit.
const OWNER: usize = 2;

/// A token that was stored. The secret exists nowhere else.
#[derive(Debug)]
pub struct Issued {
    /// Its name.
    pub name: String,
    /// The whole bearer value, `name:secret`.
    pub bearer: PlainSecret,
    /// When it expires, RFC 3339; empty for never.
    pub expires_at: String,
}

/// Draws a record and its secret for a token made in that second; the flag says whether it carries the mark of hashed tokens.
pub trait Draw: Fn(i64, bool, Random<'_>) -> (LegacyTokenRecord, PlainSecret) + Send + Sync {}
impl<F: Fn(i64, bool, Random<'_>) -> (LegacyTokenRecord, PlainSecret) + Send + Sync> Draw for F {}

/// Makes a token whose name begins with `prefix` for a user, whose entry is as it was when the caller decided that they may have one. `login`: a password was asked,
/// which is noted as the user's last login.
///
/// # Errors
/// 409 when the user was re-created or is gone, or when no free name was found; 400 when the cluster that it is restricted to is gone; what the store says.
pub async fn issue(
    store: &Store,
    features: &Features,
    world: &dyn World,
    owner: &Entry,
    prefix: &str,
    login: bool,
    draw: impl Draw,
) -> Result<Issued, Refusal> {
    let random = &mut |bytes: &mut [u8]| world.random(bytes);
    let created_s = seconds(world.now_ms());

    for attempt in 0..DRAWS {
        let name = random_name(prefix, random);
        let hashing::Mark { on, condition } = hashing::mark(store, features);
        let (record, secret) = draw(created_s, on, random);
        let mut uid = [0; 16];
        random(&mut uid);
        let meta = Meta { uid: Uid::from_random(uid), created_s, generation: 1, ..Meta::default() };
        let key = name.clone().into_bytes();
        let mut commit = Commit {
            conditions: vec![
                Condition::Absent { collection: LEGACY_TOKENS, key: key.clone() },
                Condition::Absent { collection: EXT_TOKENS, key: key.clone() },
                Condition::CreateRevision {
                    collection: USERS,
                    key: owner.key().to_vec(),
                    revision: owner.created(),
                },
                condition,
            ],
            ops: vec![Op::Put {
                collection: LEGACY_TOKENS,
                key,
                value: frame::frame(&record.encode(), &meta),
            }],
            lane: Lane::Interactive,
        };
        // Whoever loses against other logins of the same user again and again leaves the note to them.
        commit.conditions.extend(
            cluster_condition(store, &record.credential.cluster)
                .map_err(|why| Refusal::BadRequest(why.to_string()))?,
        );
        if login && attempt < DRAWS / 2 {
            last_login::note(store, owner, record.credential.owner_uid, created_s, random, &mut commit);
        }
        match store.commit(commit).await {
            Ok(_) => {
                let expires_ms = record.credential.lifetime.expires_ms(created_s);
                return Ok(Issued {
                    bearer: Face::Legacy.bearer(&name, &secret),
                    name,
                    expires_at: expires_ms.map(|ms| rfc3339(seconds(ms))).unwrap_or_default(),
                });
            }
            // The name is taken, the feature was switched, the cluster changed, or another login of the same user was noted meanwhile.
            Err(CommitError::Conflict { condition }) if condition != OWNER => {}
            Err(CommitError::Conflict { .. }) => {
                return Err(Refusal::Conflict("the user was deleted meanwhile".to_owned()));
            }
            Err(error) => return Err(commit_refusal(error)),
        }
    }
    Err(Refusal::NoFreeName)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use eartag_core::collections;
    use eartag_core::features::FeatureDefaults;
    use eartag_core::record::UserRecord;
    use eartag_core::token::login;
    use eartag_core::ttl::Minutes;
    use eartag_core::verifier::{OwnerState, Place, Presented, Verdict, Verifier};
    use eartag_storage::{Change, CollectionId, Memory, Observer, Options};

    use super::*;

    struct Follows(Arc<Verifier>);

    impl Observer for Follows {
        fn load(&self, collection: CollectionId, entry: &Entry) {
            self.0.load(collection, entry);
        }
        fn apply(&self, changes: &[Change]) {
            self.0.apply(changes);
        }
    }

    /// Counts up, and repeats its first `same` draws, so that names collide.
    struct Scripted {
        draws: AtomicU64,
        same: u64,
    }

    impl World for Scripted {
        fn now_ms(&self) -> u64 {
            1_800_000_000_500
        }
        fn random(&self, bytes: &mut [u8]) {
            let draw = self.draws.fetch_add(1, Ordering::Relaxed);
            let seed = if draw < self.same { 0 } else { draw };
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from((seed * 31 + u64::try_from(i).unwrap() * 7) % 243).unwrap();
            }
        }
    }

    async fn store_with_user() -> (Store, Arc<Verifier>, Entry) {
        let verifier = Arc::new(Verifier::new());
        let observer = Arc::new(Follows(Arc::clone(&verifier)));
        let store = Store::open(Box::new(Memory::new()), collections::all(), observer, Options::default())
            .await
            .unwrap();
        let record = UserRecord { username: "ann".into(), ..UserRecord::default() };
        let meta = Meta { uid: Uid::from_random([5; 16]), ..Meta::default() };
        let value = frame::frame(&record.encode(), &meta);
        let op = Op::Put { collection: USERS, key: b"user-ann".to_vec(), value };
        store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
        let owner = store.get(USERS, b"user-ann").unwrap();
        (store, verifier, owner)
    }

    async fn try_issue(
        store: &Store,
        user: &OwnerState,
        world: &Scripted,
        owner: &Entry,
    ) -> Result<Issued, Refusal> {
        let features = Features::new(FeatureDefaults::default());
        issue(store, &features, world, owner, "token-", true, |now_s, hashed, random| {
            login("user-ann", user, "", Minutes::from_millis(960 * 60_000), hashed, now_s, random)
        })
        .await
    }

    #[tokio::test]
    async fn a_new_token_is_good_at_once_and_its_secret_is_not_stored() {
        let (store, verifier, owner) = store_with_user().await;
        let user = verifier.owner("user-ann").unwrap();
        let world = Scripted { draws: AtomicU64::new(0), same: 0 };
        let issued = try_issue(&store, &user, &world, &owner).await.unwrap();
        assert!(issued.name.starts_with("token-") && issued.name.len() == 11);
        assert_eq!(issued.expires_at, rfc3339(1_800_000_000 + 57_600));
        let presented = Presented::parse(issued.bearer.expose()).unwrap();
        let Verdict::Good(accepted) = verifier.check(&presented, Place::Global, 1_800_000_001_000) else {
            panic!()
        };
        assert_eq!((accepted.owner.as_str(), accepted.session, accepted.derived), ("user-ann", true, false));
        let entry = store.get(LEGACY_TOKENS, issued.name.as_bytes()).unwrap();
        let secret = issued.bearer.expose().split_once(':').unwrap().1.as_bytes();
        assert!(!entry.value().windows(secret.len()).any(|w| w == secret));
    }

    #[tokio::test]
    async fn a_taken_name_is_drawn_again() {
        let (store, verifier, owner) = store_with_user().await;
        let user = verifier.owner("user-ann").unwrap();
        let world = Scripted { draws: AtomicU64::new(0), same: 6 };
        let first = try_issue(&store, &user, &world, &owner).await.unwrap();
        let world = Scripted { draws: AtomicU64::new(0), same: 6 };
        let second = try_issue(&store, &user, &world, &owner).await.unwrap();
        assert_ne!(first.name, second.name);
        let stuck = Scripted { draws: AtomicU64::new(0), same: u64::MAX };
        assert_eq!(try_issue(&store, &user, &stuck, &owner).await.map(|i| i.name), Err(Refusal::NoFreeName));
    }

    #[tokio::test]
    async fn a_user_who_was_deleted_meanwhile_gets_no_token() {
        let (store, verifier, owner) = store_with_user().await;
        let user = verifier.owner("user-ann").unwrap();
        let delete = Op::Delete { collection: USERS, key: b"user-ann".to_vec() };
        store.commit(Commit { ops: vec![delete], ..Commit::default() }).await.unwrap();
        let world = Scripted { draws: AtomicU64::new(0), same: 0 };
        assert!(matches!(try_issue(&store, &user, &world, &owner).await, Err(Refusal::Conflict(_))));
        assert_eq!(store.count(LEGACY_TOKENS, &eartag_storage::Scope::All), 0);
    }
}
