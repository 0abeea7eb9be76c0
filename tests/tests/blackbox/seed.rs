//! The seed's page, command by command, with the real kubectl.

use eartag_tests::http::text;
use eartag_tests::{Kubectl, Server, Setup, TOKENS, needs_kubectl};
use serde_json::{Value, json};

const EMPTY: &str = "apiVersion: ext.cattle.io/v1\nkind: Token\n";
const VALUE: [&str; 5] = ["create", "-o", "jsonpath={.status.value}", "-f", "-"];

fn manifest(spec: &str) -> String {
    format!("{EMPTY}spec:\n{spec}")
}

/// Creates a token and gives its name.
#[track_caller]
fn create(kubectl: &Kubectl, manifest: &str) -> String {
    kubectl.input(&["create", "-o", "jsonpath={.metadata.name}", "-f", "-"], manifest).ok()
}

fn is_secret(text: &str) -> bool {
    text.len() == 54 && text.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
}

fn is_name(text: &str) -> bool {
    text.strip_prefix("token-")
        .is_some_and(|r| r.len() == 5 && r.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)))
}

/// The words of a printed table's lines.
fn cells(table: &str) -> Vec<Vec<String>> {
    table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[track_caller]
fn get(kubectl: &Kubectl, name: &str) -> Value {
    serde_json::from_str(&kubectl.ok(&["get", "tokens.ext.cattle.io", name, "-o", "json"])).unwrap()
}

#[test]
fn creating_a_token_prints_its_value_once() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let value = admin.kubectl.input(&VALUE, EMPTY).ok();
    assert!(is_secret(&value), "{value:?}");
    let listed = admin.kubectl.ok(&["get", "tokens.ext.cattle.io", "-o", "yaml"]);
    assert!(!listed.contains(&value) && !listed.contains("hash"), "{listed}");

    let described = manifest("  description: My Token\n");
    assert!(is_secret(&admin.kubectl.input(&VALUE, &described).ok()));
    let all =
        admin.kubectl.ok(&["get", "tokens.ext.cattle.io", "-o", "jsonpath={.items[*].spec.description}"]);
    assert!(all.contains("My Token"), "{all}");
}

#[test]
fn the_system_admin_is_no_rancher_user() {
    needs_kubectl!();
    let server = Server::start();
    let refused = server.system_admin().input(&VALUE, EMPTY);
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.err.trim_end(),
        "Error from server (Forbidden): error when creating \"STDIN\": tokens.ext.cattle.io is forbidden: \
         user system:admin is not a Rancher user"
    );
    assert_eq!(refused.out, "");
    // It may do all else.
    let names = server.system_admin().ok(&["get", "tokens.ext.cattle.io", "-o", "name"]);
    assert!(names.starts_with("token.ext.cattle.io/token-"), "{names}");
}

#[test]
fn a_token_lives_ninety_days_unless_asked_otherwise() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let name = create(&ann.kubectl, EMPTY);
    assert!(is_name(&name), "{name}");
    let token = get(&ann.kubectl, &name);
    assert_eq!(token["spec"]["ttl"], 7_776_000_000_i64);
    assert_eq!(token["spec"]["userID"], ann.id.as_str());
    assert_eq!(token["spec"]["enabled"], true);
    assert_eq!(token["spec"]["kind"], "");
    assert_eq!(token["metadata"]["generateName"], "token-");
    assert_eq!(token["metadata"]["labels"]["cattle.io/user-id"], ann.id.as_str());
    assert_eq!(token["metadata"]["labels"]["authn.management.cattle.io/kind"], "");
    assert_eq!(token["status"]["expired"], false);
    assert_eq!(token["status"]["current"], false);
    assert_eq!(cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &name]))[1][1], "90d");

    let two_hours = create(&ann.kubectl, &manifest("  ttl: 7200000 # 2 hours\n"));
    assert_eq!(get(&ann.kubectl, &two_hours)["spec"]["ttl"], 7_200_000);
    assert_eq!(cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &two_hours]))[1][1], "120m");
}

#[test]
fn asking_for_more_than_the_maximum_is_clamped_with_a_warning() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let ran = ann.kubectl.input(&["create", "-o", "json", "-f", "-"], &manifest("  ttl: 9999999999\n"));
    assert!(ran.err.contains("Warning: "), "{}", ran.err);
    assert!(ran.err.contains("9999999999") && ran.err.contains("7776000000"), "{}", ran.err);
    let token: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(token["spec"]["ttl"], 7_776_000_000_i64);
    let never = ann.kubectl.input(&["create", "-o", "json", "-f", "-"], &manifest("  ttl: -1\n"));
    assert!(never.err.contains("Warning: "), "{}", never.err);
    let never: Value = serde_json::from_str(&never.ok()).unwrap();
    assert_eq!(never["spec"]["ttl"], 7_776_000_000_i64);
}

