//! From schemars' JSON schema to [`Schema`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Extensions, ListType, MapType, Schema, SchemaKind};

/// Why a type cannot be served. All are mistakes in our own types, found when the server starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A type contains itself.
    #[error("type {0} is recursive")]
    Recursive(String),
    /// A reference to a type that is not there.
    #[error("reference {0} leads nowhere")]
    Dangling(String),
    /// A construct that Kubernetes' schemas cannot express.
    #[error("{at}: {what} cannot be expressed")]
    Unsupported {
        /// The path of the field.
        at: String,
        /// What was found.
        what: String,
    },
}

type Object = serde_json::Map<String, Value>;

pub(super) fn from_schemars(root: schemars::Schema, model: &str) -> Result<Schema, SchemaError> {
    let root = root.to_value();
    let empty = Object::new();
    let definitions =
        ["$defs", "definitions"].iter().find_map(|key| root.get(key)?.as_object()).unwrap_or(&empty);
    let (prefix, name) = model.rsplit_once('.').unwrap_or(("", model));
    let mut converter = Converter { definitions, root: name, prefix, open: Vec::new() };
    let mut schema = converter.convert(&root, model)?;
    schema.extensions.model.get_or_insert_with(|| model.to_owned());
    Ok(schema)
}

struct Converter<'a> {
    definitions: &'a Object,
    /// The root type's name.
    root: &'a str,
    /// What the names of shared models begin with.
    prefix: &'a str,
    /// The definitions that are being converted, outermost first.
    open: Vec<String>,
}

impl<'a> Converter<'a> {
    fn convert(&mut self, value: &'a Value, at: &str) -> Result<Schema, SchemaError> {
        let object = match value {
            Value::Bool(true) => return Ok(Schema::default()),
            Value::Object(object) => object,
            other => return Err(unsupported(at, &format!("schema {other}"))),
        };
        let mut schema = if let Some(reference) = text(object, "$ref") {
            self.reference(reference)?
        } else if let Some(variants) = list(object, "anyOf").or_else(|| list(object, "oneOf")) {
            self.union(object, variants, at)?
        } else if let Some(parts) = list(object, "allOf") {
            self.all_of(object, parts, at)?
        } else {
            self.plain(object, at)?
        };
        annotate(&mut schema, object);
        Ok(schema)
    }

    fn reference(&mut self, reference: &str) -> Result<Schema, SchemaError> {
        if reference == "#" {
            return Err(SchemaError::Recursive(self.root.to_owned()));
        }
        let name = reference.rsplit('/').next().unwrap_or(reference);
        if self.open.iter().any(|open| open == name) {
            return Err(SchemaError::Recursive(name.to_owned()));
        }
        let definition =
            self.definitions.get(name).ok_or_else(|| SchemaError::Dangling(reference.to_owned()))?;
        self.open.push(name.to_owned());
        let schema = self.convert(definition, name);
        self.open.pop();
        let mut schema = schema?;
        // Only structs become shared models; enumerations and the like are written out where they are used, as in Kubernetes' own documents.
        if matches!(&schema.kind, SchemaKind::Object { properties, .. } if !properties.is_empty()) {
            let prefix = self.prefix;
            schema.extensions.model.get_or_insert_with(|| {
                if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
            });
            schema.extensions.model_description.clone_from(&schema.description);
        }
        Ok(schema)
    }

