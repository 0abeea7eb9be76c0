//! Who may do what at `/v3` and `/v1`: a table of every collection, item and action and every role, compared with what `/v3/schemas` says is
//! served. There are no dry runs here, so each cell gets an object of its own where it would use one up.

use std::collections::BTreeSet;

use eartag_tests::http::text;
use eartag_tests::people::{bind, mint};
use eartag_tests::v3::key;
use eartag_tests::{Http, MANAGEMENT, Person, Server};
use serde_json::{Value, json};

/// The callers, in the order of the table's columns; as in the other table.
const ROLES: [&str; 8] =
    ["admin", "user", "user-base", "stranger", "disabled", "expired", "impersonating", "anonymous"];
const TABLE: &str = include_str!("authorization_v3.txt");

/// A column: who asks, and whose `own` is meant.
struct Caller {
    http: Http,
    id: String,
    password: String,
}

struct Cast {
    server: Server,
    admin: Person,
    bob: Person,
    others_ext: String,
    callers: Vec<Caller>,
    made: usize,
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
    let expired = mint(&admin.http, json!({"ttl": 1}));
    let caller = |http: &Http, who: &Person| Caller {
        http: http.clone(),
        id: who.id.clone(),
        password: who.password.clone(),
    };
    let callers = vec![
        caller(&admin.http, &admin),
        caller(&user.http, &user),
        caller(&base.http, &base),
        caller(&stranger.http, &stranger),
        caller(&disabled.http, &disabled),
        caller(&server.anonymous().bearer(&expired.bearer), &admin),
        caller(&admin.http.with("Impersonate-User", &user.id), &user),
        caller(&server.anonymous(), &user),
    ];
    let others_ext = bob.mint(json!({})).name;
    Cast { server, admin, bob, others_ext, callers, made: 0 }
}

impl Cast {
    /// An object for this cell alone.
    fn resolve(&mut self, path: &str, at: usize) -> String {
        self.made += 1;
        let (own, other) = if path.starts_with("/v3/tokens") && path.contains('{') {
            let who = self.callers[at].id.clone();
            let own = self.own_token(&who);
            (own, key(&self.bob.http, &json!({})).id)
        } else if path.starts_with("/v3/users/{other}") {
            let user = json!({"username": format!("other{}", self.made)});
            (String::new(), text(&self.admin.http.post("/v3/users", &user).want(201)["id"]))
        } else {
            (self.callers[at].id.clone(), String::new())
        };
        let made = if !path.contains("{made}") {
            String::new()
        } else if path.starts_with("/v3/globalRoleBindings") {
            bind(&self.admin.http, &self.bob.id, "user-base")
        } else if path.starts_with("/v3/clusters") {
            text(&self.admin.http.post("/v3/clusters", &json!({})).want(201)["id"])
        } else {
            let name = format!("made{}", self.made);
            let role = json!({"metadata": {"name": name}, "displayName": "Made"});
            self.admin.http.post(&format!("{MANAGEMENT}/globalroles"), &role).want(201);
            name
        };
        path.replace("{own}", &own)
            .replace("{other}", &other)
            .replace("{made}", &made)
            .replace("{ext}", &self.others_ext)
    }

    /// A new token of this user's, made by the admin: those who are refused have one as well.
    fn own_token(&self, user: &str) -> String {
        eartag_tests::v3::system_token(&self.admin.http, "agent", user, None).id
    }

    fn ask(&mut self, at: usize, verb: &str, path: &str) -> u16 {
        let path = self.resolve(path, at);
        let caller = &self.callers[at];
        match verb {
            "get" | "GET" => caller.http.get(&path).status,
            "DELETE" => caller.http.delete(&path).status,
            "PUT" => {
                let body = if path.starts_with("/v3/settings") {
                    json!({"value": "129600"})
                } else if path.starts_with("/v3/features") {
                    json!({"value": true})
                } else {
                    json!({"description": "changed"})
                };
                caller.http.put(&path, &body).status
            }
            "POST" => caller.http.post(&path, &body(&path, self.made, &self.bob.id)).status,
            "refreshauthprovideraccess" | "generateKubeconfig" | "generateWebhookConfig" => {
                caller.http.post(&format!("{path}?action={verb}"), &json!({})).status
            }
            "setCredential" => {
                caller.http.post(&format!("{path}?action={verb}"), &json!({"token": "x"})).status
            }
            "setpassword" => {
                caller
                    .http
                    .post(&format!("{path}?action={verb}"), &json!({"newPassword": "long enough for that"}))
                    .status
            }
            // As it was: a change that is none is refused, and says that the caller was let in.
            "changepassword" => {
                let body = json!({"currentPassword": caller.password, "newPassword": format!("{} more", caller.password)});
                let status = caller.http.post(&format!("{path}?action={verb}"), &body).status;
                if status == 200 {
                    let id = caller.id.clone();
                    let back = json!({"newPassword": caller.password});
                    self.admin.http.post(&format!("/v3/users/{id}?action=setpassword"), &back);
                }
                status
            }
            // Logging out must not end what the other cells use.
            "logout" | "logoutAll" => {
                let http = self.passing(at);
                let suffix = if path.starts_with("/v3") { format!("?action={verb}") } else { String::new() };
                http.post(&format!("{path}{suffix}"), &json!({})).status
            }
            _ => panic!("{verb} is no verb"),
        }
    }

