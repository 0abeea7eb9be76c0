//! From bytes to a [`Tree`]: JSON and YAML, with what kube's strict decoder notices, within bounds.
//!
//! `serde_json::Value`'s own parser would lose repeated keys, so the trees are built by a visitor of ours. What is checked where:
//!
//! ```text
//! bytes --from_json / from_yaml--> Decoded { tree, duplicates }     syntax, depth, size, repeated keys
//!       --check(schema, tree)----> Checked { unknown, errors }      unknown fields, types (worded as Go's encoding/json does)
//!       --prune(schema, tree)----> tree without either
//! ```

mod check;
mod visitor;

use serde::de::DeserializeSeed;

use crate::Tree;

pub use check::{Checked, check, prune};
use visitor::{Seed, State};

/// A decoded body.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The content; of repeated keys the last one won.
    pub tree: Tree,
    /// Paths of repeated keys, e.g. `spec.x` or `spec.a[0].b`, each once, 100 at most.
    pub duplicates: Vec<String>,
}

/// How much a body may unfold to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nested lists and objects. Above 127 serde_json's own bound acts; for YAML never above [`MAX_YAML_DEPTH`].
    pub depth: usize,
    /// Values, where an object counts as 20 (it takes that much memory).
    pub nodes: usize,
}

impl Default for Limits {
    /// 127 levels and a million values, about 32 MB.
    fn default() -> Self {
        Self { depth: MAX_DEPTH, nodes: 1_000_000 }
    }
}

/// The deepest tree that any part of this crate makes or takes.
pub const MAX_DEPTH: usize = 127;

/// The deepest YAML that is taken: its parser needs some 25 KB of stack a level in unoptimised builds. Kubernetes' own objects stay below 20.
pub const MAX_YAML_DEPTH: usize = 40;

/// At most this many problems of one sort are reported; a body may have a million.
pub const MAX_REPORTED: usize = 100;

/// Why a body is no tree. The texts contain nothing of the body but positions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON.
    #[error("json: {0}")]
    Json(String),
    /// Not YAML, or YAML that unfolds without bound.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(String),
    /// Nested too deeply.
    #[error("exceeded max depth of {0}")]
    TooDeep(usize),
    /// Too many values.
    #[error("exceeded max of {0} values")]
    TooLarge(usize),
}

/// Decodes JSON; nothing may follow it but white space.
///
/// # Errors
/// If it is no JSON, or exceeds the limits.
pub fn from_json(bytes: &[u8], limits: Limits) -> Result<Decoded, DecodeError> {
    let mut state = State::new(limits, false);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let tree = Seed { state: &mut state, depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|tree| deserializer.end().map(|()| tree));
    match tree {
        Ok(tree) => Ok(Decoded { tree, duplicates: state.duplicates }),
        Err(error) => Err(state.breach.unwrap_or_else(|| {
            let text = error.to_string();
            // serde_json's own guard, should the limit be set higher than its.
            if text.starts_with("recursion limit") {
                DecodeError::TooDeep(MAX_DEPTH)
            } else {
                DecodeError::Json(text)
            }
        })),
    }
}

/// Decodes the first document of YAML as Kubernetes' tools read it: `yes` and `0755` as in YAML 1.1, keys always texts, an empty document is null.
///
/// Aliases may unfold to as many values as the limits allow and no more.
///
/// # Errors
/// If it is no YAML, or exceeds the limits.
pub fn from_yaml(bytes: &[u8], limits: Limits) -> Result<Decoded, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Yaml("invalid UTF-8".to_owned()))?;
    let document = first_document(text.strip_prefix('\u{feff}').unwrap_or(text));
    let limits = Limits { depth: limits.depth.min(MAX_YAML_DEPTH), ..limits };
    let mut state = State::new(limits, true);
    let tree = serde_saphyr::with_deserializer_from_str_with_options(
        document,
        yaml_options(limits),
        |deserializer| Seed { state: &mut state, depth: 0 }.deserialize(deserializer),
    );
    match tree {
        Ok(tree) => Ok(Decoded { tree, duplicates: state.duplicates }),
        Err(error) => Err(state.breach.unwrap_or_else(|| DecodeError::Yaml(error.to_string()))),
    }
}

