//! `metadata`: its typed form, and the rules that hold for every kind (reference section 3.12).

mod names;

use std::collections::{BTreeMap, BTreeSet};

use eartag_api::meta::OwnerReference;

use crate::field_error::{FieldError, quote};
use crate::time::parse_rfc3339;
use crate::{Map, Tree};

pub use names::{
    dns_subdomain_faults, label_value_faults, name_faults, namespace_faults, path_segment_faults,
    qualified_name_faults,
};

/// All annotations together, keys and values, in bytes.
pub const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// `metadata` as a client sent it, or as the server would show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectMeta {
    /// `name`
    pub name: String,
    /// `generateName`
    pub generate_name: String,
    /// `namespace`
    pub namespace: String,
    /// `uid`
    pub uid: String,
    /// `resourceVersion`
    pub resource_version: String,
    /// `generation`
    pub generation: i64,
    /// `creationTimestamp`, in seconds since 1970
    pub created_s: Option<i64>,
    /// `deletionTimestamp`, in seconds since 1970
    pub deleted_s: Option<i64>,
    /// `deletionGracePeriodSeconds`
    pub grace_s: Option<i64>,
    /// `labels`
    pub labels: BTreeMap<String, String>,
    /// `annotations`
    pub annotations: BTreeMap<String, String>,
    /// `finalizers`
    pub finalizers: Vec<String>,
    /// `ownerReferences`
    pub owners: Vec<OwnerReference>,
    /// `managedFields` as given; `None` if absent. [`crate::managed::parse`] reads it.
    pub managed_fields: Option<Tree>,
}

impl ObjectMeta {
    /// Reads `metadata` out of an object. Whatever has the wrong type counts as absent: [`crate::decode::check`] has reported it before.
    #[must_use]
    pub fn of(object: &Tree) -> Self {
        let empty = Map::new();
        let meta = object.get("metadata").and_then(Tree::as_object).unwrap_or(&empty);
        let seconds = |key| meta.get(key).and_then(Tree::as_str).and_then(parse_rfc3339);
        Self {
            name: text(meta, "name"),
            generate_name: text(meta, "generateName"),
            namespace: text(meta, "namespace"),
            uid: text(meta, "uid"),
            resource_version: text(meta, "resourceVersion"),
            generation: meta.get("generation").and_then(Tree::as_i64).unwrap_or_default(),
            created_s: seconds("creationTimestamp"),
            deleted_s: seconds("deletionTimestamp"),
            grace_s: meta.get("deletionGracePeriodSeconds").and_then(Tree::as_i64),
            labels: texts_by_key(meta.get("labels")),
            annotations: texts_by_key(meta.get("annotations")),
            finalizers: texts(meta.get("finalizers")),
            owners: owners(meta.get("ownerReferences")),
            managed_fields: meta.get("managedFields").filter(|m| !m.is_null()).cloned(),
        }
    }

    /// The rules for a new or changed object's metadata (M1 to M4). `namespaced` says where the kind lives; the namespace that a client gave to an
    /// object of a cluster-wide kind is to be cleared before (C6).
    #[must_use]
    pub fn validate(&self, namespaced: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !self.generate_name.is_empty() {
            errors.extend(invalid(
                "metadata.generateName",
                &self.generate_name,
                name_faults(&self.generate_name, true),
            ));
        }
        if self.name.is_empty() {
            errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        } else {
            errors.extend(invalid("metadata.name", &self.name, name_faults(&self.name, false)));
        }
        match (namespaced, self.namespace.as_str()) {
            (true, "") => errors.push(FieldError::required("metadata.namespace", "")),
            (true, namespace) => {
                errors.extend(invalid("metadata.namespace", namespace, namespace_faults(namespace)));
            }
            (false, "") => {}
            (false, _) => {
                errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"))
            }
        }
        if self.generation < 0 {
            let why = "must be greater than or equal to 0";
            errors.push(FieldError::invalid("metadata.generation", self.generation, why));
        }
        errors.extend(validate_labels(&self.labels));
        errors.extend(validate_annotations(&self.annotations));
        errors.extend(validate_owners(&self.owners));
        errors.extend(validate_finalizers(&self.finalizers));
        errors
    }

