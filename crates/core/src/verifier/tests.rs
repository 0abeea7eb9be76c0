#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_api::meta::Meta;

use super::*;
use crate::collections::{EXT_TOKENS, LEGACY_TOKENS, SETTINGS, USERS};
use crate::record::{Credential, SettingRecord, UserRecord};
use crate::secret::PlainSecret;
use crate::testing::{self, CREATED_S, Feed, SECRET, framed};
use crate::ttl::Lifetime;

const NOW: u64 = 1_780_000_000_000;
const USER_UID: Uid = Uid::from_random([3; 16]);
const TOKEN_UID: Uid = Uid::from_random([7; 16]);

/// A verifier over a store with the user `user-1` and their ext token `token-a`.
struct World {
    verifier: Verifier,
    feed: Feed,
}

impl World {
    fn new() -> Self {
        Self::with(&Overrides::default())
    }

    fn with(overrides: &Overrides) -> Self {
        let verifier = Verifier::with(Arc::default(), overrides);
        let mut world = Self { verifier, feed: Feed::default() };
        world.user(
            "user-1",
            &UserRecord { username: "ann".into(), ..UserRecord::default() },
            Meta { uid: USER_UID, ..Meta::default() },
        );
        world.token(|_| {});
        world
    }

    fn put(&mut self, collection: CollectionId, key: &str, value: Vec<u8>) {
        self.verifier.apply(&self.feed.put(collection, key, value));
    }

    fn user(&mut self, name: &str, record: &UserRecord, meta: Meta) {
        self.put(USERS, name, frame::frame(&record.encode(), &meta));
    }

    fn token(&mut self, change: impl FnOnce(&mut Credential)) {
        self.token_with(change, Meta { uid: TOKEN_UID, created_s: CREATED_S, ..Meta::default() });
    }

    fn token_with(&mut self, change: impl FnOnce(&mut Credential), meta: Meta) {
        let mut credential = testing::credential("user-1");
        change(&mut credential);
        self.put(EXT_TOKENS, "token-a", frame::frame(&TokenRecord { credential }.encode(), &meta));
    }

    fn delete(&mut self, collection: CollectionId, key: &str) {
        self.verifier.apply(&self.feed.delete(collection, key));
    }

    fn check(&self, text: &str, place: Place<'_>, now_ms: u64) -> Result<Accepted, Reason> {
        result(self.verifier.check(&Presented::parse(text).unwrap(), place, now_ms))
    }

    /// The ext token, presented with the right secret at no cluster.
    fn usual(&self) -> Result<Accepted, Reason> {
        self.check(&format!("ext/token-a:{SECRET}"), Place::Global, NOW)
    }

    fn reason(&self) -> Reason {
        self.usual().unwrap_err()
    }
}

fn result(verdict: Verdict) -> Result<Accepted, Reason> {
    match verdict {
        Verdict::Good(accepted) => Ok(Arc::unwrap_or_clone(accepted)),
        Verdict::Bad(reason) => Err(reason),
        Verdict::Slow(_) => panic!("not a slow one"),
    }
}

#[test]
fn a_good_token_says_whose_it_is() {
    let accepted = World::new().usual().unwrap();
    assert_eq!((accepted.name.as_str(), accepted.face, accepted.uid), ("token-a", Face::Ext, TOKEN_UID));
    assert_eq!(
        (accepted.owner.as_str(), accepted.owner_uid, accepted.username.as_str()),
        ("user-1", USER_UID, "ann")
    );
    assert_eq!(accepted.expires_ms, Some(NOW + 7_776_000_000));
    assert_eq!(
        (accepted.principal.name.as_str(), accepted.auth_provider.as_str()),
        ("local://user-1", "local")
    );
    assert!(accepted.derived && !accepted.session);
}

