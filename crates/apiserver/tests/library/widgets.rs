//! The toy kind: widgets have a size, a colour, tags, parts and an owner; their weight is computed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use eartag_api::frame;
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::{Column, Naming, PatchType, ResourceInfo};
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Fixed, Kind, Once, Stored, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::Schema;
use eartag_apiserver::{Map, Tree};
use eartag_storage::{Collection, CollectionId, Indexed, Op, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Where widgets are.
pub const WIDGETS: CollectionId = CollectionId(1);
/// Where gadgets are.
pub const GADGETS: CollectionId = CollectionId(2);

/// A widget.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Widget {
    /// What is asked for.
    pub spec: Spec,
    /// What is computed.
    pub status: Status,
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Spec {
    /// How large it is.
    pub size: i64,
    /// What it looks like.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub colour: String,
    /// A set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set", "x-kubernetes-patch-strategy" = "merge"))]
    pub tags: Vec<String>,
    /// Told apart by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "name"))]
    pub parts: Vec<Part>,
    /// Whose it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

/// A part of a widget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How many of it.
    pub count: i64,
}

/// What is computed.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Status {
    /// Ten times the size, plus the number of tags.
    pub weight: i64,
    /// Shown once, when a golden one is made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
}

/// The stored form: the owner's length and name first, so that it can be borrowed.
fn encode(spec: &Spec) -> Vec<u8> {
    let mut body = vec![u8::try_from(spec.owner.len()).unwrap()];
    body.extend_from_slice(spec.owner.as_bytes());
    body.extend(serde_json::to_vec(spec).unwrap());
    body
}