    /// The rules for a change (M5, U10). To be asked after what the client may leave out was restored from the stored object (U5).
    #[must_use]
    pub fn validate_update(&self, old: &Self) -> Vec<FieldError> {
        const WHY: &str = "field is immutable";
        let mut errors = Vec::new();
        if old.deleted_s.is_some() {
            let added: Vec<_> =
                self.finalizers.iter().filter(|f| !old.finalizers.contains(f)).map(|f| quote(f)).collect();
            if !added.is_empty() {
                let why = format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.join(", ")
                );
                errors.push(FieldError::forbidden("metadata.finalizers", why));
            }
        }
        for (field, new, old) in [
            ("metadata.name", &self.name, &old.name),
            ("metadata.namespace", &self.namespace, &old.namespace),
            ("metadata.uid", &self.uid, &old.uid),
        ] {
            if new != old {
                errors.push(FieldError::invalid(field, new.as_str(), WHY));
            }
        }
        for (field, new, old) in [
            ("metadata.creationTimestamp", self.created_s, old.created_s),
            ("metadata.deletionTimestamp", self.deleted_s, old.deleted_s),
        ] {
            if new != old {
                let shown = new.map(crate::time::format_rfc3339);
                errors.push(FieldError::invalid(field, shown, WHY));
            }
        }
        if self.grace_s != old.grace_s {
            errors.push(FieldError::invalid("metadata.deletionGracePeriodSeconds", self.grace_s, WHY));
        }
        errors
    }

    /// Removes owner references that are exact copies of earlier ones, and gives the warning to show if there were any (M4).
    pub fn dedup_owners(&mut self) -> Option<String> {
        let mut seen: Vec<OwnerReference> = Vec::with_capacity(self.owners.len());
        let mut repeated = BTreeSet::new();
        for owner in std::mem::take(&mut self.owners) {
            if seen.contains(&owner) {
                repeated.insert(owner.uid);
            } else {
                seen.push(owner);
            }
        }
        self.owners = seen;
        if repeated.is_empty() {
            return None;
        }
        Some(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            repeated.into_iter().collect::<Vec<_>>().join(", ")
        ))
    }
}

/// M2 for labels.
#[must_use]
pub fn validate_labels(labels: &BTreeMap<String, String>) -> Vec<FieldError> {
    const FIELD: &str = "metadata.labels";
    let mut errors = Vec::new();
    for (key, value) in labels {
        errors.extend(invalid(FIELD, key, qualified_name_faults(key)));
        errors.extend(invalid(FIELD, value, label_value_faults(value)));
    }
    errors
}

/// M2 for annotations: the keys' prefix may have capitals, and all together may have 256 KiB.
#[must_use]
pub fn validate_annotations(annotations: &BTreeMap<String, String>) -> Vec<FieldError> {
    const FIELD: &str = "metadata.annotations";
    let mut errors = Vec::new();
    for key in annotations.keys() {
        errors.extend(invalid(FIELD, key, qualified_name_faults(&key.to_lowercase())));
    }
    if annotations.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > MAX_ANNOTATIONS_BYTES {
        errors.push(FieldError::too_long(FIELD, MAX_ANNOTATIONS_BYTES));
    }
    errors
}

/// M3.
#[must_use]
pub fn validate_finalizers(finalizers: &[String]) -> Vec<FieldError> {
    const FIELD: &str = "metadata.finalizers";
    let mut errors: Vec<_> =
        finalizers.iter().flat_map(|name| invalid(FIELD, name, qualified_name_faults(name))).collect();
    let has = |name: &str| finalizers.iter().any(|f| f == name);
    if has("orphan") && has("foregroundDeletion") {
        let why = "orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(FIELD, finalizers.to_vec(), why));
    }
    errors
}

/// M4.
#[must_use]
pub fn validate_owners(owners: &[OwnerReference]) -> Vec<FieldError> {
    const FIELD: &str = "metadata.ownerReferences";
    let mut errors = Vec::new();
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        // `group/version`, of which the version must be there; a second slash makes it no version at all.
        let version = match owner.api_version.split_once('/') {
            None => owner.api_version.as_str(),
            Some((_, version)) if version.contains('/') => "",
            Some((_, version)) => version,
        };
        if version.is_empty() {
            let why = "version must not be empty";
            errors.push(FieldError::invalid(format!("{FIELD}.apiVersion"), owner.api_version.as_str(), why));
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.push(FieldError::invalid(
                    format!("{FIELD}.{name}"),
                    "",
                    format!("{name} must not be empty"),
                ));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            let why = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(FIELD, owner_tree(owner), why));
        }
        if owner.controller == Some(true) {
            match controller {
                None => controller = Some(owner),
                Some(first) => {
                    let why = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                        first.name, owner.name
                    );
                    errors.push(FieldError::invalid(FIELD, owner_tree(owner), why));
                }
            }
        }
    }
    errors
}