#[test]
fn what_is_remembered_of_a_token_ends_with_any_change_of_it_or_of_its_owner() {
    let mut world = World::new();
    let first = world.usual().unwrap();
    assert_eq!(world.usual(), Ok(first.clone()), "remembered");
    world.token(|token| token.kind = "ci".into());
    assert_eq!(world.usual(), Ok(Accepted { kind: "ci".into(), ..first.clone() }));
    let renamed = UserRecord { username: "anna".into(), ..UserRecord::default() };
    world.user("user-1", &renamed, Meta { uid: USER_UID, ..Meta::default() });
    assert_eq!(world.usual(), Ok(Accepted { kind: "ci".into(), username: "anna".into(), ..first.clone() }));
    world.token(|token| token.cluster = "c-1".into());
    assert_eq!(world.reason(), Reason::WrongCluster);
    world.delete(EXT_TOKENS, "token-a");
    assert_eq!(world.reason(), Reason::UnknownToken);
    // Tokens that share a place in the memory are not mixed up.
    world.token(|_| {});
    let other = testing::credential("user-2");
    let meta = Meta { uid: TOKEN_UID, created_s: CREATED_S, ..Meta::default() };
    world.put(EXT_TOKENS, "token-b", frame::frame(&TokenRecord { credential: other }.encode(), &meta));
    world.user("user-2", &UserRecord::default(), Meta { uid: USER_UID, ..Meta::default() });
    for _ in 0..2 {
        assert_eq!(world.usual().unwrap().owner, "user-1");
        let second = world.check(&format!("ext/token-b:{SECRET}"), Place::Global, NOW);
        assert_eq!(second.map(|accepted| accepted.name), Ok("token-b".to_owned()));
    }
}

#[test]
fn an_ext_token_without_its_prefix_is_unknown() {
    let world = World::new();
    let seen = world.check(&format!("token-a:{SECRET}"), Place::Global, NOW);
    assert_eq!(seen, Err(Reason::UnknownToken));
}

#[test]
fn a_legacy_token_with_the_prefix_is_unknown() {
    let mut world = World::new();
    let mut credential = testing::credential("user-1");
    credential.hash = SecretHash::sha256(&PlainSecret::new(SECRET), [4; 8]);
    let record =
        LegacyTokenRecord { credential, derived: false, auth_provider: "local".into(), hashed_mark: false };
    world.put(LEGACY_TOKENS, "token-b", framed(&record.encode()));
    let accepted = world.check(&format!("token-b:{SECRET}"), Place::Global, NOW).unwrap();
    assert!(accepted.face == Face::Legacy && !accepted.derived);
    assert_eq!(world.check(&format!("ext/token-b:{SECRET}"), Place::Global, NOW), Err(Reason::UnknownToken));
    assert_eq!(world.verifier.token("token-b").map(|(face, _)| face), Some(Face::Legacy));
}

#[test]
fn unknown_names_and_wrong_secrets_are_refused() {
    let world = World::new();
    assert_eq!(world.check("ext/token-x:secret", Place::Any, NOW), Err(Reason::UnknownToken));
    assert_eq!(world.check("ext/token-a:secret", Place::Any, NOW), Err(Reason::WrongSecret));
}

#[test]
fn a_wrong_secret_is_all_that_is_said_of_a_token_that_is_off_as_well() {
    let mut world = World::new();
    world.token(|token| token.enabled = false);
    assert_eq!(world.check("ext/token-a:secret", Place::Any, NOW), Err(Reason::WrongSecret));
    assert_eq!(world.reason(), Reason::Disabled);
}

#[test]
fn a_deleted_token_is_refused_at_once() {
    let mut world = World::new();
    world.verifier.usage().touch(TOKEN_UID, 5);
    world.delete(EXT_TOKENS, "token-a");
    assert_eq!(world.reason(), Reason::UnknownToken);
    assert!(world.verifier.is_empty(Face::Ext));
    assert_eq!(world.verifier.usage().get(TOKEN_UID).last_used_s, None);
}

#[test]
fn a_token_with_a_deletion_timestamp_is_refused() {
    let mut world = World::new();
    world.token_with(
        |_| {},
        Meta { uid: TOKEN_UID, created_s: CREATED_S, deleted_s: Some(1), ..Meta::default() },
    );
    assert_eq!(world.reason(), Reason::BeingDeleted);
}

#[test]
fn expiry_is_exact_to_the_millisecond() {
    let mut world = World::new();
    world.token(|token| token.lifetime = Lifetime::For(1500));
    let text = format!("ext/token-a:{SECRET}");
    assert!(world.check(&text, Place::Global, NOW + 1499).is_ok());
    assert_eq!(world.check(&text, Place::Global, NOW + 1500), Err(Reason::Expired));
    world.token(|token| token.lifetime = Lifetime::Forever);
    assert!(world.check(&text, Place::Global, u64::MAX).is_ok());
}

