//! The seed's table of the system's own tokens: seven kinds, their names, labels and ttl, made by kubectl and by `eartag system-token`.

use eartag_tests::http::text;
use eartag_tests::v3::{LEGACY, V3_TOKENS, ids, set, system_token, works};
use eartag_tests::{Server, needs_kubectl};
use serde_json::{Value, json};

const KIND: &str = "authn.management.cattle.io/kind";
/// Kind, and what names begin with, as the seed lists them.
const KINDS: [(&str, &str); 7] = [
    ("kubeconfig", "kubeconfig-"),
    ("kubectl-shell", "kubectl-shell-"),
    ("agent", "agent-"),
    ("compose", "compose-token-"),
    ("helm", "helm-token-"),
    ("telemetry", "telemetry-"),
    ("drain-node", "drain-node-"),
];

#[test]
fn the_seven_kinds_never_expire_though_there_is_a_maximum() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    set(&admin.http, "auth-token-max-ttl-minutes", "1");
    for (kind, prefix) in KINDS {
        let made = system_token(&admin.http, kind, &ann.id, None);
        let rest = made.id.strip_prefix(prefix).unwrap_or_else(|| panic!("{kind}: {}", made.id));
        let random = rest.strip_prefix(&ann.id).unwrap_or_else(|| panic!("{kind}: {}", made.id));
        assert_eq!(random.trim_start_matches('-').len(), 5, "{kind}: {}", made.id);
        assert!(made.bearer.starts_with(&format!("{}:", made.id)) && made.secret().len() == 54);
        for shown in [made.object.clone(), admin.http.get(&made.legacy()).want(200)] {
            assert_eq!((&shown["ttl"], &shown["expired"]), (&json!(0), &json!(false)), "{kind}");
            assert_eq!((&shown["userId"], &shown["isDerived"]), (&json!(ann.id), &json!(true)), "{kind}");
            assert_eq!(shown["metadata"]["labels"][KIND], kind);
            assert_eq!(
                shown["metadata"]["labels"]["authn.management.cattle.io/token-userId"],
                ann.id.as_str()
            );
            assert_eq!(shown["authProvider"], "local");
            assert!(!text(&shown["description"]).is_empty(), "{kind}");
        }
        assert_eq!(server.anonymous().bearer(&made.bearer).whoami(), Some(ann.id.clone()), "{kind}");
        // Listed at /v3 for whoever owns it, and for admins.
        let shown = ann.http.get(&made.path()).want(200);
        assert_eq!(
            (&shown["ttl"], &shown["expiresAt"], &shown["labels"][KIND]),
            (&json!(0), &json!(""), &json!(kind))
        );
        assert!(!shown.to_string().contains(made.secret()));
        let by_kind = admin.http.get(&format!("{LEGACY}?labelSelector={KIND}%3D{kind}")).want(200);
        assert_eq!(eartag_tests::http::names(&by_kind), [made.id.as_str()]);
        // A second one is no trouble; a first one deleted stops at once.
        let second = system_token(&admin.http, kind, &ann.id, Some(&format!("{prefix}of-ann")));
        assert_eq!(second.id, format!("{prefix}of-ann"));
        assert_eq!(admin.http.delete(&made.path()).status, 204);
        assert!(!works(&server, &made.bearer) && works(&server, &second.bearer), "{kind}");
    }
    assert_eq!(ids(&ann.http.get(V3_TOKENS).want(200)).len(), 8, "seven, and the session");
    // An API key has no such privilege.
    assert_eq!(eartag_tests::v3::key(&ann.http, &json!({"ttl": 0})).object["ttl"], 60_000);
}

