//! The two cookies: the session (`R_SESS`, not readable by scripts) and the CSRF token (`CSRF`, readable by scripts of our own origin only).

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use secrecy::zeroize::Zeroizing;

/// Holds the bearer value of a login.
pub const SESSION: &str = "R_SESS";
/// Holds the CSRF token of a browser.
pub const CSRF: &str = "CSRF";
/// The header in which a script repeats the CSRF cookie.
pub const CSRF_HEADER: &str = "x-api-csrf";

/// The value of the first cookie of this name, without the quotes that some clients add.
#[must_use]
pub fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
}

/// The header that sets the session cookie: no `Max-Age`, so the browser drops it at exit and the token's own ttl rules (v3-token.md §5.3, DEC54).
///
/// `None` if the value holds bytes that a cookie cannot.
#[must_use]
pub fn session(bearer: &str) -> Option<HeaderValue> {
    if !bearer.bytes().all(allowed) {
        return None;
    }
    let text = Zeroizing::new(format!("{SESSION}={bearer}; Path=/; HttpOnly; Secure; SameSite=Lax"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A CSRF token, 32 hexadecimal characters (v3-token.md §1.6).
#[must_use]
pub fn csrf_token(random: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(random))
}

/// The header that gives a browser its CSRF token.
#[must_use]
pub fn csrf(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{CSRF}={token}; Path=/; Secure; SameSite=Lax")).ok()
}

/// Whether a repeated token is the cookie's; nothing never is.
#[must_use]
pub fn is(token: &str, repeated: &str) -> bool {
    !token.is_empty()
        && aws_lc_rs::constant_time::verify_slices_are_equal(token.as_bytes(), repeated.as_bytes()).is_ok()
}

/// Takes both cookies away from the browser (v3-token.md §3.6).
pub fn clear(headers: &mut HeaderMap) {
    for name in [SESSION, CSRF] {
        let text = format!(
            "{name}=; Path=/; Expires=Wed, 10 Feb 1982 23:00:00 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(SET_COOKIE, value);
        }
    }
}

/// RFC 6265's cookie-octet.
fn allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (COOKIE, v.parse::<HeaderValue>().unwrap())).collect()
    }

    #[test]
    fn the_first_cookie_of_a_name_is_found_in_any_header() {
        let headers = headers(&["x=1; XR_SESS=no", "y=2;R_SESS=token-a:b=; R_SESS=second"]);
        assert_eq!(value(&headers, SESSION), Some("token-a:b="));
        assert_eq!(value(&headers, CSRF), None);
    }

    #[test]
    fn quotes_around_a_value_are_not_part_of_it() {
        assert_eq!(value(&headers(&["R_SESS=\"a:b\""]), SESSION), Some("a:b"));
        assert_eq!(value(&headers(&["R_SESS=\"a:b"]), SESSION), Some("\"a:b"));
        assert_eq!(value(&headers(&["R_SESS", ";;=;"]), SESSION), None);
    }

    #[test]
    fn the_session_cookie_has_its_attributes_and_no_end() {
        let value = session("token-l5wq9:abc").unwrap();
        assert_eq!(value.to_str().unwrap(), "R_SESS=token-l5wq9:abc; Path=/; HttpOnly; Secure; SameSite=Lax");
        assert!(value.is_sensitive());
        assert!(session("a:b; Domain=x").is_none());
    }

    #[test]
    fn clearing_expires_both_cookies() {
        let mut headers = HeaderMap::new();
        clear(&mut headers);
        let all: Vec<_> =
            headers.get_all(SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].starts_with("R_SESS=; Path=/; Expires=Wed, 10 Feb 1982 23:00:00 GMT"));
        assert!(all[1].starts_with("CSRF=; "));
    }

    #[test]
    fn a_csrf_token_has_32_hexadecimal_characters_that_scripts_may_read() {
        let text = csrf(&csrf_token([0x0a; 16])).unwrap().to_str().unwrap().to_owned();
        assert!(text.starts_with("CSRF=0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a; "));
        assert!(!text.contains("HttpOnly"));
    }
}
