//! Between a stored record and the object that a caller sees: `metadata`, names and identity.

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_storage::{Entry, Revision};
use serde_json::{Value, json};

use crate::field_error::FieldError;
use crate::info::ResourceInfo;
use crate::kind::{Corrupt, Cx, Kind, Stored};
use crate::metadata::{
    ObjectMeta, owner_tree, validate_annotations, validate_finalizers, validate_labels, validate_owners,
};
use crate::refusal::Refusal;
use crate::time::format_rfc3339;
use crate::{Map, Tree, managed};

/// Annotation on an object whose record cannot be read (DEC23): says why.
pub const CORRUPT: &str = "eartag.io/corrupt-record";

/// A record taken apart, owning its metadata.
pub struct Record {
    /// The entry it came from.
    pub entry: Entry,
    /// The common part.
    pub meta: Meta,
    name: String,
}

impl Record {
    /// Takes an entry apart; a record that cannot be read still has a name and a revision.
    pub fn of(entry: Entry) -> Result<Record, Corrupt> {
        let name = name_of(&entry);
        match frame::meta(entry.value()) {
            Some(meta) => Ok(Record { entry, meta, name }),
            None => Err(Corrupt("the record's frame or metadata cannot be decoded".to_owned())),
        }
    }

    /// The view that kinds work on.
    pub fn stored(&self) -> Stored<'_> {
        let body = frame::split(self.entry.value()).map(|(body, _)| body).unwrap_or_default();
        Stored { name: &self.name, meta: &self.meta, body, revision: self.entry.modified() }
    }
}

/// The object's name.
pub fn name_of(entry: &Entry) -> String {
    String::from_utf8_lossy(entry.key()).into_owned()
}

/// The object as this caller sees it. A record that cannot be read becomes an object that says so, so that it can be found and deleted.
pub fn show_entry(kind: &dyn Kind, entry: &Entry, cx: &Cx) -> Tree {
    show_entry_at(kind, entry, entry.modified(), cx)
}

/// The same under another revision: a deletion event carries the last content and its own revision.
pub fn show_entry_at(kind: &dyn Kind, entry: &Entry, revision: Revision, cx: &Cx) -> Tree {
    let shown = Record::of(entry.clone()).and_then(|record| {
        let stored = Stored { revision, ..record.stored() };
        show(kind, &stored, cx)
    });
    shown.unwrap_or_else(|Corrupt(why)| {
        let info = kind.info();
        json!({
            "apiVersion": info.api_version(), "kind": info.kind,
            "metadata": {
                "name": name_of(entry), "resourceVersion": revision.to_string(),
                "creationTimestamp": null, "annotations": { CORRUPT: why },
            },
        })
    })
}

/// The object as this caller sees it.
pub fn show(kind: &dyn Kind, stored: &Stored<'_>, cx: &Cx) -> Result<Tree, Corrupt> {
    let info = kind.info();
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), info.api_version().into());
    object.insert("kind".to_owned(), info.kind.into());
    object.insert("metadata".to_owned(), Value::Object(metadata(stored)));
    kind.show(stored, cx, &mut object)?;
    Ok(Value::Object(object))
}

fn metadata(stored: &Stored<'_>) -> Map {
    let meta = stored.meta;
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| {
        shown.insert(key.to_owned(), value);
    };
    put("name", stored.name.into());
    put("uid", meta.uid.to_string().into());
    if stored.revision.get() > 0 {
        put("resourceVersion", stored.revision.to_string().into());
    }
    put("creationTimestamp", format_rfc3339(meta.created_s).into());
    if meta.generation > 0 {
        put("generation", meta.generation.into());
    }
    if let Some(deleted) = meta.deleted_s {
        put("deletionTimestamp", format_rfc3339(deleted).into());
        put("deletionGracePeriodSeconds", 0.into());
    }
    if !meta.generate_name.is_empty() {
        put("generateName", meta.generate_name.clone().into());
    }
    if !meta.labels.is_empty() {
        put("labels", json!(meta.labels));
    }
    if !meta.annotations.is_empty() {
        put("annotations", json!(meta.annotations));
    }
    if !meta.finalizers.is_empty() {
        put("finalizers", json!(meta.finalizers));
    }
    if !meta.owners.is_empty() {
        put("ownerReferences", meta.owners.iter().map(owner_tree).collect::<Vec<_>>().into());
    }
    if !meta.managed.is_empty() {
        put("managedFields", managed::show(&meta.managed));
    }
    shown
}

