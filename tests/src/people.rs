//! Users, their sessions and their tokens.

use serde_json::{Value, json};

use crate::http::{Http, Reply, text};
use crate::kubectl::Kubectl;
use crate::server::Server;
use crate::{MANAGEMENT, TOKENS};

/// The older login.
pub const LOGIN: &str = "/v3-public/localProviders/local?action=login";

/// A user, and clients that act as that user by a login session (admin: by the token of `admin.yaml`).
pub struct Person {
    /// The name of the User object.
    pub id: String,
    pub username: String,
    pub password: String,
    /// What goes behind `Bearer`.
    pub bearer: String,
    pub http: Http,
    pub kubectl: Kubectl,
}

/// A token as its create showed it.
#[derive(Clone, Debug)]
pub struct Minted {
    pub name: String,
    pub value: String,
    pub bearer: String,
    pub object: Value,
}

impl Person {
    /// Made by this admin: a user, a password, bindings, a login.
    pub fn new(server: &Server, admin: &Person, username: &str, roles: &[&str]) -> Person {
        let password = format!("{username} likes long passwords");
        let user = admin
            .http
            .post("/v3/users", &json!({"username": username, "name": username, "password": password}));
        let id = text(&user.want(201)["id"]);
        for role in roles {
            bind(&admin.http, &id, role);
        }
        Person::log_in(server, &id, username, &password)
    }

    /// Somebody who exists already.
    pub fn log_in(server: &Server, id: &str, username: &str, password: &str) -> Person {
        let bearer = text(&login(&server.anonymous(), username, password).want(201)["token"]);
        Person {
            id: id.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
            http: server.anonymous().bearer(&bearer),
            kubectl: server.kubectl(&bearer),
            bearer,
        }
    }

    /// Makes a token with this spec.
    pub fn mint(&self, spec: Value) -> Minted {
        mint(&self.http, spec)
    }

    /// Where a user's object is.
    pub fn path(&self) -> String {
        format!("{MANAGEMENT}/users/{}", self.id)
    }
}

/// Asks for a session.
pub fn login(http: &Http, username: &str, password: &str) -> Reply {
    http.post(LOGIN, &json!({"username": username, "password": password, "responseType": "json"}))
}

/// Gives a global role to a user.
pub fn bind(admin: &Http, user: &str, role: &str) -> String {
    let binding = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "GlobalRoleBinding", "metadata": {"generateName": "grb-"},
        "globalRoleName": role, "userName": user,
    });
    text(&admin.post(&format!("{MANAGEMENT}/globalrolebindings"), &binding).want(201)["metadata"]["name"])
}

/// Makes a token with this spec.
#[track_caller]
pub fn mint(http: &Http, spec: Value) -> Minted {
    let object = http
        .post(TOKENS, &json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": spec}))
        .want(201);
    Minted {
        name: text(&object["metadata"]["name"]),
        value: text(&object["status"]["value"]),
        bearer: text(&object["status"]["bearerToken"]),
        object,
    }
}

/// The path of a token.
pub fn token(name: &str) -> String {
    format!("{TOKENS}/{name}")
}
