#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_api::frame;
use eartag_api::meta::Meta;
use eartag_core::collections::{
    EXT_TOKENS, FEATURES, GLOBAL_ROLES, LEGACY_TOKENS, PASSWORDS, USER_ATTRIBUTES, USERNAMES, USERS,
};
use eartag_core::record::{FeatureRecord, PasswordRecord};
use eartag_core::verifier::{Place, Presented, Verdict, Verifier};
use eartag_core::{GlobalRoleRecord, LegacyTokenRecord, PasswordHash, UserAttributeRecord, UserRecord};
use eartag_storage::{NoObserver, Op};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::fill_random;

const NOW_MS: u64 = 1_800_000_000_000;
const CREATED: &str = "2026-03-02T09:15:04Z";
const SECRET: &str = "bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789";
const SHA256: &str = "$2:AAECAwQFBgc:QLFNCtcJd178x/LpGu0nyMl4wgfkZnUItz9+Bzjda5E";
const SHA3: &str =
    "$3:1:AAECAwQFBgc:6TeyLfa09bJiQyni4aFnES+l9h6USloshcn6mE6N/ewJ1rPNVQKtemKjXLEuOu4a7vptyk37cPkFkcA9uE0rMg";
const SCRYPT: &str = "$1:0001020304050607:15:8:1:ad4GRcpEv4ccKFtuL03KuT7k++MmHxfBHis8I4/iC06GBs0Hq4SNc9kb7d/IKTvFnIa/90nuY0+pd5jgl/wfxw";

fn uid(n: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{n:02x}")
}

fn user(name: &str, username: &str, n: u8) -> Value {
    json!({
        "apiVersion": "management.cattle.io/v3", "kind": "User", "username": username, "displayName": "A Person",
        "metadata": {"name": name, "uid": uid(n), "creationTimestamp": CREATED, "generation": 2, "resourceVersion": "77",
            "labels": {"cattle.io/creator": "norman", "team": "ops"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": SECRET}},
        "principalIds": [format!("local://{name}")], "conditions": null, "spec": {}, "status": {"conditions": []},
    })
}

fn token(name: &str, owner: &str, secret: &str, n: u8) -> Value {
    json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Token", "token": secret, "ttl": 0, "userId": owner,
        "authProvider": "local", "isDerived": true, "enabled": true, "description": "CI", "groupPrincipals": null,
        "userPrincipal": {"displayName": "A Person", "loginName": "ann", "me": true, "provider": "local",
            "principalType": "user", "metadata": {"name": format!("local://{owner}"), "creationTimestamp": null}},
        "metadata": {"name": name, "uid": uid(n), "creationTimestamp": CREATED,
            "labels": {"authn.management.cattle.io/token-userId": owner, "authn.management.cattle.io/kind": "kubeconfig"}},
    })
}

fn hashed(mut token: Value) -> Value {
    token["metadata"]["annotations"] = json!({"authn.management.cattle.io/token-hashed": "true"});
    token
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[member] = value;
    object
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

/// The rules' own tests show that such a hash verifies; hashing takes long.
fn password_secret(user: &str, key: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": user, "namespace": "cattle-local-user-passwords",
            "annotations": {"cattle.io/password-hash": "pbkdf2sha3512"}},
        "data": {"password": STANDARD.encode([key; 32]), "salt": STANDARD.encode([9; 32])},
    })
}

/// The key that is stored for a user.
fn stored_key(store: &Store, user: &str) -> u8 {
    let entry = store.get(PASSWORDS, user.as_bytes()).unwrap();
    let record = PasswordRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
    let PasswordHash::Pbkdf2Sha3_512 { rounds, salt, key } = record.hash else { panic!() };
    assert_eq!((rounds, salt, key), (210_000, [9; 32], [key[0]; 32]));
    key[0]
}

