//! Who may do what: a table of every route and every role. A route that discovery or OpenAPI shows and the table does not, or the other way
//! round, fails: nothing is served without somebody having written down who may use it.

use std::collections::{BTreeMap, BTreeSet};

use eartag_tests::http::MERGE;
use eartag_tests::people::{bind, login, mint};
use eartag_tests::v3::{LEGACY, key};
use eartag_tests::{BOOTSTRAP_PASSWORD, Http, MANAGEMENT, Person, Server, Stream, TOKENS};
use serde_json::{Value, json};

/// The callers, in the order of the table's columns.
const ROLES: [&str; 8] =
    ["admin", "user", "user-base", "stranger", "disabled", "expired", "impersonating", "anonymous"];

/// `verb path  admin user user-base stranger disabled expired impersonating anonymous`.
///
/// `stranger` is a user without any binding, `disabled` a disabled one, `expired` an admin's token after its time, `impersonating` an admin as
/// the user of column 2. `{other}` is somebody else's object, `{own}` the caller's. Writes are dry runs. Reviews answer for the caller alone and
/// are open to all who are somebody.
const TABLE: &str = include_str!("authorization.txt");

const KUBECONFIGS: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

struct Cast {
    server: Server,
    callers: Vec<(Http, String)>,
    bob: Person,
    others_token: String,
    own_tokens: BTreeMap<String, String>,
    others_kubeconfig: String,
    own_kubeconfigs: BTreeMap<String, String>,
    others_key: String,
    own_keys: BTreeMap<String, String>,
    own_sessions: BTreeMap<String, String>,
    passwords: BTreeMap<String, String>,
}

