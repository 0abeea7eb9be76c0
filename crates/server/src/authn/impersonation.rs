//! Acting as somebody else: the `Impersonate-*` headers (kubernetes-api.md §8.2, DEC57).
//!
//! Each element asked for (the user, every group, the uid, every extra) is authorised on its own for the real caller, by its exact name. Nothing that begins
//! with `system:` can be asked for at all, whatever the roles say: those identities are the server's own.

use std::collections::BTreeMap;

use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{AUTHENTICATED, Attributes, Authorizer, Decision, UserInfo};
use http::{HeaderMap, HeaderName};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const PREFIX: &str = "impersonate-";
const RESERVED: &str = "system:";
/// Elements that one request may ask for; each costs a question to the authorizer.
const MAX_ELEMENTS: usize = 64;

/// The identity that a request asks to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Asked {
    /// Reads the headers; `None` if there are none of them.
    ///
    /// # Errors
    /// 400 for headers that make no sense.
    pub fn parse(headers: &HeaderMap) -> Result<Option<Asked>, Refusal> {
        let mut asked = Asked::default();
        let mut elements = Vec::new();
        for (name, value) in headers {
            let name = name.as_str();
            if !name.starts_with(PREFIX) {
                continue;
            }
            let value = std::str::from_utf8(value.as_bytes())
                .map_err(|_| Refusal::BadRequest(format!("the header {name} is not UTF-8")))?;
            if elements.len() >= MAX_ELEMENTS {
                return Err(Refusal::BadRequest(format!(
                    "more than {MAX_ELEMENTS} elements of impersonation"
                )));
            }
            match name {
                USER if asked.user.is_empty() => value.clone_into(&mut asked.user),
                UID if asked.uid.is_empty() => value.clone_into(&mut asked.uid),
                USER | UID => return Err(Refusal::BadRequest(format!("the header {name} is given twice"))),
                GROUP => asked.groups.push(value.to_owned()),
                _ => {
                    let Some(key) = name.strip_prefix(EXTRA).and_then(extra_key) else {
                        return Err(Refusal::BadRequest(format!("the header {name} means nothing here")));
                    };
                    asked.extra.entry(key).or_default().push(value.to_owned());
                }
            }
            elements.push(format!("{}: {value}", name.trim_start_matches(PREFIX)));
        }
        if elements.is_empty() {
            return Ok(None);
        }
        if asked.user.is_empty() {
            let elements = elements.join(", ");
            return Err(Refusal::BadRequest(format!("requested [{elements}] without impersonating a user")));
        }
        Ok(Some(asked))
    }

    /// The identity to act as, if the real caller may.
    ///
    /// # Errors
    /// 403 that names the element which is refused; 500 if the authorizer cannot say.
    pub async fn authorize(self, real: &UserInfo, authorizer: &dyn Authorizer) -> Result<UserInfo, Refusal> {
        for wants in self.attributes() {
            let shown = shown(&wants);
            if wants.name.starts_with(RESERVED) {
                return Err(Refusal::ForbiddenText(format!(
                    "{shown} {:?} is forbidden: what begins with \"{RESERVED}\" cannot be impersonated",
                    wants.name
                )));
            }
            match authorizer.authorize(real, &wants).await {
                Decision::Allow => {}
                Decision::Deny(_) => {
                    return Err(Refusal::ForbiddenText(format!(
                        "{shown} {:?} is forbidden: User {:?} cannot impersonate resource {shown:?} in API group {:?} at the cluster scope",
                        wants.name, real.name, wants.group
                    )));
                }
                Decision::Error(error) => {
                    tracing::error!(%error, "the authorizer could not decide about an impersonation");
                    return Err(Refusal::Internal("authorization is not available".to_owned()));
                }
            }
        }
        let mut groups: Vec<String> = Vec::new();
        for group in self.groups.into_iter().chain([AUTHENTICATED.to_owned()]) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(UserInfo { name: self.user, uid: self.uid, groups, extra: self.extra })
    }

    fn attributes(&self) -> Vec<Attributes> {
        const AUTHENTICATION: &str = "authentication.k8s.io";
        let wants = |group: &str, resource: &str, name: &str| {
            Attributes::resource("impersonate", group, resource, name)
        };
        let mut all = vec![wants("", "users", &self.user)];
        all.extend(self.groups.iter().map(|group| wants("", "groups", group)));
        if !self.uid.is_empty() {
            all.push(wants(AUTHENTICATION, "uids", &self.uid));
        }
        for (key, values) in &self.extra {
            all.extend(values.iter().map(|value| Attributes {
                subresource: key.clone(),
                ..wants(AUTHENTICATION, "userextras", value)
            }));
        }
        all
    }
}

/// Removes every header that claims an identity: what goes on to handlers and proxies is what we found out ourselves (kubernetes-api.md A24, DEC57).
pub fn strip(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name == "authorization" || name.starts_with(PREFIX) || name.starts_with("x-remote-")
        })
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}

