//! What a resource is: names, shape, columns and what may be done with it. Discovery and OpenAPI are pure functions of this.

use std::sync::Arc;

use crate::schema::Schema;

/// A resource's description; static for the life of the process.
#[derive(Debug, Clone)]
pub struct ResourceInfo {
    /// API group, e.g. `ext.cattle.io`.
    pub group: &'static str,
    /// Version in the group, e.g. `v1`.
    pub version: &'static str,
    /// Kind in CamelCase, e.g. `Token`.
    pub kind: &'static str,
    /// Name in URLs and rules, e.g. `tokens`.
    pub plural: &'static str,
    /// Name for one, e.g. `token`.
    pub singular: &'static str,
    /// Further names for kubectl.
    pub short_names: &'static [&'static str],
    /// Groups of resources that kubectl may list together, e.g. `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// What it is, in a sentence or two.
    pub description: &'static str,
    /// The shape of the objects.
    pub schema: Arc<Schema>,
    /// The columns of a table, after `NAME`.
    pub columns: Vec<Column>,
    /// Field selectors beyond `metadata.name` (and `metadata.namespace`), e.g. `spec.userID`.
    pub selectable: &'static [&'static str],
    /// The verbs that discovery lists, sorted.
    pub verbs: &'static [&'static str],
    /// Who chooses names.
    pub naming: Naming,
    /// Whether an update without a resource version is refused with 422, as for custom resources.
    pub update_needs_version: bool,
    /// Whether DELETE answers with the object instead of a Status.
    pub delete_returns_object: bool,
    /// The patch types served.
    pub patch_types: &'static [PatchType],
}

/// Who chooses the names of new objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The client, by `name` or `generateName`.
    Client,
    /// The client, and anything that can be a segment of a path will do, as for roles (`system:basic-user`).
    ClientPath,
    /// The server, always: names begin with `prefix`.
    Generated {
        /// Beginning of every name, e.g. `token-`.
        prefix: &'static str,
    },
}

impl Naming {
    /// Whether the client's `name` and `generateName` count.
    #[must_use]
    pub const fn by_client(self) -> bool {
        matches!(self, Self::Client | Self::ClientPath)
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// OpenAPI format, `name` for the column that gets the `kind/` prefix; mostly empty.
    pub format: &'static str,
    /// 0: always shown; 1 and above: only with `-o wide`.
    pub priority: u8,
    /// What the column shows.
    pub description: &'static str,
}

/// A way to say what should change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge.
    StrategicMerge,
    /// Server-side apply.
    Apply,
}

impl ResourceInfo {
    /// A cluster-scoped resource with these names and nothing else: no verbs, no columns, names by the client.
    #[must_use]
    pub fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
        description: &'static str,
        schema: Schema,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            singular,
            short_names: &[],
            categories: &[],
            namespaced: false,
            description,
            schema: Arc::new(schema),
            columns: Vec::new(),
            selectable: &[],
            verbs: &[],
            naming: Naming::Client,
            update_needs_version: false,
            delete_returns_object: false,
            patch_types: &[],
        }
    }

    /// `ext.cattle.io/v1`; only the version for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `tokens.ext.cattle.io`, as errors name the resource; only the plural for the core group.
    #[must_use]
    pub fn group_resource(&self) -> String {
        qualified(self.plural, self.group)
    }

    /// `Token.ext.cattle.io`, as errors about content name it.
    #[must_use]
    pub fn group_kind(&self) -> String {
        qualified(self.kind, self.group)
    }

    /// `TokenList`.
    #[must_use]
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Whether discovery lists the verb.
    #[must_use]
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }
}

impl PatchType {
    /// All types, in the order in which kube lists them.
    pub const ALL: [Self; 4] = [Self::Json, Self::Merge, Self::StrategicMerge, Self::Apply];

    /// The content type of such a patch's body.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::StrategicMerge => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }

    /// The type that a Content-Type asks for; parameters are ignored, case does not matter.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|t| t.content_type().eq_ignore_ascii_case(essence))
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_patch_type_is_found_despite_parameters_and_case() {
        assert_eq!(
            PatchType::from_content_type("Application/Merge-Patch+JSON; charset=utf-8"),
            Some(PatchType::Merge)
        );
        assert_eq!(PatchType::from_content_type("application/json"), None);
        for t in PatchType::ALL {
            assert_eq!(PatchType::from_content_type(t.content_type()), Some(t));
        }
    }
}
