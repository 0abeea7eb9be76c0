//! The reviews, in JSON and in protobuf.

use eartag_apiserver::protobuf::wrap;
use eartag_apiserver::user::UserInfo;
use serde_json::json;

use crate::support::{TABLE, server};

const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const OTHERS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const SELF: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

#[tokio::test]
async fn a_caller_learns_what_they_may_do() {
    let server = server().await;
    let asked = |verb: &str| json!({"spec": {"resourceAttributes": {"verb": verb, "group": "example.org", "version": "*", "resource": "widgets", "subresource": "status", "name": "a", "namespace": "ns"}}});
    let review = server.post(ACCESS, &asked("list")).expect(201).await;
    assert_eq!(
        (&review["kind"], &review["apiVersion"]),
        (&json!("SelfSubjectAccessReview"), &json!("authorization.k8s.io/v1"))
    );
    assert_eq!(review["status"]["allowed"], true);
    assert_eq!(review["spec"], asked("list")["spec"]);
    let asked_of = server.authorizer.asked.lock().last().cloned().unwrap();
    assert_eq!(
        (
            asked_of.verb.as_str(),
            asked_of.resource.as_str(),
            asked_of.subresource.as_str(),
            asked_of.name.as_str(),
            asked_of.namespace.as_str()
        ),
        ("list", "widgets", "status", "a", "ns")
    );
    server.post(ACCESS, &asked("delete")).by("reader").expect(403).await;
    let path = json!({"spec": {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}});
    assert_eq!(server.post(ACCESS, &path).expect(201).await["status"]["allowed"], true);
    assert_eq!(server.authorizer.asked.lock().last().cloned().unwrap().path.as_deref(), Some("/metrics"));
    server.post(format!("{ACCESS}?dryRun=All"), &path).expect(201).await;
    for wrong in [
        json!({}),
        json!({"spec": {}}),
        json!({"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}}),
    ] {
        let status = server.post(ACCESS, &wrong).expect(422).await;
        assert_eq!(status["details"]["kind"], "SelfSubjectAccessReview", "{wrong}");
    }
}

#[tokio::test]
async fn an_access_review_reads_protobuf_and_answers_json() {
    let server = server().await;
    let attributes = b"\x0a\x00\x12\x04list\x1a\x0bexample.org\x22\x01*\x2a\x07widgets\x32\x00\x3a\x00";
    let spec = [&[0x0a, u8::try_from(attributes.len()).unwrap()], attributes.as_slice()].concat();
    let raw = [&[0x12, u8::try_from(spec.len()).unwrap()], spec.as_slice()].concat();
    let body = wrap("authorization.k8s.io/v1", "SelfSubjectAccessReview", raw);
    let ask = |body: Vec<u8>| {
        server
            .ask(http::Method::POST, ACCESS)
            .raw(body)
            .header("content-type", "application/vnd.kubernetes.protobuf")
    };
    let reply = ask(body).accept("application/vnd.kubernetes.protobuf,application/json").send().await;
    assert_eq!((reply.code, reply.header("content-type")), (201, "application/json"));
    let review = reply.json();
    assert_eq!(review["spec"]["resourceAttributes"]["resource"], "widgets");
    assert_eq!(review["status"]["allowed"], true);
    ask(b"nonsense".to_vec()).refused_with(400, "BadRequest", "protobuf").await;
    ask(wrap("authorization.k8s.io/v1", "SelfSubjectRulesReview", vec![])).expect(400).await;
}

#[tokio::test]
async fn somebody_learns_what_somebody_else_may_do() {
    let server = server().await;
    let asked = |user: &str, verb: &str| json!({"spec": {"user": user, "groups": ["g"], "resourceAttributes": {"verb": verb, "resource": "widgets", "group": "example.org"}}});
    assert_eq!(server.post(OTHERS, &asked("reader", "get")).expect(201).await["status"]["allowed"], true);
    let denied = server.post(OTHERS, &asked("reader", "delete")).expect(201).await;
    assert_eq!(denied["status"]["allowed"], false);
    let unsure = server.post(OTHERS, &asked("broken", "get")).expect(201).await;
    assert_eq!(unsure["status"]["allowed"], false);
    assert!(unsure["status"]["evaluationError"].is_string());
    assert!(!unsure.to_string().contains("10.1.2.3"), "nothing internal");
    let nobody = json!({"spec": {"resourceAttributes": {"verb": "get"}}});
    server
        .post(OTHERS, &nobody)
        .refused_with(422, "Invalid", "at least one of user or group must be specified")
        .await;
}

#[tokio::test]
async fn a_caller_learns_their_rules() {
    let server = server().await;
    let review = server.post(RULES, &json!({"spec": {"namespace": "default"}})).expect(201).await;
    assert_eq!(
        review["status"],
        json!({
            "resourceRules": [
                {"verbs": ["get"], "apiGroups": ["example.org"], "resources": ["widgets"], "resourceNames": ["a"]},
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            ],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/version"]}],
            "incomplete": false,
        })
    );
}

#[tokio::test]
async fn a_caller_learns_who_they_are() {
    let server = server().await;
    let user = UserInfo {
        name: "ann".to_owned(),
        uid: "u-1".to_owned(),
        groups: vec!["g".to_owned()],
        extra: [("k".to_owned(), vec!["v".to_owned()])].into(),
    };
    let review = server.post(SELF, &json!({"metadata": {}})).identified(user).expect(201).await;
    assert_eq!(
        review["status"]["userInfo"],
        json!({"username": "ann", "uid": "u-1", "groups": ["g"], "extra": {"k": ["v"]}})
    );
    assert_eq!(
        (&review["kind"], &review["apiVersion"]),
        (&json!("SelfSubjectReview"), &json!("authentication.k8s.io/v1"))
    );
}

#[tokio::test]
async fn reviews_are_only_created_and_no_tables() {
    let server = server().await;
    server.get(ACCESS).expect(405).await;
    server.get(format!("{ACCESS}/a")).expect(405).await;
    server.delete(ACCESS).expect(405).await;
    server.post(SELF, &json!({})).accept(TABLE).expect(406).await;
    server.post(SELF, &json!({})).accept(&format!("{TABLE},application/json")).expect(201).await;
    let yaml = server.post(SELF, &json!({})).accept("application/yaml").send().await;
    assert_eq!((yaml.code, yaml.header("content-type")), (201, "application/yaml"));
    server.post(SELF, &json!({"kind": "Widget"})).expect(400).await;
    let strict = format!("{SELF}?fieldValidation=Strict");
    server
        .post(strict, &json!({"spec": {"x": 1}}))
        .refused_with(400, "BadRequest", "strict decoding error: unknown field \"spec")
        .await;
    assert!(
        server.ask(http::Method::POST, SELF).raw("{}").send().await.code == 201,
        "Python sends no content type"
    );
}
