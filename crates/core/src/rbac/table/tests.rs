#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_api::meta::Meta;
use proptest::prelude::*;

use super::*;
use crate::rbac::{MASTERS, builtin_global_roles};
use crate::record::{RoleRef, Subject, UserRecord};
use crate::testing::{Feed, framed};

const EXT: &str = "ext.cattle.io";

struct World {
    rbac: Rbac,
    feed: Feed,
}

impl World {
    fn new() -> Self {
        let mut world = Self { rbac: Rbac::new(), feed: Feed::default() };
        for (name, role) in builtin_global_roles() {
            world.put(collections::GLOBAL_ROLES, name, framed(&role.encode()));
        }
        world
    }

    fn put(&mut self, collection: CollectionId, key: &str, value: Vec<u8>) {
        self.rbac.apply(&self.feed.put(collection, key, value));
    }

    fn delete(&mut self, collection: CollectionId, key: &str) {
        self.rbac.apply(&self.feed.delete(collection, key));
    }

    fn bind_global(&mut self, key: &str, role: &str, user: &str, group: &str) {
        let record = GlobalRoleBindingRecord {
            role: role.into(),
            user: user.into(),
            group_principal: group.into(),
            ..GlobalRoleBindingRecord::default()
        };
        self.put(collections::GLOBAL_ROLE_BINDINGS, key, framed(&record.encode()));
    }

    fn user(&mut self, name: &str, uid: u8) {
        let meta = Meta { uid: Uid::from_random([uid; 16]), ..Meta::default() };
        self.put(collections::USERS, name, frame::frame(&UserRecord::default().encode(), &meta));
    }

    fn role(&mut self, name: &str, rules: Vec<Rule>) {
        self.put(
            collections::CLUSTER_ROLES,
            name,
            framed(&ClusterRoleRecord { rules, aggregation: None }.encode()),
        );
    }

    fn bind(&mut self, key: &str, role: &str, subjects: &[(&str, &str)]) {
        let subjects = subjects.iter().map(|(kind, name)| Subject {
            kind: (*kind).into(),
            name: (*name).into(),
            namespace: "ns".into(),
            ..Subject::default()
        });
        let role_ref = RoleRef { kind: "ClusterRole".into(), name: role.into(), ..RoleRef::default() };
        let record = ClusterRoleBindingRecord { role_ref, subjects: subjects.collect() };
        self.put(collections::CLUSTER_ROLE_BINDINGS, key, framed(&record.encode()));
    }

    fn may(&self, user: &str, verb: &str, group: &str, resource: &str) -> bool {
        self.rbac.allows(
            user,
            &authenticated(),
            &Attributes { verb, group, resource, ..Attributes::default() },
        )
    }
}

fn authenticated() -> Vec<String> {
    vec![AUTHENTICATED.to_owned()]
}

#[test]
fn masters_may_do_everything() {
    let rbac = Rbac::new();
    let groups = vec![MASTERS.to_owned()];
    assert!(rbac.allows(
        "system:admin",
        &groups,
        &Attributes { verb: "*", group: "*", resource: "*", ..Attributes::default() }
    ));
    assert!(rbac.allows(
        "system:admin",
        &groups,
        &Attributes { verb: "get", path: Some("/metrics"), ..Attributes::default() }
    ));
    assert!(rbac.full_access("system:admin", &groups, "list", EXT));
    assert_eq!(rbac.covers("system:admin", &groups, &everything()), Ok(()));
}

#[test]
fn without_a_binding_one_may_only_discover_and_ask_about_oneself() {
    let world = World::new();
    assert!(!world.may("user-1", "get", EXT, "tokens"));
    assert!(world.may("user-1", "create", "authorization.k8s.io", "selfsubjectaccessreviews"));
    assert!(world.may("user-1", "create", "authentication.k8s.io", "selfsubjectreviews"));
    assert!(world.may("user-1", "create", EXT, "selfusers") && !world.may("user-1", "get", EXT, "selfusers"));
    assert!(!world.may("user-1", "create", "authorization.k8s.io", "subjectaccessreviews"));
    let path = |path, groups: &[String]| {
        world.rbac.allows(
            "user-1",
            groups,
            &Attributes { verb: "get", path: Some(path), ..Attributes::default() },
        )
    };
    for open in ["/api", "/apis", "/apis/ext.cattle.io/v1", "/openapi/v3", "/openapi/v3/apis/x"] {
        assert!(path(open, &authenticated()) && !path(open, &[]), "{open}");
    }
    assert!(path("/version", &[]) && path("/healthz", &[]) && path("/readyz/store", &[]));
    assert!(!path("/metrics", &authenticated()) && !path("/", &authenticated()));
}

