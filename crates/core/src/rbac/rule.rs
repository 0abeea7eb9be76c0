//! One rule, and what it allows (the semantics of `rbac.authorization.k8s.io/v1`).

use serde::{Deserialize, Serialize};

/// A policy rule: either about resources or about paths outside them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups (the core group is the empty string), or `*`.
    pub api_groups: Vec<String>,
    /// `resource`, `resource/subresource`, `*/subresource` or `*`.
    pub resources: Vec<String>,
    /// Names of objects; empty means all.
    pub resource_names: Vec<String>,
    /// Paths, with a `*` at the end for everything below.
    pub non_resource_urls: Vec<String>,
}

/// What somebody asks to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `get`, `list`, `create`, …; `*` asks for all.
    pub verb: &'a str,
    /// API group; `*` asks for all.
    pub group: &'a str,
    /// Plural name of the resource; `*` asks for all.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Name of the object, or empty (create, and collections).
    pub name: &'a str,
    /// Namespace, or empty. All our kinds are cluster-scoped, so cluster-wide rules decide in every namespace.
    pub namespace: &'a str,
    /// The path, for requests that are about no resource; the five above are then ignored.
    pub path: Option<&'a str>,
}

impl Rule {
    /// A rule about resources.
    #[must_use]
    pub fn resources(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Self {
        Self {
            verbs: owned(verbs),
            api_groups: owned(groups),
            resources: owned(resources),
            ..Self::default()
        }
    }

    /// A rule about paths.
    #[must_use]
    pub fn paths(verbs: &[&str], paths: &[&str]) -> Self {
        Self { verbs: owned(verbs), non_resource_urls: owned(paths), ..Self::default() }
    }

    /// The same rule for these objects only.
    #[must_use]
    pub fn named(mut self, names: &[&str]) -> Self {
        self.resource_names = owned(names);
        self
    }

    /// Whether the rule allows the request.
    #[must_use]
    pub fn allows(&self, asked: &Attributes<'_>) -> bool {
        if !has(&self.verbs, asked.verb) {
            return false;
        }
        match asked.path {
            Some(path) => self.non_resource_urls.iter().any(|url| url_covers(url, path)),
            None => {
                has(&self.api_groups, asked.group)
                    && self
                        .resources
                        .iter()
                        .any(|rule| resource_matches(rule, asked.resource, asked.subresource))
                    && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == asked.name))
            }
        }
    }

    /// Whether everything that `wanted` allows is allowed by this one rule.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        has_all(&self.verbs, &wanted.verbs)
            && has_all(&self.api_groups, &wanted.api_groups)
            && wanted.resources.iter().all(|w| self.resources.iter().any(|have| resource_covers(have, w)))
            && names_cover(&self.resource_names, &wanted.resource_names)
            && wanted
                .non_resource_urls
                .iter()
                .all(|w| self.non_resource_urls.iter().any(|have| url_covers(have, w)))
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|have| have == "*" || have == wanted)
}

fn has_all(list: &[String], wanted: &[String]) -> bool {
    list.iter().any(|have| have == "*") || wanted.iter().all(|w| list.contains(w))
}

fn names_cover(have: &[String], wanted: &[String]) -> bool {
    // No names means all objects, which only a rule without names covers.
    have.is_empty() || (!wanted.is_empty() && wanted.iter().all(|w| have.contains(w)))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == "*" || of == resource),
    }
}

fn resource_covers(have: &str, wanted: &str) -> bool {
    if have == "*" || have == wanted {
        return true;
    }
    match (have.split_once('/'), wanted.split_once('/')) {
        (Some(("*", have)), Some((_, wanted))) => have == wanted,
        _ => false,
    }
}

