//! DEC54: a cookie is sent by the browser on its own, so with one an unsafe request also has to show that a page of ours made it.
//!
//! Either its `Origin` (or `Referer`, where browsers leave `Origin` out) is ours, or it repeats the CSRF cookie in a header, which pages of other origins can
//! neither read nor set. The query may repeat it too, as in the reference, but only where nothing says that the request comes from elsewhere: a form of a
//! neighbouring host that could plant cookies could fill in a query as well.

use eartag_apiserver::http::query::Query;
use http::header::{CONNECTION, ORIGIN, REFERER, UPGRADE};
use http::{HeaderMap, Method};

use super::address::PublicAddress;
use super::cookie;

/// Whether a request with a session cookie may go on. `own` is the request's own address, `server_url` the configured one (or empty).
#[must_use]
pub fn allows(
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    own: &PublicAddress,
    server_url: &str,
) -> bool {
    if is_safe(method) && !is_upgrade(headers) {
        return true;
    }
    let header = headers.get(cookie::CSRF_HEADER).and_then(|v| v.to_str().ok()).unwrap_or_default();
    is_csrf_token(headers, header)
        || comes_from_us(headers, own, server_url)
        || (may_be_ours(headers, own, server_url)
            && is_csrf_token(headers, Query::parse(query).get(cookie::CSRF)))
}

/// Whether nothing says that the request comes from somebody else's page. Clients that are no browsers say nothing at all.
#[must_use]
pub fn may_be_ours(headers: &HeaderMap, own: &PublicAddress, server_url: &str) -> bool {
    (!headers.contains_key(ORIGIN) && !headers.contains_key(REFERER))
        || comes_from_us(headers, own, server_url)
}

/// Whether this repeats the CSRF cookie.
fn is_csrf_token(headers: &HeaderMap, repeated: &str) -> bool {
    let token = cookie::value(headers, cookie::CSRF).unwrap_or_default();
    cookie::is(token, repeated)
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// WebSocket and SPDY handshakes are GETs that open a two-way channel. (Their HTTP/2 form is a CONNECT, which is not safe anyway.)
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        || headers.get_all(CONNECTION).iter().any(|value| {
            value.to_str().is_ok_and(|v| v.split(',').any(|item| item.trim().eq_ignore_ascii_case("upgrade")))
        })
}

fn comes_from_us(headers: &HeaderMap, own: &PublicAddress, server_url: &str) -> bool {
    let from = match headers.get(ORIGIN) {
        // `null` and anything else that is no URL is nobody's origin; the Referer is not asked then.
        Some(origin) => origin.to_str().ok().and_then(PublicAddress::parse),
        None => headers.get(REFERER).and_then(|r| r.to_str().ok()).and_then(PublicAddress::parse),
    };
    let Some(from) = from else { return false };
    from.same_origin(own) || PublicAddress::parse(server_url).is_some_and(|server| from.same_origin(&server))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn ask(method: Method, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let own = PublicAddress::parse("https://a.example:8443").unwrap();
        allows(&method, "action=x&CSRF=abc", &headers, &own, "https://server.example/")
    }

    #[test]
    fn safe_methods_need_nothing() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(ask(method, &[("origin", "https://evil.example")]));
        }
    }

    #[test]
    fn unsafe_methods_need_our_origin() {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT] {
            assert!(ask(method.clone(), &[("origin", "https://a.example:8443")]));
            assert!(ask(method.clone(), &[("origin", "https://SERVER.example")]));
            assert!(!ask(method.clone(), &[]));
            for origin in [
                "null",
                "https://evil.example",
                "https://a.example",
                "http://a.example:8443",
                "https://a.example:8443.evil.example",
                "https://x@a.example:8443",
            ] {
                assert!(!ask(method.clone(), &[("origin", origin)]), "{origin}");
            }
        }
    }

    #[test]
    fn the_referer_counts_only_without_an_origin() {
        assert!(ask(Method::POST, &[("referer", "https://a.example:8443/v3/tokens?x=1")]));
        assert!(!ask(Method::POST, &[("referer", "https://evil.example/https://a.example:8443")]));
        assert!(!ask(Method::POST, &[("origin", "null"), ("referer", "https://a.example:8443/")]));
    }

    #[test]
    fn only_what_says_that_it_comes_from_elsewhere_does() {
        let ours = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            let own = PublicAddress::parse("https://a.example:8443").unwrap();
            may_be_ours(&headers, &own, "https://server.example/")
        };
        assert!(ours(&[]) && ours(&[("origin", "https://a.example:8443")]));
        assert!(ours(&[("origin", "https://server.example")]), "the configured address is ours too");
        for elsewhere in
            [("origin", "null"), ("origin", "https://evil.example"), ("referer", "https://evil.example/")]
        {
            assert!(!ours(&[elsewhere]), "{elsewhere:?}");
        }
    }

    #[test]
    fn upgrades_count_as_unsafe_even_as_get() {
        assert!(!ask(Method::GET, &[("connection", "keep-alive, Upgrade")]));
        assert!(!ask(Method::GET, &[("upgrade", "websocket"), ("origin", "https://evil.example")]));
        assert!(ask(Method::GET, &[("upgrade", "websocket"), ("origin", "https://a.example:8443")]));
    }

    #[test]
    fn the_csrf_token_stands_in_for_the_origin() {
        assert!(ask(Method::POST, &[("cookie", "R_SESS=x; CSRF=abc"), ("x-api-csrf", "abc")]));
        assert!(ask(Method::POST, &[("cookie", "CSRF=abc")]), "in the query");
        assert!(!ask(Method::POST, &[("cookie", "CSRF=abc"), ("origin", "https://x.a.example")]));
        assert!(!ask(Method::POST, &[("cookie", "CSRF=abc"), ("referer", "https://x.a.example/")]));
        for (cookie, header) in [("CSRF=abd", "abc"), ("CSRF=", ""), ("a=b", "abc")] {
            assert!(!ask(Method::POST, &[("cookie", cookie), ("x-api-csrf", header)]), "{cookie} {header}");
        }
    }
}
