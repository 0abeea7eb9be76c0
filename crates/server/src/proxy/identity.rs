//! The caller as the cluster sees them: `Impersonate-*` headers (DEC45, DEC57).
//!
//! What is passed on is the caller's or less. Identities and groups of `system:` are this server's own; in another cluster they would be somebody else's, so
//! of the groups only the two that say "authenticated" go on, and a user of that kind does not go on at all.

use eartag_apiserver::user::{AUTHENTICATED, UserInfo};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::failure::Failure;
use crate::authn::CATTLE_AUTHENTICATED;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const EXTRA: &str = "impersonate-extra-";
const RESERVED: &str = "system:";
/// Characters of an extra's key that a header name holds as they are; Kubernetes decodes the others.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The headers that carry this identity.
///
/// # Errors
/// [`Failure::Identity`] when it is none, is one of `system:`, or would arrive as another one.
pub fn headers(user: &UserInfo) -> Result<HeaderMap, Failure> {
    if user.name.starts_with(RESERVED) {
        return Err(Failure::Identity(
            "identities that begin with \"system:\" are not passed on to other clusters; log in as a user",
        ));
    }
    let mut headers = HeaderMap::new();
    headers.insert(USER, value(&user.name)?);
    for group in &user.groups {
        if !group.starts_with(RESERVED) || [AUTHENTICATED, CATTLE_AUTHENTICATED].contains(&group.as_str()) {
            headers.append(GROUP, value(group)?);
        }
    }
    for (key, values) in &user.extra {
        let name = format!("{EXTRA}{}", utf8_percent_encode(key, KEY)).to_lowercase();
        let name = HeaderName::try_from(name).map_err(|_| unsendable())?;
        for text in values {
            headers.append(name.clone(), value(text)?);
        }
    }
    Ok(headers)
}

/// Servers cut blanks off a header's value, and an empty one is none: such a name would arrive as another one.
fn value(text: &str) -> Result<HeaderValue, Failure> {
    if text.is_empty() || text.trim() != text {
        return Err(unsendable());
    }
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| unsendable())
}

fn unsendable() -> Failure {
    Failure::Identity(
        "the caller's identity cannot be passed on: it is empty, or holds what no header can carry",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        UserInfo { name: name.to_owned(), groups, ..UserInfo::default() }
    }

    #[test]
    fn a_user_goes_on_with_groups_and_extras() {
        let mut who = user("user-a", &["system:authenticated", "system:cattle:authenticated", "dev"]);
        who.uid = "7".into();
        who.extra.insert("principalid".into(), vec!["local://user-a".into()]);
        who.extra.insert("example.com/a b%ü".into(), vec!["1".into(), "2".into()]);
        let headers = headers(&who).unwrap();
        let all = |name: &str| {
            headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(all("impersonate-user"), ["user-a"]);
        assert_eq!(all("impersonate-group"), ["system:authenticated", "system:cattle:authenticated", "dev"]);
        assert_eq!(all("impersonate-extra-principalid"), ["local://user-a"]);
        assert_eq!(all("impersonate-extra-example.com%2fa%20b%25%c3%bc"), ["1", "2"]);
    }

    #[test]
    fn powers_of_this_server_are_not_lent_to_clusters() {
        let headers = headers(&user("ops", &["system:masters", "system:nodes", "dev"])).unwrap();
        assert_eq!(headers.get_all(GROUP).iter().collect::<Vec<_>>(), ["dev"]);
        for name in ["system:admin", "system:serviceaccount:a:b", "system:"] {
            assert!(matches!(super::headers(&user(name, &[])), Err(Failure::Identity(_))), "{name}");
        }
    }

    #[test]
    fn without_an_identity_nothing_is_passed_on() {
        for name in ["", " ", " admin", "admin\t", "a\nImpersonate-User: b", "a\0", "\u{a0}admin"] {
            assert!(matches!(headers(&user(name, &[])), Err(Failure::Identity(_))), "{name:?}");
        }
        assert!(headers(&user("a", &["", "b"])).is_err());
        assert!(headers(&user("a", &[" system:masters"])).is_err());
    }
}
