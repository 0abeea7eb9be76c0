//! One description of a type's shape, which alone drives strict decoding, strategic merge, field ownership and OpenAPI.
//!
//! ```text
//! Rust type --schemars--> JSON schema --convert--> Schema --+--> decode::check / prune
//!                                                           +--> patch::strategic_merge
//!                                                           +--> managed::FieldSet::of
//!                                                           +--> OpenAPI v2, v3 (kubectl explain)
//! ```
//!
//! It is a tree without references: types that occur twice are copied, and [`Extensions::model`] remembers the name under which OpenAPI shares them.
//! Recursive types are therefore refused.

mod convert;
mod meta;

use std::collections::BTreeMap;

pub use convert::SchemaError;
pub use meta::{
    DELETE_OPTIONS_MODEL, FIELDS_V1_MODEL, LIST_META_MODEL, MANAGED_FIELDS_ENTRY_MODEL, OBJECT_META_MODEL,
    OWNER_REFERENCE_MODEL, TIME_MODEL,
};

/// The shape of a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// What the value means at this place; shown by `kubectl explain`.
    pub description: String,
    /// What the value may be.
    pub kind: SchemaKind,
    /// Whether `null` is a value of its own (it always counts as unset).
    pub nullable: bool,
    /// Everything else that Kubernetes' tools want to know.
    pub extensions: Extensions,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SchemaKind {
    /// A struct (`properties`), a map (`additional`), or both.
    Object {
        /// Fields by JSON name.
        properties: BTreeMap<String, Schema>,
        /// JSON names of the fields that must be there.
        required: Vec<String>,
        /// The type of a map's values.
        additional: Option<Box<Schema>>,
        /// Whether fields that are not declared are kept and not reported.
        preserve_unknown: bool,
    },
    /// A list.
    Array {
        /// The type of its elements.
        items: Box<Schema>,
    },
    /// A text.
    String {
        /// `date-time`, `byte`, …
        format: Option<String>,
        /// The allowed values; empty if all are.
        enumeration: Vec<String>,
    },
    /// A whole number.
    Integer {
        /// `int32` or `int64`.
        format: &'static str,
    },
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Any JSON.
    #[default]
    Any,
}

/// The `x-kubernetes-…` extensions, and the name of the shared model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// `x-kubernetes-list-type`; absent means atomic.
    pub list_type: Option<ListType>,
    /// `x-kubernetes-list-map-keys`.
    pub list_map_keys: Vec<String>,
    /// `x-kubernetes-map-type`; absent means granular.
    pub map_type: Option<MapType>,
    /// `x-kubernetes-patch-strategy`: `merge`, `replace`, `retainKeys` or several, joined by commas.
    pub patch_strategy: Option<String>,
    /// `x-kubernetes-patch-merge-key`: the field that tells elements apart in a strategic merge.
    pub patch_merge_key: Option<String>,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded_resource: bool,
    /// The OpenAPI definition's name for types that are shared by reference, e.g. `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`.
    pub model: Option<String>,
    /// The description of the shared model itself, where [`Schema::description`] is that of a field which has its type.
    pub model_description: String,
}

/// How the elements of a list are told apart when several writers own parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListType {
    /// The list is one value.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects, told apart by [`Extensions::list_map_keys`].
    Map,
}

/// Whether several writers may own parts of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapType {
    /// Each field has its owners.
    Granular,
    /// The object is one value.
    Atomic,
}

impl Schema {
    /// Converts what schemars derived. `model` is the OpenAPI name of the type; types inside get the same prefix
    /// (`com.example.v1.Token` makes `com.example.v1.TokenSpec`). Adds nothing to the type.
    ///
    /// Read besides JSON schema proper: the `x-kubernetes-…` keys (given by `#[schemars(extend(…))]`), and `x-model` for another model name.
    ///
    /// # Errors
    /// For recursive types, dangling references, and unions that are neither optional nor enumerations.
    pub fn from_schemars(root: schemars::Schema, model: &str) -> Result<Schema, SchemaError> {
        convert::from_schemars(root, model)
    }

    /// Like [`Schema::from_schemars`], and adds `apiVersion`, `kind` and `metadata` (the shared [`Schema::object_meta`]).
    ///
    /// # Errors
    /// As [`Schema::from_schemars`]; also if the type is not a struct.
    pub fn for_object(root: schemars::Schema, model: &str) -> Result<Schema, SchemaError> {
        let mut schema = Self::from_schemars(root, model)?;
        let SchemaKind::Object { properties, .. } = &mut schema.kind else {
            return Err(SchemaError::Unsupported {
                at: model.to_owned(),
                what: "an object that is no struct".to_owned(),
            });
        };
        meta::add_type_meta(properties);
        let mut metadata = Self::object_meta();
        metadata.description = "Name, labels and everything else that all kinds have in common.".to_owned();
        properties.insert("metadata".to_owned(), metadata);
        Ok(schema)
    }