fn shown(wants: &Attributes) -> String {
    let mut shown = wants.resource.clone();
    for (mark, part) in [("/", &wants.subresource), (".", &wants.group)] {
        if !part.is_empty() {
            shown.push_str(mark);
            shown.push_str(part);
        }
    }
    shown
}

/// The key of an extra: percent-decoded (a header name cannot hold every character) and in lower case.
fn extra_key(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    let key = String::from_utf8(bytes).ok()?.to_lowercase();
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use async_trait::async_trait;
    use eartag_apiserver::user::GrantedRule;

    use super::*;

    /// Allows what is in the list, as `resource[/sub]:name`.
    struct Allows(&'static [&'static str]);

    #[async_trait]
    impl Authorizer for Allows {
        async fn authorize(&self, _: &UserInfo, wants: &Attributes) -> Decision {
            assert_eq!(wants.verb, "impersonate");
            let asked = format!("{}:{}", shown(wants), wants.name);
            if self.0.contains(&asked.as_str()) || self.0.contains(&"*") {
                Decision::Allow
            } else {
                Decision::Deny(String::new())
            }
        }
        async fn rules(&self, _: &UserInfo) -> Vec<GrantedRule> {
            Vec::new()
        }
    }

    fn parse(pairs: &[(&'static str, &str)]) -> Result<Option<Asked>, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Asked::parse(&headers)
    }

    async fn act(
        pairs: &[(&'static str, &str)],
        allowed: &'static [&'static str],
    ) -> Result<UserInfo, Refusal> {
        let real = UserInfo { name: "user-real".into(), ..UserInfo::default() };
        parse(pairs)?.unwrap().authorize(&real, &Allows(allowed)).await
    }

    #[test]
    fn without_the_headers_nothing_is_asked() {
        assert_eq!(parse(&[("authorization", "Bearer x")]), Ok(None));
    }

    #[test]
    fn everything_but_the_user_needs_the_user() {
        for header in ["impersonate-group", "impersonate-uid", "impersonate-extra-scopes"] {
            let Err(Refusal::BadRequest(text)) = parse(&[(header, "x")]) else { panic!("{header}") };
            assert!(
                text.starts_with("requested [") && text.ends_with("] without impersonating a user"),
                "{text}"
            );
        }
        assert!(parse(&[("impersonate-user", "")]).is_err());
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        assert!(parse(&[("impersonate-user", "a"), ("impersonate-user", "b")]).is_err());
        assert!(parse(&[("impersonate-user", "a"), ("impersonate-extra-%zz", "b")]).is_err());
        assert!(parse(&[("impersonate-user", "a"), ("impersonate-usr", "b")]).is_err());
        let many: Vec<_> =
            (0..100).map(|_| ("impersonate-group", "g")).chain([("impersonate-user", "a")]).collect();
        assert!(parse(&many).is_err());
    }

    #[tokio::test]
    async fn each_element_is_authorised_by_its_exact_name() {
        let pairs = [
            ("impersonate-user", "user-b"),
            ("impersonate-group", "dev"),
            ("impersonate-uid", "7"),
            ("impersonate-extra-example.com%2FScopes", "view"),
        ];
        let all: &[&str] = &[
            "users:user-b",
            "groups:dev",
            "uids.authentication.k8s.io:7",
            "userextras/example.com/scopes.authentication.k8s.io:view",
        ];
        let user = act(&pairs, all).await.unwrap();
        assert_eq!(user.name, "user-b");
        assert_eq!(user.uid, "7");
        assert_eq!(user.groups, ["dev", "system:authenticated"]);
        assert_eq!(user.extra["example.com/scopes"], ["view"]);
        for missing in [&["groups:dev"] as &[&str], &["users:user-b"], &["users:user-b", "groups:dev"]] {
            let allowed: &'static [&'static str] = Box::leak(missing.to_vec().into_boxed_slice());
            assert!(matches!(act(&pairs, allowed).await, Err(Refusal::ForbiddenText(_))));
        }
    }

    #[tokio::test]
    async fn the_refusal_names_the_resource() {
        let Err(Refusal::ForbiddenText(text)) = act(&[("impersonate-user", "user-b")], &[]).await else {
            panic!()
        };
        assert_eq!(
            text,
            "users \"user-b\" is forbidden: User \"user-real\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
        );
    }

    #[tokio::test]
    async fn the_systems_own_identities_are_never_lent() {
        for pairs in [
            &[("impersonate-user", "system:admin")] as &[_],
            &[("impersonate-user", "system:serviceaccount:a:b")],
            &[("impersonate-user", "user-b"), ("impersonate-group", "system:masters")],
        ] {
            let Err(Refusal::ForbiddenText(text)) = act(pairs, &["*"]).await else { panic!() };
            assert!(text.ends_with("what begins with \"system:\" cannot be impersonated"), "{text}");
        }
    }

    #[test]
    fn claims_of_identity_do_not_reach_handlers() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "impersonate-user",
            "impersonate-extra-a",
            "x-remote-user",
            "x-remote-extra-b",
            "accept",
        ] {
            headers.insert(name, "x".parse().unwrap());
        }
        headers.insert("connection", "x-remote-user".parse().unwrap());
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "connection"]);
    }
}
