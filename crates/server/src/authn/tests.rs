#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn certificate(name: &str, organizations: &[&str]) -> ClientCertificate {
    ClientCertificate {
        common_name: name.to_owned(),
        organizations: organizations.iter().map(|o| (*o).to_owned()).collect(),
        not_after_s: 0,
        fingerprint: String::new(),
    }
}

fn owner(good: bool) -> Owner {
    Owner { uid: "7".into(), username: "ann".into(), good }
}

#[test]
fn the_certificate_of_the_system_admin_is_in_its_groups() {
    let user = certificate_user(&certificate("system:admin", &["system:masters"]), None).unwrap();
    assert_eq!(user.name, "system:admin");
    assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
    assert!(user.extra.is_empty());
}

#[test]
fn the_certificate_of_a_user_is_a_login_of_that_user() {
    let user = certificate_user(&certificate("user-abcde", &[]), Some(&owner(true))).unwrap();
    assert_eq!(user.uid, "7");
    assert_eq!(user.groups, ["system:authenticated", "system:cattle:authenticated"]);
    assert_eq!(user.extra[PRINCIPAL], ["local://user-abcde"]);
    assert_eq!(user.extra[USERNAME], ["ann"]);
}

#[test]
fn a_user_who_is_disabled_or_gone_cannot_log_in_by_certificate() {
    assert_eq!(certificate_user(&certificate("user-abcde", &["system:masters"]), Some(&owner(false))), None);
    assert_eq!(certificate_user(&certificate("user-abcde", &[]), None), None);
    assert_eq!(certificate_user(&certificate("u-abcde", &[]), None), None);
    assert_eq!(certificate_user(&certificate("", &["system:masters"]), None), None);
}

#[test]
fn the_cluster_is_taken_from_the_path_only() {
    assert_eq!(place_of("/k8s/clusters/c-1/api/v1/pods"), Place::Cluster("c-1"));
    assert_eq!(place_of("/v3/clusters/local"), Place::Cluster("local"));
    for path in ["/v3/clusters", "/v3/clusters/", "/v3/tokens", "/apis/ext.cattle.io/v1/tokens", "/v1/clusters/c-1", "/"] {
        assert_eq!(place_of(path), Place::Global, "{path}");
    }
}

#[test]
fn the_field_manager_is_the_clients_name() {
    let manager = |agent: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, agent.parse().unwrap());
        field_manager(&headers)
    };
    assert_eq!(manager("kubectl/v1.33.1 (linux/amd64)"), "kubectl");
    assert_eq!(manager("/x"), "unknown");
    assert_eq!(field_manager(&HeaderMap::new()), "unknown");
    assert_eq!(manager(&"x".repeat(500)).len(), 128);
}

#[test]
fn only_what_is_asked_for_decides_about_tokens_of_ones_own() {
    let mut caller = Caller::test("user-a");
    caller.credential = Some(CallerCredential::Certificate {
        common_name: "user-a".into(),
        fingerprint: String::new(),
        is_user: true,
    });
    assert!(caller.is_certificate_login());
    assert!(caller.own_token().is_none());
    caller.impersonator = Some(UserInfo { name: "user-a".into(), ..UserInfo::default() });
    assert!(!caller.is_certificate_login());
    assert_eq!(caller.real().name, "user-a");
}

#[test]
fn failures_have_one_answer_each() {
    assert_eq!(AuthnFailure::Anonymous.refusal(), Refusal::Unauthorized);
    assert_eq!(AuthnFailure::Rejected.refusal(), Refusal::Unauthorized);
    assert!(matches!(AuthnFailure::CrossSite.refusal(), Refusal::ForbiddenText(_)));
    assert_eq!(AuthnFailure::Refused(Refusal::NotFound).refusal(), Refusal::NotFound);
}