    /// The model of `metadata`, with its merge keys: finalizers are a set, owner references a map by uid, managed fields atomic.
    #[must_use]
    pub fn object_meta() -> Schema {
        meta::object_meta()
    }

    /// The model of a list's `metadata`.
    #[must_use]
    pub fn list_meta() -> Schema {
        meta::list_meta()
    }

    /// The schema of a list whose elements have this one.
    #[must_use]
    pub fn list_of(&self, model: &str, description: &str) -> Schema {
        meta::list_of(self, model, description)
    }

    /// The model of a delete request's body.
    #[must_use]
    pub fn delete_options() -> Schema {
        meta::delete_options()
    }

    /// The type of field `name`: a declared one, or that of a map's values.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Schema> {
        match &self.kind {
            SchemaKind::Object { properties, additional, .. } => {
                properties.get(name).or(additional.as_deref())
            }
            _ => None,
        }
    }

    /// The declared fields; none if this is no struct.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Schema)> {
        match &self.kind {
            SchemaKind::Object { properties, .. } => Some(properties),
            _ => None,
        }
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
    }

    /// The type of a list's elements.
    #[must_use]
    pub fn items(&self) -> Option<&Schema> {
        match &self.kind {
            SchemaKind::Array { items } => Some(items),
            _ => None,
        }
    }

    /// Whether fields that are not declared are kept.
    #[must_use]
    pub fn preserves_unknown(&self) -> bool {
        matches!(self.kind, SchemaKind::Any | SchemaKind::Object { preserve_unknown: true, .. })
    }

    /// The name that Go's error texts give to this type: `int64`, `[]string`, `map[string]string`, `v1.TokenSpec`.
    #[must_use]
    pub fn go_type(&self) -> String {
        match &self.kind {
            SchemaKind::Object { additional: Some(values), properties, .. } if properties.is_empty() => {
                format!("map[string]{}", values.go_type())
            }
            SchemaKind::Object { .. } => {
                self.go_struct().unwrap_or_else(|| "map[string]interface {}".to_owned())
            }
            SchemaKind::Array { items } => format!("[]{}", items.go_type()),
            SchemaKind::String { format: Some(format), .. } if format == "date-time" => "v1.Time".to_owned(),
            SchemaKind::String { .. } => "string".to_owned(),
            SchemaKind::Integer { format } => (*format).to_owned(),
            SchemaKind::Number => "float64".to_owned(),
            SchemaKind::Boolean => "bool".to_owned(),
            SchemaKind::Any => "interface {}".to_owned(),
        }
    }

    fn go_struct(&self) -> Option<String> {
        let mut parts = self.extensions.model.as_deref()?.rsplit('.');
        let name = parts.next()?;
        Some(parts.next().map_or_else(|| name.to_owned(), |package| format!("{package}.{name}")))
    }
}

impl ListType {
    /// The extension's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Set => "set",
            Self::Map => "map",
        }
    }
}

impl MapType {
    /// The extension's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granular => "granular",
            Self::Atomic => "atomic",
        }
    }
}

impl Extensions {
    /// Whether a strategic merge merges into this list or object element by element; lists without it are replaced.
    #[must_use]
    pub fn merges(&self) -> bool {
        self.strategies().any(|s| s == "merge")
    }

    /// Whether a strategic merge replaces this object even though objects merge by default.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.strategies().any(|s| s == "replace")
    }

    fn strategies(&self) -> impl Iterator<Item = &str> {
        self.patch_strategy.iter().flat_map(|s| s.split(',')).map(str::trim)
    }
}

/// A kind with a field of every sort, for the tests of this crate.
#[cfg(test)]
pub(crate) fn test_schema() -> Schema {
    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Token {
        spec: TokenSpec,
        status: Option<TokenStatus>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct TokenSpec {
        ttl: i64,
        enabled: Option<bool>,
        #[schemars(extend("x-kubernetes-list-type" = "set", "x-kubernetes-patch-strategy" = "merge"))]
        tags: Vec<String>,
        words: Vec<String>,
        #[schemars(extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-patch-strategy" = "merge",
            "x-kubernetes-patch-merge-key" = "name"
        ))]
        items: Vec<Item>,
        plain: Vec<Item>,
        data: serde_json::Value,
        nested: Option<Nested>,
        #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
        point: Option<Nested>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Item {
        name: String,
        value: Option<String>,
        more: Option<Nested>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Nested {
        a: Option<String>,
        b: Option<i64>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct TokenStatus {
        current: bool,
    }

    Schema::for_object(schemars::schema_for!(Token), "com.example.v1.Token").expect("a servable type")
}