#[test]
fn the_role_user_manages_tokens_and_reads_settings() {
    let mut world = World::new();
    world.bind_global("grb-1", "user", "user-1", "");
    for verb in ["create", "get", "list", "watch", "update", "patch", "delete"] {
        for resource in ["tokens", "kubeconfigs", "useractivities"] {
            assert!(world.may("user-1", verb, EXT, resource), "{verb} {resource}");
        }
    }
    assert!(!world.may("user-1", "deletecollection", EXT, "tokens"));
    assert!(world.may("user-1", "get", "management.cattle.io", "settings"));
    assert!(!world.may("user-1", "update", "management.cattle.io", "settings"));
    assert!(world.may("user-1", "list", "management.cattle.io", "clusters"));
    assert!(!world.may("user-1", "get", "management.cattle.io", "clusters"));
    assert!(!world.rbac.full_access("user-1", &authenticated(), "get", EXT));
    assert_eq!(world.rbac.global_roles_of("user-1", &[]), ["user"]);
}

#[test]
fn a_user_may_read_their_own_user_object_and_no_other() {
    let mut world = World::new();
    world.bind_global("grb-1", "user-base", "user-1", "");
    let get = |world: &World, caller, verb, name| {
        let asked = Attributes {
            verb,
            group: "management.cattle.io",
            resource: "users",
            name,
            ..Attributes::default()
        };
        world.rbac.allows(caller, &authenticated(), &asked)
    };
    assert!(get(&world, "user-1", "get", "user-1"));
    assert!(!get(&world, "user-1", "get", "user-2"));
    assert!(!get(&world, "user-1", "list", ""));
    assert!(!get(&world, "user-1", "update", "user-1"));
    assert!(!get(&world, "user-2", "get", "user-2"), "without a role not even oneself");
    assert!(world.rbac.rules_for("user-1", &[]).iter().any(|rule| rule.resource_names == ["user-1"]));
    assert!(world.rbac.granted("user-1", &[]).iter().all(|rule| rule.resource_names.is_empty()));
}

#[test]
fn the_role_admin_has_full_access() {
    let mut world = World::new();
    world.bind_global("grb-1", "admin", "user-1", "");
    assert!(world.rbac.full_access("user-1", &[], "delete", EXT));
    world.delete(collections::GLOBAL_ROLE_BINDINGS, "grb-1");
    assert!(!world.rbac.full_access("user-1", &[], "delete", EXT));
}

#[test]
fn a_binding_is_for_the_very_user_it_was_made_for() {
    let mut world = World::new();
    let bound = GlobalRoleBindingRecord {
        role: "admin".into(),
        user: "user-1".into(),
        user_uid: Some(Uid::from_random([1; 16])),
        ..GlobalRoleBindingRecord::default()
    };
    world.put(collections::GLOBAL_ROLE_BINDINGS, "grb-1", framed(&bound.encode()));
    let is_admin = |world: &World| world.rbac.full_access("user-1", &[], "get", EXT);
    assert!(!is_admin(&world), "there is no such user");
    world.user("user-1", 1);
    assert!(is_admin(&world));
    world.delete(collections::USERS, "user-1");
    assert!(!is_admin(&world));
    world.user("user-1", 2);
    assert!(!is_admin(&world), "a later user of the name");
    assert!(world.rbac.global_roles_of("user-1", &[]).is_empty());
    let meta = Meta { uid: Uid::from_random([1; 16]), deleted_s: Some(1), ..Meta::default() };
    world.put(collections::USERS, "user-1", frame::frame(&UserRecord::default().encode(), &meta));
    assert!(!is_admin(&world), "being deleted");
    world.delete(collections::GLOBAL_ROLE_BINDINGS, "grb-1");
    world.user("user-1", 1);
    assert!(!is_admin(&world), "the binding is taken back");
}

