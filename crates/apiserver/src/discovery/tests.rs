#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::openapi::fixtures;

const VERSIONS: [GroupVersion<'_>; 4] = [
    GroupVersion { group: "", version: "v1", freshness: Freshness::Current },
    GroupVersion { group: "management.cattle.io", version: "v3", freshness: Freshness::Current },
    GroupVersion { group: "ext.cattle.io", version: "v1", freshness: Freshness::Current },
    GroupVersion { group: "authorization.k8s.io", version: "v1", freshness: Freshness::Stale },
];

fn with<T>(check: impl FnOnce(&Catalogue<'_>) -> T) -> T {
    let infos = fixtures::infos();
    let resources: Vec<_> = infos.iter().collect();
    check(&Catalogue { versions: &VERSIONS, resources: &resources })
}

fn parsed(document: &Document) -> Value {
    assert_eq!(document.body.last(), Some(&b'\n'));
    serde_json::from_slice(&document.body).unwrap()
}

#[test]
fn each_kubectl_gets_the_form_it_asks_for() {
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let v2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let reordered = "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io;profile=nopeer";
    let cases = [
        ("application/json, */*".to_owned(), Some(Form::Legacy)),
        (format!("{v2beta1},application/json"), Some(Form::V2beta1)),
        (format!("{v2},{v2beta1},application/json"), Some(Form::V2)),
        (format!("{v2},application/json"), Some(Form::V2)),
        (format!("application/json,{v2}"), Some(Form::Legacy)),
        (reordered.to_owned(), Some(Form::V2)),
        (v2.replace("v=v2", "v=v3") + ",application/json", Some(Form::Legacy)),
        ("application/json;as=APIGroupDiscoveryList".to_owned(), None),
        ("application/vnd.kubernetes.protobuf".to_owned(), None),
        (String::new(), Some(Form::Legacy)),
    ];
    for (accept, form) in cases {
        assert_eq!(choose(Some(&accept)), form, "{accept}");
    }
    assert_eq!(choose(None), Some(Form::Legacy));
    assert!(legacy_only(None) && legacy_only(Some("")) && legacy_only(Some("text/html,*/*")));
    assert!(!legacy_only(Some(v2)));
}

#[test]
fn groups_come_in_the_given_order_with_a_preferred_version() {
    with(|catalogue| {
        let groups = parsed(&api_groups(catalogue));
        assert_eq!(groups["kind"], "APIGroupList");
        assert_eq!(groups["apiVersion"], "v1");
        let names: Vec<_> = groups["groups"].as_array().unwrap().iter().map(|g| &g["name"]).collect();
        assert_eq!(names, ["management.cattle.io", "ext.cattle.io", "authorization.k8s.io"]);
        assert_eq!(
            groups["groups"][1],
            json!({
                "name": "ext.cattle.io",
                "versions": [{"groupVersion": "ext.cattle.io/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "ext.cattle.io/v1", "version": "v1"},
            })
        );
        let one = parsed(&api_group(catalogue, "ext.cattle.io").unwrap());
        assert_eq!((&one["kind"], &one["apiVersion"]), (&json!("APIGroup"), &json!("v1")));
        assert_eq!(one["preferredVersion"]["version"], "v1");
        assert!(api_group(catalogue, "example.com").is_none());
        assert!(api_group(catalogue, "").is_none());
    });
}

#[test]
fn the_core_group_has_a_version_even_when_empty() {
    let empty = Catalogue { versions: &[], resources: &[] };
    assert_eq!(
        parsed(&api_versions(&empty, "10.0.0.1:443")),
        json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:443"}]})
    );
    with(|catalogue| {
        let core = parsed(&api_resources(catalogue, "", "v1").unwrap());
        assert_eq!(
            core,
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": []})
        );
    });
}

#[test]
fn a_resource_says_what_it_is() {
    with(|catalogue| {
        let list = parsed(&api_resources(catalogue, "ext.cattle.io", "v1").unwrap());
        assert_eq!(list["groupVersion"], "ext.cattle.io/v1");
        assert_eq!(
            list["resources"][0],
            json!({
                "name": "tokens", "singularName": "token", "namespaced": false, "kind": "Token",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
                "categories": ["eartag"],
                // base64(sha256("ext.cattle.io/v1/Token")[..8]), computed apart.
                "storageVersionHash": fixtures::TOKEN_HASH,
            })
        );
        let reviews = parsed(&api_resources(catalogue, "authorization.k8s.io", "v1").unwrap());
        assert_eq!(reviews["resources"][0]["verbs"], json!(["create"]));
        assert_eq!(reviews["resources"][0].get("storageVersionHash"), None);
        assert!(api_resources(catalogue, "ext.cattle.io", "v2").is_none());
    });
}

#[test]
fn aggregated_discovery_names_kinds_scopes_and_freshness() {
    with(|catalogue| {
        let document = aggregated(catalogue, Root::Groups, Form::V2);
        assert_eq!(
            document.content_type,
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        );
        let list = parsed(&document);
        assert_eq!(list["kind"], "APIGroupDiscoveryList");
        assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2");
        assert_eq!(list["metadata"], json!({}));
        assert_eq!(
            list["items"][0]["metadata"],
            json!({"name": "management.cattle.io", "creationTimestamp": null})
        );
        let ext = &list["items"][1]["versions"][0];
        assert_eq!((&ext["version"], &ext["freshness"]), (&json!("v1"), &json!("Current")));
        assert_eq!(
            ext["resources"][0],
            json!({
                "resource": "tokens",
                "responseKind": {"group": "ext.cattle.io", "version": "v1", "kind": "Token"},
                "scope": "Cluster", "singularResource": "token", "shortNames": [], "categories": ["eartag"],
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            })
        );
        assert_eq!(list["items"][2]["versions"][0]["freshness"], "Stale");

        let core = parsed(&aggregated(catalogue, Root::Core, Form::V2));
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        assert_eq!(core["items"][0]["metadata"]["name"], "");
        assert_eq!(core["items"][0]["versions"][0]["resources"], json!([]));

        let beta = aggregated(catalogue, Root::Groups, Form::V2beta1);
        assert!(beta.content_type.contains("v=v2beta1"));
        assert_eq!(parsed(&beta)["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    });
}

#[test]
fn the_tag_changes_with_what_is_served_and_with_nothing_else() {
    with(|catalogue| {
        let before = aggregated(catalogue, Root::Groups, Form::V2);
        let mut reversed = catalogue.resources.to_vec();
        reversed.reverse();
        let same = aggregated(&Catalogue { resources: &reversed, ..*catalogue }, Root::Groups, Form::V2);
        assert_eq!(before, same);
        let fewer = aggregated(
            &Catalogue { resources: &catalogue.resources[1..], ..*catalogue },
            Root::Groups,
            Form::V2,
        );
        assert_ne!(before.hash, fewer.hash);
        let mut stale = VERSIONS;
        stale[2].freshness = Freshness::Stale;
        let stale = aggregated(&Catalogue { versions: &stale, ..*catalogue }, Root::Groups, Form::V2);
        assert_ne!(before.hash, stale.hash);
    });
}

#[test]
fn a_switched_off_resource_leaves_an_empty_version() {
    let none = Catalogue { versions: &VERSIONS, resources: &[] };
    assert_eq!(parsed(&api_resources(&none, "ext.cattle.io", "v1").unwrap())["resources"], json!([]));
    assert_eq!(parsed(&api_groups(&none))["groups"].as_array().unwrap().len(), 3);
}

#[test]
fn stable_and_newer_versions_come_first() {
    let of = |version| GroupVersion { group: "g", version, freshness: Freshness::Current };
    let all = ["v1alpha1", "v1", "odd", "v1beta1", "v2", "v1beta2", "v10"].map(of);
    let catalogue = Catalogue { versions: &all, resources: &[] };
    let sorted: Vec<_> = versions(&catalogue, "g").into_iter().map(|v| v.version).collect();
    assert_eq!(sorted, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "odd"]);
}

#[test]
fn the_root_lists_every_path() {
    with(|catalogue| {
        assert_eq!(
            parsed(&paths(catalogue, &["/version", "/healthz"]))["paths"],
            json!([
                "/api",
                "/api/v1",
                "/apis",
                "/apis/authorization.k8s.io",
                "/apis/authorization.k8s.io/v1",
                "/apis/ext.cattle.io",
                "/apis/ext.cattle.io/v1",
                "/apis/management.cattle.io",
                "/apis/management.cattle.io/v3",
                "/healthz",
                "/version"
            ])
        );
    });
}
