//! Computed resources: dials, each a view of a number that the server keeps elsewhere.

use std::collections::BTreeMap;

use async_trait::async_trait;
use eartag_apiserver::Tree;
use eartag_apiserver::info::{Column, PatchType, ResourceInfo};
use eartag_apiserver::kind::{Computed, Cx};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::Schema;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{MODIFIED, PARTIAL, TABLE, server};

/// A dial.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Dial {
    /// What it is turned to.
    spec: DialSpec,
}

/// What a dial is turned to.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct DialSpec {
    /// The position.
    position: i64,
}

/// Names, positions and how often they were turned.
pub struct Dials {
    info: ResourceInfo,
    dials: Mutex<BTreeMap<String, (i64, u64)>>,
}

impl Dials {
    pub fn new() -> Dials {
        let schema = Schema::for_object(schemars::schema_for!(Dial), "org.example.views.v1.Dial").unwrap();
        let column = |name, kind| Column { name, kind, format: "", priority: 0, description: "A column." };
        let info = ResourceInfo {
            columns: vec![column("Name", "string"), column("Position", "integer")],
            verbs: &["create", "get", "patch", "update"],
            patch_types: &[PatchType::Json, PatchType::Merge],
            ..ResourceInfo::new("views.example.org", "v1", "Dial", "dials", "dial", "A dial.", schema)
        };
        Dials { info, dials: Mutex::new([("volume".to_owned(), (3, 1))].into()) }
    }

    fn shown(&self, name: &str, (position, turns): (i64, u64)) -> Tree {
        json!({
            "apiVersion": "views.example.org/v1", "kind": "Dial",
            "metadata": {"name": name, "uid": "the-uid", "resourceVersion": turns.to_string()},
            "spec": {"position": position},
        })
    }
}

#[async_trait]
impl Computed for Dials {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    async fn get(&self, name: &str, _cx: &Cx) -> Result<Tree, Refusal> {
        let found = self.dials.lock().get(name).copied();
        found.map(|dial| self.shown(name, dial)).ok_or(Refusal::NotFound)
    }

    async fn put(&self, name: &str, asked: &Tree, cx: &Cx) -> Result<Tree, Refusal> {
        let position = asked.pointer("/spec/position").and_then(Tree::as_i64).unwrap_or_default();
        if position > 11 {
            return Err(Refusal::Forbidden("it goes to eleven".to_owned()));
        }
        let mut dials = self.dials.lock();
        let dial = dials.get_mut(name).ok_or(Refusal::NotFound)?;
        let turned = (position, dial.1 + 1);
        if !cx.dry_run {
            *dial = turned;
        }
        Ok(self.shown(name, turned))
    }

    fn row(&self, object: &Tree, _cx: &Cx) -> Vec<Tree> {
        vec![object["metadata"]["name"].clone(), object["spec"]["position"].clone()]
    }
}

const DIALS: &str = "/apis/views.example.org/v1/dials";
const VOLUME: &str = "/apis/views.example.org/v1/dials/volume";

fn dial(name: &str, position: i64) -> Tree {
    json!({"metadata": {"name": name}, "spec": {"position": position}})
}

#[tokio::test]
async fn a_view_is_read_as_an_object_a_row_or_metadata() {
    let server = server().await;
    let shown = server.get(VOLUME).expect(200).await;
    assert_eq!((&shown["kind"], &shown["spec"]["position"]), (&json!("Dial"), &json!(3)));
    let table = server.get(VOLUME).accept(TABLE).expect(200).await;
    assert_eq!(table["rows"][0]["cells"], json!(["volume", 3]));
    assert_eq!(table["columnDefinitions"][1]["name"], "Position");
    assert_eq!(table["metadata"]["resourceVersion"], "1");
    let partial = server.get(VOLUME).accept(PARTIAL).expect(200).await;
    assert_eq!((&partial["metadata"], partial.get("spec")), (&shown["metadata"], None));
    let missing = "dials.views.example.org \"bass\" not found";
    server.get(format!("{DIALS}/bass")).refused(404, "NotFound", missing).await;
    server.get(VOLUME).by("stranger").expect(403).await;
}

#[tokio::test]
async fn post_put_and_patches_take_effect() {
    let server = server().await;
    let position = async || server.get(VOLUME).expect(200).await["spec"]["position"].as_i64().unwrap();
    assert_eq!(server.post(DIALS, &dial("volume", 4)).expect(201).await["spec"]["position"], 4);
    let put = server.put(VOLUME, &dial("volume", 5)).expect(200).await;
    assert_eq!((put["metadata"]["resourceVersion"].as_str(), position().await), (Some("3"), 5));
    server.patch(VOLUME, "merge", &json!({"spec": {"position": 6}})).expect(200).await;
    assert_eq!(position().await, 6);
    let replace = json!([{"op": "replace", "path": "/spec/position", "value": 7}]);
    server.patch(VOLUME, "json", &replace).expect(200).await;
    assert_eq!(position().await, 7);
    server.patch(VOLUME, "strategic-merge", &json!({})).expect(415).await;
}