/// `metadata` of an object that a client sent.
pub fn asked_metadata(asked: &Tree) -> Option<&Map> {
    asked.get("metadata").and_then(Value::as_object)
}

/// A text of `metadata`, empty if absent.
pub fn meta_text<'a>(asked: &'a Tree, key: &str) -> &'a str {
    asked_metadata(asked).and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// Carries the metadata that clients may set (labels, annotations, finalizers, owner references) from the asked object into `meta`.
pub fn take_metadata(asked: &Tree, meta: &mut Meta, cx: &Cx) {
    let mut sent = ObjectMeta::of(asked);
    if let Some(warning) = sent.dedup_owners() {
        cx.warn(warning);
    }
    meta.labels = sent.labels;
    meta.annotations = sent.annotations;
    meta.finalizers = sent.finalizers;
    meta.owners = sent.owners;
}

/// The asked object's `kind` and `apiVersion` are absent or right; absent ones are filled in.
pub fn fit_type(info: &ResourceInfo, asked: &mut Tree) -> Result<(), Refusal> {
    let Some(object) = asked.as_object_mut() else {
        return Err(Refusal::BadRequest(format!(
            "{} in version \"{}\" cannot be handled as a {}: the body must be an object",
            info.kind, info.version, info.kind
        )));
    };
    for key in ["apiVersion", "kind"] {
        if let Some(other) = object.get(key).filter(|value| !value.is_string() && !value.is_null()) {
            return Err(Refusal::BadRequest(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{key} of type string",
                json_type(other)
            )));
        }
    }
    let text = |object: &Map, key: &str| {
        object.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
    };
    let wanted = info.api_version();
    if let Some(sent) = text(object, "apiVersion").filter(|sent| *sent != wanted) {
        return Err(Refusal::BadRequest(format!(
            "the API version in the data ({sent}) does not match the expected API version ({wanted})"
        )));
    }
    if let Some(sent) = text(object, "kind").filter(|sent| *sent != info.kind) {
        return Err(Refusal::BadRequest(format!(
            "{sent} in version \"{}\" cannot be handled as a {}: no kind \"{sent}\" is registered for version \"{wanted}\"",
            info.version, info.kind
        )));
    }
    object.insert("apiVersion".to_owned(), wanted.into());
    object.insert("kind".to_owned(), info.kind.into());
    Ok(())
}

fn json_type(value: &Tree) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks the metadata that a client may set; an object that is being deleted gets no new finalizers.
pub fn check_metadata(meta: &Meta, before: Option<&Meta>) -> Vec<FieldError> {
    let mut errors = validate_labels(&meta.labels);
    errors.extend(validate_annotations(&meta.annotations));
    errors.extend(validate_owners(&meta.owners));
    errors.extend(validate_finalizers(&meta.finalizers));
    if let Some(before) = before {
        let of = |meta: &Meta| ObjectMeta {
            deleted_s: meta.deleted_s,
            finalizers: meta.finalizers.clone(),
            ..ObjectMeta::default()
        };
        errors.extend(of(meta).validate_update(&of(before)));
    }
    errors
}

/// The metadata of a new object.
pub fn new_meta(cx: &Cx) -> Meta {
    Meta { uid: Uid::from_random(cx.random()), created_s: cx.now_s(), generation: 1, ..Meta::default() }
}