#[test]
fn without_a_maximum_a_token_may_live_for_ever() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let patched = admin.kubectl.ok(&[
        "patch",
        "setting",
        "auth-token-max-ttl-minutes",
        "--type=merge",
        "-p",
        r#"{"value":"0"}"#,
    ]);
    assert_eq!(patched.trim_end(), "setting.management.cattle.io/auth-token-max-ttl-minutes patched");
    let ann = server.person("ann", &["user"]);
    for asked in ["", "spec:\n  ttl: -1\n"] {
        let name = create(&ann.kubectl, &format!("{EMPTY}{asked}"));
        let token = get(&ann.kubectl, &name);
        assert_eq!(token["spec"]["ttl"], -1);
        assert_eq!(token["status"]["expiresAt"], "");
        assert_eq!(cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &name]))[1][1], "never");
    }
    let long = create(&ann.kubectl, &manifest("  ttl: 9223372036854775807\n"));
    let token = get(&ann.kubectl, &long);
    assert!(token["spec"]["ttl"].as_i64().unwrap() > 9_999_999_999, "{token}");
    assert!(text(&token["status"]["expiresAt"]).as_str() <= "9999-12-31T23:59:59Z");
}

#[test]
fn names_of_the_client_are_ignored() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    for metadata in ["  name: my-own-name\n", "  generateName: mine-\n"] {
        let created = ann.kubectl.create(&format!("{EMPTY}metadata:\n{metadata}"));
        let name =
            created.trim_end().strip_suffix(" created").and_then(|l| l.strip_prefix("token.ext.cattle.io/"));
        assert!(is_name(name.unwrap()), "{created}");
    }
    let error = ann.kubectl.fails(&["get", "tokens.ext.cattle.io", "my-own-name"]);
    assert_eq!(
        error.trim_end(),
        r#"Error from server (NotFound): tokens.ext.cattle.io "my-own-name" not found"#
    );
}

#[test]
fn the_flat_form_is_refused_as_an_unknown_field() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let ran = ann.kubectl.input(&VALUE, &format!("{EMPTY}spec:\nttl: 7200000 # 2 hours\n"));
    let error = ran.fails();
    assert!(error.contains("unknown field \"ttl\""), "{error}");
    assert!(error.starts_with("Error from server (BadRequest): error when creating \"STDIN\": "), "{error}");
}

#[test]
fn a_token_for_somebody_else_is_forbidden_even_to_admins() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let ann = server.person("ann", &["user"]);
    for (who, other) in [(&admin, &ann.id), (&ann, &admin.id)] {
        let error = who.kubectl.input(&VALUE, &manifest(&format!("  userID: {other}\n"))).fails();
        assert_eq!(
            error.trim_end(),
            "Error from server (Forbidden): error when creating \"STDIN\": tokens.ext.cattle.io is forbidden: \
             unable to create token for other user"
        );
        let own = create(&who.kubectl, &manifest(&format!("  userID: {}\n", who.id)));
        assert_eq!(get(&who.kubectl, &own)["spec"]["userID"], who.id.as_str());
    }
}

#[test]
fn the_kind_can_be_anything_a_label_can() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    for kind in ["session", "kubeconfig", "my.own_kind"] {
        let name = create(&ann.kubectl, &manifest(&format!("  kind: {kind}\n")));
        let token = get(&ann.kubectl, &name);
        assert_eq!(token["spec"]["kind"], kind);
        assert_eq!(token["metadata"]["labels"]["authn.management.cattle.io/kind"], kind);
        assert_eq!(cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &name]))[1][1], kind);
    }
}