fn cast() -> Cast {
    let server = Server::start();
    let admin = server.admin();
    let (user, base, stranger, disabled, bob) = (
        server.person("user", &["user"]),
        server.person("base", &["user-base"]),
        server.person("stranger", &[]),
        server.person("disabled", &["user"]),
        server.person("bob", &["user"]),
    );
    let passwords =
        [&admin, &user, &base, &stranger, &disabled].map(|who| (who.id.clone(), who.password.clone())).into();
    let people = [&admin, &user, &base, &stranger, &disabled, &bob];
    let own_keys = people.map(|who| (who.id.clone(), key(&who.http, &json!({})).id)).into();
    let mut own_sessions: BTreeMap<String, String> =
        people.map(|who| (who.id.clone(), name_of(&who.bearer))).into();
    // The admin came by a token of a file: a login makes a session, and is remembered.
    let session = login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
    own_sessions.insert(admin.id.clone(), session["id"].as_str().unwrap().to_owned());
    let (mut own_tokens, mut own_kubeconfigs) = (BTreeMap::new(), BTreeMap::new());
    for who in [&admin, &user, &base, &disabled] {
        own_tokens.insert(who.id.clone(), who.mint(json!({})).name);
        own_kubeconfigs.insert(who.id.clone(), kubeconfig(who));
    }
    // A token that the stranger made while it had a role.
    let binding = bind(&admin.http, &stranger.id, "user");
    own_tokens.insert(stranger.id.clone(), stranger.mint(json!({})).name);
    own_kubeconfigs.insert(stranger.id.clone(), kubeconfig(&stranger));
    admin.http.delete(&format!("{MANAGEMENT}/globalrolebindings/{binding}")).want(200);
    admin.http.merge(&disabled.path(), &json!({"enabled": false})).want(200);
    let expired = mint(&admin.http, json!({"ttl": 1}));
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let made = [
        (
            format!("{MANAGEMENT}/globalroles"),
            json!({"metadata": {"name": "sample"}, "displayName": "Sample"}),
        ),
        (
            format!("{MANAGEMENT}/globalrolebindings"),
            json!({"metadata": {"name": "sample"}, "globalRoleName": "user-base", "userName": bob.id}),
        ),
        (format!("{MANAGEMENT}/users"), json!({"metadata": {"name": "u-quiet"}, "username": "quiet"})),
        (format!("{MANAGEMENT}/clusters"), json!({"metadata": {"name": "sample"}})),
        (format!("{rbac}/clusterroles"), json!({"metadata": {"name": "sample"}, "rules": []})),
        (
            format!("{rbac}/clusterrolebindings"),
            json!({"metadata": {"name": "sample"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sample"}}),
        ),
    ];
    for (path, object) in made {
        admin.http.post(&path, &object).want(201);
    }
    let (others_token, others_kubeconfig) = (bob.mint(json!({})).name, kubeconfig(&bob));
    let impersonating = admin.http.with("Impersonate-User", &user.id);
    let callers = vec![
        (admin.http.clone(), admin.id.clone()),
        (user.http.clone(), user.id.clone()),
        (base.http, base.id),
        (stranger.http, stranger.id),
        (disabled.http, disabled.id),
        (server.anonymous().bearer(&expired.bearer), admin.id.clone()),
        (impersonating, user.id.clone()),
        (server.anonymous(), user.id),
    ];
    let others_key = key(&bob.http, &json!({})).id;
    Cast {
        server,
        callers,
        bob,
        others_token,
        own_tokens,
        others_kubeconfig,
        own_kubeconfigs,
        others_key,
        own_keys,
        own_sessions,
        passwords,
    }
}

/// Makes a kubeconfig; gives its name.
fn kubeconfig(who: &Person) -> String {
    let made = who.http.post(KUBECONFIGS, &json!({"spec": {}})).want(201);
    made["metadata"]["name"].as_str().unwrap().to_owned()
}

/// The name in a bearer value.
fn name_of(bearer: &str) -> String {
    bearer.split(':').next().unwrap_or_default().to_owned()
}

impl Cast {
    fn admin(&self) -> &Http {
        &self.callers[0].0
    }

    /// The name behind a path's last part, for this caller.
    fn resolve(&self, path: &str, caller: &str) -> String {
        let (own, other) = if path.starts_with(TOKENS) {
            (&self.own_tokens[caller], &self.others_token)
        } else if path.starts_with(KUBECONFIGS) {
            (&self.own_kubeconfigs[caller], &self.others_kubeconfig)
        } else if path.starts_with(LEGACY) {
            (&self.own_keys[caller], &self.others_key)
        } else if path.contains("/useractivities") {
            (&self.own_sessions[caller], &self.own_sessions[&self.bob.id])
        } else {
            (&caller.to_owned(), &self.bob.id)
        };
        path.replace("{own}", own).replace("{other}", other)
    }

    /// Asks; gives the status.
    fn ask(&self, http: &Http, caller: &str, verb: &str, path: &str) -> u16 {
        let path = self.resolve(path, caller);
        match verb {
            "get" | "list" => http.get(&path).status,
            "watch" => {
                let revision = self.admin().revision(&path);
                Stream::open(&self.server, http, &format!("{path}?watch=true&resourceVersion={revision}"))
                    .status
            }
            "create" => http.post(&format!("{path}?dryRun=All"), &self.body(&path, caller)).status,
            "update" => {
                let seen = if path.contains("/useractivities") {
                    json!({"metadata": {"name": path.rsplit('/').next()}, "spec": {}})
                } else {
                    self.admin().get(&path).want(200)
                };
                http.put(&format!("{path}?dryRun=All"), &seen).status
            }
            "patch" => {
                http.send(
                    "PATCH",
                    &format!("{path}?dryRun=All"),
                    MERGE,
                    Some(if path.contains("/useractivities") {
                        b"{}"
                    } else {
                        br#"{"metadata":{"labels":{"a":"b"}}}"#
                    }),
                )
                .status
            }
            "delete" => http.delete(&format!("{path}?dryRun=All")).status,
            // Selects nothing: what cannot be deleted is another test's.
            "deletecollection" => {
                http.delete(&format!("{path}?dryRun=All&fieldSelector=metadata.name%3Dnothing")).status
            }
            _ => panic!("{verb} is no verb"),
        }
    }

    /// Something that can be created.
    fn body(&self, path: &str, caller: &str) -> Value {
        let (password, user) = (&self.passwords[caller], &self.bob.id);
        match path.rsplit('/').next().unwrap() {
            "users" => json!({"metadata": {"generateName": "u-"}, "username": "newcomer"}),
            "globalroles" => json!({"metadata": {"name": "new"}, "displayName": "New"}),
            "globalrolebindings" => {
                json!({"metadata": {"generateName": "grb-"}, "globalRoleName": "user-base", "userName": user})
            }
            "clusters" => json!({"metadata": {"name": "new"}}),
            "clustercredentials" => json!({"spec": {"clusterName": "sample", "token": "x"}}),
            "clusterroles" => json!({"metadata": {"name": "new"}, "rules": []}),
            "clusterrolebindings" => {
                json!({"metadata": {"name": "new"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sample"}})
            }
            "passwordchangerequests" => {
                json!({"spec": {"userID": caller, "currentPassword": password, "newPassword": "long enough to be one"}})
            }
            "userattributes" => json!({"metadata": {"name": "u-quiet"}}),
            "useractivities" => {
                json!({"metadata": {"name": self.own_sessions[caller]}, "spec": {"tokenID": self.own_sessions[caller]}})
            }
            "selfsubjectaccessreviews" => {
                json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "x"}}})
            }
            "subjectaccessreviews" => {
                json!({"spec": {"user": "x", "resourceAttributes": {"verb": "get", "resource": "x"}}})
            }
            "tokenreviews" => json!({"spec": {"token": "token-none:nothing"}}),
            "selfsubjectrulesreviews" => json!({"spec": {"namespace": "default"}}),
            _ => json!({}),
        }
    }
}

/// The lines of the table: verb, path, codes.
fn rows() -> Vec<(String, String, Vec<u16>)> {
    TABLE
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let (verb, path) = (words.next().unwrap().to_owned(), words.next().expect("a path").to_owned());
            let codes: Vec<u16> = words.map(|w| w.parse().expect("a code")).collect();
            assert_eq!(codes.len(), ROLES.len(), "{line}");
            (verb, path, codes)
        })
        .collect()
}

