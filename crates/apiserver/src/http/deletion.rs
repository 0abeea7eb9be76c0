//! The options of a DELETE, from the body or the query (kubernetes-api.md §3.9), and its answers.

use std::sync::LazyLock;

use http::request::Parts;
use serde_json::{Value, json};

use super::body;
use super::query::{self, Query};
use crate::field_error::FieldError;
use crate::info::ResourceInfo;
use crate::kind::Cx;
use crate::ops::{DeleteOptions, DeletedMany};
use crate::protobuf;
use crate::refusal::Refusal;
use crate::schema::Schema;
use crate::{Map, Tree, decode};

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::delete_options);

/// Reads the options; a body wins over the query.
pub(super) fn options(
    parts: &Parts,
    query: &Query,
    bytes: &[u8],
    info: &ResourceInfo,
    cx: &mut Cx,
) -> Result<DeleteOptions, Refusal> {
    let content_type = body::content_type(&parts.headers);
    let tree = if bytes.is_empty() {
        from_query(query)
    } else if content_type == protobuf::MEDIA_TYPE {
        protobuf::decode(bytes, "v1", "DeleteOptions")
            .map_err(|error| Refusal::BadRequest(error.to_string()))?
    } else if body::is_plain(&content_type) {
        body::decode_plain(&content_type, bytes)?.tree
    } else {
        return Err(Refusal::UnsupportedMediaType(body::READABLE.iter().map(|t| (*t).to_owned()).collect()));
    };
    let checked = decode::check(&SCHEMA, &tree, "DeleteOptions");
    if let Some(error) = checked.errors.first() {
        return Err(Refusal::BadRequest(format!(
            "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: {error}"
        )));
    }
    for path in &checked.unknown {
        cx.warn(format!("unknown field \"{path}\""));
    }
    let object =
        tree.as_object().ok_or_else(|| Refusal::BadRequest("DeleteOptions must be an object".to_owned()))?;
    check_type(object, info)?;
    check_policy(object)?;
    let text = |key: &str| {
        let value = object.get("preconditions").and_then(|p| p.get(key));
        value.and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
    };
    let listed = object.get("dryRun").and_then(Value::as_array).cloned().unwrap_or_default();
    let from_body = listed.iter().filter_map(Value::as_str);
    cx.dry_run = query::dry_run(from_body.chain(query.all("dryRun")))
        .map_err(|error| Refusal::InvalidOptions("DeleteOptions", vec![error]))?;
    Ok(DeleteOptions { uid: text("uid"), resource_version: text("resourceVersion") })
}

/// Clients without a body put the options into the query.
fn from_query(query: &Query) -> Tree {
    let mut object = Map::new();
    for key in ["propagationPolicy"] {
        if query.has(key) {
            object.insert(key.to_owned(), query.get(key).into());
        }
    }
    if query.has("orphanDependents") {
        object.insert("orphanDependents".to_owned(), query.flag("orphanDependents").into());
    }
    Value::Object(object)
}

fn check_type(object: &Map, info: &ResourceInfo) -> Result<(), Refusal> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    let known_version = ["", "v1", "meta.k8s.io/v1", &info.api_version()].contains(&version);
    if !known_version || !(kind.is_empty() || kind == "DeleteOptions") {
        return Err(Refusal::BadRequest(format!(
            "{kind} in version {version:?} cannot be handled as DeleteOptions"
        )));
    }
    Ok(())
}

fn check_policy(object: &Map) -> Result<(), Refusal> {
    let policy = object.get("propagationPolicy").and_then(Value::as_str).unwrap_or_default();
    let mut errors = Vec::new();
    if !policy.is_empty() && object.get("orphanDependents").is_some_and(|o| !o.is_null()) {
        errors.push(FieldError::invalid(
            "propagationPolicy",
            policy,
            "orphanDependents and deletionPropagation cannot be both set",
        ));
    }
    if !["", "Orphan", "Background", "Foreground"].contains(&policy) {
        errors.push(FieldError::unsupported(
            "propagationPolicy",
            policy,
            &["Background", "Foreground", "Orphan"],
        ));
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::InvalidOptions("DeleteOptions", errors)) }
}

/// The answer to a deletion that is done.
pub(super) fn success(info: &ResourceInfo, name: &str, uid: &str) -> Tree {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": info.group, "kind": info.plural, "uid": uid},
    })
}

/// The answer to a deletion of many: the objects, or only their number when they are too many to show.
pub(super) fn many(info: &ResourceInfo, many: DeletedMany) -> Tree {
    if many.count > many.objects.len() {
        return json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "message": format!("{} objects deleted", many.count),
            "details": {"group": info.group, "kind": info.plural},
        });
    }
    json!({
        "kind": info.list_kind(), "apiVersion": info.api_version(),
        "metadata": {"resourceVersion": many.revision.to_string()}, "items": many.objects,
    })
}