    fn union(&mut self, whole: &Object, variants: &'a [Value], at: &str) -> Result<Schema, SchemaError> {
        let (nulls, rest): (Vec<_>, Vec<_>) =
            variants.iter().partition(|v| v.get("type").and_then(Value::as_str) == Some("null"));
        let nullable = !nulls.is_empty();
        if let [only] = rest.as_slice() {
            let mut schema = self.convert(only, at)?;
            schema.nullable |= nullable;
            return Ok(schema);
        }
        if flag(whole, "x-kubernetes-preserve-unknown-fields") || flag(whole, "x-kubernetes-int-or-string") {
            return Ok(Schema { nullable, ..Schema::default() });
        }
        let mut enumeration = Vec::new();
        for variant in rest {
            match (variant.get("const"), variant.get("enum").and_then(Value::as_array)) {
                (Some(Value::String(one)), _) => enumeration.push(one.clone()),
                (None, Some(many)) => {
                    enumeration.extend(many.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => return Err(unsupported(at, "a union of several types")),
            }
        }
        Ok(Schema { kind: SchemaKind::String { format: None, enumeration }, nullable, ..Schema::default() })
    }

    /// `#[serde(flatten)]` and wrapped references.
    fn all_of(&mut self, whole: &'a Object, parts: &'a [Value], at: &str) -> Result<Schema, SchemaError> {
        let mut converted = parts.iter().map(|part| self.convert(part, at)).collect::<Result<Vec<_>, _>>()?;
        if whole.contains_key("properties") {
            converted.push(self.plain(whole, at)?);
        }
        if let [only] = converted.as_mut_slice() {
            return Ok(std::mem::take(only));
        }
        let (mut properties, mut required) = (BTreeMap::new(), Vec::new());
        for part in converted {
            let SchemaKind::Object { properties: p, required: r, additional: None, .. } = part.kind else {
                return Err(unsupported(at, "allOf of something else than structs"));
            };
            properties.extend(p);
            required.extend(r);
        }
        let kind = SchemaKind::Object { properties, required, additional: None, preserve_unknown: false };
        Ok(Schema { kind, ..Schema::default() })
    }

    fn plain(&mut self, object: &'a Object, at: &str) -> Result<Schema, SchemaError> {
        let mut nullable = false;
        let mut types = Vec::new();
        match object.get("type") {
            Some(Value::String(one)) => types.push(one.as_str()),
            Some(Value::Array(many)) => types.extend(many.iter().filter_map(Value::as_str)),
            _ => {}
        }
        types.retain(|t| {
            nullable |= *t == "null";
            *t != "null"
        });
        let kind = match types.as_slice() {
            ["object"] => self.object(object, at)?,
            ["array"] => match object.get("items") {
                Some(items) => SchemaKind::Array { items: Box::new(self.convert(items, at)?) },
                None => SchemaKind::Array { items: Box::default() },
            },
            ["string"] => SchemaKind::String {
                format: text(object, "format").map(str::to_owned),
                enumeration: enumeration(object),
            },
            ["integer"] => SchemaKind::Integer {
                format: match text(object, "format") {
                    Some("int8" | "int16" | "int32" | "uint8" | "uint16") => "int32",
                    _ => "int64",
                },
            },
            ["number"] => SchemaKind::Number,
            ["boolean"] => SchemaKind::Boolean,
            [] if object.contains_key("properties") => self.object(object, at)?,
            [] if object.contains_key("const") || object.contains_key("enum") => {
                SchemaKind::String { format: None, enumeration: enumeration(object) }
            }
            [] => SchemaKind::Any,
            _ if flag(object, "x-kubernetes-preserve-unknown-fields")
                || flag(object, "x-kubernetes-int-or-string") =>
            {
                SchemaKind::Any
            }
            several => return Err(unsupported(at, &format!("a value that is one of {several:?}"))),
        };
        Ok(Schema { kind, nullable, ..Schema::default() })
    }

    fn object(&mut self, object: &'a Object, at: &str) -> Result<SchemaKind, SchemaError> {
        let mut properties = BTreeMap::new();
        for (name, value) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            properties.insert(name.clone(), self.convert(value, &format!("{at}.{name}"))?);
        }
        let required = list(object, "required")
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let additional = match object.get("additionalProperties") {
            None | Some(Value::Bool(false)) => None,
            Some(values) => Some(Box::new(self.convert(values, at)?)),
        };
        let preserve_unknown = flag(object, "x-kubernetes-preserve-unknown-fields");
        Ok(SchemaKind::Object { properties, required, additional, preserve_unknown })
    }
}

/// What stands beside the type: the description of this place, and the extensions.
fn annotate(schema: &mut Schema, object: &Object) {
    if let Some(description) = text(object, "description") {
        schema.description = description.to_owned();
    }
    let Extensions {
        list_type,
        list_map_keys,
        map_type,
        patch_strategy,
        patch_merge_key,
        int_or_string,
        embedded_resource,
        model,
        model_description: _,
    } = &mut schema.extensions;
    match text(object, "x-kubernetes-list-type") {
        Some("atomic") => *list_type = Some(ListType::Atomic),
        Some("set") => *list_type = Some(ListType::Set),
        Some("map") => *list_type = Some(ListType::Map),
        _ => {}
    }
    match text(object, "x-kubernetes-map-type") {
        Some("atomic") => *map_type = Some(MapType::Atomic),
        Some("granular") => *map_type = Some(MapType::Granular),
        _ => {}
    }
    if let Some(keys) = list(object, "x-kubernetes-list-map-keys") {
        *list_map_keys = keys.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect();
    }
    for (key, slot) in [
        ("x-kubernetes-patch-strategy", patch_strategy),
        ("x-kubernetes-patch-merge-key", patch_merge_key),
        ("x-model", model),
    ] {
        if let Some(value) = text(object, key) {
            *slot = Some(value.to_owned());
        }
    }
    *int_or_string |= flag(object, "x-kubernetes-int-or-string");
    *embedded_resource |= flag(object, "x-kubernetes-embedded-resource");
}

fn enumeration(object: &Object) -> Vec<String> {
    let constant = object.get("const").into_iter();
    constant
        .chain(list(object, "enum").into_iter().flatten())
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn list<'a>(object: &'a Object, key: &str) -> Option<&'a [Value]> {
    object.get(key)?.as_array().map(Vec::as_slice)
}

