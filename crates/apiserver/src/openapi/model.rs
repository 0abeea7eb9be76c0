//! The named shapes: which there are, and how each is written down.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Dialect, common};
use crate::discovery::{Catalogue, GroupVersion, resources_of};
use crate::info::ResourceInfo;
use crate::schema::{Extensions, Schema, SchemaKind};
use crate::{Map, Tree};

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gvk {
    /// API group; empty for core.
    pub group: String,
    /// Version in the group.
    pub version: String,
    /// Kind in CamelCase.
    pub kind: String,
}

/// The models of a document, by name.
#[derive(Debug, Default)]
pub struct Models {
    models: BTreeMap<String, Model>,
    conflicts: BTreeSet<String>,
}

#[derive(Debug)]
struct Model {
    schema: Schema,
    kinds: BTreeSet<Gvk>,
}

impl Models {
    /// The models that these versions of the catalogue need, and those that every client expects: `ObjectMeta`, `ListMeta`, `DeleteOptions`, `Status`,
    /// `WatchEvent`, `Patch`.
    #[must_use]
    pub fn of(catalogue: &Catalogue<'_>, versions: &[GroupVersion<'_>]) -> Self {
        let mut models = Self::default();
        for info in versions.iter().flat_map(|v| resources_of(catalogue, *v)) {
            let mut schema = (*info.schema).clone();
            schema.extensions.model = Some(model_name(info));
            models.add(&schema, Some(gvk(info)));
            if info.has_verb("list") {
                let kind = info.list_kind();
                let list = schema.list_of(&list_model_name(info), &format!("A list of {}.", info.plural));
                models.add(&list, Some(Gvk { kind, ..gvk(info) }));
            }
        }
        let core = Gvk { group: String::new(), version: "v1".to_owned(), kind: "Status".to_owned() };
        models.add(&common::status(), Some(core));
        for v in versions {
            let of = |kind: &str| {
                Some(Gvk { group: v.group.to_owned(), version: v.version.to_owned(), kind: kind.to_owned() })
            };
            models.add(&Schema::delete_options(), of("DeleteOptions"));
            models.add(&common::watch_event(), of("WatchEvent"));
        }
        for schema in [
            Schema::delete_options(),
            common::watch_event(),
            common::patch(),
            Schema::object_meta(),
            Schema::list_meta(),
        ] {
            models.add(&schema, None);
        }
        models
    }

    /// Names under which two different shapes were found; the first was kept. A mistake in the types, for tests to see.
    #[must_use]
    pub fn conflicts(&self) -> &BTreeSet<String> {
        &self.conflicts
    }

    /// The definitions, written down.
    #[must_use]
    pub fn written(&self, dialect: Dialect) -> Map {
        self.models.iter().map(|(name, model)| (name.clone(), model.written(dialect))).collect()
    }

    fn add(&mut self, schema: &Schema, kind: Option<Gvk>) {
        if let Some(name) = &schema.extensions.model {
            let model = self
                .models
                .entry(name.clone())
                .or_insert_with(|| Model { schema: schema.clone(), kinds: BTreeSet::new() });
            model.kinds.extend(kind);
            if model.schema.kind != schema.kind {
                self.conflicts.insert(name.clone());
            }
        }
        match &schema.kind {
            SchemaKind::Object { properties, additional, .. } => {
                for inner in properties.values().chain(additional.as_deref()) {
                    self.add(inner, None);
                }
            }
            SchemaKind::Array { items } => self.add(items, None),
            _ => {}
        }
    }
}

impl Model {
    fn written(&self, dialect: Dialect) -> Tree {
        let description = if self.schema.extensions.model_description.is_empty() {
            &self.schema.description
        } else {
            &self.schema.extensions.model_description
        };
        let mut members = shape(&self.schema, dialect);
        describe(&mut members, description);
        of_the_type(&mut members, &self.schema.extensions);
        if !self.kinds.is_empty() {
            let kinds: Vec<Value> = self.kinds.iter().map(Gvk::written).collect();
            members.insert("x-kubernetes-group-version-kind".to_owned(), kinds.into());
        }
        Value::Object(members)
    }
}

impl Gvk {
    /// As the extension `x-kubernetes-group-version-kind` holds it.
    #[must_use]
    pub fn written(&self) -> Tree {
        json!({"group": self.group, "version": self.version, "kind": self.kind})
    }
}

/// The kind of a resource's objects.
#[must_use]
pub fn gvk(info: &ResourceInfo) -> Gvk {
    Gvk { group: info.group.to_owned(), version: info.version.to_owned(), kind: info.kind.to_owned() }
}

