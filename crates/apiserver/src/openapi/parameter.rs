//! The parameters of operations (O27).

/// A query or path parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    /// `string`, `boolean` or `integer`.
    pub kind: &'static str,
    pub in_path: bool,
    pub description: &'static str,
}

macro_rules! query {
    ($id:ident, $name:literal, $kind:literal, $description:literal) => {
        pub const $id: Parameter =
            Parameter { name: $name, kind: $kind, in_path: false, description: $description };
    };
}

pub const NAME: Parameter =
    Parameter { name: "name", kind: "string", in_path: true, description: "The object's name." };
pub const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    kind: "string",
    in_path: true,
    description: "The namespace that the objects are in.",
};

query!(PRETTY, "pretty", "string", "true or 1: indent the answer for people.");
query!(DRY_RUN, "dryRun", "string", "All: go through every check and answer as usual, but change nothing.");
query!(
    FIELD_MANAGER,
    "fieldManager",
    "string",
    "The name of who makes the change, kept in metadata.managedFields; at most 128 printable characters. Defaults to the first part of User-Agent."
);
query!(
    FIELD_VALIDATION,
    "fieldValidation",
    "string",
    "What to do about fields that are unknown or given twice: Ignore drops them, Warn (the default) drops them and sends a Warning header for each, Strict refuses the request."
);
query!(FORCE, "force", "boolean", "For apply: take over fields that other managers own instead of failing.");
query!(
    LIMIT,
    "limit",
    "integer",
    "The largest number of objects to answer; if there are more, metadata.continue is set."
);
query!(CONTINUE, "continue", "string", "The metadata.continue of the page before this one.");
query!(
    RESOURCE_VERSION,
    "resourceVersion",
    "string",
    "The revision to read at, or from which to watch; what exactly it means is up to resourceVersionMatch."
);
query!(
    RESOURCE_VERSION_MATCH,
    "resourceVersionMatch",
    "string",
    "How resourceVersion is meant on lists: Exact, or NotOlderThan."
);
query!(
    SEND_INITIAL_EVENTS,
    "sendInitialEvents",
    "boolean",
    "For watch: begin with an event for each object there is, then a bookmark that says so. Needs resourceVersionMatch=NotOlderThan."
);
query!(
    ALLOW_WATCH_BOOKMARKS,
    "allowWatchBookmarks",
    "boolean",
    "For watch: also send events that carry nothing but the revision reached so far."
);
query!(
    TIMEOUT_SECONDS,
    "timeoutSeconds",
    "integer",
    "After how many seconds to end the request, whatever has happened."
);
query!(LABEL_SELECTOR, "labelSelector", "string", "Only objects whose labels fit.");
query!(FIELD_SELECTOR, "fieldSelector", "string", "Only objects whose fields fit.");
query!(
    WATCH,
    "watch",
    "boolean",
    "Answer with a stream of changes, one event a line, instead of a list. Begin at resourceVersion."
);
query!(
    GRACE_PERIOD_SECONDS,
    "gracePeriodSeconds",
    "integer",
    "Seconds until the object is deleted; 0 means at once."
);
query!(ORPHAN_DEPENDENTS, "orphanDependents", "boolean", "Deprecated: use propagationPolicy.");
query!(
    PROPAGATION_POLICY,
    "propagationPolicy",
    "string",
    "What becomes of objects that this one owns: Orphan, Background or Foreground."
);
query!(
    IGNORE_STORE_READ_ERROR,
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "boolean",
    "Delete the object even if it cannot be read from the store."
);
