//! The catalogues: every text that a page says itself, once for each language.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::lang::Lang;

type Catalogue = BTreeMap<String, String>;

static EN: LazyLock<Catalogue> = LazyLock::new(|| parse(include_str!("../texts/en.json")));
static ZH: LazyLock<Catalogue> = LazyLock::new(|| parse(include_str!("../texts/zh.json")));

/// The texts of one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texts(pub Lang);

impl Texts {
    /// The text of a key. A key that does not exist is its own text; tests see to it that pages use none such.
    #[must_use]
    pub fn get(self, key: &str) -> &str {
        self.find(key).unwrap_or(key)
    }

    /// The text of a key that need not exist, such as that of a type that is new.
    #[must_use]
    pub fn find(self, key: &str) -> Option<&'static str> {
        let catalogue: &'static Catalogue = match self.0 {
            Lang::En => &EN,
            Lang::Zh => &ZH,
        };
        catalogue.get(key).map(String::as_str)
    }

    /// The text of a key with `{name}`s filled in.
    #[must_use]
    pub fn fill(self, key: &str, values: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let mut rest = self.get(key);
        // One pass: a value that looks like a placeholder stays as it is.
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            out.push_str(values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// A number of things: `<key>.one` for 1, `<key>.other` for all else, with `{n}` filled in.
    #[must_use]
    pub fn count(self, key: &str, n: u64) -> String {
        let form = if n == 1 { "one" } else { "other" };
        self.fill(&format!("{key}.{form}"), &[("n", &n.to_string())])
    }
}

fn parse(text: &str) -> Catalogue {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn both_catalogues_have_every_key() {
        let keys = |catalogue: &Catalogue| catalogue.keys().cloned().collect::<BTreeSet<_>>();
        assert!(EN.len() > 100, "a catalogue that cannot be read is empty");
        let (en, zh) = (keys(&EN), keys(&ZH));
        assert_eq!(en.difference(&zh).collect::<Vec<_>>(), Vec::<&String>::new(), "not in zh");
        assert_eq!(zh.difference(&en).collect::<Vec<_>>(), Vec::<&String>::new(), "not in en");
    }

    #[test]
    fn both_texts_of_a_key_have_the_same_placeholders() {
        let placeholders = |text: &str| {
            text.split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}').map(|(name, _)| name.to_owned()))
                .collect::<BTreeSet<_>>()
        };
        for (key, text) in &*EN {
            assert_eq!(placeholders(text), placeholders(&ZH[key]), "{key}");
            assert!(!text.is_empty() && !ZH[key].is_empty(), "{key}");
        }
    }

    #[test]
    fn every_key_that_a_template_or_the_code_names_exists() {
        let mut missing = Vec::new();
        let mut seen = 0;
        for dir in ["templates", "src", "src/pages"] {
            for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap() {
                let path = file.unwrap().path();
                if !path.is_file() {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                for call in ["t(\"", "t.get(\"", ".fill(\"", ".fill(\n            \""] {
                    for rest in text.split(call).skip(1) {
                        let key = rest.split('"').next().unwrap();
                        // Keys are dotted; anything else that is called `t` is none of them.
                        if key.contains('.') && !key.contains(['{', ' ', '/']) {
                            seen += 1;
                            if !EN.contains_key(key) && !EN.contains_key(&format!("{key}.one")) {
                                missing.push(format!("{key} in {}", path.display()));
                            }
                        }
                    }
                }
            }
        }
        assert!(seen > 50, "{seen}");
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn placeholders_are_filled_in_one_pass() {
        assert_eq!(Texts(Lang::En).fill("{a} and {b}{", &[("a", "{b}"), ("b", "2")]), "{b} and 2{");
    }

    #[test]
    fn one_is_counted_differently_from_many() {
        assert_eq!(Texts(Lang::En).count("time.hour", 1), "1 hour");
        assert_eq!(Texts(Lang::En).count("time.hour", 2), "2 hours");
        assert_eq!(Texts(Lang::Zh).count("time.hour", 1), "1 小时");
    }
}