fn parts_of(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn decode(body: &[u8]) -> Result<Spec, Corrupt> {
    let spec = parts_of(body).and_then(|(_, json)| serde_json::from_slice(json).ok());
    spec.ok_or_else(|| Corrupt("not a widget".to_owned()))
}

/// Both collections.
pub fn collections() -> Vec<Collection> {
    [(WIDGETS, "widgets"), (GADGETS, "gadgets")]
        .map(|(id, name)| Collection {
            id,
            name,
            index: |_, value| Indexed {
                owner: frame::split(value).and_then(|(body, _)| parts_of(body)).map(|(owner, _)| owner),
                expires_ms: None,
            },
        })
        .to_vec()
}

/// The lens over widgets, and under another description over gadgets.
pub struct Widgets {
    pub info: ResourceInfo,
    collection: CollectionId,
    on: AtomicBool,
}

pub const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const fn column(name: &'static str, kind: &'static str, format: &'static str) -> Column {
    Column { name, kind, format, priority: 0, description: "A column." }
}

impl Widgets {
    pub fn new() -> Widgets {
        let schema = Schema::for_object(schemars::schema_for!(Widget), "org.example.v1.Widget").unwrap();
        let info = ResourceInfo {
            group: "example.org",
            version: "v1",
            kind: "Widget",
            plural: "widgets",
            singular: "widget",
            short_names: &["wg"],
            categories: &[],
            namespaced: false,
            description: "A widget.",
            schema: Arc::new(schema),
            columns: vec![
                column("Name", "string", "name"),
                column("Size", "integer", ""),
                column("Colour", "string", ""),
            ],
            selectable: &["spec.colour", "spec.size"],
            verbs: VERBS,
            naming: Naming::Client,
            update_needs_version: false,
            delete_returns_object: false,
            patch_types: &[PatchType::Json, PatchType::Merge, PatchType::StrategicMerge],
        };
        Widgets { info, collection: WIDGETS, on: AtomicBool::new(true) }
    }

    /// The same as a custom resource would behave, with names of the server's.
    pub fn gadgets() -> Widgets {
        let widgets = Widgets::new();
        let info = ResourceInfo {
            group: "other.example.org",
            version: "v2",
            kind: "Gadget",
            plural: "gadgets",
            singular: "gadget",
            short_names: &[],
            naming: Naming::Generated { prefix: "gadget-" },
            update_needs_version: true,
            delete_returns_object: true,
            patch_types: &[PatchType::Merge],
            ..widgets.info
        };
        Widgets { info, collection: GADGETS, on: AtomicBool::new(true) }
    }

    pub fn switch(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }
}

fn spec_of(object: &Tree) -> Spec {
    object.get("spec").map(|spec| serde_json::from_value(spec.clone()).unwrap()).unwrap_or_default()
}

fn check(spec: &Spec) -> Result<(), Refusal> {
    if spec.size < 0 {
        return Err(Refusal::Invalid(vec![FieldError::invalid(
            "spec.size",
            spec.size,
            "must be at least 0",
        )]));
    }
    Ok(())
}

#[async_trait]
impl Kind for Widgets {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn served(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    fn collection(&self) -> CollectionId {
        self.collection
    }

    /// `admin` sees all, `nobody` nothing, everybody else their own.
    async fn scope(&self, cx: &Cx, _verb: Verb) -> Result<Scope, Refusal> {
        Ok(match cx.user.name.as_str() {
            "admin" => Scope::All,
            "nobody" => Scope::None,
            name => Scope::Owner(name.as_bytes().to_vec()),
        })
    }

    fn owner<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        parts_of(body).map(|(owner, _)| owner)
    }

    fn exists(&self, body: &[u8]) -> bool {
        decode(body).map_or(true, |spec| spec.colour != "ghostly")
    }

    fn hidden_label(&self) -> Option<(&'static str, &'static str)> {
        Some(("example.org/hidden", "yes"))
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let spec = decode(stored.body)?;
        let weight = spec.size.saturating_mul(10) + i64::try_from(spec.tags.len()).unwrap();
        object.insert("spec".to_owned(), serde_json::to_value(&spec).unwrap());
        object.insert("status".to_owned(), json!({ "weight": weight }));
        Ok(())
    }

    async fn admit(&self, _name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        let mut spec = spec_of(asked);
        check(&spec)?;
        if spec.size > 1000 {
            cx.warn(format!("spec.size {} was cut to \"1000\"", spec.size));
            spec.size = 1000;
        }
        if spec.owner.is_empty() {
            spec.owner.clone_from(&cx.user.name);
        }
        meta.labels.entry("made-by".to_owned()).or_insert_with(|| cx.user.name.clone());
        let golden = spec.colour == "gold" && !cx.dry_run;
        let once =
            golden.then(|| Once { fields: vec![(&["status", "key"], "opensesame".to_owned().into())] });
        Ok(Draft { once, ..Draft::of(encode(&spec)) })
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        _cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = decode(old.body).unwrap();
        let mut spec = spec_of(asked);
        check(&spec)?;
        if spec.owner.is_empty() {
            spec.owner.clone_from(&before.owner);
        }
        if spec.owner != before.owner && before.colour != "orphaned" {
            return Err(Refusal::Invalid(vec![FieldError::invalid(
                "spec.owner",
                spec.owner,
                "field is immutable",
            )]));
        }
        Ok(Draft::of(encode(&spec)))
    }

    async fn removing(&self, old: &Stored<'_>, cx: &Cx) -> Result<Vec<Op>, Refusal> {
        if decode(old.body).is_ok_and(|spec| spec.colour == "sticky") && cx.user.name != "admin" {
            return Err(Refusal::Forbidden("it sticks".to_owned()));
        }
        Ok(Vec::new())
    }

    fn row(&self, object: &Tree, _cx: &Cx) -> Vec<Tree> {
        let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_else(|| "".into());
        vec![at("/metadata/name"), at("/spec/size"), at("/spec/colour")]
    }
}

/// Two places that the server made up, in the core group.
pub struct Places(pub ResourceInfo);

impl Places {
    pub fn new() -> Places {
        Places(ResourceInfo {
            group: "",
            kind: "Place",
            plural: "places",
            singular: "place",
            short_names: &[],
            columns: vec![column("Name", "string", "name")],
            selectable: &[],
            verbs: &["get", "list"],
            patch_types: &[],
            ..Widgets::new().info
        })
    }
}

impl Fixed for Places {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    fn objects(&self) -> Vec<Tree> {
        ["here", "there"]
            .map(|name| json!({"apiVersion": "v1", "kind": "Place", "metadata": {"name": name, "labels": {"near": (name == "here").to_string()}}}))
            .to_vec()
    }

    fn row(&self, _object: &Tree) -> Vec<Tree> {
        Vec::new()
    }
}