#[test]
fn lists_are_tables_and_wide_ones_show_user_and_description() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    assert_eq!(ann.kubectl.run(&["get", "tokens.ext.cattle.io"]).err.trim_end(), "No resources found");
    let mut names = Vec::new();
    for description in ["example", "box", "jinx"] {
        names.push(create(&ann.kubectl, &manifest(&format!("  description: {description}\n"))));
    }
    let table = ann.kubectl.ok(&["get", "tokens.ext.cattle.io"]);
    let lines = cells(&table);
    assert_eq!(lines[0], ["NAME", "KIND", "TTL", "AGE"]);
    let mut sorted = names.clone();
    sorted.sort();
    let printed: Vec<&str> = lines[1..].iter().map(|l| l[0].as_str()).collect();
    assert_eq!(printed, sorted);
    for line in &lines[1..] {
        assert_eq!(line.len(), 3, "{table}");
        assert_eq!(line[1], "90d");
        assert!(line[2].ends_with(['s', 'm']), "{table}");
    }
    let wide = ann.kubectl.ok(&["get", "tokens.ext.cattle.io", "-o", "wide"]);
    let lines = cells(&wide);
    assert_eq!(lines[0], ["NAME", "USER", "KIND", "TTL", "AGE", "DESCRIPTION"]);
    for (name, description) in names.iter().zip(["example", "box", "jinx"]) {
        let line = lines.iter().find(|l| l[0] == *name).unwrap();
        assert_eq!(
            (line[1].as_str(), line[2].as_str(), line[4].as_str()),
            (ann.id.as_str(), "90d", description)
        );
    }
    let one = cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &names[0]]));
    assert_eq!((one[0].len(), one.len(), one[1][0].as_str()), (4, 2, names[0].as_str()));
    let one = cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &names[0], "-o", "wide"]));
    assert_eq!((one[1][1].as_str(), one[1][4].as_str()), (ann.id.as_str(), "example"));
}

#[test]
fn admins_see_all_tokens_and_users_only_their_own() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann, bob) =
        (server.admin(), server.person("ann", &["user"]), server.person("bob", &["user-base"]));
    let (of_ann, of_bob) = (create(&ann.kubectl, EMPTY), create(&bob.kubectl, EMPTY));
    let list = |kubectl: &Kubectl| kubectl.ok(&["get", "tokens.ext.cattle.io", "-o", "name"]);
    assert_eq!(list(&ann.kubectl), format!("token.ext.cattle.io/{of_ann}\n"));
    assert_eq!(list(&bob.kubectl), format!("token.ext.cattle.io/{of_bob}\n"));
    let all = list(&admin.kubectl);
    assert!(all.contains(&of_ann) && all.contains(&of_bob) && all.lines().count() == 3, "{all}");
    assert_eq!(get(&admin.kubectl, &of_ann)["spec"]["userID"], ann.id.as_str());
    let error = ann.kubectl.fails(&["get", "tokens.ext.cattle.io", &of_bob]);
    assert_eq!(
        error.trim_end(),
        format!("Error from server (NotFound): tokens.ext.cattle.io \"{of_bob}\" not found")
    );
}

#[test]
fn deleting_a_token_says_so_and_the_token_is_refused_at_once() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let (mine, too) = (ann.mint(json!({})), ann.mint(json!({})));
    assert!(server.anonymous().bearer(&mine.bearer).whoami().is_some());
    let said = ann.kubectl.ok(&["delete", "tokens.ext.cattle.io", &mine.name]);
    assert_eq!(said.trim_end(), format!("token.ext.cattle.io \"{}\" deleted", mine.name));
    assert_eq!(server.anonymous().bearer(&mine.bearer).whoami(), None);
    let said = admin.kubectl.ok(&["delete", "tokens.ext.cattle.io", &too.name]);
    assert_eq!(said.trim_end(), format!("token.ext.cattle.io \"{}\" deleted", too.name));
    assert_eq!(server.anonymous().bearer(&too.bearer).whoami(), None);
    let error = ann.kubectl.fails(&["delete", "tokens.ext.cattle.io", &mine.name]);
    assert_eq!(
        error.trim_end(),
        format!("Error from server (NotFound): tokens.ext.cattle.io \"{}\" not found", mine.name)
    );
}

/// An editor that changes what it is given by these sed commands.
fn editor(kubectl: &Kubectl, sed: &str) -> String {
    format!("sh {}", kubectl.file("editor.sh", &format!("sed -i -e '{sed}' \"$1\"\n")))
}