fn ext_secret(name: &str, owner: &str, hash: &str, ttl: &str) -> Value {
    let data = [
        ("kube-uid", uid(0x77)),
        ("user-id", owner.to_owned()),
        ("principal", json!({"name": format!("local://{owner}"), "provider": "local"}).to_string()),
        ("hash", hash.to_owned()),
        ("last-update-time", CREATED.to_owned()),
        ("enabled", "true".to_owned()),
        ("ttl", ttl.to_owned()),
        ("kind", "ci".to_owned()),
    ];
    let data: serde_json::Map<String, Value> =
        data.into_iter().map(|(key, text)| (key.to_owned(), STANDARD.encode(text).into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": {"name": name, "namespace": "cattle-tokens", "uid": uid(0x78), "creationTimestamp": CREATED,
            "labels": {"cattle.io/kind": "token", "cattle.io/user-id": owner}},
    })
}

struct Ground {
    _dir: tempfile::TempDir,
    paths: DataPaths,
}

/// A data directory on which a server was started, with these objects besides.
async fn ground(objects: Vec<(CollectionId, &str, Vec<u8>)>) -> Ground {
    let dir = tempfile::tempdir().unwrap();
    let paths = DataPaths::new(dir.path());
    let store = open(&paths, Arc::new(NoObserver)).await;
    let role = GlobalRoleRecord::default().encode();
    let objects = objects.into_iter().chain([(IDENTITY, "identity", vec![1]), (GLOBAL_ROLES, "admin", role)]);
    for (collection, key, body) in objects {
        let meta = Meta { uid: uid(0xee).parse().unwrap(), created_s: 5, ..Meta::default() };
        let ops = vec![Op::Put { collection, key: key.into(), value: frame::frame(&body, &meta) }];
        store.commit(Commit { ops, ..Commit::default() }).await.unwrap();
    }
    store.close().await;
    Ground { _dir: dir, paths }
}

async fn open(paths: &DataPaths, observer: Arc<dyn Observer>) -> Store {
    Store::open(Box::new(Sqlite::new(&paths.database)), collections::all(), observer, Options::default())
        .await
        .unwrap()
}

impl Ground {
    async fn import(&self, objects: &[Value]) -> Report {
        self.run(objects, false).await.unwrap()
    }

    async fn run(&self, objects: &[Value], dry_run: bool) -> Result<Report, ImportError> {
        let mut foreign = Foreign::default();
        foreign.read("file", list(objects).to_string().as_bytes())?;
        import(&self.paths, foreign, dry_run, NOW_MS, &fill_random).await
    }

    async fn store(&self) -> Store {
        open(&self.paths, Arc::new(NoObserver)).await
    }

    /// Whom the verifier takes these bearer values for.
    async fn verify(&self, bearers: &[&str]) -> Vec<Option<String>> {
        struct Watching(Verifier);
        impl Observer for Watching {
            fn load(&self, collection: CollectionId, entry: &Entry) {
                self.0.load(collection, entry);
            }
            fn apply(&self, changes: &[Change]) {
                self.0.apply(changes);
            }
        }
        let watching = Arc::new(Watching(Verifier::new()));
        let store = open(&self.paths, watching.clone()).await;
        let check = |bearer: &&str| {
            let presented = Presented::parse(bearer).unwrap();
            match watching.0.check(&presented, Place::Global, NOW_MS) {
                Verdict::Good(accepted) => Some(accepted.owner.clone()),
                _ => None,
            }
        };
        let found = bearers.iter().map(check).collect();
        store.close().await;
        found
    }
}

fn tally(new: u64, present: u64, skipped: u64) -> Tally {
    Tally { new, present, skipped }
}

fn why<'a>(report: &'a Report, name: &str) -> &'a str {
    &report
        .skipped
        .iter()
        .find(|skipped| skipped.name == name)
        .unwrap_or_else(|| panic!("{name}: {report:?}"))
        .why
}

