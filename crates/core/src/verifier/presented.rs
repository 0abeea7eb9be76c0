//! A credential as somebody presents it.

use std::fmt;

use crate::face::Face;
use crate::names::is_subdomain;

/// Longest secret that is looked at, in bytes: bounds the hashing.
const LONGEST_SECRET: usize = 512;

/// `ext/<name>:<secret>` or `<name>:<secret>`, taken apart. `Debug` shows no secret.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// Which kind of token it claims to be. Without `ext/` an ext token is not found (ext-token.md §8).
    pub face: Face,
    /// The token's name.
    pub name: &'a str,
    secret: &'a str,
}

impl<'a> Presented<'a> {
    /// Takes apart a bearer value; `None` if it cannot be one of ours, which is found out without hashing or looking anything up.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (name, secret) = text.split_once(':')?;
        let (face, name) = match name.strip_prefix(Face::Ext.prefix()) {
            Some(name) => (Face::Ext, name),
            None => (Face::Legacy, name),
        };
        let good = !secret.is_empty()
            && secret.len() <= LONGEST_SECRET
            && !secret.contains(':')
            && is_subdomain(name);
        good.then_some(Self { face, name, secret })
    }

    pub(super) const fn secret(&self) -> &'a str {
        self.secret
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({}{}:…)", self.face.prefix(), self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_taken_apart() {
        let ext = Presented::parse("ext/token-abc:secret").unwrap();
        assert_eq!((ext.face, ext.name, ext.secret()), (Face::Ext, "token-abc", "secret"));
        let legacy = Presented::parse("kubeconfig-u-1.c2:secret").unwrap();
        assert_eq!(
            (legacy.face, legacy.name, legacy.secret()),
            (Face::Legacy, "kubeconfig-u-1.c2", "secret")
        );
    }

    #[test]
    fn whatever_else_dies_here() {
        let long = format!("token-a:{}", "x".repeat(513));
        for bad in [
            "",
            ":",
            "a",
            "a:",
            ":b",
            "a:b:c",
            "ext/:b",
            "ext/ext/a:b",
            "other/a:b",
            "A:b",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
            long.as_str(),
        ] {
            assert!(Presented::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(
            format!("{:?}", Presented::parse("ext/token-a:hunter2").unwrap()),
            "Presented(ext/token-a:…)"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,80}") {
            let _ = Presented::parse(&text);
        }
    }
}