#[test]
fn a_token_can_be_edited() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let name = create(&ann.kubectl, &manifest("  description: before\n"));
    let editor = editor(
        &ann.kubectl,
        "s/description: before/description: after/;s/ttl: .*/ttl: 3600000/;s/enabled: true/enabled: false/",
    );
    let edited =
        ann.kubectl.run_with(&["edit", "tokens.ext.cattle.io", &name], "", &[("KUBE_EDITOR", &editor)]).ok();
    assert_eq!(edited.trim_end(), format!("token.ext.cattle.io/{name} edited"));
    let token = get(&ann.kubectl, &name);
    assert_eq!(token["spec"]["description"], "after");
    assert_eq!(token["spec"]["ttl"], 3_600_000);
    assert_eq!(token["spec"]["enabled"], false);
    assert_eq!(cells(&ann.kubectl.ok(&["get", "tokens.ext.cattle.io", &name]))[1][1], "60m");
}

#[test]
fn an_edit_that_is_refused_says_why() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let name = create(&ann.kubectl, EMPTY);
    let before = get(&ann.kubectl, &name);
    let editor = editor(&ann.kubectl, "s/kind: \"\"/kind: session/");
    let ran = ann.kubectl.run_with(&["edit", "tokens.ext.cattle.io", &name], "", &[("KUBE_EDITOR", &editor)]);
    assert!(ran.clone().fails().contains("spec.kind is immutable"), "{}{}", ran.out, ran.err);
    assert_eq!(get(&ann.kubectl, &name), before);
}

#[test]
fn description_ttl_enabled_and_metadata_can_be_updated() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let token = ann.mint(json!({"description": "a"}));
    let path = eartag_tests::people::token(&token.name);
    let changed = ann
        .http
        .merge(
            &path,
            &json!({"metadata": {"labels": {"team": "blue"}, "annotations": {"x/y": "z"}},
                    "spec": {"description": "b", "ttl": 3_600_000, "enabled": false}}),
        )
        .want(200);
    assert_eq!(changed["spec"]["description"], "b");
    assert_eq!(changed["spec"]["ttl"], 3_600_000);
    assert_eq!(changed["spec"]["enabled"], false);
    assert_eq!(changed["metadata"]["labels"]["team"], "blue");
    assert_eq!(changed["metadata"]["labels"]["cattle.io/user-id"], ann.id.as_str());
    assert_eq!(changed["metadata"]["annotations"]["x/y"], "z");
    assert!(changed["status"].get("value").is_none() && changed["status"].get("bearerToken").is_none());
    assert_eq!(
        server.anonymous().bearer(&token.bearer).whoami(),
        None,
        "a disabled token is refused at once"
    );
    ann.http.merge(&path, &json!({"spec": {"enabled": true}})).want(200);
    assert_eq!(server.anonymous().bearer(&token.bearer).whoami(), Some(ann.id.clone()));
}

#[test]
fn all_other_fields_are_immutable() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let token = ann.mint(json!({"description": "a"}));
    let path = eartag_tests::people::token(&token.name);
    let before = ann.http.get(&path).want(200);
    let changes = [
        (json!({"spec": {"userID": "somebody"}}), "spec.userID is immutable"),
        (json!({"spec": {"kind": "session"}}), "spec.kind is immutable"),
        (json!({"spec": {"userPrincipal": {"name": "local://somebody"}}}), "spec.userprincipal is immutable"),
        (
            json!({"spec": {"userPrincipal": {"profileURL": "https://example.org"}}}),
            "spec.userprincipal is immutable",
        ),
        (json!({"spec": {"clusterName": "local"}}), "spec.clusterName is immutable"),
    ];
    for who in [&admin, &ann] {
        for (change, text) in &changes {
            let said = who.http.merge(&path, change).refused(400, "BadRequest");
            assert_eq!(&said, text, "{change}");
            let mut whole = before.clone();
            for (name, value) in change["spec"].as_object().unwrap() {
                whole["spec"][name] = value.clone();
            }
            assert_eq!(&who.http.put(&path, &whole).refused(400, "BadRequest"), text, "{change}");
        }
    }
    assert_eq!(ann.http.get(&path).want(200), before);
    // What the client says of the status is of no interest.
    let mut whole = before.clone();
    whole["status"] = json!({"value": "x", "hash": "y", "expired": true, "current": true});
    assert_eq!(ann.http.put(&path, &whole).want(200)["status"]["expired"], false);
}

