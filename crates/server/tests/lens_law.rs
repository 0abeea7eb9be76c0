//! The law of every lens: writing back what was shown changes nothing, whoever looks and however the owner is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use eartag_api::frame::frame;
use eartag_api::meta::{Managed, Meta, OwnerReference, Uid};
use eartag_apiserver::kind::{Cx, Kind, Resource, World};
use eartag_apiserver::object::show_entry;
use eartag_apiserver::ops::{Api, Change, Validation};
use eartag_apiserver::user::UserInfo;
use eartag_core::collections::{self, *};
use eartag_core::features::{FeatureDefaults, Features};
use eartag_core::rbac::builtin_global_roles;
use eartag_core::settings::{Overrides, SettingsTable};
use eartag_core::*;
use eartag_server::authn::Gate;
use eartag_server::authz::RoleAuthorizer;
use eartag_server::metrics::Metrics;
use eartag_server::observer::Tables;
use eartag_server::pki::RootKey;
use eartag_server::resources;
use eartag_server::vault::Vault;
use eartag_storage::{CollectionId, Commit, Lane, Memory, Op, Options, Range, Scope, Store};
use proptest::prelude::*;
use serde_json::json;

/// A moment at which none of the generated tokens matters as expired or not.
const NOW_MS: u64 = 1_795_000_000_000;

struct Still;

impl World for Still {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct House {
    api: Api,
    tables: Arc<Tables>,
    kinds: Vec<Arc<dyn Kind>>,
}

impl House {
    async fn new() -> House {
        let overrides =
            Overrides::from_env([("CATTLE_PASSWORD_MIN_LENGTH".to_owned(), "14".to_owned())]).unwrap();
        let tables = Arc::new(Tables::new(
            SettingsTable::new(overrides),
            Features::new(FeatureDefaults::parse("").unwrap()),
            Arc::new(Gate::new([1; 32])),
        ));
        let store =
            Store::open(Box::new(Memory::new()), collections::all(), tables.clone(), Options::default())
                .await
                .unwrap();
        let world: Arc<dyn World> = Arc::new(Still);
        let vault = Arc::new(Vault::new(RootKey::new([9; 32])));
        let foundation = resources::Foundation {
            tables: tables.clone(),
            store: store.clone(),
            world,
            vault,
            metrics: Metrics::new(0.0),
            server_url: None,
        };
        let (registry, _) = resources::registry(&foundation).unwrap();
        let kinds = registry.resources().iter().filter_map(|resource| match resource {
            Resource::Stored(kind) => Some(kind.clone()),
            _ => None,
        });
        House { kinds: kinds.collect(), api: Api::new(store), tables }
    }

    async fn put(&self, collection: CollectionId, key: &str, body: Vec<u8>, meta: &Meta) {
        let op = Op::Put { collection, key: key.as_bytes().to_vec(), value: frame(&body, meta) };
        self.api
            .store
            .commit(Commit { ops: vec![op], conditions: vec![], lane: Lane::Interactive })
            .await
            .unwrap();
    }

    fn viewer(&self, name: &str, groups: &[&str], validation: Validation) -> Cx {
        let user = UserInfo {
            name: name.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..UserInfo::default()
        };
        let mut cx =
            Cx::new(user, Arc::new(()), Arc::new(RoleAuthorizer::new(self.tables.clone())), Arc::new(Still));
        cx.validation = validation;
        cx.field_manager = "lens".to_owned();
        cx
    }

