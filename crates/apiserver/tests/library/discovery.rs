//! Discovery and OpenAPI through the door.

use std::io::Read;

use serde_json::json;

use crate::support::{BASE, server};
use crate::widgets::VERBS;

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

#[tokio::test]
async fn the_old_documents_name_groups_versions_and_resources() {
    let server = server().await;
    let api = server.get("/api").header("host", "here:8443").expect(200).await;
    assert_eq!((&api["kind"], &api["versions"]), (&json!("APIVersions"), &json!(["v1"])));
    assert_eq!(api["serverAddressByClientCIDRs"][0]["serverAddress"], "here:8443");
    let groups = server.get("/apis").expect(200).await;
    assert_eq!((&groups["kind"], &groups["apiVersion"]), (&json!("APIGroupList"), &json!("v1")));
    let names: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(
        names[..2],
        ["example.org", "other.example.org"],
        "in the order of the registry, without the core group"
    );
    assert_eq!(
        groups["groups"][0]["preferredVersion"],
        json!({"groupVersion": "example.org/v1", "version": "v1"})
    );
    let group = server.get("/apis/example.org").expect(200).await;
    assert_eq!((&group["kind"], &group["name"]), (&json!("APIGroup"), &json!("example.org")));
    let list = server.get("/apis/example.org/v1").expect(200).await;
    assert_eq!((&list["kind"], &list["groupVersion"]), (&json!("APIResourceList"), &json!("example.org/v1")));
    let widgets = &list["resources"][0];
    assert_eq!(
        (
            &widgets["name"],
            &widgets["singularName"],
            &widgets["kind"],
            &widgets["namespaced"],
            &widgets["verbs"],
            &widgets["shortNames"]
        ),
        (&json!("widgets"), &json!("widget"), &json!("Widget"), &json!(false), &json!(VERBS), &json!(["wg"]))
    );
    let core = server.get("/api/v1").expect(200).await;
    assert_eq!(core["resources"][0]["verbs"], json!(["get", "list"]));
    let reviews = server.get("/apis/authorization.k8s.io/v1").expect(200).await;
    assert!(reviews["resources"].as_array().unwrap().iter().all(|r| r["verbs"] == json!(["create"])));
    let paths = server.get("/").expect(200).await;
    for path in ["/api", "/api/v1", "/apis", "/apis/example.org", "/apis/example.org/v1", "/openapi/v3"] {
        assert!(paths["paths"].as_array().unwrap().contains(&json!(path)), "{path}");
    }
}

#[tokio::test]
async fn the_aggregated_documents_come_under_their_full_media_type() {
    let server = server().await;
    for (accept, version) in [
        (format!("{V2},{V2BETA1},application/json"), "v2"),
        (format!("{V2BETA1},application/json"), "v2beta1"),
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io;profile=nopeer,application/json".to_owned(), "v2"),
    ] {
        for path in ["/api", "/apis"] {
            let reply = server.get(path).accept(&accept).send().await;
            assert_eq!(reply.header("content-type"), format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"));
            let list = reply.json();
            assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("APIGroupDiscoveryList"), &json!(format!("apidiscovery.k8s.io/{version}"))));
            let item = &list["items"][0];
            assert_eq!(item["metadata"]["name"], if path == "/api" { "" } else { "example.org" });
            let resource = &item["versions"][0]["resources"][0];
            assert_eq!(resource["scope"], "Cluster");
            assert!(resource["responseKind"]["kind"].is_string());
        }
    }
    let reply = server.get("/apis").accept("application/json, */*").send().await;
    assert_eq!(
        (reply.header("content-type"), reply.json()["kind"].as_str()),
        ("application/json", Some("APIGroupList"))
    );
    server.get("/apis").accept("text/html").expect(406).await;
    server.get("/apis/example.org/v1").accept(V2).expect(406).await;
}

#[tokio::test]
async fn a_document_that_is_known_is_not_sent_again() {
    let server = server().await;
    for (path, accept) in [
        ("/apis", V2),
        ("/apis", "application/json"),
        ("/api/v1", ""),
        ("/openapi/v2", ""),
        ("/openapi/v3/apis/example.org/v1", ""),
    ] {
        let first = server.get(path).accept(accept).send().await;
        assert_eq!(first.code, 200);
        let etag = first.header("etag").to_owned();
        assert!(
            etag.len() == 130
                && etag.trim_matches('"').chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()),
            "{etag}"
        );
        assert!(first.header("vary").contains("Accept"));
        assert_eq!(first.header("cache-control"), "public");
        let again = server.get(path).accept(accept).header("if-none-match", &etag).send().await;
        assert_eq!((again.code, again.bytes.len(), again.header("etag")), (304, 0, etag.as_str()));
        let other = server.get(path).accept(accept).header("if-none-match", "\"00\"").send().await;
        assert_eq!(other.code, 200);
        let fresh = crate::support::server().await.get(path).accept(accept).send().await;
        assert_eq!(fresh.header("etag"), etag, "the same over restarts");
    }
}