fn url_covers(have: &str, wanted: &str) -> bool {
    have == wanted || have.strip_suffix('*').is_some_and(|prefix| wanted.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn ask<'a>(verb: &'a str, group: &'a str, resource: &'a str, name: &'a str) -> Attributes<'a> {
        Attributes { verb, group, resource, name, ..Attributes::default() }
    }

    #[test]
    fn stars_match_everything() {
        let all = Rule::resources(&["*"], &["*"], &["*"]);
        assert!(all.allows(&ask("get", "x", "y", "z")));
        assert!(all.allows(&ask("*", "*", "*", "")));
        assert!(all.allows(&Attributes { subresource: "status", ..ask("get", "x", "y", "z") }));
        assert!(!all.allows(&Attributes { path: Some("/metrics"), ..ask("get", "", "", "") }));
    }

    #[test]
    fn asking_for_all_needs_a_star() {
        let some = Rule::resources(&["get"], &["ext.cattle.io"], &["tokens"]);
        assert!(!some.allows(&ask("*", "ext.cattle.io", "tokens", "")));
        assert!(!some.allows(&ask("get", "ext.cattle.io", "*", "")));
        assert!(!some.allows(&ask("get", "*", "tokens", "")));
    }

    #[test]
    fn a_resource_does_not_include_its_subresources() {
        let rule = |r: &str| Rule::resources(&["get"], &[""], &[r]);
        let status = Attributes { subresource: "status", ..ask("get", "", "pods", "a") };
        assert!(!rule("pods").allows(&status));
        assert!(rule("pods/status").allows(&status));
        assert!(rule("*/status").allows(&status));
        assert!(!rule("*/status").allows(&ask("get", "", "pods", "a")));
        assert!(!rule("pods/").allows(&ask("get", "", "pods", "a")));
    }

    #[test]
    fn names_restrict_a_rule_to_those_objects() {
        let rule = Rule::resources(&["*"], &["*"], &["*"]).named(&["local"]);
        assert!(rule.allows(&ask("get", "g", "clusters", "local")));
        assert!(!rule.allows(&ask("get", "g", "clusters", "other")));
        assert!(!rule.allows(&ask("list", "g", "clusters", "")));
    }

    #[test]
    fn paths_match_exactly_or_below_a_star() {
        let rule = Rule::paths(&["get"], &["/apis/*", "/version"]);
        let path = |p| Attributes { verb: "get", path: Some(p), ..Attributes::default() };
        assert!(rule.allows(&path("/apis/ext.cattle.io")) && rule.allows(&path("/version")));
        assert!(
            !rule.allows(&path("/apis"))
                && !rule.allows(&path("/version/"))
                && !rule.allows(&path("/metrics"))
        );
        assert!(Rule::paths(&["get"], &["*"]).allows(&path("/metrics")));
    }

    fn word(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(proptest::sample::select(words).prop_map(str::to_owned), 0..3)
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let verbs = word(&["get", "list", "*"]);
        let groups = word(&["", "a", "*"]);
        let resources = word(&["x", "y", "x/s", "*/s", "*"]);
        let names = word(&["n", "m"]);
        let urls = word(&["/a", "/a/*", "*"]);
        (verbs, groups, resources, names, urls).prop_map(
            |(verbs, api_groups, resources, resource_names, non_resource_urls)| Rule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls,
            },
        )
    }

    fn request() -> impl Strategy<Value = Attributes<'static>> {
        let pick = |words: &'static [&'static str]| proptest::sample::select(words);
        (
            pick(&["get", "list", "put", "*"]),
            pick(&["", "a", "b", "*"]),
            pick(&["x", "y", "z", "*"]),
            pick(&["", "s", "t"]),
            pick(&["", "n", "m", "o"]),
            proptest::option::of(pick(&["/a", "/a/b", "/c"])),
        )
            .prop_map(|(verb, group, resource, subresource, name, path)| Attributes {
                verb,
                group,
                resource,
                subresource,
                name,
                namespace: "",
                path,
            })
    }

    proptest! {
        #[test]
        fn what_a_covered_rule_allows_the_covering_one_allows(have in rule(), wanted in rule(), asked in request()) {
            if have.covers(&wanted) && wanted.allows(&asked) {
                prop_assert!(have.allows(&asked), "{:?} covers {:?} but denies {:?}", have, wanted, asked);
            }
        }

        #[test]
        fn a_rule_covers_itself(rule in rule()) {
            prop_assert!(rule.covers(&rule));
        }
    }
}
