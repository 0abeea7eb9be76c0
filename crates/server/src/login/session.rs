//! The one place where legacy-face tokens come into being: logins, and whatever else the server itself makes (DEC21, DEC22, DEC30).

use std::collections::BTreeMap;

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::kind::World;
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::{EXT_TOKENS, LEGACY_TOKENS, USERS};
use eartag_core::names::random_name;
use eartag_core::record::{Credential, LegacyTokenRecord, Principal};
use eartag_core::secret::PlainSecret;
use eartag_core::time::{rfc3339, seconds};
use eartag_core::{Face, Lifetime};
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Store};

use super::last_login;

/// Names are drawn so often before giving up; with 14 million of them one draw nearly always does.
const DRAWS: usize = 8;

/// The condition that the owner is still there, among those of a commit.
const OWNER: usize = 2;

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What the name begins with, e.g. `token-`.
    pub prefix: String,
    /// `session`, or another kind; may be empty.
    pub kind: String,
    /// Whether it is a login's token, which may idle out; all others count as derived.
    pub session: bool,
    /// Who logged in.
    pub principal: Principal,
    /// The authentication provider, such as `local`.
    pub auth_provider: String,
    /// For people.
    pub description: String,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The cluster it is restricted to, or empty.
    pub cluster: String,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it carries the annotation of hashed tokens: the effective value of `token-hashing` (DEC31).
    pub hashed_mark: bool,
}

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

/// Makes a token for a user, whose entry is as it was when the caller decided that they may have one.
///
/// # Errors
/// 409 when the user was re-created or is gone, or when no free name was found; what the store says.
pub async fn issue(
    store: &Store,
    world: &dyn World,
    owner: &Entry,
    token: &NewToken,
) -> Result<Issued, Refusal> {
    let owner_name = String::from_utf8_lossy(owner.key()).into_owned();
    let owner_head = frame::head(owner.value())
        .ok_or_else(|| Refusal::Internal("the user's record is corrupt".to_owned()))?;
    let random = &mut |bytes: &mut [u8]| world.random(bytes);
    let created_s = seconds(world.now_ms());

    for _ in 0..DRAWS {
        let name = random_name(&token.prefix, random);
        let secret = PlainSecret::token(random);
        let (mut salt, mut uid) = ([0; 8], [0; 16]);
        random(&mut salt);
        random(&mut uid);
        let record = LegacyTokenRecord {
            credential: Credential {
                owner: owner_name.clone(),
                owner_uid: owner_head.uid,
                hash: Face::Legacy.hash(&secret, salt),
                lifetime: token.lifetime,
                enabled: true,
                cluster: token.cluster.clone(),
                session: token.session,
                principal: token.principal.clone(),
                kind: token.kind.clone(),
                description: token.description.clone(),
                last_update_s: created_s,
            },
            derived: !token.session,
            auth_provider: token.auth_provider.clone(),
            hashed_mark: token.hashed_mark,
        };
        let meta = Meta {
            uid: Uid::from_random(uid),
            created_s,
            generation: 1,
            labels: labels(&owner_name, token),
            ..Meta::default()
        };
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
            ],
            ops: vec![Op::Put {
                collection: LEGACY_TOKENS,
                key,
                value: frame::frame(&record.encode(), &meta),
            }],
            lane: Lane::Interactive,
        };
        if token.session {
            last_login::note(store, owner, owner_head.uid, created_s, random, &mut commit);
        }
        match store.commit(commit).await {
            Ok(_) => {
                let expires_ms = token.lifetime.expires_ms(created_s);
                return Ok(Issued {
                    bearer: Face::Legacy.bearer(&name, &secret),
                    name,
                    expires_at: expires_ms.map(|ms| rfc3339(seconds(ms))).unwrap_or_default(),
                });
            }
            // The name is taken, or another login of the same user was noted meanwhile.
            Err(CommitError::Conflict { condition }) if condition != OWNER => {}
            Err(CommitError::Conflict { .. }) => {
                return Err(Refusal::Conflict("the user was deleted meanwhile".to_owned()));
            }
            Err(error) => return Err(commit_refusal(error)),
        }
    }
    Err(Refusal::NoFreeName)
}

fn labels(owner: &str, token: &NewToken) -> BTreeMap<String, String> {
    let mut labels = token.labels.clone();
    labels.insert(Face::Legacy.owner_label().to_owned(), owner.to_owned());
    if !token.kind.is_empty() {
        labels.insert(Face::Legacy.kind_label().to_owned(), token.kind.clone());
    }
    labels
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use eartag_core::collections;
    use eartag_core::record::UserRecord;
    use eartag_core::verifier::{Place, Presented, Verdict, Verifier};
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

    fn session() -> NewToken {
        NewToken {
            prefix: "token-".into(),
            kind: "session".into(),
            session: true,
            principal: Principal::local("user-ann", "ann", "Ann"),
            auth_provider: "local".into(),
            description: String::new(),
            lifetime: Lifetime::For(57_600_000),
            cluster: String::new(),
            labels: BTreeMap::new(),
            hashed_mark: false,
        }
    }

    #[tokio::test]
    async fn a_new_token_is_good_at_once_and_its_secret_is_not_stored() {
        let (store, verifier, owner) = store_with_user().await;
        let world = Scripted { draws: AtomicU64::new(0), same: 0 };
        let issued = issue(&store, &world, &owner, &session()).await.unwrap();
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
        let labels = frame::meta(entry.value()).unwrap().labels;
        assert_eq!(labels["authn.management.cattle.io/token-userId"], "user-ann");
        assert_eq!(labels["authn.management.cattle.io/kind"], "session");
    }

    #[tokio::test]
    async fn a_taken_name_is_drawn_again() {
        let (store, _, owner) = store_with_user().await;
        let world = Scripted { draws: AtomicU64::new(0), same: 6 };
        let first = issue(&store, &world, &owner, &session()).await.unwrap();
        let world = Scripted { draws: AtomicU64::new(0), same: 6 };
        let second = issue(&store, &world, &owner, &session()).await.unwrap();
        assert_ne!(first.name, second.name);
        let stuck = Scripted { draws: AtomicU64::new(0), same: u64::MAX };
        assert_eq!(issue(&store, &stuck, &owner, &session()).await.map(|i| i.name), Err(Refusal::NoFreeName));
    }

    #[tokio::test]
    async fn a_user_who_was_deleted_meanwhile_gets_no_token() {
        let (store, _, owner) = store_with_user().await;
        let delete = Op::Delete { collection: USERS, key: b"user-ann".to_vec() };
        store.commit(Commit { ops: vec![delete], ..Commit::default() }).await.unwrap();
        let world = Scripted { draws: AtomicU64::new(0), same: 0 };
        assert!(matches!(issue(&store, &world, &owner, &session()).await, Err(Refusal::Conflict(_))));
        assert_eq!(store.count(LEGACY_TOKENS, &eartag_storage::Scope::All), 0);
    }
}