#[tokio::test]
async fn what_is_switched_off_disappears_and_its_group_stays() {
    let server = server().await;
    server.make("a", json!({})).await;
    let etag = async || server.get("/apis").accept(V2).send().await.header("etag").to_owned();
    let before = etag().await;
    server.widgets.switch(false);
    assert_ne!(etag().await, before);
    let list = server.get("/apis/example.org/v1").expect(200).await;
    assert_eq!((&list["kind"], &list["resources"]), (&json!("APIResourceList"), &json!([])));
    let aggregated = server.get("/apis").accept(V2).expect(200).await;
    assert_eq!(aggregated["items"][0]["versions"][0]["resources"], json!([]));
    let message = "the server could not find the requested resource";
    for ask in [
        server.get(BASE),
        server.get(format!("{BASE}/a")),
        server.get(format!("{BASE}?watch=1")),
        server.post(BASE, &json!({})),
        server.put(format!("{BASE}/a"), &json!({})),
        server.patch(format!("{BASE}/a"), "merge", &json!({})),
        server.delete(format!("{BASE}/a")),
        server.delete(BASE),
    ] {
        ask.refused(404, "NotFound", message).await;
    }
    assert!(!server.get("/openapi/v2").send().await.text().contains("/widgets"));
    server.widgets.switch(true);
    assert_eq!(etag().await, before);
    server.now("a").await;
}

#[tokio::test]
async fn openapi_of_the_second_version_is_served_as_json_and_protobuf() {
    let server = server().await;
    let document = server.get("/openapi/v2").accept("application/json").expect(200).await;
    assert_eq!(document["swagger"], "2.0");
    let patch = &document["paths"]["/apis/example.org/v1/widgets/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "example.org", "version": "v1", "kind": "Widget"})
    );
    assert_eq!(
        patch["consumes"],
        json!([
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json"
        ])
    );
    assert!(document["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].is_object());
    for spelling in ["@v1.0", ".v1.0"] {
        let accept = format!("application/com.github.proto-openapi.spec.v2{spelling}+protobuf");
        let reply = server.get("/openapi/v2").accept(&accept).send().await;
        assert_eq!(
            reply.header("content-type"),
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
        );
        assert!(reply.bytes.len() > 1000);
    }
    let none = server.get("/openapi/v2").accept("text/html").send().await;
    assert_eq!((none.code, none.bytes.len()), (406, 0));
}

#[tokio::test]
async fn openapi_of_the_third_version_is_found_by_its_hash() {
    let server = server().await;
    let index = server.get("/openapi/v3").expect(200).await;
    let url = index["paths"]["apis/example.org/v1"]["serverRelativeURL"].as_str().unwrap();
    assert!(url.starts_with("/openapi/v3/apis/example.org/v1?hash="), "{url}");
    let reply = server.get(url).send().await;
    assert_eq!((reply.code, reply.header("cache-control")), (200, "public, immutable"));
    assert_eq!(reply.header("expires"), "Fri, 28 May 2027 20:26:40 GMT");
    let document = reply.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let patch = &document["paths"]["/apis/example.org/v1/widgets/{name}"]["patch"];
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
    let schema = &document["components"]["schemas"]["org.example.v1.Widget"];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"],
        json!([{"group": "example.org", "version": "v1", "kind": "Widget"}])
    );
    let stale = server.get("/openapi/v3/apis/example.org/v1?hash=ABC").send().await;
    let hash = url.split_once('?').unwrap().1;
    assert_eq!(
        (stale.code, stale.header("location")),
        (301, format!("?{hash}").as_str()),
        "relative, so that it works under any prefix"
    );
    let plain = server.get("/openapi/v3/apis/example.org/v1").send().await;
    assert_eq!((plain.code, plain.header("cache-control")), (200, "public"));
    assert_eq!(server.get("/openapi/v3/apis/nothing.org/v1").send().await.code, 404);
    assert_eq!(server.get("/openapi/v3").accept("text/html").send().await.code, 406);
}

#[tokio::test]
async fn large_documents_are_compressed_for_who_wants_that() {
    let server = server().await;
    let plain = server.get("/openapi/v2").send().await;
    let packed = server.get("/openapi/v2").header("accept-encoding", "br, gzip").send().await;
    if plain.bytes.len() > 128 * 1024 {
        assert_eq!(packed.header("content-encoding"), "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.bytes.as_ref()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.bytes);
    } else {
        assert_eq!(packed.header("content-encoding"), "");
        assert_eq!(packed.bytes, plain.bytes);
    }
    assert!(packed.header("vary").contains("Accept-Encoding"));
}

#[tokio::test]
async fn documents_are_only_read() {
    let server = server().await;
    for path in ["/apis", "/api", "/apis/example.org", "/apis/example.org/v1", "/openapi/v2"] {
        server
            .post(path, &json!({}))
            .refused_with(405, "MethodNotAllowed", "the server does not allow this method")
            .await;
    }
}
