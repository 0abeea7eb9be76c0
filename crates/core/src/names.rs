//! Names as types, built only by parsing, and the random names of new objects.

use std::fmt;

use crate::secret::{Random, letters};

/// Letters of a random suffix (ext-token.md §2.3).
pub const SUFFIX_LENGTH: usize = 5;
/// Longest prefix that is kept before a suffix, as in Kubernetes.
const LONGEST_PREFIX: usize = 58;

/// Not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a lower-case RFC 1123 subdomain of at most 253 characters")]
pub struct BadName;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes a lower-case RFC 1123 subdomain.
            ///
            /// # Errors
            /// [`BadName`] for everything else.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                if is_subdomain(text) { Ok(Self(text.into())) } else { Err(BadName) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}

name!(
    /// The name of a token, without the `ext/` of a bearer value.
    TokenName
);
name!(
    /// The name of a user's record, such as `user-abcde`. A name with `:` is never a Rancher user (ext-token.md §2.1).
    UserId
);
name!(
    /// The name of a cluster's record, such as `local` or `c-m-p66cdvlj`.
    ClusterId
);

impl TokenName {
    /// A new name `token-xxxxx`, as ext tokens, `/v3/tokens` and logins give it.
    #[must_use]
    pub fn random(random: Random<'_>) -> Self {
        Self(random_name("token-", random).into())
    }
}

/// Whether the text is a lower-case RFC 1123 subdomain: what Kubernetes takes as the name of most objects.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Five random letters (14.3 million possibilities).
#[must_use]
pub fn random_suffix(random: Random<'_>) -> String {
    letters(SUFFIX_LENGTH, random).to_string()
}

/// `prefix` and five random letters; a prefix longer than 58 bytes is cut, as Kubernetes does.
#[must_use]
pub fn random_name(prefix: &str, random: Random<'_>) -> String {
    let mut end = prefix.len().min(LONGEST_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let suffix = random_suffix(random);
    format!("{}{suffix}", prefix.get(..end).unwrap_or_default())
}

/// Whether the key of a label or annotation is of `cattle.io` or a domain below it: what such keys say is the system's to say.
#[must_use]
pub fn is_of_the_system(key: &str) -> bool {
    const DOMAIN: &str = "cattle.io";
    let above =
        |domain: &str| domain.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    key.split_once('/').is_some_and(|(domain, _)| above(domain))
}

/// Why the text is no label value, in Kubernetes' words; `None` if it is one.
#[must_use]
pub fn bad_label_value(text: &str) -> Option<&'static str> {
    if text.len() > 63 {
        return Some("must be no more than 63 bytes");
    }
    let alphanumeric = |b: &u8| b.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let good = bytes.is_empty()
        || (bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|b| alphanumeric(b) || matches!(b, b'-' | b'_' | b'.')));
    if good {
        return None;
    }
    Some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
         an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn only_subdomains_are_names() {
        for good in
            ["token-8xk2p", "local", "c-m-p66cdvlj", "kubeconfig-u-ann.c-1x9k2f", "0", &"a".repeat(253)]
        {
            assert!(TokenName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a..b", ".", "a:b", "a/b", "ä", "a b", &"a".repeat(254)] {
            assert_eq!(UserId::parse(bad), Err(BadName), "{bad}");
        }
        assert_eq!(ClusterId::parse("local").unwrap().to_string(), "local");
    }

    #[test]
    fn random_names_keep_their_prefix_and_stay_short() {
        let mut zeros = |out: &mut [u8]| out.fill(0);
        assert_eq!(TokenName::random(&mut zeros).as_str(), "token-bbbbb");
        assert_eq!(random_name(&"x".repeat(100), &mut zeros).len(), 63);
        assert_eq!(random_name(&"ä".repeat(100), &mut zeros).chars().count(), 29 + 5);
    }

    #[test]
    fn keys_of_the_system_are_those_of_its_domain_and_the_domains_below() {
        for own in
            ["cattle.io/a", "field.cattle.io/creatorId", "authn.management.cattle.io/kind", "cattle.io/"]
        {
            assert!(is_of_the_system(own), "{own}");
        }
        for other in
            ["mycattle.io/a", "cattle.io", "a", "", "/a", "cattle.io.evil/a", "a/cattle.io/b", "cattle.iox/a"]
        {
            assert!(!is_of_the_system(other), "{other}");
        }
    }

    #[test]
    fn label_values_are_checked_in_kubernetes_words() {
        assert_eq!(bad_label_value(""), None);
        assert_eq!(bad_label_value("kubeconfig"), None);
        assert!(bad_label_value("a b").unwrap().starts_with("a valid label must be"));
        assert_eq!(bad_label_value(&"a".repeat(64)), Some("must be no more than 63 bytes"));
    }
}
