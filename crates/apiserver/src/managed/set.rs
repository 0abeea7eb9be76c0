//! Sets of fields as tries of path elements.

use std::collections::BTreeMap;

/// One step of a path. The texts of keys and values are compact JSON with sorted keys, so that equal elements are equal texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathElement {
    /// `f:<name>`: a field of an object, or an entry of a map.
    Field(String),
    /// `k:{"key":"value"}`: an element of a list of objects, by its keys.
    Key(String),
    /// `v:<json>`: an element of a set.
    Value(String),
    /// `i:<n>`: an element by position.
    Index(u64),
}

/// A set of paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSet {
    pub(super) children: BTreeMap<PathElement, Node>,
}

/// What is known below one path element. Never both: not a member, and empty below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    /// Whether the path that ends here is in the set.
    pub(super) member: bool,
    pub(super) below: FieldSet,
}

impl FieldSet {
    /// Whether no path is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// How many paths are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.values().map(|node| usize::from(node.member) + node.below.len()).sum()
    }

    /// Adds a path; the empty one is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.children.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Whether this very path is in the set.
    #[must_use]
    pub fn contains(&self, path: &[PathElement]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.children
            .get(first)
            .is_some_and(|n| if rest.is_empty() { n.member } else { n.below.contains(rest) })
    }

    /// Paths in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut children = self.children.clone();
        for (element, theirs) in &other.children {
            children
                .entry(element.clone())
                .and_modify(|ours| {
                    ours.member |= theirs.member;
                    ours.below = ours.below.union(&theirs.below);
                })
                .or_insert_with(|| theirs.clone());
        }
        Self { children }
    }

    /// Paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(|element, ours| {
            let theirs = other.children.get(element)?;
            Some(Node { member: ours.member && theirs.member, below: ours.below.intersection(&theirs.below) })
        })
    }

    /// Paths in this set that are not in the other. A path does not stand for what is below it.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(|element, ours| match other.children.get(element) {
            None => Some(ours.clone()),
            Some(theirs) => Some(Node {
                member: ours.member && !theirs.member,
                below: ours.below.difference(&theirs.below),
            }),
        })
    }

    /// All paths, sorted, as conflicts name them: `.spec.ttl`, `.metadata.ownerReferences[uid="x"].name`, `.metadata.finalizers[="a"]`, `.a[0]`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(&mut String::new(), &mut paths);
        paths
    }

    fn combine(&self, mut keep: impl FnMut(&PathElement, &Node) -> Option<Node>) -> Self {
        let kept =
            self.children.iter().filter_map(|(element, node)| Some((element.clone(), keep(element, node)?)));
        Self { children: kept.filter(|(_, node)| node.member || !node.below.is_empty()).collect() }
    }

    fn collect(&self, prefix: &mut String, paths: &mut Vec<String>) {
        for (element, node) in &self.children {
            let outer = prefix.len();
            prefix.push_str(&element.to_string());
            if node.member {
                paths.push(prefix.clone());
            }
            node.below.collect(prefix, paths);
            prefix.truncate(outer);
        }
    }
}

impl std::fmt::Display for PathElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(at) => write!(f, "[{at}]"),
            Self::Key(keys) => {
                let keys: BTreeMap<String, serde_json::Value> =
                    serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<_> = keys.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", pairs.join(","))
            }
        }
    }
}

/// Sets for the property tests of this module.
#[cfg(test)]
pub(super) fn any_set() -> impl proptest::strategy::Strategy<Value = FieldSet> {
    use proptest::prelude::*;

    let element = prop_oneof![
        "[a-c]".prop_map(PathElement::Field),
        Just(PathElement::Field("metadata".to_owned())),
        "[a-c]".prop_map(|v| PathElement::Key(format!(r#"{{"name":"{v}"}}"#))),
        "[a-c]".prop_map(|v| PathElement::Value(format!("\"{v}\""))),
        (0..3u64).prop_map(PathElement::Index),
    ];
    let path = proptest::collection::vec(element, 1..4);
    proptest::collection::vec(path, 0..8).prop_map(|paths| {
        let mut set = FieldSet::default();
        paths.iter().for_each(|path| set.insert(path));
        set
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_named_as_in_conflicts() {
        let set = FieldSet::from_fields_v1(
            &json!({"f:spec":{"f:ttl":{},"f:items":{"k:{\"name\":\"a\",\"port\":1}":{".":{},"f:x":{}}},"f:s":{"v:\"q\"":{},"i:2":{}}}}),
        );
        assert_eq!(
            set.unwrap().paths(),
            [
                ".spec.items[name=\"a\",port=1]",
                ".spec.items[name=\"a\",port=1].x",
                ".spec.s[=\"q\"]",
                ".spec.s[2]",
                ".spec.ttl"
            ]
        );
    }

    proptest! {
        #[test]
        fn the_laws_of_sets_hold(a in any_set(), b in any_set(), c in any_set()) {
            let empty = FieldSet::default();
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
            prop_assert_eq!(a.intersection(&b.union(&c)), a.intersection(&b).union(&a.intersection(&c)));
            prop_assert_eq!(a.union(&a), a.clone());
            prop_assert_eq!(a.intersection(&a), a.clone());
            prop_assert_eq!(a.difference(&a), empty.clone());
            prop_assert_eq!(a.difference(&empty), a.clone());
            prop_assert_eq!(a.difference(&b).intersection(&b), empty.clone());
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert_eq!(a.union(&b).len(), a.len() + b.len() - a.intersection(&b).len());
            prop_assert_eq!(a.len(), a.paths().len());
            prop_assert_eq!(a.is_empty(), a.paths().is_empty());
        }
    }
}