/// The name of a resource's model: its schema's own, or the group backwards, as in `io.cattle.ext.v1.Token`.
#[must_use]
pub fn model_name(info: &ResourceInfo) -> String {
    info.schema.extensions.model.clone().unwrap_or_else(|| {
        let group: Vec<&str> = info.group.rsplit('.').filter(|part| !part.is_empty()).collect();
        let group = if group.is_empty() { "io.k8s.api.core".to_owned() } else { group.join(".") };
        format!("{group}.{}.{}", info.version, info.kind)
    })
}

/// The name of the model of a resource's lists.
#[must_use]
pub fn list_model_name(info: &ResourceInfo) -> String {
    model_name(info) + "List"
}

/// A reference to a model.
#[must_use]
pub fn reference(model: &str, dialect: Dialect) -> Tree {
    json!({"$ref": target(model, dialect)})
}

fn target(model: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::V2 => format!("#/definitions/{model}"),
        Dialect::V3 => format!("#/components/schemas/{model}"),
    }
}

/// A member, an element or a map's value: a reference if its type has a name, else written out.
fn member(schema: &Schema, dialect: Dialect) -> Tree {
    let Extensions { model, .. } = &schema.extensions;
    let mut members = match model {
        None => {
            let mut members = shape(schema, dialect);
            of_the_type(&mut members, &schema.extensions);
            members
        }
        Some(model) => Map::from_iter([("$ref".to_owned(), target(model, dialect).into())]),
    };
    let bare = members.len();
    // Elements of a list come with the description of their type, which the model tells already.
    if model.is_none() || schema.description != schema.extensions.model_description {
        describe(&mut members, &schema.description);
    }
    of_the_place(&mut members, &schema.extensions);
    if dialect == Dialect::V3 {
        if schema.nullable {
            members.insert("nullable".to_owned(), true.into());
        }
        // In OpenAPI 3.0 nothing beside `$ref` counts.
        if members.len() > bare
            && let Some(target) = members.remove("$ref")
        {
            members.insert("allOf".to_owned(), json!([{"$ref": target}]));
        }
    }
    Value::Object(members)
}

fn shape(schema: &Schema, dialect: Dialect) -> Map {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    match &schema.kind {
        SchemaKind::Object { properties, required, additional, preserve_unknown } => {
            put("type", "object".into());
            if !properties.is_empty() {
                let properties: Map =
                    properties.iter().map(|(name, schema)| (name.clone(), member(schema, dialect))).collect();
                put("properties", properties.into());
            }
            if !required.is_empty() {
                put("required", required.clone().into());
            }
            if let Some(values) = additional {
                put("additionalProperties", member(values, dialect));
            }
            if *preserve_unknown {
                put("x-kubernetes-preserve-unknown-fields", true.into());
            }
        }
        SchemaKind::Array { items } => {
            put("type", "array".into());
            put("items", member(items, dialect));
        }
        SchemaKind::String { format, enumeration } => {
            put("type", "string".into());
            if let Some(format) = format {
                put("format", format.clone().into());
            }
            if !enumeration.is_empty() {
                put("enum", enumeration.clone().into());
            }
        }
        SchemaKind::Integer { format } => {
            put("type", "integer".into());
            put("format", (*format).into());
        }
        SchemaKind::Number => {
            put("type", "number".into());
            put("format", "double".into());
        }
        SchemaKind::Boolean => {
            put("type", "boolean".into());
        }
        SchemaKind::Any => {
            if !schema.extensions.int_or_string {
                put("x-kubernetes-preserve-unknown-fields", true.into());
            }
        }
    }
    members
}

fn describe(members: &mut Map, description: &str) {
    if !description.is_empty() {
        members.insert("description".to_owned(), unwrapped(description).into());
    }
}

/// Source lines become paragraphs: `kubectl explain` wraps text itself, and keeps line breaks.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// What belongs to the type, wherever it is used.
fn of_the_type(members: &mut Map, extensions: &Extensions) {
    if let Some(map_type) = extensions.map_type {
        members.insert("x-kubernetes-map-type".to_owned(), map_type.as_str().into());
    }
    for (name, set) in [
        ("x-kubernetes-int-or-string", extensions.int_or_string),
        ("x-kubernetes-embedded-resource", extensions.embedded_resource),
    ] {
        if set {
            members.insert(name.to_owned(), true.into());
        }
    }
}

/// What belongs to the member that has the type.
fn of_the_place(members: &mut Map, extensions: &Extensions) {
    if let Some(list_type) = extensions.list_type {
        members.insert("x-kubernetes-list-type".to_owned(), list_type.as_str().into());
    }
    if !extensions.list_map_keys.is_empty() {
        members.insert("x-kubernetes-list-map-keys".to_owned(), extensions.list_map_keys.clone().into());
    }
    for (name, value) in [
        ("x-kubernetes-patch-strategy", &extensions.patch_strategy),
        ("x-kubernetes-patch-merge-key", &extensions.patch_merge_key),
    ] {
        if let Some(value) = value {
            members.insert(name.to_owned(), value.clone().into());
        }
    }
}
