//! Whatever clients send, looking for credentials ends, panics nowhere, and finds nobody (G8).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::address::{self, PublicAddress};
use super::impersonation::{Asked, strip};
use super::source::Source;
use super::{cookie, same_origin};
use crate::login::session::Issued;

const NAMES: &[&str] = &[
    "authorization",
    "cookie",
    "origin",
    "referer",
    "host",
    "x-forwarded-host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-api-url-prefix",
    "x-api-csrf",
    "impersonate-user",
    "impersonate-group",
    "impersonate-extra-%41%zz",
    "x-remote-user",
    "connection",
];

fn headers() -> impl Strategy<Value = HeaderMap> {
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        "(Bearer|Basic|R_SESS=|CSRF=|https://)?[ -~]{0,40}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec((0..NAMES.len(), value), 0..8).prop_map(|pairs| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(NAMES[name]), value);
            }
        }
        headers
    })
}

proptest! {
    #[test]
    fn reading_credentials_never_panics(headers in headers()) {
        let source = Source::of(&headers);
        prop_assert!(source.text().is_none_or(|text| !text.is_empty() && text.len() <= 4096));
        let _ = cookie::value(&headers, cookie::CSRF);
        let _ = Asked::parse(&headers);
    }

    #[test]
    fn addresses_are_always_usable_in_links(headers in headers(), trusted in any::<bool>()) {
        let ranges = if trusted { vec!["0.0.0.0/0".parse().unwrap()] } else { Vec::new() };
        let peer = "1.2.3.4".parse().unwrap();
        let own = PublicAddress::of(&headers, &Uri::from_static("/v3"), peer, &ranges, String::new);
        prop_assert!(own.base().parse::<Uri>().is_ok(), "{}", own.base());
        prop_assert!(!own.base().contains(['"', '<', '>', ' ', '@']), "{}", own.base());
        let client = address::client(&headers, peer, &ranges);
        prop_assert!(trusted || client == peer);
        // Nobody gets past the rule without a header that names us.
        let named = headers.contains_key("origin") || headers.contains_key("referer") || headers.contains_key("x-api-csrf");
        prop_assert!(named || !same_origin::allows(&Method::POST, "", &headers, &own, ""));
    }

    #[test]
    fn claims_of_identity_are_always_stripped(mut headers in headers()) {
        strip(&mut headers);
        for name in headers.keys().map(HeaderName::as_str) {
            let claims = name == "authorization" || name.starts_with("impersonate-") || name.starts_with("x-remote-");
            prop_assert!(!claims, "{}", name);
        }
    }
}

#[test]
fn an_issued_token_shows_no_secret_when_printed() {
    let issued = Issued {
        name: "token-a".into(),
        bearer: eartag_core::PlainSecret::new("token-a:hunter2"),
        expires_at: String::new(),
    };
    assert!(!format!("{issued:?}").contains("hunter2"));
}