#[tokio::test]
async fn tokens_in_clear_and_in_all_three_hash_formats_verify_afterwards() {
    let ground = ground(vec![]).await;
    let report = ground
        .import(&[
            token("kubeconfig-u-ann", "u-ann", SECRET, 1),
            hashed(token("token-two22", "u-ann", SHA256, 2)),
            hashed(token("token-three", "u-ann", SHA3, 3)),
            hashed(token("token-one11", "u-ann", SCRYPT, 4)),
            user("u-ann", "ann", 9),
            ext_secret("token-ext22", "u-ann", SHA3, "-1"),
        ])
        .await;
    assert_eq!(
        (report.users, report.tokens, report.ext_tokens),
        (tally(1, 0, 0), tally(4, 0, 0), tally(1, 0, 0))
    );
    assert_eq!(report.skipped, []);
    let bearers = ["kubeconfig-u-ann", "token-two22", "token-three", "ext/token-ext22"]
        .map(|name| format!("{name}:{SECRET}"));
    let found = ground.verify(&bearers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(found, vec![Some("u-ann".to_owned()); 4]);
    // The verifier checks scrypt elsewhere, in a bounded pool.
    let store = ground.store().await;
    let entry = store.get(LEGACY_TOKENS, b"token-one11").unwrap();
    let record = LegacyTokenRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
    assert!(record.credential.hash.verify(SECRET));
    store.close().await;
}

#[tokio::test]
async fn a_token_keeps_its_uid_times_switch_and_texts_and_gets_the_users_uid() {
    let ground = ground(vec![]).await;
    let one = with(token("token-abcde", "u-ann", SECRET, 1), "/ttl", json!(31_536_000_000_i64));
    let one = with(with(one, "/clusterName", json!("c-m-abc")), "/enabled", json!(false));
    let report =
        ground.import(&[user("u-ann", "ann", 9), with(one, "/metadata/labels/team", json!("ops"))]).await;
    assert!(
        report.notes.iter().any(|note| note.ends_with("until these are: c-m-abc.")),
        "{:?}",
        report.notes
    );
    let store = ground.store().await;
    let entry = store.get(LEGACY_TOKENS, b"token-abcde").unwrap();
    let (meta, body) = (frame::meta(entry.value()).unwrap(), frame::split(entry.value()).unwrap().0);
    assert_eq!((meta.uid.to_string(), meta.created_s), (uid(1), 1_772_442_904));
    assert_eq!(meta.labels.into_iter().collect::<Vec<_>>(), [("team".to_owned(), "ops".to_owned())]);
    let record = LegacyTokenRecord::decode(body).unwrap();
    let credential = record.credential;
    assert_eq!(credential.lifetime.millis(), Some(31_536_000_000));
    assert_eq!((credential.enabled, credential.owner_uid.to_string()), (false, uid(9)));
    assert_eq!((credential.kind.as_str(), credential.description.as_str()), ("kubeconfig", "CI"));
    assert_eq!(
        (credential.cluster.as_str(), credential.principal.name.as_str()),
        ("c-m-abc", "local://u-ann")
    );
    assert_eq!((record.derived, record.hashed_mark, record.auth_provider.as_str()), (true, false, "local"));
    let entry = store.get(USERS, b"u-ann").unwrap();
    let meta = frame::meta(entry.value()).unwrap();
    assert_eq!((meta.uid.to_string(), meta.created_s, meta.annotations.len()), (uid(9), 1_772_442_904, 0));
    assert_eq!(meta.labels.into_keys().collect::<Vec<_>>(), ["team"]);
    store.close().await;
}

#[tokio::test]
async fn with_token_hashing_on_every_imported_token_carries_the_mark() {
    let on = FeatureRecord { value: Some(true), locked: Some(true) }.encode();
    let ground = ground(vec![(FEATURES, "token-hashing", on)]).await;
    ground.import(&[user("u-ann", "ann", 9), token("token-abcde", "u-ann", SECRET, 1)]).await;
    let store = ground.store().await;
    let entry = store.get(LEGACY_TOKENS, b"token-abcde").unwrap();
    assert!(LegacyTokenRecord::decode(frame::split(entry.value()).unwrap().0).unwrap().hashed_mark);
    store.close().await;
}

#[tokio::test]
async fn no_file_of_the_data_directory_holds_a_clear_secret() {
    let ground = ground(vec![]).await;
    let objects = [
        user("u-ann", "ann", 9),
        token("token-abcde", "u-ann", SECRET, 1),
        token("token-lost2", "u-lost", SECRET, 2),
    ];
    let report = ground.import(&objects).await;
    assert!(!format!("{report:?}").contains(SECRET));
    let mut files = 0;
    for file in fs::read_dir(&ground.paths.dir).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
        files += 1;
    }
    assert!(files > 0);
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_dry_run_does_neither() {
    let ground = ground(vec![]).await;
    let objects = [
        user("u-ann", "ann", 9),
        token("token-abcde", "u-ann", SECRET, 1),
        ext_secret("token-ext22", "u-ann", SHA3, "-1"),
        password_secret("u-ann", 1),
        json!({"apiVersion": "management.cattle.io/v3", "kind": "GlobalRoleBinding", "globalRoleName": "admin", "userName": "u-ann",
            "metadata": {"name": "grb-abcde", "uid": uid(7), "creationTimestamp": CREATED}}),
    ];
    let dry = ground.run(&objects, true).await.unwrap();
    let store = ground.store().await;
    let before = store.revision();
    store.close().await;
    let first = ground.import(&objects).await;
    assert_eq!(first, dry);
    assert_eq!(
        (first.users, first.passwords, first.bindings),
        (tally(1, 0, 0), tally(1, 0, 0), tally(1, 0, 0))
    );
    assert_eq!((first.tokens, first.ext_tokens), (tally(1, 0, 0), tally(1, 0, 0)));
    let store = ground.store().await;
    let after = store.revision();
    assert_eq!(after.get(), before.get() + 4, "a commit each; the password comes with its user");
    assert_eq!(stored_key(&store, "u-ann"), 1);
    assert!(store.get(USERNAMES, b"ann").is_some());
    store.close().await;
    let again = ground.import(&objects).await;
    assert_eq!(
        (again.users, again.passwords, again.bindings),
        (tally(0, 1, 0), tally(0, 1, 0), tally(0, 1, 0))
    );
    assert_eq!((again.tokens, again.ext_tokens, again.skipped.len()), (tally(0, 1, 0), tally(0, 1, 0), 0));
    let store = ground.store().await;
    assert_eq!(store.revision(), after);
    store.close().await;
}

#[tokio::test]
async fn what_is_left_behind_is_told_with_its_reason() {
    let other = UserRecord { username: "bob".into(), ..UserRecord::default() }.encode();
    let taken = GlobalRoleRecord::default().encode();
    let ground = ground(vec![
        (USERS, "u-bob", other),
        (LEGACY_TOKENS, "token-taken", taken.clone()),
        (EXT_TOKENS, "token-exttk", taken),
        (USERNAMES, "carl", b"user-zzzzz".to_vec()),
    ])
    .await;
    let deleting = |object: Value| with(object, "/metadata/deletionTimestamp", json!(CREATED));
    let report = ground
        .import(&[
            user("u-ann", "ann", 9),
            user("u-bob", "bob", 10),
            user("u-carl", "carl", 11),
            user("u-dora", "ann", 12),
            deleting(user("u-gone", "gone", 13)),
            user("u-ann", "anne", 14),
            user("Bad Name", "x", 15),
            token("token-of-bob", "u-bob", SECRET, 20),
            token("token-lost2", "u-lost", SECRET, 21),
            token("token-gone2", "u-gone", SECRET, 22),
            token("token-taken", "u-ann", SECRET, 23),
            token("token-exttk", "u-ann", SECRET, 24),
            token("token-twice", "u-ann", SECRET, 25),
            token("token-twice", "u-ann", SECRET, 26),
            deleting(token("token-going", "u-ann", SECRET, 27)),
            with(token("token-expir", "u-ann", SECRET, 28), "/ttl", json!(1000)),
            hashed(token("token-weird", "u-ann", "$9:x", 29)),
            token("token-empty", "u-ann", "", 30),
            json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "metadata": {"name": "token-shown"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}),
            password_secret("u-nobody", 1),
        ])
        .await;
    assert_eq!((report.users, report.others), (tally(3, 0, 4), 1), "{report:?}");
    assert_eq!(
        (report.tokens, report.ext_tokens, report.passwords),
        (tally(1, 0, 10), tally(0, 0, 1), tally(0, 0, 1))
    );
    for (name, reason) in [
        ("u-bob", "another object has this name here"),
        ("u-gone", "it is being deleted"),
        ("u-ann", "another object of this name comes before it in these files"),
        ("Bad Name", "its name is not one that an object can have"),
        ("token-of-bob", "its user \"u-bob\" is left behind: another object has this name here"),
        ("token-lost2", "its user \"u-lost\" is neither in these files nor here"),
        ("token-gone2", "its user \"u-gone\" is left behind: it is being deleted"),
        ("token-taken", "another object has this name here"),
        ("token-exttk", "a token of the other kind has this name here"),
        ("token-twice", "another object of this name comes before it in these files"),
        ("token-going", "it is being deleted"),
        ("token-expir", "it has expired"),
        ("token-weird", "its hash is in no known format"),
        ("token-empty", "it has no secret"),
        ("u-nobody", "its user is not in these files"),
    ] {
        assert_eq!(why(&report, name), reason, "{name}");
    }
    assert!(why(&report, "token-shown").starts_with("it is as the API shows it"));
    // A taken login name costs the name, not the tokens.
    let note = |name: &str| {
        report.notes.iter().any(|note| note.starts_with(&format!("User {name} comes without the login name")))
    };
    assert!(note("u-carl") && note("u-dora") && !note("u-ann"), "{:?}", report.notes);
    let store = ground.store().await;
    let stored = |name: &[u8]| {
        UserRecord::decode(frame::split(store.get(USERS, name).unwrap().value()).unwrap().0).unwrap()
    };
    assert_eq!((stored(b"u-carl").username.as_str(), stored(b"u-ann").username.as_str()), ("", "ann"));
    assert_eq!(stored(b"u-bob").username, "bob", "what is here stays as it is");
    store.close().await;
}