#[test]
fn a_session_idles_out_after_its_last_reported_activity() {
    let mut world = World::new();
    world.token(|token| token.session = true);
    let text = format!("ext/token-a:{SECRET}");
    let at = |ms: u64| world.check(&text, Place::Global, NOW + ms);
    assert!(at(960 * 60_000 + 1).is_ok(), "no activity was ever reported");
    world.verifier.usage().report_activity(TOKEN_UID, CREATED_S);
    assert!(at(960 * 60_000).is_ok());
    assert_eq!(at(960 * 60_000 + 1), Err(Reason::Idle));
}

#[test]
fn only_sessions_idle_out() {
    let world = World::new();
    world.verifier.usage().report_activity(TOKEN_UID, 1);
    assert!(world.usual().is_ok());
}

#[test]
fn the_idle_timeout_follows_its_setting_at_once() {
    let mut world = World::new();
    let set = |world: &mut World, value: &str| {
        let record = SettingRecord { value: value.into(), env: false };
        world.put(SETTINGS, "auth-user-session-idle-ttl-minutes", framed(&record.encode()));
    };
    set(&mut world, "5");
    assert_eq!(world.verifier.idle_ms(), 300_000);
    set(&mut world, "nonsense");
    assert_eq!(world.verifier.idle_ms(), 57_600_000);
    set(&mut world, "5");
    world.delete(SETTINGS, "auth-user-session-idle-ttl-minutes");
    assert_eq!(world.verifier.idle_ms(), 57_600_000);
    let mut overrides = Overrides::default();
    overrides.insert("auth-user-session-idle-ttl-minutes", "7").unwrap();
    let mut pinned = World::with(&overrides);
    set(&mut pinned, "5");
    assert_eq!(pinned.verifier.idle_ms(), 420_000);
}

#[test]
fn a_disabled_owner_stops_all_their_tokens_and_brings_them_back() {
    let mut world = World::new();
    let meta = Meta { uid: USER_UID, ..Meta::default() };
    world.user("user-1", &UserRecord { enabled: Some(false), ..UserRecord::default() }, meta.clone());
    assert_eq!(world.reason(), Reason::OwnerDisabled);
    assert!(!world.verifier.owner_enabled("user-1", USER_UID));
    world.user("user-1", &UserRecord { enabled: None, ..UserRecord::default() }, meta);
    assert!(world.usual().is_ok() && world.verifier.owner_enabled("user-1", USER_UID));
}

#[test]
fn deleting_the_owner_revokes_at_once_and_a_namesake_inherits_nothing() {
    let mut world = World::new();
    world.user(
        "user-1",
        &UserRecord::default(),
        Meta { uid: USER_UID, deleted_s: Some(1), ..Meta::default() },
    );
    assert_eq!(world.reason(), Reason::BeingDeleted);
    world.delete(USERS, "user-1");
    assert_eq!(world.reason(), Reason::OwnerGone);
    world.user("user-1", &UserRecord::default(), Meta { uid: Uid::from_random([4; 16]), ..Meta::default() });
    assert_eq!(world.reason(), Reason::OwnerReplaced);
    assert!(!world.verifier.owner_enabled("user-1", USER_UID));
}

#[test]
fn a_damaged_user_is_no_user() {
    let mut world = World::new();
    world.put(USERS, "user-1", b"\x01x".to_vec());
    assert_eq!(world.reason(), Reason::OwnerGone);
}

#[test]
fn a_provider_that_is_off_stops_its_tokens() {
    let mut world = World::new();
    world.token(|token| token.principal.provider = "github".into());
    assert_eq!(world.reason(), Reason::ProviderDisabled);
    world.verifier.set_providers(["local".to_owned(), "github".to_owned()]);
    assert!(world.usual().is_ok());
    world.verifier.set_providers([]);
    assert_eq!(world.reason(), Reason::ProviderDisabled);
}

#[test]
fn a_restricted_token_is_good_at_its_cluster_only() {
    let mut world = World::new();
    let text = format!("ext/token-a:{SECRET}");
    for place in [Place::Global, Place::Any, Place::Cluster("c-1"), Place::Cluster("")] {
        assert!(world.check(&text, place, NOW).is_ok(), "unrestricted at {place:?}");
    }
    world.token(|token| token.cluster = "c-1".into());
    assert_eq!(world.check(&text, Place::Global, NOW), Err(Reason::WrongCluster));
    assert_eq!(world.check(&text, Place::Cluster("c-2"), NOW), Err(Reason::WrongCluster));
    assert!(world.check(&text, Place::Cluster("c-1"), NOW).is_ok());
    assert!(world.check(&text, Place::Any, NOW).is_ok());
}

