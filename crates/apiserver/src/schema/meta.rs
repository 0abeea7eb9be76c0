//! The models that all kinds share, under the names that Kubernetes gives them.
//!
//! The names are interface: clients and the aggregation layer recognise the models by them. The descriptions are ours.

use std::collections::BTreeMap;

use super::{Extensions, ListType, MapType, Schema, SchemaKind};

/// The model of `metadata`.
pub const OBJECT_META_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// The model of a list's `metadata`.
pub const LIST_META_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
/// The model of a time in whole seconds.
pub const TIME_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
/// The model of a set of fields.
pub const FIELDS_V1_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
/// The model of an element of `metadata.managedFields`.
pub const MANAGED_FIELDS_ENTRY_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry";
/// The model of an element of `metadata.ownerReferences`.
pub const OWNER_REFERENCE_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference";
/// The model of a delete request's body.
pub const DELETE_OPTIONS_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

const PRECONDITIONS_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions";

pub(super) fn add_type_meta(properties: &mut BTreeMap<String, Schema>) {
    properties.insert(
        "apiVersion".to_owned(),
        string("Group and version of the schema that this object follows; the server refuses others than the one it was sent to."),
    );
    properties.insert(
        "kind".to_owned(),
        string("The type of this object, in CamelCase. Follows from the URL and never changes."),
    );
}

pub(super) fn object_meta() -> Schema {
    model(
        OBJECT_META_MODEL,
        "What every stored object carries besides its own content.",
        [
            ("annotations", map("Free text by key, for tools and people; not searchable. 256 KiB in all.")),
            ("creationTimestamp", time("When the object was created. Set by the server.")),
            (
                "deletionGracePeriodSeconds",
                int64(
                    "Seconds that the object may live on after its deletion was asked for. Set by the server.",
                ),
            ),
            (
                "deletionTimestamp",
                time(
                    "When deletion was asked for; the object goes once its finalizers are gone. Set by the server.",
                ),
            ),
            ("finalizers", finalizers()),
            (
                "generateName",
                string(
                    "Beginning of a name that the server completes with random characters; used only when name is empty.",
                ),
            ),
            ("generation", int64("Counts changes of the wanted state. Set by the server.")),
            ("labels", map("Short values by key, by which objects can be selected.")),
            ("managedFields", managed_fields()),
            ("name", string("Unique among objects of this kind (and namespace). Cannot change.")),
            (
                "namespace",
                string("The namespace that the object is in; empty for cluster-wide kinds. Cannot change."),
            ),
            ("ownerReferences", owner_references()),
            (
                "resourceVersion",
                string(
                    "Revision of the object's last change, opaque to clients. Given back in an update, it makes the update fail if somebody else was faster.",
                ),
            ),
            ("selfLink", string("Deprecated and not set.")),
            ("uid", string("Unique for all time, also over objects of the same name. Set by the server.")),
        ],
        &[],
    )
}

pub(super) fn list_meta() -> Schema {
    model(
        LIST_META_MODEL,
        "What every list carries besides its items.",
        [
            (
                "continue",
                string("Set if there is more: send it back to get the next page. Opaque to clients."),
            ),
            (
                "remainingItemCount",
                int64("How many items come after this page, where that is known exactly."),
            ),
            ("resourceVersion", string("The revision of the whole list; a watch may start from it.")),
            ("selfLink", string("Deprecated and not set.")),
        ],
        &[],
    )
}

pub(super) fn list_of(item: &Schema, model_name: &str, description: &str) -> Schema {
    let mut list = model(model_name, description, [], &["items"]);
    if let SchemaKind::Object { properties, .. } = &mut list.kind {
        add_type_meta(properties);
        let mut metadata = list_meta();
        metadata.description = "Revision and paging of the list.".to_owned();
        properties.insert("metadata".to_owned(), metadata);
        let mut item = item.clone();
        item.extensions.model_description = std::mem::take(&mut item.description);
        let items = Schema {
            description: "The objects of the list.".to_owned(),
            kind: SchemaKind::Array { items: Box::new(item) },
            ..Schema::default()
        };
        properties.insert("items".to_owned(), items);
    }
    list
}

pub(super) fn delete_options() -> Schema {
    let mut options = model(
        DELETE_OPTIONS_MODEL,
        "How to delete.",
        [
            ("dryRun", list(string(""), "`All`: go through every check, change nothing.")),
            ("gracePeriodSeconds", int64("Seconds to wait before the object goes; 0 means at once.")),
            (
                "ignoreStoreReadErrorWithClusterBreakingPotential",
                boolean("Delete even what cannot be read from the store."),
            ),
            ("orphanDependents", boolean("Deprecated, use propagationPolicy.")),
            (
                "preconditions",
                Schema {
                    description: "What must hold for the deletion to happen.".to_owned(),
                    ..model(
                        PRECONDITIONS_MODEL,
                        "What must hold for an operation to happen.",
                        [
                            ("resourceVersion", string("The object must be at this revision.")),
                            ("uid", string("The object must have this uid.")),
                        ],
                        &[],
                    )
                },
            ),
            (
                "propagationPolicy",
                string("What becomes of the objects that this one owns: Orphan, Background or Foreground."),
            ),
        ],
        &[],
    );
    if let SchemaKind::Object { properties, .. } = &mut options.kind {
        add_type_meta(properties);
    }
    options
}