fn flag(object: &Object, key: &str) -> bool {
    object.get(key) == Some(&Value::Bool(true))
}

fn unsupported(at: &str, what: &str) -> SchemaError {
    SchemaError::Unsupported { at: at.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, dead_code)]

    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;

    /// A thing.
    #[derive(JsonSchema, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Thing {
        /// What it should be.
        spec: ThingSpec,
        /// What it is.
        #[serde(default)]
        status: Option<ThingStatus>,
    }

    /// The wish.
    #[derive(JsonSchema, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ThingSpec {
        user_name: String,
        #[serde(default)]
        time_to_live: i64,
        small: Option<i32>,
        big: u64,
        enabled: Option<bool>,
        mode: Mode,
        colour: Option<Colour>,
        #[schemars(extend("x-kubernetes-list-type" = "set", "x-kubernetes-patch-strategy" = "merge"))]
        tags: Vec<String>,
        labels: BTreeMap<String, String>,
        anything: serde_json::Value,
        #[serde(skip)]
        hidden: String,
        weight: f64,
    }

    /// The state.
    #[derive(JsonSchema, Deserialize)]
    struct ThingStatus {
        ready: bool,
    }

    #[derive(JsonSchema, Deserialize)]
    enum Mode {
        Fast,
        #[serde(rename = "slow")]
        Slow,
    }

    #[derive(JsonSchema, Deserialize)]
    enum Colour {
        /// Like blood.
        Red,
        /// Like grass.
        Green,
    }

    #[derive(JsonSchema, Deserialize)]
    struct Loop {
        inner: Vec<Loop>,
    }

    fn thing() -> Schema {
        Schema::for_object(schemars::schema_for!(Thing), "com.example.v1.Thing").unwrap()
    }

    #[test]
    fn every_kind_of_field_is_converted() {
        let thing = thing();
        assert_eq!(thing.description, "A thing.");
        assert_eq!(thing.extensions.model.as_deref(), Some("com.example.v1.Thing"));
        let spec = thing.field("spec").unwrap();
        assert_eq!(spec.description, "What it should be.");
        assert_eq!(spec.extensions.model.as_deref(), Some("com.example.v1.ThingSpec"));
        assert_eq!(spec.extensions.model_description, "The wish.");
        let types: Vec<_> =
            spec.properties().map(|(n, s)| format!("{n} {} {}", s.go_type(), s.nullable)).collect();
        assert_eq!(
            types,
            [
                "anything interface {} false",
                "big int64 false",
                "colour string true",
                "enabled bool true",
                "labels map[string]string false",
                "mode string false",
                "small int32 true",
                "tags []string false",
                "timeToLive int64 false",
                "userName string false",
                "weight float64 false",
            ]
        );
        assert_eq!(
            spec.field("mode").unwrap().kind,
            SchemaKind::String { format: None, enumeration: vec!["Fast".into(), "slow".into()] }
        );
        assert_eq!(
            spec.field("colour").unwrap().kind,
            SchemaKind::String { format: None, enumeration: vec!["Red".into(), "Green".into()] }
        );
        let tags = spec.field("tags").unwrap();
        assert_eq!(tags.extensions.list_type, Some(ListType::Set));
        assert!(tags.extensions.merges());
    }

    #[test]
    fn an_optional_struct_keeps_its_model() {
        let thing = thing();
        let status = thing.field("status").unwrap();
        assert!(status.nullable);
        assert_eq!(status.go_type(), "v1.ThingStatus");
        assert_eq!(status.description, "What it is.");
    }

    #[test]
    fn an_object_gets_type_and_metadata() {
        let thing = thing();
        assert_eq!(thing.field("apiVersion").unwrap().go_type(), "string");
        assert_eq!(
            thing.field("metadata").unwrap().extensions.model.as_deref(),
            Some(super::super::OBJECT_META_MODEL)
        );
        let SchemaKind::Object { required, .. } = &thing.kind else { panic!() };
        assert_eq!(required, &["spec"]);
    }

    #[test]
    fn recursive_types_are_refused() {
        let refused = Schema::from_schemars(schemars::schema_for!(Loop), "com.example.v1.Loop");
        assert_eq!(refused, Err(SchemaError::Recursive("Loop".to_owned())));
    }
}
