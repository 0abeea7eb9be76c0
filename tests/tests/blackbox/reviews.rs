//! Questions that are answered and never stored: reviews, SelfUser; and what tells callers apart: scope, field managers.

use eartag_tests::people::token;
use eartag_tests::{Server, TOKENS};
use serde_json::{Value, json};

const ACCESS: &str = "/apis/authorization.k8s.io/v1";
const SELF: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[test]
fn access_reviews_answer_for_oneself_and_for_others() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let list = json!({"verb": "list", "group": "ext.cattle.io", "resource": "tokens"});
    let remove = json!({"verb": "delete", "group": "management.cattle.io", "resource": "users", "name": "x"});
    let own = |attributes: &Value| {
        let reply = ann.http.post(SELF, &json!({"spec": {"resourceAttributes": attributes}})).want(201);
        assert_eq!(reply["kind"], "SelfSubjectAccessReview");
        reply["status"]["allowed"].clone()
    };
    assert_eq!((own(&list), own(&remove)), (json!(true), json!(false)));
    let of = |user: &str, groups: Value, attributes: &Value| {
        let spec = json!({"user": user, "groups": groups, "resourceAttributes": attributes});
        admin.http.post(&format!("{ACCESS}/subjectaccessreviews"), &json!({"spec": spec})).want(201)["status"]
            ["allowed"]
            .clone()
    };
    assert_eq!(of(&ann.id, json!([]), &list), true);
    assert_eq!(of(&ann.id, json!([]), &remove), false);
    assert_eq!(of("nobody", json!(["system:masters"]), &remove), true);
    assert_eq!(of("nobody", json!([]), &list), false);
    let path = |path: &str| {
        let spec = json!({"nonResourceAttributes": {"path": path, "verb": "get"}});
        ann.http.post(SELF, &json!({"spec": spec})).want(201)["status"]["allowed"].clone()
    };
    assert_eq!((path("/version"), path("/metrics")), (json!(true), json!(false)));
    for spec in [
        json!({}),
        json!({"resourceAttributes": list, "nonResourceAttributes": {"path": "/", "verb": "get"}}),
    ] {
        ann.http.post(SELF, &json!({"spec": spec})).refused(422, "Invalid");
    }
    let rules = ann
        .http
        .post(&format!("{ACCESS}/selfsubjectrulesreviews"), &json!({"spec": {"namespace": "default"}}))
        .want(201);
    let status = &rules["status"];
    assert_eq!(status["incomplete"], false);
    assert!(status["resourceRules"].is_array() && status["nonResourceRules"].is_array(), "{status}");
    let tables = "application/json;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(
        ann.http.with("Accept", tables).post(SELF, &json!({"spec": {"resourceAttributes": list}})).status,
        406
    );
    // As the Python client sends it: no Content-Type; nothing is stored, so there is nothing to get.
    assert_eq!(
        ann.http
            .send(
                "POST",
                SELF,
                "",
                Some(json!({"spec": {"resourceAttributes": list}}).to_string().as_bytes())
            )
            .status,
        201
    );
    assert_eq!(admin.http.get(SELF).status, 405);
}

#[test]
fn who_one_is_says_how_one_came_in() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let minted = ann.mint(json!({}));
    let review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let info =
        server.anonymous().bearer(&minted.bearer).post(review, &json!({})).want(201)["status"]["userInfo"]
            .clone();
    assert_eq!(info["username"], ann.id.as_str());
    let groups: Vec<&str> = info["groups"].as_array().unwrap().iter().map(|g| g.as_str().unwrap()).collect();
    assert!(
        groups.contains(&"system:authenticated") && groups.contains(&"system:cattle:authenticated"),
        "{groups:?}"
    );
    assert!(!groups.contains(&"system:masters"));
    assert_eq!(info["extra"]["requesttokenid"], json!([minted.name]));
    let root = server.system_admin_http().post(review, &json!({})).want(201)["status"]["userInfo"].clone();
    assert!(root["groups"].as_array().unwrap().contains(&json!("system:masters")), "{root}");
    let own = server.admin().http.post("/apis/ext.cattle.io/v1/selfusers", &json!({})).want(201);
    assert_eq!(own["status"]["userID"], server.admin().id.as_str());
}

#[test]
fn a_token_scoped_to_a_cluster_is_useless_at_the_global_doors() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let scoped = admin.mint(json!({"clusterName": "local"}));
    assert_eq!(scoped.object["spec"]["clusterName"], "local");
    let http = server.anonymous().bearer(&scoped.bearer);
    http.get(TOKENS).refused(401, "Unauthorized");
    assert_eq!(http.get("/v3/users").status, 401);
    assert_eq!(http.with("X-API-Cluster-Id", "local").get(TOKENS).status, 401, "the header means nothing");
    let said = ann.http.post(TOKENS, &json!({"spec": {"clusterName": "local"}})).refused(403, "Forbidden");
    assert_eq!(
        said,
        format!("tokens.ext.cattle.io is forbidden: user {} is not allowed to access cluster local", ann.id)
    );
    let said = ann.http.post(TOKENS, &json!({"spec": {"clusterName": "nowhere"}})).refused(400, "BadRequest");
    assert_eq!(said, "cluster nowhere not found");
}

#[test]
fn managed_fields_name_who_wrote_what() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let tool = ann.http.with("User-Agent", "my-tool/1.2 (linux)");
    let made = tool.post(TOKENS, &json!({"spec": {"description": "a"}})).want(201);
    let path = token(made["metadata"]["name"].as_str().unwrap());
    let managers = |object: &Value| -> Vec<(String, String, bool)> {
        let fields = object["metadata"]["managedFields"].as_array().unwrap_or_else(|| panic!("{object}"));
        fields
            .iter()
            .map(|entry| {
                assert_eq!(
                    (entry["fieldsType"].as_str(), entry["apiVersion"].as_str()),
                    (Some("FieldsV1"), Some("ext.cattle.io/v1"))
                );
                let owns = entry["fieldsV1"]["f:spec"].get("f:description").is_some();
                (
                    entry["manager"].as_str().unwrap().to_owned(),
                    entry["operation"].as_str().unwrap().to_owned(),
                    owns,
                )
            })
            .collect()
    };
    assert_eq!(managers(&tool.get(&path).want(200)), [("my-tool".into(), "Update".into(), true)]);
    let body = json!({"spec": {"description": "b"}}).to_string();
    let merge = eartag_tests::http::MERGE;
    let changed =
        tool.send("PATCH", &format!("{path}?fieldManager=other"), merge, Some(body.as_bytes())).want(200);
    let mut seen = managers(&changed);
    seen.sort();
    assert!(seen.contains(&("other".into(), "Update".into(), true)), "{seen:?}");
    assert!(!seen.contains(&("my-tool".into(), "Update".into(), true)), "{seen:?}");
    // Writing the same again moves nothing.
    let again =
        tool.send("PATCH", &format!("{path}?fieldManager=other"), merge, Some(body.as_bytes())).want(200);
    assert_eq!(again["metadata"], changed["metadata"]);
}