#[tokio::test]
async fn a_dry_run_of_a_view_changes_nothing() {
    let server = server().await;
    let query = "dryRun=All";
    assert_eq!(
        server.post(format!("{DIALS}?{query}"), &dial("volume", 9)).expect(201).await["spec"]["position"],
        9
    );
    assert_eq!(
        server.put(format!("{VOLUME}?{query}"), &dial("volume", 9)).expect(200).await["spec"]["position"],
        9
    );
    server.patch(format!("{VOLUME}?{query}"), "merge", &json!({"spec": {"position": 9}})).expect(200).await;
    assert_eq!(server.get(VOLUME).expect(200).await["spec"]["position"], 3);
}

#[tokio::test]
async fn identity_and_version_are_compared_with_what_is_shown() {
    let server = server().await;
    let mut object = server.get(VOLUME).expect(200).await;
    server.put(VOLUME, &object).expect(200).await;
    let conflict = format!("Operation cannot be fulfilled on dials.views.example.org \"volume\": {MODIFIED}");
    server.put(VOLUME, &object).refused(409, "Conflict", &conflict).await;
    server
        .patch(VOLUME, "merge", &json!({"metadata": {"resourceVersion": "1"}}))
        .refused(409, "Conflict", &conflict)
        .await;
    object["metadata"]["resourceVersion"] = "2".into();
    object["metadata"]["uid"] = "another".into();
    server.put(VOLUME, &object).refused_with(409, "Conflict", "UID in precondition: another").await;
    server
        .put(VOLUME, &dial("bass", 1))
        .refused_with(400, "BadRequest", "does not match the name on the URL")
        .await;
    server.put(VOLUME, &json!({"spec": {}})).refused_with(400, "BadRequest", "name must be provided").await;
    server.put(format!("{DIALS}/bass"), &dial("bass", 1)).expect(404).await;
    let versioned = json!({"metadata": {"name": "volume", "resourceVersion": "2"}});
    server.post(DIALS, &versioned).refused_with(400, "BadRequest", "resourceVersion should not be set").await;
}

#[tokio::test]
async fn bodies_are_validated_as_everywhere() {
    let server = server().await;
    let nameless = server.post(DIALS, &json!({"spec": {}})).expect(422).await;
    assert_eq!(nameless["details"]["causes"][0]["field"], "metadata.name");
    server.post(DIALS, &dial("UPPER", 1)).expect(422).await;
    server.post(DIALS, &json!({"metadata": {"name": "volume"}, "spec": {"position": "x"}})).expect(400).await;
    server.put(VOLUME, &json!({"kind": "Widget", "metadata": {"name": "volume"}})).expect(400).await;
    let unknown = json!({"metadata": {"name": "volume"}, "spec": {"colour": "red"}});
    let reply = server.put(VOLUME, &unknown).send().await;
    assert_eq!((reply.code, reply.warnings().len()), (200, 1));
    server
        .put(format!("{VOLUME}?fieldValidation=Strict"), &unknown)
        .refused_with(400, "BadRequest", "unknown field \"spec.colour\"")
        .await;
    server
        .post(DIALS, &dial("volume", 12))
        .refused(403, "Forbidden", "dials.views.example.org is forbidden: it goes to eleven")
        .await;
    let missing = "dials.views.example.org \"bass\" not found";
    server.post(DIALS, &dial("bass", 1)).refused(404, "NotFound", missing).await;
}

#[tokio::test]
async fn only_the_verbs_of_a_view_are_served_and_told() {
    let server = server().await;
    for path in [DIALS.to_owned(), format!("{DIALS}?watch=true")] {
        server.get(path).expect(405).await;
    }
    server.delete(VOLUME).expect(405).await;
    server.delete(DIALS).expect(405).await;
    server.post(VOLUME, &dial("volume", 1)).expect(405).await;
    let list = server.get("/apis/views.example.org/v1").expect(200).await;
    assert_eq!(list["resources"][0]["verbs"], json!(["create", "get", "patch", "update"]));
    let document = server.get("/openapi/v3/apis/views.example.org/v1").expect(200).await;
    let methods = |path: &str| {
        let item = document["paths"][path].as_object().unwrap();
        item.keys().filter(|key| *key != "parameters").cloned().collect::<Vec<_>>()
    };
    assert_eq!(methods("/apis/views.example.org/v1/dials"), ["post"]);
    assert_eq!(methods("/apis/views.example.org/v1/dials/{name}"), ["get", "patch", "put"]);
    assert!(document["components"]["schemas"]["org.example.views.v1.Dial"]["properties"]["spec"].is_object());
}
