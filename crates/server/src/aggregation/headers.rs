//! Whom a front proxy speaks for: the headers in which it says so (kubernetes-api.md A11), read as Kubernetes' own servers read them.
//!
//! Whether the headers may be believed at all is decided before, by the certificate of the connection; from anybody else they are never looked at.

use eartag_apiserver::user::{AUTHENTICATED, UserInfo};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// The name and the group of nobody.
const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The names of the headers, in lower case, in the order in which they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderNames {
    user: Vec<HeaderName>,
    uid: Vec<HeaderName>,
    group: Vec<HeaderName>,
    extra_prefix: Vec<String>,
}

/// Headers that a front proxy would not send; the text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeaders {
    /// A user or uid twice: which one is meant?
    #[error("it names more than one user or uid")]
    Twice,
    /// Not UTF-8.
    #[error("a header that names an identity is not UTF-8")]
    NotText,
}

impl HeaderNames {
    /// These names; case does not count. What can be no header's name is never sent.
    #[must_use]
    pub fn new(user: &[String], uid: &[String], group: &[String], extra_prefix: &[String]) -> HeaderNames {
        let names = |names: &[String]| {
            names.iter().filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect()
        };
        let prefixes = extra_prefix.iter().map(|prefix| prefix.trim().to_ascii_lowercase());
        HeaderNames {
            user: names(user),
            uid: names(uid),
            group: names(group),
            // With an empty prefix every header would be an extra.
            extra_prefix: prefixes.filter(|prefix| !prefix.is_empty()).collect(),
        }
    }

    /// Whom the headers name; `None` if nobody.
    ///
    /// # Errors
    /// [`BadHeaders`]: nothing of them may be believed then.
    pub fn identity(&self, headers: &HeaderMap) -> Result<Option<UserInfo>, BadHeaders> {
        let name = first(&self.user, headers)?;
        if name.is_empty() {
            return Ok(None);
        }
        let mut user = UserInfo { name, uid: first(&self.uid, headers)?, ..UserInfo::default() };
        for value in self.group.iter().flat_map(|name| headers.get_all(name)) {
            let group = text(value)?;
            if !group.is_empty() && !user.in_group(&group) {
                user.groups.push(group);
            }
        }
        for (name, value) in headers {
            let key = self.extra_prefix.iter().find_map(|prefix| name.as_str().strip_prefix(prefix.as_str()));
            if let Some(key) = key.filter(|key| !key.is_empty()) {
                user.extra.entry(decoded(key)).or_default().push(text(value)?);
            }
        }
        // The special callers come without any group, and what they may do they may as somebody who is known (A25).
        let settled =
            user.name == ANONYMOUS || user.in_group(AUTHENTICATED) || user.in_group(UNAUTHENTICATED);
        if !settled {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        Ok(Some(user))
    }
}

/// The value of the first of these headers that has one.
fn first(names: &[HeaderName], headers: &HeaderMap) -> Result<String, BadHeaders> {
    for name in names {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(BadHeaders::Twice);
        }
        let value = text(value)?;
        if !value.is_empty() {
            return Ok(value);
        }
    }
    Ok(String::new())
}

fn text(value: &HeaderValue) -> Result<String, BadHeaders> {
    std::str::from_utf8(value.as_bytes()).map(str::to_owned).map_err(|_| BadHeaders::NotText)
}

/// The key of an extra: a header's name cannot hold every character, so others come percent-encoded. What does not decode is the key as it is.
fn decoded(key: &str) -> String {
    let well_formed = key
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    let text = percent_decode_str(key).decode_utf8();
    text.ok().filter(|_| well_formed).map_or_else(|| key.to_owned(), |text| text.to_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn names() -> HeaderNames {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        HeaderNames::new(
            &list(&["X-Remote-User", "X-Other-User"]),
            &list(&["X-Remote-Uid"]),
            &list(&["X-Remote-Group"]),
            &list(&["X-Remote-Extra-", ""]),
        )
    }

    fn identity(pairs: &[(&'static str, &[u8])]) -> Result<Option<UserInfo>, BadHeaders> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        names().identity(&headers)
    }

    #[test]
    fn a_front_proxy_names_user_uid_groups_and_extras() {
        let user = identity(&[
            ("x-remote-user", b"user-abcde"),
            ("x-remote-uid", b"42"),
            ("x-remote-group", b"dev"),
            ("x-remote-group", b"ops"),
            ("x-remote-group", b"dev"),
            ("x-remote-group", b"system:authenticated"),
            ("x-remote-extra-requesttokenid", b"token-abcde"),
            ("x-remote-extra-ext.cattle.io%2fscopes", b"a"),
            ("x-remote-extra-ext.cattle.io%2fscopes", b"b%2F"),
            ("x-remote-extra-", b"nothing"),
            ("x-forwarded-for", b"10.0.0.1"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("user-abcde", "42"));
        assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
        assert_eq!(user.extra["requesttokenid"], ["token-abcde"]);
        // Keys are decoded, values are as they are.
        assert_eq!(user.extra["ext.cattle.io/scopes"], ["a", "b%2F"]);
        assert_eq!(user.extra.len(), 2);
    }

    #[test]
    fn a_key_that_does_not_decode_is_the_key() {
        for (sent, key) in [
            ("x-remote-extra-a%zz", "a%zz"),
            ("x-remote-extra-a%2", "a%2"),
            ("x-remote-extra-a%ff", "a%ff"),
            ("x-remote-extra-%41", "a"),
        ] {
            let user = identity(&[("x-remote-user", b"u"), (sent, b"v")]).unwrap().unwrap();
            assert_eq!(user.extra.keys().collect::<Vec<_>>(), [key]);
        }
    }

    #[test]
    fn the_first_header_with_a_value_names_the_user() {
        let name = |pairs: &[(&'static str, &[u8])]| identity(pairs).unwrap().map(|user| user.name);
        assert_eq!(name(&[("x-other-user", b"b")]), Some("b".into()));
        assert_eq!(name(&[("x-other-user", b"b"), ("x-remote-user", b"a")]), Some("a".into()));
        assert_eq!(name(&[("x-other-user", b"b"), ("x-remote-user", b"")]), Some("b".into()));
        assert_eq!(name(&[("x-remote-group", b"system:masters")]), None);
        assert_eq!(HeaderNames::default().identity(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn who_is_known_is_among_the_authenticated_also_without_groups() {
        let groups = |pairs: &[(&'static str, &[u8])]| identity(pairs).unwrap().unwrap().groups;
        assert_eq!(groups(&[("x-remote-user", b"system:kube-aggregator")]), ["system:authenticated"]);
        assert_eq!(
            groups(&[("x-remote-user", b"system:anonymous"), ("x-remote-group", b"system:unauthenticated")]),
            ["system:unauthenticated"]
        );
        assert_eq!(groups(&[("x-remote-user", b"system:anonymous")]), [""; 0]);
    }

    #[test]
    fn headers_that_say_two_things_say_nothing() {
        assert_eq!(identity(&[("x-remote-user", b"a"), ("x-remote-user", b"b")]), Err(BadHeaders::Twice));
        assert_eq!(
            identity(&[("x-remote-user", b"a"), ("x-remote-uid", b"1"), ("x-remote-uid", b"2")]),
            Err(BadHeaders::Twice)
        );
        assert_eq!(identity(&[("x-remote-user", b"\xff")]), Err(BadHeaders::NotText));
        assert_eq!(
            identity(&[("x-remote-user", b"a"), ("x-remote-group", b"\xff")]),
            Err(BadHeaders::NotText)
        );
    }
}
