//! `/v3` as its clients see it: keys, lists, errors.

use serde_json::{Value, json};

use crate::MANAGEMENT;
use crate::http::{Http, Reply, text};
use crate::server::Server;

/// Tokens at `/v3`.
pub const V3_TOKENS: &str = "/v3/tokens";
/// The same records for kubectl.
pub const LEGACY: &str = "/apis/management.cattle.io/v3/tokens";
/// Of everybody who is not let in.
pub const MUST: &str = "Unauthorized 401: must authenticate";

/// A token that `POST /v3/tokens` made.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub bearer: String,
    /// The reply of its create.
    pub object: Value,
}

impl Key {
    /// Where it is at `/v3`.
    pub fn path(&self) -> String {
        format!("{V3_TOKENS}/{}", self.id)
    }

    /// Where it is for kubectl.
    pub fn legacy(&self) -> String {
        format!("{LEGACY}/{}", self.id)
    }

    /// What comes behind the colon.
    pub fn secret(&self) -> &str {
        self.bearer.split_once(':').expect("a bearer value").1
    }
}

/// Makes an API key.
#[track_caller]
pub fn key(http: &Http, body: &Value) -> Key {
    let object = http.post(V3_TOKENS, body).want(201);
    Key { id: text(&object["id"]), bearer: text(&object["token"]), object }
}

/// Makes a system token by the management API; gives it as its create showed it.
#[track_caller]
pub fn system_token(admin: &Http, kind: &str, user: &str, name: Option<&str>) -> Key {
    let mut manifest = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Token",
        "metadata": {"labels": {"authn.management.cattle.io/kind": kind}},
        "userId": user,
    });
    if let Some(name) = name {
        manifest["metadata"]["name"] = name.into();
    }
    let object = admin.post(LEGACY, &manifest).want(201);
    Key { id: text(&object["metadata"]["name"]), bearer: text(&object["token"]), object }
}

/// The ids of a collection's items, in order.
#[track_caller]
pub fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().unwrap_or_else(|| panic!("data is no list: {list}"));
    data.iter().map(|item| text(&item["id"])).collect()
}

/// Whether a bearer value opens `/v3`.
pub fn works(server: &Server, bearer: &str) -> bool {
    let reply = server.anonymous().bearer(bearer).get("/v3/tokens?limit=1");
    match reply.status {
        200 => true,
        401 => false,
        other => panic!("{}: {other} {}", reply.asked, reply.text()),
    }
}

/// Writes a setting, as kubectl does.
#[track_caller]
pub fn set(admin: &Http, name: &str, value: &str) {
    admin.merge(&format!("{MANAGEMENT}/settings/{name}"), &json!({"value": value})).want(200);
}

impl Reply {
    /// Wants an error of `/v3` with this status and code, in its shape; gives its message.
    #[track_caller]
    pub fn v3_error(&self, status: u16, code: &str) -> String {
        let error = self.want(status);
        assert_eq!(error["type"], "error", "{}: {error}", self.asked);
        assert_eq!(error["baseType"], "error", "{}: {error}", self.asked);
        assert_eq!(error["code"], code, "{}: {error}", self.asked);
        assert_eq!(error["status"], status, "{}: the status is a number: {error}", self.asked);
        text(&error["message"])
    }

    /// Wants the refusal of the filter before `/v3`: a shape of its own, and one text for every reason.
    #[track_caller]
    pub fn filtered(&self) {
        let error = self.want(401);
        assert_eq!(error, json!({"type": "error", "status": "401", "message": MUST}), "{}", self.asked);
        assert_eq!(self.header("www-authenticate"), None, "{}", self.asked);
    }
}
