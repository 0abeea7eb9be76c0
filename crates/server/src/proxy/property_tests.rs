//! DEC57: whatever a client sends, the identity passed on is the caller's or less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use eartag_apiserver::user::UserInfo;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::route::Protocol;
use super::{headers, identity};

/// What a server behind us makes of the headers: by the letter, or (as behind CGI) with `_` for `-`.
#[derive(Debug, Default)]
struct Seen {
    users: Vec<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
    others: Vec<String>,
}

fn seen(headers: &HeaderMap, by_the_letter: bool) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in headers {
        let name = if by_the_letter { name.to_string() } else { name.as_str().replace('_', "-") };
        // Go cuts blanks off.
        let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
        match name.as_str() {
            "impersonate-user" => seen.users.push(value),
            "impersonate-group" => seen.groups.push(value),
            name if name.starts_with("impersonate-extra-") => {
                let key = percent_decode_str(&name["impersonate-extra-".len()..]).decode_utf8_lossy();
                seen.extra.entry(key.to_lowercase()).or_default().push(value);
            }
            name if name.starts_with("impersonate-")
                || name.starts_with("x-remote-")
                || ["authorization", "cookie", "proxy-authorization"].contains(&name) =>
            {
                seen.others.push(name.to_owned());
            }
            _ => {}
        }
    }
    seen
}

fn name() -> impl Strategy<Value = HeaderName> {
    let known = prop::sample::select(vec![
        "Impersonate-User",
        "impersonate_user",
        "IMPERSONATE-GROUP",
        "Impersonate_Group",
        "Impersonate-Uid",
        "Impersonate-Extra-Scopes",
        "Impersonate_Extra_Scopes",
        "Impersonate-Extra-%53copes",
        "Impersonate-",
        "X-Remote-User",
        "X_Remote-Group",
        "X-Remote-Extra-A",
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Connection",
        "Upgrade",
        "TE",
        "Trailer",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "X-Forwarded-For",
        "Accept",
        "X-Other",
    ])
    .prop_map(str::to_owned);
    let any = "[-!#$%&'*+.^_`|~0-9A-Za-z]{1,30}";
    let claim = "([Ii][Mm]personate|X[-_]REMOTE|x[-_]remote)[-_][-_a-zA-Z%0-9]{0,12}";
    prop_oneof![4 => known, 1 => any, 2 => claim].prop_map(|name| HeaderName::try_from(name).unwrap())
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let text = prop::sample::select(vec![
        "admin",
        "system:masters",
        " system:masters",
        "system:admin",
        "close, Impersonate-User, impersonate-group",
        "Impersonate-User",
        "upgrade, impersonate-extra-principalid",
        "trailers",
        "websocket",
        "",
    ]);
    prop_oneof![3 => text.prop_map(str::to_owned), 1 => "[ -~\u{80}-\u{ff}]{0,20}"]
        .prop_filter_map("no header's value", |text| HeaderValue::from_bytes(text.as_bytes()).ok())
}

fn client() -> impl Strategy<Value = HeaderMap> {
    prop::collection::vec((name(), value()), 0..12).prop_map(|pairs| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    })
}

fn caller() -> impl Strategy<Value = UserInfo> {
    let text =
        || prop_oneof![4 => "[a-z]{1,6}", 1 => "(system:)?[a-z]{0,6}", 1 => "[ a-z\r\n\u{a0}%:,]{0,6}"];
    let groups = prop_oneof![
        Just("system:authenticated".to_owned()),
        Just("system:cattle:authenticated".to_owned()),
        Just("system:masters".to_owned()),
        text(),
    ];
    let extra =
        prop::collection::btree_map("[a-z./% \u{e0}_-]{1,8}", prop::collection::vec(text(), 0..3), 0..3);
    (text(), prop::collection::vec(groups, 0..4), extra).prop_map(|(name, groups, extra)| UserInfo {
        name,
        groups,
        extra,
        uid: "its-uid".to_owned(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_identity_passed_on_is_never_more_than_the_callers(
        client in client(),
        caller in caller(),
        upgrade in prop::option::of(prop::sample::select(vec![Protocol::Spdy, Protocol::WebSocket])),
    ) {
        let Ok(identity) = identity::headers(&caller) else {
            let refusable = |text: &str| text.is_empty() || text.trim() != text || text.contains(['\r', '\n']);
            prop_assert!(
                caller.name.starts_with("system:")
                    || refusable(&caller.name)
                    || caller.groups.iter().any(|group| refusable(group))
                    || caller.extra.values().flatten().any(|value| refusable(value)),
                "a decent caller was refused"
            );
            return Ok(());
        };
        let sent = headers::there(&client, identity, Ipv4Addr::LOCALHOST.into(), upgrade);
        for by_the_letter in [true, false] {
            let seen = seen(&sent, by_the_letter);
            prop_assert_eq!(&seen.users, std::slice::from_ref(&caller.name));
            prop_assert!(!caller.name.starts_with("system:"));
            for group in &seen.groups {
                prop_assert!(caller.groups.contains(group), "{group}");
                prop_assert!(!group.starts_with("system:") || group.ends_with("authenticated"), "{group}");
            }
            for (key, values) in &seen.extra {
                // Servers that go by CGI's names may misread the keys of ours, never find a value that is not ours.
                let ours = |value: &String| match by_the_letter {
                    true => caller.extra.get(key).is_some_and(|ours| ours.contains(value)),
                    false => caller.extra.values().flatten().any(|ours| ours == value),
                };
                prop_assert!(values.iter().all(ours), "{key}: {values:?}");
            }
            prop_assert!(seen.others.is_empty(), "{:?}", seen.others);
        }
        // Nobody on the way is asked to drop what is ours.
        for value in sent.get_all("connection") {
            prop_assert_eq!(value, "Upgrade");
        }
        prop_assert_eq!(sent.get_all("connection").iter().count(), usize::from(upgrade.is_some()));
        // And nothing of it can come afterwards.
        let trailers = seen(&headers::trailers_there(client), false);
        prop_assert!(trailers.users.is_empty() && trailers.groups.is_empty() && trailers.extra.is_empty());
        prop_assert!(trailers.others.is_empty());
    }
}