#[test]
fn a_broken_rule_is_refused_with_a_clear_error() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let before = admin.http.get(LEGACY).want(200)["items"].as_array().unwrap().len();
    let manifest = |kind: Value, name: &str, more: Value| {
        let mut object = json!({"apiVersion": "management.cattle.io/v3", "kind": "Token", "metadata": {"labels": {KIND: kind}}, "userId": ann.id});
        if !name.is_empty() {
            object["metadata"]["name"] = name.into();
        }
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let cases = [
        (manifest(json!("compose"), "compose-x", json!({})), 422, "compose-token-"),
        (manifest(json!("agent"), "token-abcde", json!({})), 422, "token names can't start with token-"),
        (manifest(json!("agent"), "helm-token-x", json!({})), 422, "agent-"),
        (manifest(json!("agent"), "agent-", json!({})), 422, ""),
        (manifest(json!("agent"), "agent-UPPER", json!({})), 422, "agent-UPPER"),
        (manifest(json!("session"), "", json!({})), 422, "session"),
        (manifest(json!("pipeline"), "", json!({})), 422, "pipeline"),
        (manifest(json!("agent"), "", json!({"token": "x"})), 422, "token"),
        (manifest(json!("agent"), "", json!({"ttl": -1})), 422, "ttl"),
        (manifest(json!("agent"), "", json!({"userId": "user-nobody"})), 422, "user-nobody"),
        (manifest(json!("agent"), "", json!({"clusterName": "nowhere"})), 422, "nowhere"),
    ];
    for (object, status, said) in cases {
        let reply = admin.http.post(LEGACY, &object);
        // A cluster that is not there may be a 400, as at the other tokens.
        assert!(
            reply.status == status || said == "nowhere" && (400..500).contains(&reply.status),
            "{object}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(reply.message().contains(said), "{object}: {}", reply.text());
    }
    // A standard user makes none, for nobody.
    for user in [&ann.id, &admin.id] {
        let refused = ann.http.post(LEGACY, &manifest(json!("agent"), "", json!({"userId": user})));
        refused.refused(403, "Forbidden");
    }
    // A name that is taken stays taken, and its token as it is.
    let first = system_token(&admin.http, "agent", &ann.id, Some("agent-one"));
    let taken = admin.http.post(LEGACY, &manifest(json!("agent"), "agent-one", json!({})));
    taken.refused(409, "AlreadyExists");
    assert!(works(&server, &first.bearer));
    // For a disabled user none is made.
    admin.http.put(&format!("/v3/users/{}", ann.id), &json!({"enabled": false})).want(200);
    let disabled = admin.http.post(LEGACY, &manifest(json!("agent"), "", json!({})));
    assert!((400..500).contains(&disabled.status), "{}", disabled.text());
    let after = admin.http.get(LEGACY).want(200)["items"].as_array().unwrap().len();
    assert_eq!(after, before + 1);
}

#[test]
fn a_ttl_that_is_given_to_a_system_token_is_kept_within_the_maximum() {
    let server = Server::start();
    let admin = server.admin();
    set(&admin.http, "auth-token-max-ttl-minutes", "10");
    let make = |ttl: i64| {
        admin.http.post(
            LEGACY,
            &json!({"apiVersion": "management.cattle.io/v3", "kind": "Token", "metadata": {"labels": {KIND: "helm"}}, "userId": admin.id, "ttl": ttl}),
        )
    };
    assert_eq!(make(60_000).want(201)["ttl"], 60_000);
    let clamped = make(3_600_000);
    assert_eq!(clamped.want(201)["ttl"], 600_000);
    assert!(clamped.header("warning").is_some_and(|w| w.starts_with("299 ")), "{:?}", clamped.headers);
    assert_eq!(make(0).want(201)["ttl"], 0);
}

/// Runs `eartag system-token` beside the server.
fn cli(server: &Server, args: &[&str]) -> (i32, String, String) {
    let mut all = vec!["system-token"];
    all.extend(args);
    let config = server.data().join("kubeconfig/admin.yaml").display().to_string();
    let data = server.data().display().to_string();
    eartag_tests::server::run(
        &all,
        &[("KUBECONFIG", config.as_str()), ("EARTAG_DATA_DIR", data.as_str())],
        server.scratch(),
    )
}

#[test]
fn the_program_makes_system_tokens_and_prints_their_value_once() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    for (kind, prefix) in KINDS {
        let (code, out, err) = cli(&server, &["create", "--kind", kind, "--user", &ann.id]);
        assert_eq!(code, 0, "{kind}: {err}");
        let bearer = bearer_in(&out).unwrap_or_else(|| panic!("{kind}: no value in {out}"));
        assert!(bearer.starts_with(prefix), "{kind}: {out}");
        assert_eq!(server.anonymous().bearer(&bearer).whoami(), Some(ann.id.clone()), "{kind}");
        let shown = admin.http.get(&format!("{LEGACY}/{}", bearer.split_once(':').unwrap().0)).want(200);
        assert_eq!((&shown["ttl"], &shown["metadata"]["labels"][KIND]), (&json!(0), &json!(kind)));
    }
    let name = "kubectl-shell-user-vqkqt";
    let (code, out, err) =
        cli(&server, &["create", "--kind", "kubectl-shell", "--user", &ann.id, "--name", name]);
    assert_eq!(code, 0, "{err}");
    assert!(bearer_in(&out).is_some_and(|bearer| bearer.starts_with(&format!("{name}:"))), "{out}");
    let (code, out, _) =
        cli(&server, &["create", "--kind", "kubectl-shell", "--user", &ann.id, "--name", name]);
    assert_eq!((code, bearer_in(&out)), (1, None), "the name is taken");
    for (args, code, said) in [
        (vec!["create", "--kind", "pipeline", "--user", ann.id.as_str()], 2, "pipeline"),
        (vec!["create", "--kind", "agent"], 2, "--user"),
        (vec!["create", "--kind", "agent", "--user", "user-nobody"], 1, "user-nobody"),
        (vec!["create", "--kind", "agent", "--user", ann.id.as_str(), "--name", "token-x"], 1, "token-"),
    ] {
        let (seen, out, err) = cli(&server, &args);
        assert_eq!(seen, code, "{args:?}: {out}{err}");
        assert!(err.contains(said), "{args:?}: {err}");
        assert_eq!(bearer_in(&out), None, "{args:?}");
    }
}