    /// The caller by a key of a moment; for those without one, as they are.
    fn passing(&self, at: usize) -> Http {
        let caller = &self.callers[at];
        let from = match ROLES[at] {
            "admin" | "user" | "user-base" | "stranger" => &caller.http,
            "impersonating" => &self.admin.http,
            _ => return caller.http.clone(),
        };
        let http = self.server.anonymous().bearer(&key(from, &json!({})).bearer);
        if ROLES[at] == "impersonating" { http.with("Impersonate-User", &caller.id) } else { http }
    }
}

/// Something that can be created.
fn body(path: &str, unique: usize, user: &str) -> Value {
    match path {
        "/v3/users" => json!({"username": format!("new{unique}")}),
        "/v3/globalRoles" => json!({"name": format!("new{unique}"), "displayName": "New"}),
        "/v3/globalRoleBindings" => json!({"globalRoleId": "user-base", "userId": user}),
        _ => json!({}),
    }
}

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
fn every_route_of_v3_answers_every_role_as_the_table_says() {
    let mut cast = cast();
    let disabled = format!("{MANAGEMENT}/users/{}", cast.callers[4].id);
    let mut wrong = Vec::new();
    let mut seen_table = String::new();
    for (verb, path, expected) in rows() {
        let mut seen = Vec::new();
        for at in 0..ROLES.len() {
            // Disabled while it asks; its objects are made before.
            let prepared = at == 4;
            if prepared {
                cast.admin.http.merge(&disabled, &json!({"enabled": true})).want(200);
                let own = cast.resolve(&path, at);
                cast.admin.http.merge(&disabled, &json!({"enabled": false})).want(200);
                seen.push(cast.ask(at, &verb, &own));
            } else {
                seen.push(cast.ask(at, &verb, &path));
            }
        }
        let numbers: Vec<String> = seen.iter().map(u16::to_string).collect();
        seen_table.push_str(&format!("{verb:<16} {path:<55} {}\n", numbers.join(" ")));
        for ((role, seen), expected) in ROLES.iter().zip(&seen).zip(&expected) {
            if seen != expected {
                wrong.push(format!("{verb} {path} as {role}: {seen}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n\nas seen:\n{seen_table}", wrong.join("\n"));
}

#[test]
fn every_route_that_the_schemas_tell_of_is_in_the_table() {
    let server = Server::start();
    let admin = server.admin();
    let schemas = admin.http.get("/v3/schemas").want(200);
    let mut served = BTreeSet::new();
    for schema in schemas["data"].as_array().unwrap() {
        let Some(collection) = schema["links"]["collection"].as_str() else { continue };
        let path = collection.strip_prefix(&server.url()).unwrap();
        let mut add = |verb: &str, item: bool| {
            served.insert(format!("{verb} {path}{}", if item { "/{name}" } else { "" }));
        };
        let words =
            |name: &str| -> Vec<String> { schema[name].as_array().into_iter().flatten().map(text).collect() };
        words("collectionMethods").iter().for_each(|method| add(method, false));
        words("resourceMethods").iter().for_each(|method| add(method, true));
        for (name, item) in [("collectionActions", false), ("resourceActions", true)] {
            schema[name].as_object().into_iter().flatten().for_each(|(action, _)| add(action, item));
        }
    }
    let table: BTreeSet<String> = rows()
        .into_iter()
        // Schemas do not tell of themselves, nor of /v1.
        .filter(|(verb, path, _)| verb != "get" && path.starts_with("/v3"))
        .map(|(verb, path, _)| {
            let mut parts = path.splitn(4, '/');
            let (collection, item) = (parts.nth(2).unwrap(), parts.next());
            format!("{verb} /v3/{collection}{}", if item.is_some() { "/{name}" } else { "" })
        })
        .collect();
    let missing: Vec<&String> = served.difference(&table).collect();
    let stale: Vec<&String> = table.difference(&served).collect();
    assert!(missing.is_empty(), "routes without an entry: {missing:#?}");
    assert!(stale.is_empty(), "entries without a route: {stale:#?}");
}
