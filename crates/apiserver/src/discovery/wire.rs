//! The shapes that clients read. Members are in Kubernetes' order, `kind` first.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::GroupVersion;
use crate::info::ResourceInfo;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeMeta {
    pub kind: &'static str,
    pub api_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersions<'a> {
    pub kind: &'static str,
    pub versions: Vec<&'a str>,
    #[serde(rename = "serverAddressByClientCIDRs")]
    pub server_address_by_client_cidrs: [ServerAddress<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerAddress<'a> {
    #[serde(rename = "clientCIDR")]
    pub client_cidr: &'static str,
    pub server_address: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupList<'a> {
    pub kind: &'static str,
    pub api_version: &'static str,
    pub groups: Vec<ApiGroup<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup<'a> {
    #[serde(flatten)]
    pub type_meta: Option<TypeMeta>,
    pub name: &'a str,
    pub versions: Vec<Version<'a>>,
    pub preferred_version: Version<'a>,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Version<'a> {
    pub group_version: String,
    pub version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList<'a> {
    pub kind: &'static str,
    pub api_version: &'static str,
    pub group_version: String,
    pub resources: Vec<ApiResource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResource<'a> {
    pub name: &'a str,
    pub singular_name: &'a str,
    pub namespaced: bool,
    pub kind: &'a str,
    pub verbs: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub short_names: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub categories: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_version_hash: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDiscoveryList<'a> {
    pub kind: &'static str,
    pub api_version: &'static str,
    pub metadata: Empty,
    pub items: Vec<GroupDiscovery<'a>>,
}

#[derive(Serialize)]
pub struct Empty {}

#[derive(Serialize)]
pub struct GroupDiscovery<'a> {
    pub metadata: Named<'a>,
    pub versions: Vec<VersionDiscovery<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named<'a> {
    pub name: &'a str,
    /// Always `null`, as Kubernetes writes it.
    pub creation_timestamp: (),
}

#[derive(Serialize)]
pub struct VersionDiscovery<'a> {
    pub version: &'a str,
    pub resources: Vec<ResourceDiscovery<'a>>,
    pub freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDiscovery<'a> {
    pub resource: &'a str,
    /// Never null: some clients panic on that (D44).
    pub response_kind: Gvk<'a>,
    pub scope: &'static str,
    pub singular_resource: &'a str,
    pub verbs: Vec<&'a str>,
    pub short_names: &'a [&'a str],
    pub categories: &'a [&'a str],
}

#[derive(Serialize)]
pub struct Gvk<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
}

#[derive(Serialize)]
pub struct Paths {
    pub paths: BTreeSet<String>,
}

pub fn group<'a>(
    type_meta: Option<TypeMeta>,
    name: &'a str,
    versions: &[GroupVersion<'a>],
) -> Option<ApiGroup<'a>> {
    let versions: Vec<_> =
        versions.iter().map(|v| Version { group_version: v.to_string(), version: v.version }).collect();
    let preferred_version = versions.first()?.clone();
    Some(ApiGroup { type_meta, name, versions, preferred_version })
}

pub fn resource(info: &ResourceInfo) -> ApiResource<'_> {
    ApiResource {
        name: info.plural,
        singular_name: info.singular,
        namespaced: info.namespaced,
        kind: info.kind,
        verbs: sorted(info.verbs),
        short_names: info.short_names,
        categories: info.categories,
        storage_version_hash: is_stored(info).then(|| storage_version_hash(info)),
    }
}

pub fn discovery(info: &ResourceInfo) -> ResourceDiscovery<'_> {
    ResourceDiscovery {
        resource: info.plural,
        response_kind: Gvk { group: info.group, version: info.version, kind: info.kind },
        scope: if info.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: info.singular,
        verbs: sorted(info.verbs),
        short_names: info.short_names,
        categories: info.categories,
    }
}

fn sorted<'a>(verbs: &[&'a str]) -> Vec<&'a str> {
    let mut verbs = verbs.to_vec();
    verbs.sort_unstable();
    verbs
}

/// What can be read and changed is stored; reviews and fixed lists are not.
fn is_stored(info: &ResourceInfo) -> bool {
    info.has_verb("get") && ["create", "update", "patch", "delete"].iter().any(|verb| info.has_verb(verb))
}

/// The first eight bytes of the SHA-256 of `group/version/kind`, in base64 (D32).
fn storage_version_hash(info: &ResourceInfo) -> String {
    let digest = Sha256::digest(format!("{}/{}/{}", info.group, info.version, info.kind));
    STANDARD.encode(digest.get(..8).unwrap_or_default())
}