#[test]
fn every_route_answers_every_role_as_the_table_says() {
    let cast = cast();
    let mut wrong = Vec::new();
    let mut seen_table = String::new();
    for (verb, path, expected) in rows() {
        let seen: Vec<u16> =
            cast.callers.iter().map(|(http, caller)| cast.ask(http, caller, &verb, &path)).collect();
        let numbers: Vec<String> = seen.iter().map(u16::to_string).collect();
        seen_table.push_str(&format!("{verb:<16} {path:<70} {}\n", numbers.join(" ")));
        for ((role, seen), expected) in ROLES.iter().zip(&seen).zip(&expected) {
            if seen != expected {
                wrong.push(format!("{verb} {path} as {role}: {seen}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n\nas seen:\n{seen_table}", wrong.join("\n"));
}

#[test]
fn every_route_is_in_the_table() {
    let server = Server::start();
    let admin = server.admin().http;
    // The index does not name itself.
    let mut served = BTreeSet::from(["get /".to_owned()]);
    let index = admin.get("/").want(200);
    for path in index["paths"].as_array().unwrap() {
        served.insert(format!("get {}", path.as_str().unwrap()));
    }
    // Discovery, in its older form.
    let mut versions = vec!["/api/v1".to_owned()];
    let groups = admin.get("/apis").want(200);
    for group in groups["groups"].as_array().unwrap() {
        served.insert(format!("get /apis/{}", group["name"].as_str().unwrap()));
        for version in group["versions"].as_array().unwrap() {
            versions.push(format!("/apis/{}", version["groupVersion"].as_str().unwrap()));
        }
    }
    for base in &versions {
        served.insert(format!("get {base}"));
        served.insert(format!("get /openapi/v3{base}"));
        for resource in admin.get(base).want(200)["resources"].as_array().unwrap() {
            let path = format!("{base}/{}", resource["name"].as_str().unwrap());
            for verb in resource["verbs"].as_array().unwrap() {
                let verb = verb.as_str().unwrap();
                let named = matches!(verb, "get" | "update" | "patch" | "delete");
                served.insert(format!("{verb} {path}{}", if named { "/{name}" } else { "" }));
            }
        }
    }
    // OpenAPI, both versions.
    let mut documents = vec![admin.get("/openapi/v2").want(200)];
    for base in &versions {
        documents.push(admin.get(&format!("/openapi/v3{base}")).want(200));
    }
    for document in &documents {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let verb = match (method.as_str(), operation["x-kubernetes-action"].as_str()) {
                    ("parameters", _) => continue,
                    (_, Some("post")) => "create",
                    (_, Some("put")) => "update",
                    (_, Some(action)) => action,
                    ("get", None) => "get",
                    (method, None) => panic!("{method} {path} has no x-kubernetes-action"),
                };
                served.insert(format!("{verb} {}", path.trim_end_matches('/')));
            }
        }
    }
    let table: BTreeSet<String> = rows()
        .into_iter()
        .map(|(verb, path, _)| {
            let shape = resources_of(&versions, &path);
            format!("{verb} {shape}")
        })
        .collect();
    let missing: Vec<&String> = served.difference(&table).collect();
    let stale: Vec<&String> = table.difference(&served).collect();
    assert!(missing.is_empty(), "routes without an entry: {missing:#?}");
    assert!(stale.is_empty(), "entries without a route: {stale:#?}");
}

/// `/apis/g/v/resource/anything` → `/apis/g/v/resource/{name}`.
fn resources_of(versions: &[String], path: &str) -> String {
    for base in versions {
        if let Some(rest) = path.strip_prefix(base.as_str()).and_then(|r| r.strip_prefix('/'))
            && let Some((resource, _)) = rest.split_once('/')
        {
            return format!("{base}/{resource}/{{name}}");
        }
    }
    path.to_owned()
}

#[test]
fn the_reviews_agree_with_what_is_served() {
    let cast = cast();
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, path, codes) in rows() {
        let Some(rest) = path.strip_prefix("/apis/") else { continue };
        let parts: Vec<&str> = rest.split('/').collect();
        if parts.len() < 3
            || path.contains("{own}")
            || path.contains("{other}")
            || parts[0].ends_with(".k8s.io") && parts[0].starts_with("auth")
        {
            continue;
        }
        let attributes = json!({"group": parts[0], "version": parts[1], "resource": parts[2], "verb": verb, "name": parts.get(3).unwrap_or(&"")});
        for (column, role) in ROLES.iter().enumerate().take(4) {
            let (http, _) = &cast.callers[column];
            let answer = http.post(review, &json!({"spec": {"resourceAttributes": attributes}}));
            let allowed = answer.want(201)["status"]["allowed"] == true;
            assert_eq!(allowed, codes[column] != 403, "{role}: {verb} {path}");
        }
    }
}
