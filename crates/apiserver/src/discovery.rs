//! What the server tells clients about its API: groups, versions, resources and their verbs (kubernetes-api.md §1.3, §1.4).
//!
//! ```text
//! old clients:  /api  /apis  /apis/<group>  /apis/<group>/<version>     one request a version
//! new clients:  /api  /apis  with Accept …;as=APIGroupDiscoveryList     everything in two requests
//! ```
//!
//! Pure functions of a [`Catalogue`]: the same catalogue gives the same bytes, so that entity tags outlive a restart.

mod wire;

use crate::document::{Document, json};
use crate::info::ResourceInfo;
use crate::media;

/// What is served at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue<'a> {
    /// The group-versions, in the order in which clients shall prefer the groups: `kubectl get tokens` means the first group that has
    /// tokens. The order of versions within a group does not matter (D36).
    pub versions: &'a [GroupVersion<'a>],
    /// The resources. A group-version may have none: it is then an empty list, and not 404.
    pub resources: &'a [&'a ResourceInfo],
}

/// A version of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupVersion<'a> {
    /// `ext.cattle.io`; empty for the core group, which is served under `/api`.
    pub group: &'a str,
    /// `v1`.
    pub version: &'a str,
    /// Whether what discovery says of it is up to date.
    pub freshness: Freshness,
}

/// Whether a group-version's part of discovery can be relied on (D47).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Yes.
    Current,
    /// No: who serves it is down. Clients report the group as failed.
    Stale,
}

/// The form in which `/api` and `/apis` are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One document a group and a version.
    Legacy,
    /// `apidiscovery.k8s.io/v2`.
    V2,
    /// `apidiscovery.k8s.io/v2beta1`, the same shape for kubectl 1.26 to 1.29.
    V2beta1,
}

/// Which half of the API a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Root {
    /// `/api`: the core group.
    Core,
    /// `/apis`: all others.
    Groups,
}

/// The form to answer `/api` and `/apis` in: the first clause of `Accept` that is served (D40); `None` is 406.
///
/// All of `g`, `v` and `as` are needed for the new forms; other parameters are tolerated. Group and version documents have the legacy form only: ask [`legacy_only`].
#[must_use]
pub fn choose(accept: Option<&str>) -> Option<Form> {
    let header = accept.map_or("", str::trim);
    if header.is_empty() {
        return Some(Form::Legacy);
    }
    media::parse(header).iter().find_map(|clause| {
        if !clause.covers("application/json") {
            return None;
        }
        match (clause.parameter("g"), clause.parameter("v"), clause.parameter("as")) {
            (None, None, None) => Some(Form::Legacy),
            (Some("apidiscovery.k8s.io"), Some("v2"), Some("APIGroupDiscoveryList")) => Some(Form::V2),
            (Some("apidiscovery.k8s.io"), Some("v2beta1"), Some("APIGroupDiscoveryList")) => {
                Some(Form::V2beta1)
            }
            _ => None,
        }
    })
}

/// Whether a client takes a document that exists in plain JSON only.
#[must_use]
pub fn legacy_only(accept: Option<&str>) -> bool {
    accept.is_none_or(|header| header.trim().is_empty())
        || accept.is_some_and(|header| {
            media::parse(header)
                .iter()
                .any(|clause| clause.covers("application/json") && clause.parameter("as").is_none())
        })
}