/// The word that is a bearer value.
fn bearer_in(out: &str) -> Option<String> {
    out.split_whitespace()
        .map(|word| word.trim_matches(['"', '\'', ',']))
        .find(|word| word.split_once(':').is_some_and(|(_, secret)| secret.len() == 54))
        .map(str::to_owned)
}

#[test]
fn admins_see_all_legacy_tokens_by_kubectl_and_no_secret() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let made: Vec<_> = KINDS.iter().map(|(kind, _)| system_token(&admin.http, kind, &ann.id, None)).collect();
    let resource = "tokens.management.cattle.io";
    let table = admin.kubectl.ok(&["get", resource]);
    let yaml = admin.kubectl.ok(&["get", resource, "-o", "yaml"]);
    let described = admin.kubectl.ok(&["describe", resource]);
    for token in &made {
        for shown in [&table, &yaml, &described] {
            assert!(shown.contains(&token.id), "{shown}");
            assert!(!shown.contains(token.secret()));
        }
    }
    assert!(table.lines().next().unwrap().contains("NAME"), "{table}");
    assert!(table.contains("never"), "{table}");
    let labelled =
        admin.kubectl.ok(&["get", resource, "-l", &format!("{KIND} in (agent,helm)"), "-o", "name"]);
    assert_eq!(labelled.lines().count(), 2, "{labelled}");
    let user = admin.kubectl.ok(&[
        "get",
        resource,
        "-l",
        &format!("authn.management.cattle.io/token-userId={}", ann.id),
        "-o",
        "name",
    ]);
    assert_eq!(user.lines().count(), 8, "{user}");
    // Patched, by the rules of the other tokens.
    let id = &made[0].id;
    admin.kubectl.ok(&[
        "patch",
        resource,
        id,
        "--type=merge",
        "-p",
        r#"{"description":"patched","enabled":false}"#,
    ]);
    assert!(!works(&server, &made[0].bearer));
    let refused = admin.kubectl.fails(&["patch", resource, id, "--type=merge", "-p", r#"{"token":"x"}"#]);
    assert!(refused.contains("token"), "{refused}");
    let refused =
        admin.kubectl.fails(&["patch", resource, id, "--type=merge", "-p", r#"{"userId":"user-x"}"#]);
    assert!(refused.contains("immutable") || refused.contains("userId"), "{refused}");
    let deleted = admin.kubectl.ok(&[
        "delete",
        resource,
        "-l",
        &format!("authn.management.cattle.io/token-userId={}", ann.id),
    ]);
    assert_eq!(deleted.lines().count(), 8, "{deleted}");
    assert!(made.iter().all(|token| !works(&server, &token.bearer)) && !works(&server, &ann.bearer));
    // A standard user has no rights there.
    let bob = server.person("bob", &["user"]);
    let refused = bob.kubectl.fails(&["get", resource]);
    assert!(refused.contains("Forbidden"), "{refused}");
}
