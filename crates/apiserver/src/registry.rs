//! What is served: groups in order of priority, and their resources.

use crate::info::ResourceInfo;
use crate::kind::Resource;

/// A group and its one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupVersion {
    /// Empty for the core group.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
}

/// Groups and resources. The order of the groups decides which of two resources of one name `kubectl get` means.
#[derive(Clone, Default)]
pub struct Registry {
    groups: Vec<GroupVersion>,
    resources: Vec<Resource>,
}

impl Registry {
    /// Nothing yet.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a resource; a group takes its place when its first resource does.
    #[must_use]
    pub fn with(mut self, resource: Resource) -> Registry {
        let ResourceInfo { group, version, .. } = *resource.info();
        if !self.groups.iter().any(|g| g.group == group && g.version == version) {
            self.groups.push(GroupVersion { group, version });
        }
        self.resources.push(resource);
        self
    }

    /// The groups, highest priority first.
    pub fn groups(&self) -> &[GroupVersion] {
        &self.groups
    }

    /// All resources, also those that are switched off.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The served resource of that name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| {
            let info = resource.info();
            info.plural == plural && info.group == group && info.version == version && resource.served()
        })
    }

    /// Whether the group exists in that version, with or without resources.
    pub fn has(&self, group: &str, version: &str) -> bool {
        self.groups.iter().any(|g| g.group == group && g.version == version)
    }
}
