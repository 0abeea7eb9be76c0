//! [`FieldSet`] in few bytes: most objects carry one set of a dozen paths, and there may be a million objects.
//!
//! ```text
//! set     = count element*
//! element = head [text | index] [set]      head = kind (2 bits) | member (bit 2) | set follows (bit 3)
//! text    = (length << 1) bytes | (word << 1 | 1)
//! ```
//!
//! Numbers are LEB128. `word` is an index into [`WORDS`], to which words are only ever appended.

use super::set::{FieldSet, Node, PathElement};
use crate::decode::MAX_DEPTH;

/// Names that occur often. One that is missing here only costs its own bytes.
const WORDS: [&str; 64] = [
    "metadata",
    "spec",
    "status",
    "data",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "kubectl.kubernetes.io/last-applied-configuration",
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/component",
    "helm.sh/chart",
    "name",
    "namespace",
    "kind",
    "apiVersion",
    "uid",
    "controller",
    "blockOwnerDeletion",
    "description",
    "displayName",
    "enabled",
    "ttl",
    "value",
    "default",
    "source",
    "type",
    "conditions",
    "lastTransitionTime",
    "lastUpdateTime",
    "message",
    "reason",
    "observedGeneration",
    "rules",
    "roleRef",
    "subjects",
    "apiGroup",
    "apiGroups",
    "resources",
    "resourceNames",
    "nonResourceURLs",
    "verbs",
    "aggregationRule",
    "userID",
    "userPrincipal",
    "clusterName",
    "clusters",
    "current",
    "currentContext",
    "username",
    "password",
    "principalIds",
    "mustChangePassword",
    "stringData",
    "expiresAt",
    "hash",
];

const FIELD: u8 = 0;
const KEY: u8 = 1;
const VALUE: u8 = 2;
const INDEX: u8 = 3;
const MEMBER: u8 = 4;
const BELOW: u8 = 8;

impl FieldSet {
    /// The set in its compact form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        encode(self, &mut out);
        out
    }

    /// Reads the compact form; `None` if it is damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let set = decode(&mut rest, 0)?;
        rest.is_empty().then_some(set)
    }
}

fn encode(set: &FieldSet, out: &mut Vec<u8>) {
    put_number(set.children.len() as u64, out);
    for (element, node) in &set.children {
        let kind = match element {
            PathElement::Field(_) => FIELD,
            PathElement::Key(_) => KEY,
            PathElement::Value(_) => VALUE,
            PathElement::Index(_) => INDEX,
        };
        let below = !node.below.is_empty();
        out.push(kind | if node.member { MEMBER } else { 0 } | if below { BELOW } else { 0 });
        match element {
            PathElement::Field(text) | PathElement::Key(text) | PathElement::Value(text) => {
                put_text(text, out)
            }
            PathElement::Index(at) => put_number(*at, out),
        }
        if below {
            encode(&node.below, out);
        }
    }
}

fn decode(rest: &mut &[u8], depth: usize) -> Option<FieldSet> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut set = FieldSet::default();
    for _ in 0..take_number(rest)? {
        let (&head, tail) = rest.split_first()?;
        *rest = tail;
        if head > (INDEX | MEMBER | BELOW) {
            return None;
        }
        let element = match head & 3 {
            FIELD => PathElement::Field(take_text(rest)?),
            KEY => PathElement::Key(take_text(rest)?),
            VALUE => PathElement::Value(take_text(rest)?),
            _ => PathElement::Index(take_number(rest)?),
        };
        let below = if head & BELOW == 0 { FieldSet::default() } else { decode(rest, depth + 1)? };
        let node = Node { member: head & MEMBER != 0, below };
        // Neither member nor inner node: nothing that was ever encoded.
        if !node.member && node.below.is_empty() {
            return None;
        }
        set.children.insert(element, node);
    }
    Some(set)
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    match WORDS.iter().position(|word| *word == text) {
        Some(word) => put_number((word as u64) << 1 | 1, out),
        None => {
            put_number((text.len() as u64) << 1, out);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let head = take_number(rest)?;
    let number = usize::try_from(head >> 1).ok()?;
    if head & 1 == 1 {
        return WORDS.get(number).map(|word| (*word).to_owned());
    }
    let (text, tail) = rest.split_at_checked(number)?;
    *rest = tail;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits fit a byte")]
fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;
    use crate::managed::set::any_set;

    #[test]
    fn no_word_is_there_twice() {
        let mut words = WORDS.to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), WORDS.len());
    }

    #[test]
    fn the_words_keep_their_places() {
        // Stored sets mean these words by number.
        assert_eq!(
            (WORDS[0], WORDS[11], WORDS[30], WORDS[63]),
            ("metadata", "kubectl.kubernetes.io/last-applied-configuration", "ttl", "hash")
        );
    }

    #[test]
    fn depth_is_bounded() {
        let mut bytes = Vec::new();
        for _ in 0..100_000 {
            bytes.extend([1, BELOW | FIELD, 1]);
        }
        assert_eq!(FieldSet::decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(set in any_set()) {
            prop_assert_eq!(FieldSet::decode(&set.encode()), Some(set));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = FieldSet::decode(&bytes);
        }

        #[test]
        fn numbers_come_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            prop_assert_eq!(take_number(&mut bytes.as_slice()), Some(number));
        }
    }
}
