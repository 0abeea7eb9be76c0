//! Where a request carries its credential (v3-token.md §4.1, ext-token.md §8): the `Authorization` header alone if there is one, else the session cookie.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::zeroize::Zeroizing;

use super::cookie;

/// Longer credentials are none of ours; ours have about 80 bytes.
const MAX_CREDENTIAL: usize = 4096;

/// Both alphabets are tolerated, with padding and without: the reference decodes URL-safe, every client encodes standard.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request presents, before anything of it is believed.
pub enum Source {
    /// `Authorization: Bearer …`: the text after the scheme.
    Bearer(Zeroizing<String>),
    /// `Authorization: Basic …`: the decoded `name:secret`.
    Basic(Zeroizing<String>),
    /// The session cookie's value, as it is.
    Cookie(Zeroizing<String>),
    /// There is an `Authorization` header, and it holds nothing of ours: refused, whatever else the request carries.
    Unusable,
    /// Neither header nor cookie.
    Nothing,
}

impl Source {
    /// Looks at the headers. The cookie counts only where there is no (or a blank) `Authorization` header.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Source {
        let mut present =
            headers.get_all(AUTHORIZATION).iter().filter(|v| !v.as_bytes().trim_ascii().is_empty());
        if let Some(value) = present.next() {
            // Two headers may mean different things to us and to what stands before us, so they mean nothing.
            return if present.next().is_some() { Source::Unusable } else { from_header(value.as_bytes()) };
        }
        match cookie::value(headers, cookie::SESSION) {
            Some(value) if value.len() > MAX_CREDENTIAL => Source::Unusable,
            Some(value) if !value.is_empty() => Source::Cookie(Zeroizing::new(value.to_owned())),
            _ => Source::Nothing,
        }
    }

    /// The credential's text, `[ext/]name:secret`.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Source::Bearer(text) | Source::Basic(text) | Source::Cookie(text) => Some(text.as_str()),
            Source::Unusable | Source::Nothing => None,
        }
    }

    /// The word for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Source::Bearer(_) => "bearer",
            Source::Basic(_) => "basic",
            Source::Cookie(_) => "cookie",
            Source::Unusable => "unusable",
            Source::Nothing => "none",
        }
    }
}

fn from_header(value: &[u8]) -> Source {
    let Ok(text) = std::str::from_utf8(value.trim_ascii()) else { return Source::Unusable };
    let Some((scheme, rest)) = text.split_once([' ', '\t']) else { return Source::Unusable };
    let rest = rest.trim();
    if rest.is_empty() || rest.len() > MAX_CREDENTIAL {
        return Source::Unusable;
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Source::Bearer(Zeroizing::new(rest.to_owned()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return decoded(rest).map_or(Source::Unusable, Source::Basic);
    }
    Source::Unusable
}

fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let standard: Zeroizing<String> = Zeroizing::new(
        text.chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                c => c,
            })
            .collect(),
    );
    let bytes = LENIENT.decode(standard.as_bytes()).ok()?;
    String::from_utf8(bytes).ok().map(Zeroizing::new).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> (&'static str, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let source = Source::of(&headers);
        (source.label(), source.text().unwrap_or_default().to_owned())
    }

    fn seen(label: &'static str, text: &str) -> (&'static str, String) {
        (label, text.to_owned())
    }

    #[test]
    fn the_scheme_is_compared_without_case() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(
                of(&[("authorization", &format!("{scheme}   ext/token-a:b "))]),
                seen("bearer", "ext/token-a:b")
            );
        }
        assert_eq!(of(&[("authorization", "bAsIc dG9rZW4tYTpi")]), seen("basic", "token-a:b"));
    }

    #[test]
    fn basic_takes_both_alphabets_with_and_without_padding() {
        // "ext/token-x:??>>" has '+', '/' and padding in the standard alphabet.
        for text in ["ZXh0L3Rva2VuLXg6Pz8+Pg==", "ZXh0L3Rva2VuLXg6Pz8-Pg==", "ZXh0L3Rva2VuLXg6Pz8-Pg"] {
            assert_eq!(of(&[("authorization", &format!("Basic {text}"))]), seen("basic", "ext/token-x:??>>"));
        }
        for bad in ["%%%", "Zg=g", "_w=="] {
            assert_eq!(of(&[("authorization", &format!("Basic {bad}"))]).0, "unusable", "{bad}");
        }
    }

    #[test]
    fn a_present_header_is_never_followed_by_the_cookie() {
        for header in ["Digest x", "Bearer", "Bearer ", "Basic", "garbage", "Negotiate abc", "Bearer\u{a0}x"]
        {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", http::HeaderValue::from_bytes(header.as_bytes()).unwrap());
            headers.insert("cookie", "R_SESS=token-a:b".parse().unwrap());
            assert_eq!(Source::of(&headers).label(), "unusable", "{header:?}");
        }
        assert_eq!(of(&[("authorization", "Bearer a:b"), ("authorization", "Bearer c:d")]).0, "unusable");
    }

    #[test]
    fn the_cookie_counts_where_the_header_is_absent_or_blank() {
        assert_eq!(of(&[("cookie", "a=1; R_SESS=token-a:b; b=2")]), seen("cookie", "token-a:b"));
        assert_eq!(
            of(&[("authorization", "  "), ("cookie", "R_SESS=token-a:b")]),
            seen("cookie", "token-a:b")
        );
        assert_eq!(of(&[("cookie", "R_SESS=")]).0, "none");
        assert_eq!(of(&[]).0, "none");
    }

    #[test]
    fn endless_credentials_are_refused_unread() {
        let long = "x".repeat(MAX_CREDENTIAL + 1);
        assert_eq!(of(&[("authorization", &format!("Bearer {long}"))]).0, "unusable");
        assert_eq!(of(&[("authorization", &format!("Basic {long}"))]).0, "unusable");
        assert_eq!(of(&[("cookie", &format!("R_SESS={long}"))]).0, "unusable");
    }
}