#[test]
fn a_user_can_only_reduce_ttl_and_an_admin_can_extend_it() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let token = ann.mint(json!({"ttl": 7_200_000}));
    let path = eartag_tests::people::token(&token.name);
    let ttl = |n: i64| json!({"spec": {"ttl": n}});
    assert_eq!(
        ann.http.merge(&path, &ttl(7_200_001)).refused(400, "BadRequest"),
        "forbidden to extend time-to-live"
    );
    assert_eq!(
        ann.http.merge(&path, &ttl(-1)).refused(400, "BadRequest"),
        "forbidden to extend time-to-live"
    );
    assert_eq!(ann.http.merge(&path, &ttl(7_100_000)).want(200)["spec"]["ttl"], 7_100_000);
    assert_eq!(ann.http.merge(&path, &ttl(0)).want(200)["spec"]["ttl"], 7_100_000, "0 leaves it alone");
    assert_eq!(admin.http.merge(&path, &ttl(7_300_000)).want(200)["spec"]["ttl"], 7_300_000);
    let clamped = admin.http.merge(&path, &ttl(99_999_999_999));
    assert_eq!(clamped.want(200)["spec"]["ttl"], 7_776_000_000_i64);
    assert!(clamped.header("warning").is_some_and(|w| w.starts_with("299 - \"")), "{:?}", clamped.headers);
    // At the maximum, asking for more changes nothing, for anybody.
    assert_eq!(ann.http.merge(&path, &ttl(99_999_999_999)).want(200)["spec"]["ttl"], 7_776_000_000_i64);
    // The admin's own tokens are no exception.
    let own = admin.mint(json!({"ttl": 1_000_000}));
    let path = eartag_tests::people::token(&own.name);
    assert_eq!(admin.http.merge(&path, &ttl(2_000_000)).want(200)["spec"]["ttl"], 2_000_000);
}

#[test]
fn an_expired_token_is_final() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let token = ann.mint(json!({"ttl": 1}));
    let path = eartag_tests::people::token(&token.name);
    let seen = eartag_tests::wait::until("expiry", eartag_tests::wait::PATIENCE, || {
        let seen = ann.http.get(&path).want(200);
        (seen["status"]["expired"] == true).then_some(seen)
    });
    assert_eq!(server.anonymous().bearer(&token.bearer).whoami(), None);
    for who in [&ann, &admin] {
        let reply = who.http.merge(&path, &json!({"spec": {"ttl": 9_000_000}}));
        assert_ne!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(ann.http.get(&path).want(200)["spec"], seen["spec"]);
    assert_eq!(server.anonymous().bearer(&token.bearer).whoami(), None);
}

#[test]
fn lowering_the_maximum_shortens_nothing_that_exists() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let old = ann.mint(json!({}));
    let setting = format!("{}/settings/auth-token-max-ttl-minutes", eartag_tests::MANAGEMENT);
    admin.http.merge(&setting, &json!({"value": "60"})).want(200);
    let path = eartag_tests::people::token(&old.name);
    assert_eq!(ann.http.get(&path).want(200)["spec"]["ttl"], 7_776_000_000_i64);
    let described = ann.http.merge(&path, &json!({"spec": {"description": "still long"}})).want(200);
    assert_eq!(described["spec"]["ttl"], 7_776_000_000_i64);
    assert_eq!(ann.mint(json!({})).object["spec"]["ttl"], 3_600_000);
    assert_eq!(
        ann.http.merge(&path, &json!({"spec": {"ttl": 7_000_000_000_i64}})).want(200)["spec"]["ttl"],
        3_600_000
    );
    for bad in ["-1", "abc", "1h"] {
        let said = admin.http.merge(&setting, &json!({"value": bad})).refused(422, "Invalid");
        assert!(said.contains("value"), "{said}");
    }
    assert_eq!(admin.http.get(&setting).want(200)["value"], "60");
}