#[test]
fn a_binding_is_to_the_very_role_it_was_made_for() {
    let mut world = World::new();
    let role = GlobalRoleRecord { rules: everything(), ..GlobalRoleRecord::default() };
    let value =
        |uid| frame::frame(&role.encode(), &Meta { uid: Uid::from_random([uid; 16]), ..Meta::default() });
    let bound = GlobalRoleBindingRecord {
        role: "ops".into(),
        group_principal: "team".into(),
        role_uid: Some(Uid::from_random([1; 16])),
        ..GlobalRoleBindingRecord::default()
    };
    world.put(collections::GLOBAL_ROLE_BINDINGS, "grb-1", framed(&bound.encode()));
    let may = |world: &World| world.rbac.full_access("user-1", &["team".to_owned()], "get", EXT);
    world.put(collections::GLOBAL_ROLES, "ops", value(1));
    assert!(may(&world));
    world.delete(collections::GLOBAL_ROLES, "ops");
    world.put(collections::GLOBAL_ROLES, "ops", value(2));
    assert!(!may(&world));
}

#[test]
fn full_access_needs_the_whole_group_and_no_names() {
    let mut world = World::new();
    let cases = [
        (Rule::resources(&["get"], &[EXT], &["*"]), true),
        (Rule::resources(&["*"], &["*"], &["*"]), true),
        (Rule::resources(&["get"], &[EXT], &["*"]).named(&["a"]), false),
        (Rule::resources(&["get"], &[EXT], &["tokens"]), false),
        (Rule::resources(&["get"], &[""], &["*"]), false),
        (Rule::resources(&["list"], &[EXT], &["*"]), false),
        (Rule::resources(&["get"], &[EXT], &["*/*"]), false),
    ];
    world.bind("b", "r", &[("User", "user-1")]);
    for (rule, expected) in cases {
        world.role("r", vec![rule.clone()]);
        assert_eq!(world.rbac.full_access("user-1", &[], "get", EXT), expected, "{rule:?}");
    }
}

#[test]
fn bindings_reach_users_groups_and_service_accounts() {
    let mut world = World::new();
    world.role("reader", vec![Rule::resources(&["get"], &["g"], &["things"])]);
    let asked = Attributes { verb: "get", group: "g", resource: "things", ..Attributes::default() };
    world.bind(
        "b",
        "reader",
        &[("User", "ann"), ("Group", "team"), ("ServiceAccount", "robot"), ("Robot", "eve")],
    );
    assert!(world.rbac.allows("ann", &[], &asked));
    assert!(world.rbac.allows("bob", &["team".to_owned()], &asked));
    assert!(world.rbac.allows("system:serviceaccount:ns:robot", &[], &asked));
    assert!(!world.rbac.allows("eve", &[], &asked));
    assert!(!world.rbac.allows("team", &[], &asked), "a group is no user");
    world.bind("b", "reader", &[("User", "eve")]);
    assert!(!world.rbac.allows("ann", &[], &asked), "a changed binding takes back what it gave");
    assert!(world.rbac.allows("eve", &[], &asked));
    world.delete(collections::CLUSTER_ROLES, "reader");
    assert!(!world.rbac.allows("eve", &[], &asked));
}

#[test]
fn of_two_bindings_of_one_role_one_is_enough() {
    let mut world = World::new();
    world.bind_global("a", "user", "user-1", "");
    world.bind_global("b", "user", "user-1", "");
    world.delete(collections::GLOBAL_ROLE_BINDINGS, "a");
    assert!(world.may("user-1", "get", EXT, "tokens"));
    world.delete(collections::GLOBAL_ROLE_BINDINGS, "b");
    assert!(!world.may("user-1", "get", EXT, "tokens"));
}

#[test]
fn a_group_principal_is_bound_like_a_group() {
    let mut world = World::new();
    world.bind_global("a", "user", "", "github_team://7");
    let asked = Attributes { verb: "get", group: EXT, resource: "tokens", ..Attributes::default() };
    assert!(world.rbac.allows("user-9", &["github_team://7".to_owned()], &asked));
}