    /// Every object of every kind, shown to every viewer, is written back in every way.
    async fn obeys(&self) {
        let mut checked = 0;
        for kind in &self.kinds {
            let range = Range {
                collection: kind.collection(),
                scope: Scope::All,
                after: None,
                limit: 1000,
                at: None,
            };
            for entry in self.api.store.range(&range).unwrap().entries {
                let name = String::from_utf8(entry.key().to_vec()).unwrap();
                for (user, groups) in
                    [("system:admin", &["system:masters"][..]), ("user-owner", &["system:authenticated"][..])]
                {
                    let cx = self.viewer(user, groups, Validation::Strict);
                    let shown = show_entry(kind.as_ref(), &entry, &cx);
                    let revision = self.api.store.revision();
                    let changes = [
                        Change::Put(shown.clone()),
                        Change::Merge(shown.clone()),
                        Change::Strategic(shown.clone()),
                        Change::Merge(json!({})),
                        Change::Json(
                            json!([{"op": "replace", "path": "/metadata", "value": shown["metadata"]}]),
                        ),
                    ];
                    for change in changes {
                        match self.api.update(kind.as_ref(), &cx, &name, &change).await {
                            Ok(after) => assert_eq!(after, shown, "{} {name} as {user}", kind.info().kind),
                            // Not everything is everybody's; what is refused changes nothing either.
                            Err(refusal) => assert!(
                                user != "system:admin" || kind.info().kind == "Cluster",
                                "{} {name}: {refusal:?}",
                                kind.info().kind
                            ),
                        }
                        assert_eq!(
                            self.api.store.revision(),
                            revision,
                            "{} {name} as {user}",
                            kind.info().kind
                        );
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 0);
    }
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,8}"
}

prop_compose! {
    fn any_meta()(
        uid in any::<[u8; 16]>(),
        created_s in 1_700_000_000_i64..1_794_999_999,
        generation in 1_u64..9,
        labels in proptest::collection::btree_map(word(), word(), 0..3),
        annotations in proptest::collection::btree_map(word(), ".{0,12}", 0..3),
        finalizers in proptest::collection::vec(word().prop_map(|w| format!("example.org/{w}")), 0..2),
        owner in proptest::option::of(word()),
        deleted in any::<bool>(),
        managed in any::<bool>(),
    ) -> Meta {
        let mut finalizers = finalizers;
        finalizers.dedup();
        Meta {
            uid: Uid::from_random(uid),
            created_s,
            generation,
            // Only finalizers keep a deleted object.
            deleted_s: (deleted && !finalizers.is_empty()).then_some(created_s + 5),
            generate_name: String::new(),
            labels,
            annotations,
            finalizers,
            owners: owner
                .map(|name| OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "ConfigMap".to_owned(),
                    name,
                    uid: "some-uid".to_owned(),
                    controller: Some(true),
                    block_owner_deletion: None,
                })
                .into_iter()
                .collect(),
            managed: if managed {
                vec![Managed {
                    manager: "kubectl".to_owned(),
                    apply: false,
                    api_version: "ext.cattle.io/v1".to_owned(),
                    time_s: created_s,
                    subresource: String::new(),
                    fields: eartag_apiserver::managed::FieldSet::from_fields_v1(&json!({"f:spec": {"f:ttl": {}}})).unwrap().encode(),
                }]
            } else {
                Vec::new()
            },
        }
    }
}

prop_compose! {
    fn any_credential()(
        hash in any::<[u8; 8]>(),
        lifetime in prop_oneof![Just(Lifetime::Forever), (1_u64..u64::MAX).prop_map(Lifetime::For)],
        enabled in any::<bool>(),
        cluster in prop_oneof![Just(String::new()), Just("local".to_owned())],
        kind in prop_oneof![Just(String::new()), Just("session".to_owned()), word()],
        description in ".{0,20}",
        last_update_s in 1_700_000_000_i64..1_794_999_999,
        extra_info in proptest::collection::btree_map(word(), word(), 0..2),
        me in any::<bool>(),
    ) -> Credential {
        Credential {
            owner: "user-owner".to_owned(),
            owner_uid: Uid::from_random([3; 16]),
            hash: SecretHash::sha3(&PlainSecret::new("x"), hash),
            lifetime,
            enabled,
            cluster,
            session: kind == "session",
            principal: Principal { extra_info, me, ..Principal::local("user-owner", "ann", "Ann") },
            kind,
            description,
            last_update_s,
        }
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (word(), word()).prop_map(|(verb, resource)| Rule {
            verbs: vec![verb],
            api_groups: vec![String::new(), "x.y".to_owned()],
            resources: vec![resource],
            resource_names: vec!["one".to_owned()],
            non_resource_urls: Vec::new(),
        }),
        word().prop_map(|path| Rule {
            verbs: vec!["get".to_owned()],
            api_groups: Vec::new(),
            resources: Vec::new(),
            resource_names: Vec::new(),
            non_resource_urls: vec![format!("/{path}/*")],
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn writing_back_what_was_shown_changes_nothing(
        metas in proptest::collection::vec(any_meta(), 13),
        last_login_s in proptest::option::of(1_700_000_000_i64..1_794_999_999),
        overrides in [prop_oneof![Just(""), Just("0s"), Just("400h")], prop_oneof![Just(""), Just("0s"), Just("1000h30m")]],
        credential in any_credential(),
        owner_enabled in proptest::option::of(any::<bool>()),
        rules in proptest::collection::vec(rule(), 0..3),
        value in prop_oneof![Just(String::new()), Just("60".to_owned()), Just("1.5".to_owned())],
        feature in proptest::option::of(any::<bool>()),
        aggregated in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            let mut metas = metas.into_iter();
            let mut next = move || metas.next().unwrap();
            let owner = UserRecord {
                username: "ann".to_owned(),
                enabled: owner_enabled,
                principal_ids: vec!["local://user-owner".to_owned()],
                ..UserRecord::default()
            };
            let alive = Meta { uid: Uid::from_random([3; 16]), deleted_s: None, ..next() };
            house.put(USERS, "user-owner", owner.encode(), &alive).await;
            for (name, role) in builtin_global_roles() {
                house.put(GLOBAL_ROLES, name, role.encode(), &Meta::default()).await;
            }
            let [disable_after, delete_after] = overrides.map(str::to_owned);
            let attributes = UserAttributeRecord { user_uid: alive.uid, last_login_s, disable_after, delete_after, enabled_again_s: last_login_s };
            house.put(USER_ATTRIBUTES, "user-owner", attributes.encode(), &next()).await;
            for (name, value) in [(settings::RETENTION_CRON, "0 * * * *"), (settings::DISABLE_AFTER, "720h")] {
                let record = SettingRecord { value: value.to_owned(), env: false };
                house.put(SETTINGS, name, record.encode(), &Meta::default()).await;
            }
            let binding = GlobalRoleBindingRecord { role: "user".to_owned(), user: "user-owner".to_owned(), ..GlobalRoleBindingRecord::default() };
            house.put(GLOBAL_ROLE_BINDINGS, "grb-1", binding.encode(), &next()).await;
            let legacy = LegacyTokenRecord {
                credential: credential.clone(),
                derived: !credential.session,
                auth_provider: credential.principal.provider.clone(),
                hashed_mark: aggregated,
            };
            house.put(LEGACY_TOKENS, "token-fghij", legacy.encode(), &next()).await;
            let kubeconfig = KubeconfigRecord {
                owner: "user-owner".to_owned(),
                owner_uid: alive.uid,
                clusters: if aggregated { vec!["local".to_owned(), "c-1".to_owned()] } else { Vec::new() },
                current_context: if aggregated { "local".to_owned() } else { String::new() },
                description: credential.description.clone(),
                lifetime: credential.lifetime,
                include_default_entry: feature,
                summary: record::KubeconfigSummary::Complete,
                tokens: last_login_s.map(|made_s| record::KubeconfigToken { name: "token-abcde".to_owned(), uid: alive.uid, made_s }).into_iter().collect(),
                failure: None,
                updated_s: last_login_s,
            };
            house.put(KUBECONFIGS, "kubeconfig-abcde", kubeconfig.encode(), &next()).await;
            house.put(EXT_TOKENS, "token-abcde", TokenRecord { credential }.encode(), &next()).await;
            house.put(SETTINGS, settings::MAX_TTL, SettingRecord { value: value.clone(), env: false }.encode(), &next()).await;
            house.put(SETTINGS, settings::PASSWORD_MIN_LENGTH, SettingRecord::default().encode(), &next()).await;
            house.put(FEATURES, "token-hashing", FeatureRecord { value: feature, locked: feature.filter(|on| *on) }.encode(), &next()).await;
            let cluster = ClusterRecord {
                display_name: value.clone(),
                internal: aggregated,
                api_endpoint: if aggregated { String::new() } else { "https://10.0.0.1:6443/x".to_owned() },
                version: "v1.33.1".to_owned(),
                auth_endpoint: AuthEndpoint {
                    enabled: aggregated,
                    nodes: vec![EndpointNode { hostname: "n1".to_owned(), address: "10.0.0.2".to_owned(), ready: aggregated }],
                    ..AuthEndpoint::default()
                },
                ..ClusterRecord::default()
            };
            house.put(CLUSTERS, "local", cluster.encode(), &next()).await;
            let aggregation = aggregated.then(|| vec![record::Aggregation { match_labels: [("a".to_owned(), "b".to_owned())].into(), match_expressions: Vec::new() }]);
            let own = if aggregated { Vec::new() } else { rules.clone() };
            house.put(CLUSTER_ROLES, "reader", ClusterRoleRecord { rules: own, aggregation }.encode(), &next()).await;
            house.put(CLUSTER_ROLES, "part", ClusterRoleRecord { rules, aggregation: None }.encode(), &Meta { labels: [("a".to_owned(), "b".to_owned())].into(), ..next() }).await;
            let subject = record::Subject { kind: "User".to_owned(), api_group: "rbac.authorization.k8s.io".to_owned(), name: "bob".to_owned(), namespace: String::new() };
            let role_ref = record::RoleRef { api_group: "rbac.authorization.k8s.io".to_owned(), kind: "ClusterRole".to_owned(), name: "reader".to_owned() };
            house.put(CLUSTER_ROLE_BINDINGS, "b", ClusterRoleBindingRecord { role_ref, subjects: vec![subject] }.encode(), &next()).await;
            house.obeys().await;
        });
    }
}