#[test]
fn damaged_records_are_refused_as_such() {
    let mut world = World::new();
    let good =
        frame::frame(&TokenRecord { credential: testing::credential("user-1") }.encode(), &Meta::default());
    // The labels and so on behind the head play no part in a check.
    let head = (0..good.len()).find(|cut| frame::head(&good[..*cut]).is_some()).unwrap();
    for cut in 0..head {
        world.put(EXT_TOKENS, "token-a", good[..cut].to_vec());
        let reason = world.check(&format!("ext/token-a:{SECRET}"), Place::Any, 1).unwrap_err();
        assert_eq!(reason, Reason::Corrupt, "cut at {cut}");
    }
    let body = TokenRecord { credential: testing::credential("user-1") }.encode();
    let half = frame::frame(&body[..body.len() - 10], &Meta { created_s: CREATED_S, ..Meta::default() });
    world.put(EXT_TOKENS, "token-a", half);
    assert_eq!(world.reason(), Reason::Corrupt, "the gist is whole, the rest is not");
}

fn slow_world() -> (World, SlowCheck) {
    let mut world = World::new();
    let text = "$1:0001020304050607:15:8:1:ad4GRcpEv4ccKFtuL03KuT7k++MmHxfBHis8I4/iC06GBs0Hq4SNc9kb7d/IKTvFnIa/90nuY0+pd5jgl/wfxw";
    world.token(|token| token.hash = SecretHash::parse(text).unwrap());
    let presented = format!("ext/token-a:{SECRET}");
    let Verdict::Slow(slow) =
        world.verifier.check(&Presented::parse(&presented).unwrap(), Place::Global, NOW)
    else {
        panic!("scrypt is slow");
    };
    (world, *slow)
}

#[test]
fn a_slow_check_runs_elsewhere_and_is_finished_here() {
    let (world, slow) = slow_world();
    let matched = slow.run();
    assert!(matched);
    assert!(result(world.verifier.finish(&slow, matched, NOW)).is_ok());
    assert_eq!(result(world.verifier.finish(&slow, false, NOW)), Err(Reason::WrongSecret));
    assert_eq!(result(world.verifier.finish(&slow, true, NOW + 7_776_000_000)), Err(Reason::Expired));
}

#[test]
fn what_happens_during_a_slow_check_counts() {
    let (mut world, slow) = slow_world();
    world.token(|token| (token.enabled, token.hash) = (false, slow.hash().clone()));
    assert_eq!(result(world.verifier.finish(&slow, true, NOW)), Err(Reason::Disabled));
    world.token(|_| {});
    assert_eq!(
        result(world.verifier.finish(&slow, true, NOW)),
        Err(Reason::WrongSecret),
        "another hash by now"
    );
    world.delete(EXT_TOKENS, "token-a");
    assert_eq!(result(world.verifier.finish(&slow, true, NOW)), Err(Reason::UnknownToken));
}

#[test]
fn thousands_of_tokens_are_told_apart() {
    let mut world = World::new();
    for n in 0..2000 {
        let mut credential = testing::credential("user-1");
        credential.hash = SecretHash::sha3(&PlainSecret::new(format!("secret{n}")), [1; 8]);
        world.put(EXT_TOKENS, &format!("token-{n}"), framed(&TokenRecord { credential }.encode()));
    }
    for n in 0..1000 {
        world.delete(EXT_TOKENS, &format!("token-{n}"));
    }
    assert_eq!(world.verifier.len(Face::Ext), 1001);
    assert_eq!(world.check("ext/token-999:secret999", Place::Any, NOW), Err(Reason::UnknownToken));
    assert!(world.check("ext/token-1000:secret1000", Place::Any, NOW).is_ok());
    assert_eq!(world.check("ext/token-1001:secret1000", Place::Any, NOW), Err(Reason::WrongSecret));
}

#[test]
fn a_token_is_resolved_by_its_id_with_or_without_the_prefix() {
    let mut world = World::new();
    for id in ["token-a", "ext/token-a"] {
        assert_eq!(world.verifier.resolve(id, NOW).unwrap().owner, "user-1");
    }
    assert_eq!(world.verifier.resolve("token-x", NOW), Err(Reason::UnknownToken));
    assert_eq!(world.verifier.resolve("token-a", NOW + 7_776_000_000), Err(Reason::Expired));
    world.token(|token| token.enabled = false);
    assert_eq!(world.verifier.resolve("token-a", NOW), Err(Reason::Disabled));
}
