//! URLs: which of them are this server's own, and how queries are changed.

use std::fmt::Write as _;

/// A query as decoded pairs, in their order.
pub type Pairs = [(String, String)];

/// Longest `next` and link that is followed, in bytes.
const LONGEST: usize = 4096;

/// `https://host[:port]` of what the server's own links begin with, and the path that a proxy put before all of ours (mostly empty).
#[must_use]
pub fn split_base(base: &str) -> (&str, &str) {
    let host = base.find("://").map_or(0, |at| at + 3);
    let path = base.get(host..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| host + at);
    base.split_at_checked(path).unwrap_or((base, ""))
}

/// The path (with query) of a URL of this server; `None` for every other text. `base` is what the server's own links begin with.
#[must_use]
pub fn own<'u>(url: &'u str, base: &str) -> Option<&'u str> {
    let ours = url.strip_prefix(base).filter(|_| !base.is_empty())?;
    let served = ours == "/v3" || ours.starts_with("/v3/") || ours.starts_with("/v3?");
    let path = url.strip_prefix(split_base(base).0)?;
    local_path(path).filter(|_| served)
}

/// A path of this server that browsers cannot take for another host's, else `None`: `//evil`, `/\evil`, `https:…`, and what holds
/// controls or spaces are none.
#[must_use]
pub fn local_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('/')?;
    let clean = path.len() <= LONGEST
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'<' && b != b'"');
    (clean && !rest.starts_with('/')).then_some(path)
}

/// A path with a query.
#[must_use]
pub fn with_query<'p>(path: &str, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let query: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// The pairs without those keys.
pub fn without<'p>(pairs: &'p Pairs, keys: &'p [&str]) -> impl Iterator<Item = (&'p str, &'p str)> {
    pairs.iter().filter(|(key, _)| !keys.contains(&key.as_str())).map(|(k, v)| (k.as_str(), v.as_str()))
}

/// Percent-encoding of everything that is not unreserved (RFC 3986).
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Where the filter form leads: it names field, modifier and value apart (`_field`, `_modifier`, `_value`), which is what a form without a script can do, and
/// the API wants `field_modifier=value`. `None` if the query is none of that form.
#[must_use]
pub fn filter_target(path: &str, query: &Pairs) -> Option<String> {
    let one = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, v)| v.trim());
    let field = one("_field")?;
    let value = one("_value").unwrap_or_default();
    let (suffix, many) = match one("_modifier").unwrap_or_default() {
        "ne" => ("_ne", false),
        "in" => ("_in", true),
        "notin" => ("_notin", true),
        _ => ("", false),
    };
    let mut pairs: Vec<(String, String)> = without(query, &["_field", "_modifier", "_value", "marker"])
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    if !field.is_empty() && !field.starts_with('_') {
        let values: Vec<&str> =
            if many { value.split([',', '，']).map(str::trim).collect() } else { vec![value] };
        pairs.extend(values.into_iter().map(|value| (format!("{field}{suffix}"), value.to_owned())));
    }
    Some(with_query(path, pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn only_urls_of_this_server_are_links() {
        let own = |url| own(url, "https://h.example");
        assert_eq!(own("https://h.example/v3/tokens/a?x=1"), Some("/v3/tokens/a?x=1"));
        assert_eq!(own("https://h.example/v3"), Some("/v3"));
        for foreign in [
            "https://evil.example/v3",
            "https://h.example.evil/v3",
            "https://h.example@evil/v3",
            "https://h.example//evil/v3",
            "https://h.example/\\evil",
            "https://h.example/other",
            "https://h.example/v3x",
            "https://h.example/v3/ tokens",
            "https://h.example/v3/\n",
            "https://h.example/v3/\u{202e}",
            "javascript:alert(1)",
            "/v3/tokens",
            "",
        ] {
            assert_eq!(own(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn links_keep_the_path_that_a_proxy_put_before_ours() {
        assert_eq!(split_base("https://h.example:8443"), ("https://h.example:8443", ""));
        assert_eq!(split_base("https://h.example/a/b"), ("https://h.example", "/a/b"));
        assert_eq!(own("https://h.example/a/v3/tokens", "https://h.example/a"), Some("/a/v3/tokens"));
        assert_eq!(own("https://h.example/v3/tokens", "https://h.example/a"), None);
        assert_eq!(own("https://h.example//a/v3", "https://h.example//a"), None);
    }

    #[test]
    fn a_path_that_browsers_take_for_another_host_is_not_local() {
        for path in ["/", "/v3/tokens?limit=2", "/v3/tokens/a#b"] {
            assert_eq!(local_path(path), Some(path));
        }
        for path in [
            "",
            "//evil",
            "/\\evil",
            "\\\\evil",
            "https://evil",
            "evil",
            "/\t/evil",
            "/ /evil",
            "/a\r\nb",
            "javascript:x",
            "/é",
        ] {
            assert_eq!(local_path(path), None, "{path:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn the_filter_form_becomes_the_filter_of_the_api() {
        let to = |all: &[(&str, &str)]| filter_target("/v3/tokens", &pairs(all));
        assert_eq!(to(&[("limit", "5")]), None);
        assert_eq!(
            to(&[
                ("limit", "5"),
                ("marker", "x"),
                ("_field", "description"),
                ("_modifier", "ne"),
                ("_value", "a b")
            ])
            .unwrap(),
            "/v3/tokens?limit=5&description_ne=a%20b"
        );
        assert_eq!(
            to(&[("_field", "name"), ("_modifier", "in"), ("_value", "a, b，c")]).unwrap(),
            "/v3/tokens?name_in=a&name_in=b&name_in=c"
        );
        assert_eq!(to(&[("_field", "")]).unwrap(), "/v3/tokens");
        assert_eq!(to(&[("_field", "_method"), ("_value", "DELETE")]).unwrap(), "/v3/tokens");
    }
}
