//! Between Kubernetes' objects and the shape of this door.

use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::{Map, Tree};
use serde_json::json;

use super::{Asked, COLLECTION};
use crate::v3::error::V3Error;
use crate::v3::item::{put, text};

/// The type of every object.
pub const TYPE: &str = "ext.cattle.io.token";

/// Members of metadata that this door adds.
const ADDED: [&str; 3] = ["fields", "relationships", "state"];

/// What is the same for all objects of an answer.
pub struct Shape {
    update: bool,
    remove: bool,
}

impl Shape {
    /// Asks what the caller may do to all objects.
    pub async fn of(asked: &Asked) -> Result<Shape, V3Error> {
        Ok(Shape { update: asked.may("update", "").await, remove: asked.may("delete", "").await })
    }

    /// The object in the shape of this door.
    pub async fn one(&self, asked: &Asked, mut object: Tree) -> Result<Tree, V3Error> {
        let fields = asked.kind.row(&object, &asked.cx);
        let name =
            object.get("metadata").map(|metadata| text(metadata, "name").to_owned()).unwrap_or_default();
        let url = format!("{}{COLLECTION}/{name}", asked.base);
        let info = asked.kind.info();
        let view = format!("{}/apis/{}/{}/{}/{name}", asked.base, info.group, info.version, info.plural);
        let mut links = json!({"self": url, "view": view});
        for (link, verb, all) in [("update", "update", self.update), ("remove", "delete", self.remove)] {
            if all || asked.may(verb, &name).await {
                put(&mut links, link, url.clone());
            }
        }
        dress(&mut object, TYPE, name, fields, links);
        Ok(object)
    }
}

/// Adds what this door shows beside Kubernetes' own.
pub fn dress(object: &mut Tree, kind: &str, name: String, fields: Vec<Tree>, links: Tree) {
    if let Some(metadata) = object.get_mut("metadata") {
        put(metadata, "fields", fields);
        put(metadata, "relationships", Tree::Null);
        let state = json!({"error": false, "message": "", "name": "active", "transitioning": false});
        put(metadata, "state", state);
    }
    put(object, "id", name);
    put(object, "type", kind);
    put(object, "links", links);
}

/// The Kubernetes object that a body means: what this door adds is taken off again, and what clients may leave out is added.
pub fn asked(info: &ResourceInfo, mut body: Map) -> Map {
    for member in ["id", "type", "links", "actions"] {
        body.remove(member);
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Tree::as_object_mut) {
        ADDED.iter().for_each(|member| {
            metadata.remove(*member);
        });
    }
    for (member, value) in [("apiVersion", info.api_version()), ("kind", info.kind.to_owned())] {
        if body.get(member).is_none_or(Tree::is_null) {
            body.insert(member.to_owned(), value.into());
        }
    }
    body
}

/// An error in the shape of this door.
pub fn error(error: &V3Error) -> Tree {
    json!({
        "type": "error", "links": {}, "code": error.code, "message": error.message, "status": error.status,
    })
}