/// How deeply a tree is nested: 0 for a scalar, 1 for a list of scalars.
#[must_use]
pub fn depth(tree: &Tree) -> usize {
    let inner = match tree {
        Tree::Array(items) => items.iter().map(depth).max(),
        Tree::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// A body may begin like JSON and be sent as YAML; JSON is YAML. Documents end at a line that begins with `---` or `...`, inside block scalars too.
fn first_document(text: &str) -> &str {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let marker = line.trim_end();
        let ends = |mark: &str| {
            marker.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        };
        if begun && (ends("---") || ends("...")) {
            return text.get(..at).unwrap_or(text);
        }
        begun |= !marker.is_empty() && !marker.starts_with(['#', '%']);
        at += line.len();
    }
    text
}

fn yaml_options(limits: Limits) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(3),
            max_documents: 2,
            max_recorded_anchor_events: 200_000,
            max_recorded_anchor_bytes: 16 * 1024 * 1024,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
        },
        legacy_octal_numbers: true,
        emit_comments: false,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json_of(text: &str) -> Result<Decoded, DecodeError> {
        from_json(text.as_bytes(), Limits::default())
    }

    fn yaml_of(text: &str) -> Result<Decoded, DecodeError> {
        from_yaml(text.as_bytes(), Limits::default())
    }

    #[test]
    fn serde_json_keeps_neither_order_nor_arbitrary_precision() {
        let tree: Tree = serde_json::from_str(r#"{"b":1,"a":1e2}"#).unwrap();
        assert_eq!(tree.to_string(), r#"{"a":100.0,"b":1}"#);
    }

    #[test]
    fn repeated_keys_are_found_and_the_last_wins() {
        let decoded =
            json_of(r#"{"spec":{"x":1,"a":[{"b":1},{"b":1,"b":2}],"x":2,"x":3},"kind":"A","kind":"B"}"#)
                .unwrap();
        assert_eq!(decoded.tree, json!({"spec":{"x":3,"a":[{"b":1},{"b":2}]},"kind":"B"}));
        assert_eq!(decoded.duplicates, ["spec.a[1].b", "spec.x", "kind"]);
        let decoded = yaml_of("spec:\n  x: 1\n  x: 2\n  a:\n  - b: 1\n    b: 2\n").unwrap();
        assert_eq!(decoded.tree, json!({"spec":{"x":2,"a":[{"b":2}]}}));
        assert_eq!(decoded.duplicates, ["spec.x", "spec.a[0].b"]);
    }

    #[test]
    fn a_flood_of_repeated_keys_is_reported_in_part() {
        let many: String = (0..1000).map(|i| format!(r#""k{i}":0,"k{i}":1,"#)).collect();
        assert_eq!(json_of(&format!("{{{many}\"z\":0}}")).unwrap().duplicates.len(), MAX_REPORTED);
    }

    #[test]
    fn integers_stay_integers() {
        let decoded = json_of("[9223372036854775807,-9223372036854775808,18446744073709551615,1.0]").unwrap();
        assert_eq!(decoded.tree[0].as_i64(), Some(i64::MAX));
        assert_eq!(decoded.tree[1].as_i64(), Some(i64::MIN));
        assert_eq!(decoded.tree[2].as_u64(), Some(u64::MAX));
        assert!(decoded.tree[3].is_f64());
        let decoded =
            yaml_of("[9223372036854775807, -9223372036854775808, 18446744073709551615, 1.0, 1.5]").unwrap();
        assert_eq!(
            decoded.tree.to_string(),
            "[9223372036854775807,-9223372036854775808,18446744073709551615,1,1.5]"
        );
    }

    #[test]
    fn yaml_is_read_as_kubectl_users_know_it() {
        let decoded = yaml_of(
            "a: yes\nb: 'yes'\nc: 0755\nd: 1_000\ne: ~\nf:\ng: 2026-07-01\nh: \"1\"\n1: one\ntrue: two\nk: |\n  text\nl: &x {m: 1}\nn: *x\no:\n  <<: *x\n",
        )
        .unwrap();
        assert_eq!(
            decoded.tree,
            json!({"a":true,"b":"yes","c":493,"d":1000,"e":null,"f":null,"g":"2026-07-01","h":"1","1":"one","true":"two",
                   "k":"text\n","l":{"m":1},"n":{"m":1},"o":{"m":1}})
        );
        assert!(decoded.duplicates.is_empty());
    }

    #[test]
    fn only_the_first_document_counts() {
        for text in [
            "a: 1\n---\nb: 2\n",
            "# hi\n---\na: 1\n---\n]]]]",
            "--- # x\na: 1\n...\nb: 2",
            "---\na: 1\n--- \n",
        ] {
            assert_eq!(yaml_of(text).unwrap().tree, json!({"a":1}), "{text}");
        }
        assert_eq!(yaml_of("").unwrap().tree, Tree::Null);
        assert_eq!(yaml_of("a: ---b").unwrap().tree, json!({"a":"---b"}));
    }

    #[test]
    fn json_is_yaml() {
        assert_eq!(yaml_of(r#"{"a":[1,"x",null,{}]}"#).unwrap().tree, json!({"a":[1,"x",null,{}]}));
    }

    #[test]
    fn what_is_neither_is_refused_without_echoing_it() {
        for text in ["", "{", "{\"secret\":}", "[1,]", "{\"a\":1} x", "nul", "\"\u{1}\""] {
            let error = json_of(text).unwrap_err();
            assert!(matches!(error, DecodeError::Json(_)), "{text}: {error}");
            assert!(!error.to_string().contains("secret"));
        }
        for text in ["a: b: c", "a:\n\t- b", "{", "a: *nowhere", "[a", "a: \"\\q\""] {
            assert!(matches!(yaml_of(text), Err(DecodeError::Yaml(_))), "{text}");
        }
        assert!(from_json(b"\"\xff\"", Limits::default()).is_err());
        assert!(from_yaml(b"a: \xff", Limits::default()).is_err());
    }

    #[test]
    fn depth_is_bounded_on_a_small_stack() {
        let work = || {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let nested = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
                assert_eq!(depth(&json_of(&nested(127)).unwrap().tree), 127);
                assert_eq!(json_of(&nested(128)), Err(DecodeError::TooDeep(127)));
                assert!(json_of(&nested(1_000_000)).is_err());
                assert_eq!(depth(&yaml_of(&nested(MAX_YAML_DEPTH)).unwrap().tree), MAX_YAML_DEPTH);
                assert!(yaml_of(&nested(MAX_YAML_DEPTH + 1)).is_err());
                assert!(yaml_of(&nested(100_000)).is_err());
            }
            let block: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
            assert!(yaml_of(&block).is_err());
        };
        // Less than a tokio worker has, which is 2 MiB.
        std::thread::Builder::new().stack_size(1536 * 1024).spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn size_is_bounded_also_where_anchors_multiply_it() {
        assert_eq!(json_of(&format!("[{}0]", "0,".repeat(1_000_000))), Err(DecodeError::TooLarge(1_000_000)));
        assert_eq!(
            json_of(&format!("[{}0]", "{\"\":0},".repeat(100_000))),
            Err(DecodeError::TooLarge(1_000_000))
        );
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        assert!(yaml_of(&bomb).is_err());
    }

    fn any_tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::from),
            any::<i64>().prop_map(Tree::from),
            "\\PC{0,8}".prop_map(Tree::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::from),
                proptest::collection::btree_map("[a-z]{0,3}", inner, 0..6)
                    .prop_map(|m| Tree::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_as_serde_json_reads_it(tree in any_tree()) {
            let decoded = json_of(&tree.to_string()).unwrap();
            prop_assert_eq!(&decoded.tree, &tree);
            prop_assert!(decoded.duplicates.is_empty());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for decoded in [from_json(&bytes, Limits::default()), from_yaml(&bytes, Limits::default())].into_iter().flatten() {
                prop_assert!(depth(&decoded.tree) <= MAX_DEPTH);
            }
        }

        #[test]
        fn any_yaml_like_text_is_decoded_or_refused(text in "[ \\-a-c:\\[\\]{}&*!|>'\"\n#,%?~0-9.]{0,80}") {
            let _ = yaml_of(&text);
        }
    }
}