#[tokio::test]
async fn a_password_may_follow_its_user_and_is_never_replaced() {
    let ground = ground(vec![]).await;
    ground.import(&[user("u-ann", "ann", 9)]).await;
    let later = ground.import(&[user("u-ann", "ann", 9), password_secret("u-ann", 1)]).await;
    assert_eq!((later.users, later.passwords), (tally(0, 1, 0), tally(1, 0, 0)));
    let last = ground.import(&[user("u-ann", "ann", 9), password_secret("u-ann", 2)]).await;
    assert_eq!(last.passwords, tally(0, 1, 0));
    let store = ground.store().await;
    assert_eq!(stored_key(&store, "u-ann"), 1);
    store.close().await;
}

#[tokio::test]
async fn only_data_of_a_started_and_stopped_server_is_imported_into() {
    let dir = tempfile::tempdir().unwrap();
    let paths = DataPaths::new(dir.path());
    let empty = || Foreign::default();
    let error = import(&paths, empty(), false, NOW_MS, &fill_random).await.unwrap_err();
    assert!(matches!(error, ImportError::NoData(_)), "{error}");
    assert!(!paths.database.exists());
    open(&paths, Arc::new(NoObserver)).await.close().await;
    let error = import(&paths, empty(), false, NOW_MS, &fill_random).await.unwrap_err();
    assert!(matches!(error, ImportError::NeverStarted(_)), "{error}");
    let ground = ground(vec![]).await;
    let server = ground.store().await;
    let error = ground.run(&[user("u-ann", "ann", 9)], false).await.unwrap_err();
    assert!(error.to_string().ends_with("is in use by another process"), "{error}");
    server.close().await;
}