fn finalizers() -> Schema {
    let mut schema = list(
        string(""),
        "Who still has to do something before the object may go; each removes its entry when done. Nothing can be added once deletion was asked for.",
    );
    schema.extensions.list_type = Some(ListType::Set);
    schema.extensions.patch_strategy = Some("merge".to_owned());
    schema
}

fn managed_fields() -> Schema {
    let mut fields = model(FIELDS_V1_MODEL, "A set of fields, as a tree of path elements.", [], &[]);
    if let SchemaKind::Object { preserve_unknown, .. } = &mut fields.kind {
        *preserve_unknown = true;
    }
    fields.description = "The fields that this manager owns.".to_owned();
    let entry = model(
        MANAGED_FIELDS_ENTRY_MODEL,
        "Which fields one field manager owns.",
        [
            ("apiVersion", string("The version of the object that the set of fields is about.")),
            ("fieldsType", string("The format of the set: FieldsV1.")),
            ("fieldsV1", fields),
            ("manager", string("The field manager's name.")),
            ("operation", string("How the fields came to be owned: Apply or Update.")),
            (
                "subresource",
                string("The subresource through which they were written; empty for the object itself."),
            ),
            ("time", time("When the set of fields last changed.")),
        ],
        &[],
    );
    let mut schema = list(entry, "Which field managers own which fields. Kept by the server.");
    schema.extensions.list_type = Some(ListType::Atomic);
    schema
}

fn owner_references() -> Schema {
    let mut reference = model(
        OWNER_REFERENCE_MODEL,
        "Names an object that this one belongs to, so that it goes when its owners go.",
        [
            ("apiVersion", string("Group and version of the owner.")),
            (
                "blockOwnerDeletion",
                boolean("Whether a foreground deletion of the owner waits for this object."),
            ),
            ("controller", boolean("Whether the owner is the one controller that manages this object.")),
            ("kind", string("Kind of the owner.")),
            ("name", string("Name of the owner.")),
            ("uid", string("Uid of the owner.")),
        ],
        &["apiVersion", "kind", "name", "uid"],
    );
    reference.extensions.map_type = Some(MapType::Atomic);
    let mut schema =
        list(reference, "The objects that this one belongs to; when all of them are gone, so is this one.");
    schema.extensions = Extensions {
        list_type: Some(ListType::Map),
        list_map_keys: vec!["uid".to_owned()],
        patch_strategy: Some("merge".to_owned()),
        patch_merge_key: Some("uid".to_owned()),
        ..Extensions::default()
    };
    schema
}

fn model<const N: usize>(
    name: &str,
    description: &str,
    fields: [(&str, Schema); N],
    required: &[&str],
) -> Schema {
    Schema {
        description: description.to_owned(),
        kind: SchemaKind::Object {
            properties: fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect(),
            required: required.iter().map(|&r| r.to_owned()).collect(),
            additional: None,
            preserve_unknown: false,
        },
        nullable: false,
        extensions: Extensions {
            model: Some(name.to_owned()),
            model_description: description.to_owned(),
            ..Extensions::default()
        },
    }
}

fn scalar(kind: SchemaKind, description: &str) -> Schema {
    Schema { description: description.to_owned(), kind, ..Schema::default() }
}

fn string(description: &str) -> Schema {
    scalar(SchemaKind::String { format: None, enumeration: Vec::new() }, description)
}

fn int64(description: &str) -> Schema {
    scalar(SchemaKind::Integer { format: "int64" }, description)
}

fn boolean(description: &str) -> Schema {
    scalar(SchemaKind::Boolean, description)
}

fn list(items: Schema, description: &str) -> Schema {
    scalar(SchemaKind::Array { items: Box::new(items) }, description)
}

fn map(description: &str) -> Schema {
    let kind = SchemaKind::Object {
        properties: BTreeMap::new(),
        required: Vec::new(),
        additional: Some(Box::new(string(""))),
        preserve_unknown: false,
    };
    scalar(kind, description)
}

fn time(description: &str) -> Schema {
    let mut schema = scalar(
        SchemaKind::String { format: Some("date-time".to_owned()), enumeration: Vec::new() },
        description,
    );
    schema.nullable = true;
    schema.extensions.model = Some(TIME_MODEL.to_owned());
    schema.extensions.model_description = "A point in time in RFC 3339, in whole seconds and UTC.".to_owned();
    schema
}
