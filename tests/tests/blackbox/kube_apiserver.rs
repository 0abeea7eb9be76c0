//! The counterpart itself: what the tests against a real cluster take for granted.

use eartag_tests::KubeApiserver;
use eartag_tests::http::text;
use serde_json::json;

/// Its administrator is let in by certificate, its roles decide about everybody else, nobody comes in with a foreign token, and it comes back with
/// what it stored after a kill.
#[test]
fn a_real_cluster_starts_knows_its_people_and_survives_a_kill() {
    eartag_tests::needs_kube_apiserver!();
    let mut kube = KubeApiserver::start();
    let admin = kube.admin_http();
    assert_eq!(text(&admin.get("/version").want(200)["gitVersion"]).get(..2), Some("v1"));
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "*", "resource": "*", "group": "*"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(admin.post(path, &review).want(201)["status"]["allowed"], true);
    let client = kube.client("jane", "readers");
    let jane = eartag_tests::Http::with_certificate(
        kube.url(),
        &kube.ca_file(),
        eartag_tests::Tape::default(),
        client.certificate.as_bytes(),
        client.key.as_bytes(),
    );
    assert_eq!(jane.post(path, &review).want(201)["status"]["allowed"], false);
    let refusal = jane.get("/api/v1/namespaces").refused(403, "Forbidden");
    assert!(refusal.contains("User \"jane\" cannot list resource \"namespaces\""), "{refusal}");
    kube.anonymous().bearer("token-abcde:nothing").get("/api/v1/namespaces").refused(401, "Unauthorized");

    admin.post("/api/v1/namespaces", &json!({"metadata": {"name": "kept"}})).want(201);
    kube.kill();
    kube.launch();
    admin.get("/api/v1/namespaces/kept").want(200);
}