/// `/api` or `/apis` in the new form. The content type carries the parameters back, or clients take the body for the old form (D41).
#[must_use]
pub fn aggregated(catalogue: &Catalogue<'_>, root: Root, form: Form) -> Document {
    let (api_version, content_type) = match form {
        Form::V2beta1 => (
            "apidiscovery.k8s.io/v2beta1",
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        ),
        Form::V2 | Form::Legacy => {
            ("apidiscovery.k8s.io/v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        }
    };
    let items = groups(catalogue)
        .into_iter()
        .filter(|group| group.is_empty() == (root == Root::Core))
        .map(|group| wire::GroupDiscovery {
            metadata: wire::Named { name: group, creation_timestamp: () },
            versions: versions(catalogue, group)
                .into_iter()
                .map(|v| wire::VersionDiscovery {
                    version: v.version,
                    resources: resources_of(catalogue, v).into_iter().map(wire::discovery).collect(),
                    freshness: match v.freshness {
                        Freshness::Current => "Current",
                        Freshness::Stale => "Stale",
                    },
                })
                .collect(),
        })
        .collect();
    let list = wire::GroupDiscoveryList {
        kind: "APIGroupDiscoveryList",
        api_version,
        metadata: wire::Empty {},
        items,
    };
    Document::new(json(&list), content_type)
}

/// `/api` in the old form. `server_address` is this server's `host:port`, as the client reached it. There is always a version, even without a resource: some
/// clients fail without one (D43).
#[must_use]
pub fn api_versions(catalogue: &Catalogue<'_>, server_address: &str) -> Document {
    let mut core: Vec<&str> = versions(catalogue, "").into_iter().map(|v| v.version).collect();
    if core.is_empty() {
        core.push("v1");
    }
    legacy(&wire::ApiVersions {
        kind: "APIVersions",
        versions: core,
        server_address_by_client_cidrs: [wire::ServerAddress { client_cidr: "0.0.0.0/0", server_address }],
    })
}

/// `/apis` in the old form.
#[must_use]
pub fn api_groups(catalogue: &Catalogue<'_>) -> Document {
    let groups = groups(catalogue)
        .into_iter()
        .filter(|group| !group.is_empty())
        .filter_map(|group| wire::group(None, group, &versions(catalogue, group)))
        .collect();
    legacy(&wire::ApiGroupList { kind: "APIGroupList", api_version: "v1", groups })
}

/// `/apis/<group>`; `None` if there is no such group.
#[must_use]
pub fn api_group(catalogue: &Catalogue<'_>, group: &str) -> Option<Document> {
    if group.is_empty() {
        return None;
    }
    let kind = wire::TypeMeta { kind: "APIGroup", api_version: "v1" };
    wire::group(Some(kind), group, &versions(catalogue, group)).map(|group| legacy(&group))
}

/// `/apis/<group>/<version>`, or `/api/<version>` for the empty group; `None` if there is no such version.
#[must_use]
pub fn api_resources(catalogue: &Catalogue<'_>, group: &str, version: &str) -> Option<Document> {
    let found = versions(catalogue, group).into_iter().find(|v| v.version == version)?;
    Some(legacy(&wire::ApiResourceList {
        kind: "APIResourceList",
        api_version: "v1",
        group_version: found.to_string(),
        resources: resources_of(catalogue, found).into_iter().map(wire::resource).collect(),
    }))
}

/// `/`: the paths that exist, sorted (D9). `others` are those beside the API, such as `/version`.
#[must_use]
pub fn paths(catalogue: &Catalogue<'_>, others: &[&str]) -> Document {
    let mut all: std::collections::BTreeSet<String> = others.iter().map(|&p| p.to_owned()).collect();
    all.extend(["/api", "/apis"].map(str::to_owned));
    for v in catalogue.versions {
        all.insert(v.path());
        if !v.group.is_empty() {
            all.insert(format!("/apis/{}", v.group));
        }
    }
    legacy(&wire::Paths { paths: all })
}

impl GroupVersion<'_> {
    /// `/apis/ext.cattle.io/v1`, `/api/v1`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

impl std::fmt::Display for GroupVersion<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.group.is_empty() {
            f.write_str(self.version)
        } else {
            write!(f, "{}/{}", self.group, self.version)
        }
    }
}

fn legacy<T: serde::Serialize>(value: &T) -> Document {
    Document::new(json(value), "application/json")
}

/// The groups in the caller's order, each once.
fn groups<'a>(catalogue: &Catalogue<'a>) -> Vec<&'a str> {
    let mut groups = Vec::new();
    for v in catalogue.versions {
        if !groups.contains(&v.group) {
            groups.push(v.group);
        }
    }
    groups
}

/// The versions of a group, the most stable and newest first.
fn versions<'a>(catalogue: &Catalogue<'a>, group: &str) -> Vec<GroupVersion<'a>> {
    let mut versions: Vec<_> = catalogue.versions.iter().copied().filter(|v| v.group == group).collect();
    versions.sort_by(|a, b| rank(b.version).cmp(&rank(a.version)).then(a.version.cmp(b.version)));
    versions.dedup_by_key(|v| v.version);
    versions
}

/// The resources of a version, by name.
pub(crate) fn resources_of<'a>(catalogue: &Catalogue<'a>, v: GroupVersion<'_>) -> Vec<&'a ResourceInfo> {
    let mut resources: Vec<_> = catalogue
        .resources
        .iter()
        .copied()
        .filter(|r| r.group == v.group && r.version == v.version)
        .collect();
    resources.sort_by_key(|r| r.plural);
    resources
}

/// Orders versions as Kubernetes does: `v2`, `v1`, `v1beta2`, `v1beta1`, `v1alpha1`, and whatever else last.
fn rank(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = rest.split_at_checked(digits)?;
    let major = major.parse().ok()?;
    if stage.is_empty() {
        return Some((2, major, 0));
    }
    let (stability, minor) = match stage.strip_prefix("beta") {
        Some(minor) => (1, minor),
        None => (0, stage.strip_prefix("alpha")?),
    };
    Some((stability, major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests;
