//! A client that knows nothing but `/v3/schemas`, as Rancher's own are: it discovers the types, lists them, and makes, acts on and deletes by what schemas say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use eartag_apiserver::{Map, Tree};
use serde_json::json;

use crate::authn::testing::{Answer, PASSWORD, Scene, hash};

/// The client: a URL, a bearer, and what it learned.
struct Client<'s> {
    scene: &'s Scene,
    bearer: String,
    schemas: BTreeMap<String, Tree>,
}

impl<'s> Client<'s> {
    /// Begins at any URL: the header says where the schemas are.
    async fn begin(scene: &'s Scene, bearer: String) -> Client<'s> {
        let mut client = Client { scene, bearer, schemas: BTreeMap::new() };
        let root = client.call("GET", "https://a.example/v3", Tree::Null).await;
        let url = root.headers["x-api-schemas"].to_str().unwrap().to_owned();
        let schemas = client.call("GET", &url, Tree::Null).await;
        for schema in schemas.body["data"].as_array().unwrap() {
            client.schemas.insert(schema["id"].as_str().unwrap().to_owned(), schema.clone());
        }
        client
    }

    async fn call(&self, method: &str, url: &str, body: Tree) -> Answer {
        let path = url.strip_prefix("https://a.example").unwrap_or_else(|| panic!("{url} leads elsewhere"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.scene.send(method, path, &[("authorization", &self.bearer)], &body).await
    }

    fn may(&self, kind: &str, methods: &str, method: &str) -> bool {
        self.schemas[kind][methods].as_array().unwrap().iter().any(|m| m == method)
    }

    fn collection(&self, kind: &str) -> String {
        self.schemas[kind]["links"]["collection"].as_str().unwrap().to_owned()
    }

    /// A body with a value of the right type for each member that may be given.
    fn body(&self, kind: &str, right: &str, texts: &BTreeMap<&str, &str>) -> Tree {
        let mut body = Map::new();
        for (name, field) in self.schemas[kind]["resourceFields"].as_object().unwrap() {
            if field[right] != true {
                continue;
            }
            let value = match field["type"].as_str().unwrap() {
                "boolean" => true.into(),
                "int" => 60_000.into(),
                "array[string]" | "array[policyRule]" => continue,
                "map[string]" => json!({"made": "by-schema"}),
                _ => match texts.get(name.as_str()) {
                    Some(text) => (*text).into(),
                    None => continue,
                },
            };
            body.insert(name.clone(), value);
        }
        Tree::Object(body)
    }

    /// Whether an item has only members that its schema knows, of the types that it says.
    fn check(&self, item: &Tree) {
        let schema = &self.schemas[item["type"].as_str().unwrap()];
        let fields = schema["resourceFields"].as_object().unwrap();
        for (name, value) in item.as_object().unwrap() {
            if ["type", "baseType", "links", "actions"].contains(&name.as_str()) {
                continue;
            }
            if let Some(date) = name.strip_suffix("TS") {
                assert_eq!(fields[date]["type"], "date");
                continue;
            }
            let field = fields.get(name).unwrap_or_else(|| panic!("{} has no {name}", schema["id"]));
            if value.is_null() {
                continue;
            }
            let kind = field["type"].as_str().unwrap();
            let fits = match kind {
                "boolean" => value.is_boolean(),
                "int" => value.is_i64(),
                "map[string]" => value.is_object(),
                _ if kind.starts_with("array[") => value.is_array(),
                _ if self.schemas.contains_key(kind) => value.is_object(),
                _ => value.is_string(),
            };
            assert!(fits, "{name} is no {kind}: {value}");
        }
    }
}

/// An administrator with a password.
async fn admin(scene: &Scene) -> String {
    let root = scene.user("user-root", "root", Some(hash()), "admin").await;
    format!("Bearer {}", scene.token(&root, true, "").await.bearer.expose())
}

#[tokio::test]
async fn every_collection_is_discovered_and_its_items_are_as_their_schemas_say() {
    let scene = Scene::new().await;
    let bearer = admin(&scene).await;
    let client = Client::begin(&scene, bearer).await;
    let mut seen = Vec::new();
    for (id, schema) in &client.schemas {
        let itself = client.call("GET", schema["links"]["self"].as_str().unwrap(), Tree::Null).await;
        assert_eq!(&itself.body, schema);
        if !client.may(id, "collectionMethods", "GET") {
            assert!(schema["links"].get("collection").is_none());
            continue;
        }
        let list = client.call("GET", &client.collection(id), Tree::Null).await;
        assert_eq!((list.status, &list.body["resourceType"]), (200, &json!(id)), "{id}");
        assert_eq!(list.body["createTypes"].is_object(), client.may(id, "collectionMethods", "POST"), "{id}");
        let filters = list.body["filters"].as_object().unwrap();
        assert!(filters.keys().eq(schema["collectionFilters"].as_object().unwrap().keys()), "{id}");
        for item in list.body["data"].as_array().unwrap() {
            assert_eq!(&item["type"], id);
            client.check(item);
            let one = client.call("GET", item["links"]["self"].as_str().unwrap(), Tree::Null).await;
            assert_eq!((one.status, &one.body), (200, item), "{id}");
        }
        seen.push(id.as_str());
    }
    assert_eq!(
        seen,
        ["cluster", "feature", "globalRole", "globalRoleBinding", "project", "setting", "token", "user"]
    );
}

#[tokio::test]
async fn a_user_is_made_acted_on_changed_and_deleted_by_what_schemas_and_links_say() {
    let scene = Scene::new().await;
    let bearer = admin(&scene).await;
    let client = Client::begin(&scene, bearer).await;
    let texts = BTreeMap::from([
        ("username", "carl"),
        ("name", "Carl"),
        ("password", PASSWORD),
        ("newPassword", "a new horse battery"),
    ]);
    let body = client.body("user", "create", &texts);
    let made = client.call("POST", &client.collection("user"), body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    client.check(&made.body);

    let action = made.body["actions"]["setpassword"].as_str().unwrap();
    let shape = &client.schemas["user"]["resourceActions"]["setpassword"];
    let input = client.body(shape["input"].as_str().unwrap(), "create", &texts);
    let done = client.call("POST", action, input).await;
    assert_eq!((done.status, &done.body["type"]), (200, &shape["output"]), "{}", done.body);
    let login = json!({"type": "localProvider", "username": "carl", "password": "a new horse battery"});
    assert_eq!(client.call("POST", "https://a.example/v1-public/login", login).await.status, 201);

    let mut body = client.body("user", "update", &BTreeMap::from([("name", "Carla")]));
    body.as_object_mut().unwrap().insert("links".to_owned(), Tree::Null);
    let changed = client.call("PUT", made.body["links"]["update"].as_str().unwrap(), body).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("Carla")), "{}", changed.body);
    assert_eq!(changed.body["labels"]["made"], "by-schema");
    let removed = client.call("DELETE", made.body["links"]["remove"].as_str().unwrap(), Tree::Null).await;
    assert_eq!(removed.status, 200);
    let gone = client.call("GET", made.body["links"]["self"].as_str().unwrap(), Tree::Null).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_token_is_made_changed_and_deleted_by_what_schemas_and_links_say() {
    let scene = Scene::new().await;
    let bearer = admin(&scene).await;
    let client = Client::begin(&scene, bearer).await;
    let body = client.body("token", "create", &BTreeMap::from([("description", "by schema")]));
    let made = client.call("POST", &client.collection("token"), body).await;
    assert_eq!((made.status, &made.body["ttl"]), (201, &json!(60_000)), "{}", made.body);
    let secret = made.body["token"].as_str().unwrap().to_owned();
    client.check(&made.body);
    let list = client
        .call("GET", &format!("{}?description=by%20schema", client.collection("token")), Tree::Null)
        .await;
    assert_eq!(list.body["data"][0]["id"], made.body["id"]);
    assert!(!list.body.to_string().contains(secret.split(':').nth(1).unwrap()));
    let body = client.body("token", "update", &BTreeMap::from([("description", "changed")]));
    let changed = client.call("PUT", made.body["links"]["update"].as_str().unwrap(), body).await;
    assert_eq!((changed.status, &changed.body["description"]), (200, &json!("changed")), "{}", changed.body);
    assert_eq!(
        client.call("DELETE", made.body["links"]["remove"].as_str().unwrap(), Tree::Null).await.status,
        204
    );
}

#[tokio::test]
async fn a_switch_and_a_setting_are_turned_by_what_schemas_say() {
    let scene = Scene::new().await;
    let bearer = admin(&scene).await;
    let client = Client::begin(&scene, bearer).await;
    for (kind, id, value) in
        [("feature", "ext-kubeconfigs", json!(false)), ("setting", "ui-brand", json!("x"))]
    {
        assert!(client.may(kind, "resourceMethods", "PUT"));
        assert!(!client.may(kind, "resourceMethods", "DELETE"));
        let url = format!("{}/{id}", client.collection(kind));
        let item = client.call("GET", &url, Tree::Null).await;
        let changed =
            client.call("PUT", item.body["links"]["update"].as_str().unwrap(), json!({"value": value})).await;
        assert_eq!((changed.status, &changed.body["value"]), (200, &value), "{}", changed.body);
    }
}