/// An owner reference as JSON shows it.
#[must_use]
pub fn owner_tree(owner: &OwnerReference) -> Tree {
    let mut fields = Map::new();
    for (key, value) in [
        ("apiVersion", &owner.api_version),
        ("kind", &owner.kind),
        ("name", &owner.name),
        ("uid", &owner.uid),
    ] {
        fields.insert(key.to_owned(), Tree::from(value.as_str()));
    }
    for (key, value) in [("controller", owner.controller), ("blockOwnerDeletion", owner.block_owner_deletion)]
    {
        if let Some(value) = value {
            fields.insert(key.to_owned(), Tree::Bool(value));
        }
    }
    Tree::Object(fields)
}

fn invalid(field: &'static str, value: &str, faults: Vec<String>) -> impl Iterator<Item = FieldError> {
    faults
        .into_iter()
        .map(move |fault| FieldError::invalid(field, value, fault))
        .collect::<Vec<_>>()
        .into_iter()
}

fn text(fields: &Map, key: &str) -> String {
    fields.get(key).and_then(Tree::as_str).unwrap_or_default().to_owned()
}

fn texts(list: Option<&Tree>) -> Vec<String> {
    let items = list.and_then(Tree::as_array).into_iter().flatten();
    items.filter_map(Tree::as_str).map(str::to_owned).collect()
}