#[test]
fn aggregated_roles_follow_their_parts() {
    let mut world = World::new();
    let selector = Aggregation {
        match_labels: [("to".to_owned(), "view".to_owned())].into(),
        match_expressions: vec![],
    };
    let whole = ClusterRoleRecord { rules: vec![], aggregation: Some(vec![selector]) };
    world.put(collections::CLUSTER_ROLES, "view", framed(&whole.encode()));
    world.bind("b", "view", &[("User", "ann")]);
    let part =
        ClusterRoleRecord { rules: vec![Rule::resources(&["get"], &["g"], &["things"])], aggregation: None };
    let meta = Meta { labels: [("to".to_owned(), "view".to_owned())].into(), ..Meta::default() };
    assert!(!world.may("ann", "get", "g", "things"));
    world.put(collections::CLUSTER_ROLES, "part", frame::frame(&part.encode(), &meta));
    assert!(world.may("ann", "get", "g", "things"));
    world.delete(collections::CLUSTER_ROLES, "part");
    assert!(!world.may("ann", "get", "g", "things"));
}

#[test]
fn damaged_records_grant_nothing() {
    let mut world = World::new();
    world.bind_global("grb-1", "admin", "user-1", "");
    world.put(collections::GLOBAL_ROLES, "admin", b"\x01garbage".to_vec());
    assert!(!world.rbac.full_access("user-1", &[], "get", EXT));
    world.put(collections::GLOBAL_ROLE_BINDINGS, "grb-1", b"x".to_vec());
    assert!(world.rbac.global_roles_of("user-1", &[]).is_empty());
}

#[test]
fn writing_a_role_needs_what_it_grants() {
    let mut world = World::new();
    world.role(
        "r",
        vec![
            Rule::resources(&["get", "list"], &["g"], &["things", "others"]),
            Rule::resources(&["delete"], &["g"], &["things"]),
        ],
    );
    world.bind("b", "r", &[("User", "ann")]);
    let covers = |rules: &[Rule]| world.rbac.covers("ann", &[], rules);
    assert_eq!(covers(&[Rule::resources(&["get"], &["g"], &["things"]).named(&["a"])]), Ok(()));
    assert_eq!(
        covers(&[Rule::resources(&["get", "delete"], &["g"], &["things"])]),
        Ok(()),
        "by two rules together"
    );
    let missing = covers(&[Rule::resources(&["get", "delete"], &["g"], &["things", "others"])]).unwrap_err();
    assert_eq!(missing, [Rule::resources(&["delete"], &["g"], &["others"])]);
    assert!(covers(&everything()).is_err());
    assert_eq!(covers(&[]), Ok(()));
}

#[test]
fn a_role_of_astronomic_size_is_refused_quickly() {
    let many: Vec<String> = (0..2000).map(|n| format!("r{n}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let huge = Rule::resources(&names, &names, &names).named(&names);
    let rbac = Rbac::new();
    assert_eq!(rbac.covers("ann", &[], std::slice::from_ref(&huge)), Err(vec![huge]));
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(proptest::sample::select(words).prop_map(str::to_owned), 1..3)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let names =
        proptest::collection::vec(proptest::sample::select(&["n", "m"][..]).prop_map(str::to_owned), 0..2);
    let rule =
        (words(&["get", "list", "*"]), words(&["", "a", "*"]), words(&["x", "y", "x/s", "*/s", "*"]), names)
            .prop_map(|(verbs, api_groups, resources, resource_names)| Rule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls: vec![],
            });
    proptest::collection::vec(rule, 0..4)
}

proptest! {
    #[test]
    fn whoever_covers_a_role_may_do_what_it_allows(have in rules(), wanted in rules()) {
        if covers(&have, &wanted).is_ok() {
            for verb in ["get", "list", "put", "*"] {
                for group in ["", "a", "b", "*"] {
                    for resource in ["x", "y", "z", "*"] {
                        for subresource in ["", "s", "t"] {
                            for name in ["", "n", "m", "o"] {
                                let asked = Attributes { verb, group, resource, subresource, name, ..Attributes::default() };
                                if wanted.iter().any(|rule| rule.allows(&asked)) {
                                    prop_assert!(have.iter().any(|rule| rule.allows(&asked)), "{:?}", asked);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