#[tokio::test]
async fn last_logins_exceptions_and_last_uses_come_along() {
    let ground = ground(vec![]).await;
    let attributes = |name: &str, disable_after: &str| {
        json!({"apiVersion": "management.cattle.io/v3", "kind": "UserAttribute", "metadata": {"name": name},
            "lastLogin": CREATED, "disableAfter": disable_after, "groupPrincipals": {"local": {"items": []}}})
    };
    let used = with(token("token-abcde", "u-ann", SECRET, 1), "/lastUsedAt", json!("2026-04-01T00:00:00Z"));
    let future = with(token("token-later", "u-ann", SECRET, 2), "/lastUsedAt", json!("2999-04-01T00:00:00Z"));
    let objects = [
        user("u-ann", "ann", 9),
        attributes("u-ann", "240h0m0s"),
        user("u-bob", "bob", 10),
        attributes("u-bob", "soon"),
        used,
        future,
    ];
    let report = ground.import(&objects).await;
    assert_eq!(report.attributes, tally(1, 0, 1), "{report:?}");
    assert_eq!(why(&report, "u-bob"), "its exceptions from user retention are not ones that can be kept");
    assert_eq!(ground.import(&objects).await.attributes, tally(0, 1, 1));
    let store = ground.store().await;
    let entry = store.get(USER_ATTRIBUTES, b"u-ann").unwrap();
    let record = UserAttributeRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
    assert_eq!((record.last_login_s, record.user_uid.to_string()), (Some(1_772_442_904), uid(9)));
    assert_eq!((record.disable_after.as_str(), record.delete_after.as_str()), ("240h0m0s", ""));
    assert!(store.get(USER_ATTRIBUTES, b"u-bob").is_none(), "who comes without exceptions is not judged");
    let usage = Usage::new();
    usage.load(&store.usage_load());
    let last = |n| usage.get(uid(n).parse().unwrap()).last_used_s;
    assert_eq!((last(1), last(2), last(3)), (Some(1_775_001_600), Some(1_800_000_000), None));
    store.close().await;
}

