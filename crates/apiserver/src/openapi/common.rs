//! Models that belong to no resource, under Kubernetes' names.

use std::collections::BTreeMap;

use crate::schema::{Extensions, Schema, SchemaKind};

/// The model of answers that are no object: errors, and most deletions.
pub const STATUS_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
/// The model of a patch's body, which may be anything.
pub const PATCH_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
/// The model of one event of a watch.
pub const WATCH_EVENT_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";

const STATUS_CAUSE_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.StatusCause";
const STATUS_DETAILS_MODEL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails";
const RAW_EXTENSION_MODEL: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

pub fn status() -> Schema {
    let cause = model(
        STATUS_CAUSE_MODEL,
        "One of the reasons why a request failed.",
        [
            ("field", string("The member of the request that is at fault, as a path.")),
            ("message", string("What is wrong, for people.")),
            ("reason", string("What is wrong, in one word for programs.")),
        ],
        &[],
    );
    let details = model(
        STATUS_DETAILS_MODEL,
        "What a status is about.",
        [
            ("causes", list(cause, "All that is wrong, one entry a fault.")),
            ("group", string("The group of the object concerned.")),
            ("kind", string("The resource, or for invalid content the kind, of the object concerned.")),
            ("name", string("The name of the object concerned.")),
            ("retryAfterSeconds", integer("int32", "After how many seconds it is worth trying again.")),
            ("uid", string("The uid of the object concerned.")),
        ],
        &[],
    );
    model(
        STATUS_MODEL,
        "The outcome of a request that answers with no object.",
        [
            ("apiVersion", string("Always v1.")),
            ("code", integer("int32", "The HTTP status; 0 if not set.")),
            ("details", Schema { description: "What the status is about.".to_owned(), ..details }),
            ("kind", string("Always Status.")),
            ("message", string("What happened, for people.")),
            ("metadata", Schema { description: "Empty.".to_owned(), ..Schema::list_meta() }),
            ("reason", string("What happened, in one word for programs; may be empty.")),
            ("status", string("Success or Failure.")),
        ],
        &[],
    )
}

pub fn watch_event() -> Schema {
    let raw = model(RAW_EXTENSION_MODEL, "Any object.", [], &[]);
    model(
        WATCH_EVENT_MODEL,
        "One event of a watch.",
        [
            (
                "object",
                Schema {
                    description: "The object as it is now; before its deletion for DELETED, only its version for BOOKMARK, a Status for ERROR."
                        .to_owned(),
                    ..raw
                },
            ),
            ("type", string("ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.")),
        ],
        &["type", "object"],
    )
}

pub fn patch() -> Schema {
    model(PATCH_MODEL, "A change to an object; its form follows from the Content-Type.", [], &[])
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
            properties: fields
                .into_iter()
                .map(|(name, schema)| (name.to_owned(), schema))
                .collect::<BTreeMap<_, _>>(),
            required: required.iter().map(|&r| r.to_owned()).collect(),
            additional: None,
            preserve_unknown: false,
        },
        extensions: Extensions {
            model: Some(name.to_owned()),
            model_description: description.to_owned(),
            ..Extensions::default()
        },
        ..Schema::default()
    }
}

fn string(description: &str) -> Schema {
    let kind = SchemaKind::String { format: None, enumeration: Vec::new() };
    Schema { description: description.to_owned(), kind, ..Schema::default() }
}

fn integer(format: &'static str, description: &str) -> Schema {
    Schema { description: description.to_owned(), kind: SchemaKind::Integer { format }, ..Schema::default() }
}

fn list(items: Schema, description: &str) -> Schema {
    let mut schema = Schema {
        description: description.to_owned(),
        kind: SchemaKind::Array { items: Box::new(Schema { description: String::new(), ..items }) },
        ..Schema::default()
    };
    schema.extensions.list_type = Some(crate::schema::ListType::Atomic);
    schema
}