fn texts_by_key(map: Option<&Tree>) -> BTreeMap<String, String> {
    let entries = map.and_then(Tree::as_object).into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn owners(list: Option<&Tree>) -> Vec<OwnerReference> {
    let items = list.and_then(Tree::as_array).into_iter().flatten();
    items
        .filter_map(Tree::as_object)
        .map(|owner| OwnerReference {
            api_version: text(owner, "apiVersion"),
            kind: text(owner, "kind"),
            name: text(owner, "name"),
            uid: text(owner, "uid"),
            controller: owner.get("controller").and_then(Tree::as_bool),
            block_owner_deletion: owner.get("blockOwnerDeletion").and_then(Tree::as_bool),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    fn texts_of(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(|e| e.to_string().split(" (e.g.").next().unwrap().to_owned()).collect()
    }

    fn meta(metadata: Tree) -> ObjectMeta {
        ObjectMeta::of(&json!({"metadata":metadata}))
    }

    fn faults(metadata: Tree) -> Vec<String> {
        texts_of(&meta(metadata).validate(false))
    }

    #[test]
    fn all_fields_are_read() {
        let read = meta(
            json!({"name":"n","generateName":"g-","namespace":"ns","uid":"u","resourceVersion":"7","generation":3,
            "creationTimestamp":"1970-01-01T00:00:05Z","deletionTimestamp":null,"labels":{"a":"b","c":7},"annotations":{"d":"e"},
            "finalizers":["f"],"ownerReferences":[{"apiVersion":"v1","kind":"K","name":"o","uid":"ou","controller":true}],
            "managedFields":[{}]}),
        );
        assert_eq!(
            (read.name.as_str(), read.generation, read.created_s, read.deleted_s),
            ("n", 3, Some(5), None)
        );
        assert_eq!(read.labels, [("a".to_owned(), "b".to_owned())].into());
        assert_eq!(
            owner_tree(&read.owners[0]),
            json!({"apiVersion":"v1","kind":"K","name":"o","uid":"ou","controller":true})
        );
        assert_eq!(read.managed_fields, Some(json!([{}])));
        assert_eq!(ObjectMeta::of(&json!([])), ObjectMeta::default());
    }

    #[test]
    fn a_name_must_be_given_and_good() {
        assert_eq!(faults(json!({})), ["metadata.name: Required value: name or generateName is required"]);
        assert_eq!(
            faults(json!({"name":"A","namespace":"x"})),
            [
                "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
                "metadata.namespace: Forbidden: not allowed on this type",
            ]
        );
        assert!(faults(json!({"name":"a","generateName":"token-"})).is_empty());
        assert_eq!(
            texts_of(&meta(json!({"name":"a"})).validate(true)),
            ["metadata.namespace: Required value"]
        );
    }

    #[test]
    fn labels_and_annotations_are_bounded() {
        assert_eq!(
            faults(json!({"name":"a","labels":{"x":"a b"}})),
            [
                "metadata.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            ]
        );
        assert!(faults(json!({"name":"a","annotations":{"Example.COM/x":"any thing"}})).is_empty());
        assert_eq!(faults(json!({"name":"a","labels":{"Example.COM/x":"y"}})).len(), 1);
        let full = "x".repeat(MAX_ANNOTATIONS_BYTES - 1);
        assert!(faults(json!({"name":"a","annotations":{"k":full}})).is_empty());
        assert_eq!(
            faults(json!({"name":"a","annotations":{"kk":full}})),
            ["metadata.annotations: Too long: may not be more than 262144 bytes"]
        );
    }

    #[test]
    fn finalizers_are_qualified_names_and_exclude_one_another() {
        assert!(faults(json!({"name":"a","finalizers":["orphan","example.com/x"]})).is_empty());
        assert_eq!(
            faults(json!({"name":"a","finalizers":["orphan","foregroundDeletion"]})),
            [
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: orphan and foregroundDeletion cannot be both set"
            ]
        );
        assert_eq!(faults(json!({"name":"a","finalizers":[""]})).len(), 2);
    }

    #[test]
    fn owners_are_complete_and_have_one_controller() {
        let owner = |name: &str| json!({"apiVersion":"v1","kind":"ConfigMap","name":name,"uid":name,"controller":true});
        assert!(faults(json!({"name":"a","ownerReferences":[owner("x")]})).is_empty());
        let two = faults(json!({"name":"a","ownerReferences":[owner("x"),owner("y")]}));
        assert!(two[0].ends_with(
            "Only one reference can have Controller set to true. Found \"true\" in references for x and y"
        ));
        assert_eq!(faults(json!({"name":"a","ownerReferences":[{}]})).len(), 4);
        let event = faults(
            json!({"name":"a","ownerReferences":[{"apiVersion":"v1","kind":"Event","name":"x","uid":"x"}]}),
        );
        assert!(event[0].ends_with("/v1, Kind=Event is disallowed from being an owner"));
    }

    #[test]
    fn copies_of_owners_go_with_a_warning() {
        let owner = json!({"apiVersion":"v1","kind":"K","name":"x","uid":"u-1"});
        let mut doubled = meta(json!({"ownerReferences":[owner,owner]}));
        let warning = doubled.dedup_owners().unwrap();
        assert!(warning.starts_with(".metadata.ownerReferences contains duplicate entries; "));
        assert!(warning.ends_with("duplicate UID(s) observed: u-1"));
        assert_eq!(doubled.owners.len(), 1);
        assert_eq!(doubled.dedup_owners(), None);
    }

    #[test]
    fn what_the_server_owns_cannot_be_changed() {
        let old = meta(json!({"name":"a","uid":"u","creationTimestamp":"1970-01-01T00:00:05Z"}));
        assert!(old.clone().validate_update(&old).is_empty());
        let new = meta(
            json!({"name":"b","uid":"v","creationTimestamp":"1970-01-01T00:00:06Z","deletionGracePeriodSeconds":1}),
        );
        assert_eq!(
            texts_of(&new.validate_update(&old)),
            [
                "metadata.name: Invalid value: \"b\": field is immutable",
                "metadata.uid: Invalid value: \"v\": field is immutable",
                "metadata.creationTimestamp: Invalid value: \"1970-01-01T00:00:06Z\": field is immutable",
                "metadata.deletionGracePeriodSeconds: Invalid value: 1: field is immutable",
            ]
        );
    }

    #[test]
    fn an_object_that_is_being_deleted_takes_no_new_finalizers() {
        let old = meta(json!({"name":"a","finalizers":["x/y"],"deletionTimestamp":"1970-01-01T00:00:05Z"}));
        let mut new = old.clone();
        new.finalizers = vec!["x/y".into(), "x/z".into()];
        assert_eq!(
            texts_of(&new.validate_update(&old)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x/z\"}"
            ]
        );
        new.finalizers.clear();
        assert!(new.validate_update(&old).is_empty());
    }
}