fn counts(text: &str) -> Result<(usize, usize, u64), String> {
    let mut foreign = Foreign::default();
    foreign.read("the file", text.as_bytes()).map_err(|error| error.to_string())?;
    Ok((foreign.users.len(), foreign.tokens.len(), foreign.others))
}

#[test]
fn lists_single_objects_and_several_documents_are_read_as_yaml_and_json() {
    let (ann, key) = (user("u-ann", "ann", 9), token("token-abcde", "u-ann", SECRET, 1));
    let yaml = |value: &Value| serde_saphyr::to_string(value).unwrap();
    assert_eq!(counts(&list(&[ann.clone(), key.clone()]).to_string()), Ok((1, 1, 0)));
    assert_eq!(counts(&yaml(&list(&[ann.clone(), key.clone()]))), Ok((1, 1, 0)));
    assert_eq!(counts(&format!("---\n{}---\n{}---\n", yaml(&ann), yaml(&key))), Ok((1, 1, 0)));
    assert_eq!(counts(&format!("{ann}\n{key}{ann}")), Ok((2, 1, 0)));
    // Raw lists leave the kind of their items to the list.
    let mut bare = key;
    bare.as_object_mut().unwrap().retain(|member, _| member != "kind" && member != "apiVersion");
    let raw = json!({"apiVersion": "management.cattle.io/v3", "kind": "TokenList", "metadata": {}, "items": [bare]});
    assert_eq!(counts(&raw.to_string()), Ok((0, 1, 0)));
    assert_eq!(counts(&json!({"apiVersion": "v1", "kind": "Pod"}).to_string()), Ok((0, 0, 1)));
}

#[test]
fn what_kubectl_does_not_print_is_refused_without_quoting_it() {
    let wrong = with(token("token-abcde", "u-ann", SECRET, 1), "/ttl", json!(SECRET));
    let yaml = serde_saphyr::to_string(&wrong).unwrap();
    for text in [
        &wrong.to_string(),
        &yaml,
        SECRET,
        "",
        "{}",
        "[]",
        "{\"kind\":",
        "kind: [",
        "- a",
        "\u{feff}{",
        "kind: *x",
    ] {
        let error = counts(text).unwrap_err();
        assert!(error.starts_with("the file is not what kubectl get -o yaml or -o json prints"), "{error}");
        assert!(!error.contains(&SECRET[..10]), "{error}");
    }
    assert!(counts(&yaml).unwrap_err().contains("(line "));
}

#[test]
fn deep_and_unfolding_files_are_refused_in_bounded_time() {
    let deep = format!("{}{}", "{\"items\":[".repeat(100_000), "]}".repeat(100_000));
    assert!(counts(&deep).is_err());
    assert!(counts(&format!("kind: User\nx: {}", "[".repeat(100_000))).is_err());
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (next, last) in ('b'..='i').zip('a'..='h') {
        bomb.push_str(&format!(
            "{next}: &{next} [{}]\n",
            format!("*{last},").repeat(10).trim_end_matches(',')
        ));
    }
    bomb.push_str("kind: User\n");
    assert!(counts(&bomb).is_err());
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(text in "(?s).{0,300}") {
        let _ = counts(&text);
    }
}