#[test]
fn the_feature_can_be_switched_off_and_on_while_the_server_runs() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let token = ann.mint(json!({}));
    let shown = || {
        let list = ann.http.get(TOKENS).want(200);
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| (i["metadata"].clone(), i["spec"].clone()))
            .collect::<Vec<_>>()
    };
    let before = shown();
    let off = admin.kubectl.ok(&["patch", "feature", "ext-tokens", "-p", r#"{"spec":{"value":false}}"#]);
    assert_eq!(off.trim_end(), "feature.management.cattle.io/ext-tokens patched");
    assert_eq!(
        ann.http.get(TOKENS).refused(404, "NotFound"),
        "the server could not find the requested resource"
    );
    let path = eartag_tests::people::token(&token.name);
    for reply in [ann.http.get(&path), ann.http.delete(&path), admin.http.post(TOKENS, &json!({}))] {
        assert_eq!(reply.refused(404, "NotFound"), "the server could not find the requested resource");
    }
    let group = admin.http.get("/apis/ext.cattle.io/v1").want(200);
    assert!(!group.to_string().contains("\"tokens\""), "{group}");
    let document = admin.http.get("/openapi/v3/apis/ext.cattle.io/v1").want(200);
    assert!(!document["paths"].to_string().contains("/tokens"), "the document still has tokens");
    assert!(
        !admin.http.get("/openapi/v2").want(200)["paths"].to_string().contains("ext.cattle.io/v1/tokens")
    );
    let fresh = server.kubectl(&admin.bearer);
    let error = fresh.fails(&["get", "tokens.ext.cattle.io"]);
    assert_eq!(error.trim_end(), "error: the server doesn't have a resource type \"tokens\"");
    // Existing tokens keep authenticating.
    assert_eq!(server.anonymous().bearer(&token.bearer).whoami(), Some(ann.id.clone()));
    assert_eq!(admin.http.whoami(), Some(admin.id.clone()));

    admin.kubectl.ok(&["patch", "feature", "ext-tokens", "-p", r#"{"spec":{"value":true}}"#]);
    assert_eq!(shown(), before);
    server.kubectl(&ann.bearer).ok(&["get", "tokens.ext.cattle.io", &token.name]);
    assert_eq!(server.anonymous().bearer(&token.bearer).whoami(), Some(ann.id.clone()));
}

#[test]
fn the_feature_shows_its_default_and_users_may_not_change_it() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let path = format!("{}/features/ext-tokens", eartag_tests::MANAGEMENT);
    let feature = ann.http.get(&path).want(200);
    assert_eq!(feature["status"]["default"], true);
    assert_eq!(feature["spec"].get("value").unwrap_or(&Value::Null), &Value::Null);
    ann.http.merge(&path, &json!({"spec": {"value": false}})).refused(403, "Forbidden");
    // Null is the default again.
    admin.http.merge(&path, &json!({"spec": {"value": false}})).want(200);
    ann.http.get(TOKENS).refused(404, "NotFound");
    admin.http.merge(&path, &json!({"spec": {"value": null}})).want(200);
    ann.http.get(TOKENS).want(200);
}

#[test]
fn the_feature_can_be_off_from_the_start() {
    let server = Setup::default().arg("--features").arg("ext-tokens=false").start();
    let admin = server.admin();
    admin.http.get(TOKENS).refused(404, "NotFound");
    assert_eq!(admin.http.get("/apis/ext.cattle.io/v1").want(200)["groupVersion"], "ext.cattle.io/v1");
}

#[test]
fn token_hashing_once_on_stays_on() {
    let server = Server::start();
    let admin = server.admin();
    let path = format!("{}/features/token-hashing", eartag_tests::MANAGEMENT);
    assert_eq!(admin.http.get(&path).want(200)["status"]["default"], false);
    admin.http.merge(&path, &json!({"spec": {"value": true}})).want(200);
    let said = admin.http.merge(&path, &json!({"spec": {"value": false}})).refused(400, "Invalid");
    assert_eq!(said, "feature flag cannot be changed from current value: true");
}

#[test]
fn discovery_and_explain_know_the_token() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let resources = ann.kubectl.ok(&["api-resources", "--api-group=ext.cattle.io", "-o", "wide"]);
    let line = resources.lines().find(|l| l.starts_with("tokens ")).unwrap_or_else(|| panic!("{resources}"));
    assert!(line.contains("ext.cattle.io/v1") && line.contains(" Token "), "{line}");
    assert!(line.contains("create,delete,deletecollection,get,list,patch,update,watch"), "{line}");
    let versions = ann.kubectl.ok(&["api-versions"]);
    let versions: Vec<&str> = versions.lines().collect();
    assert!(
        versions.contains(&"ext.cattle.io/v1") && versions.contains(&"management.cattle.io/v3"),
        "{versions:?}"
    );
    let explained = ann.kubectl.ok(&["explain", "tokens.ext.cattle.io.spec"]);
    for field in ["description", "enabled", "ttl", "userID", "userPrincipal", "kind", "clusterName"] {
        assert!(explained.contains(field), "{explained}");
    }
    assert!(
        explained.contains("GROUP:      ext.cattle.io") && explained.contains("KIND:       Token"),
        "{explained}"
    );
    let ttl = ann.kubectl.ok(&["explain", "tokens.ext.cattle.io.spec.ttl"]);
    assert!(ttl.contains("<integer>"), "{ttl}");
}
