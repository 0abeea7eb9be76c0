//! Answers that are files for people: a browser saves them instead of showing a page (DEC46).

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Response};
use secrecy::ExposeSecret;

use crate::listener::Body;
use crate::v3::reply::{self, Reply};

/// Longest name of a file, in bytes.
const LONGEST: usize = 120;

/// The file of a reply that has one.
pub fn of(reply: &Reply) -> Option<Response<Body>> {
    let (name, (_, text)) = (reply.file.as_deref()?, reply.once.as_ref()?);
    let mut response = Response::new(reply::body(text.expose_secret().as_bytes().to_vec()));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    reply::mark(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    headers.insert(CONTENT_DISPOSITION, attachment(name));
    Some(response)
}

/// `attachment` with the name twice: for those who know only ASCII, and as it is (RFC 6266).
fn attachment(name: &str) -> HeaderValue {
    let mut short = String::new();
    // Nothing that could lead into a folder or end the header.
    let clean = name.chars().filter(|c| !c.is_control() && !"/\\:*?\"<>|%;".contains(*c));
    for c in clean {
        if short.len() + c.len_utf8() > LONGEST && c != '.' {
            continue;
        }
        short.push(c);
    }
    let short = short.trim_start_matches(['.', ' ']);
    let plain: String = short.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let encoded: String = short
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_file_is_called_as_the_cluster_and_nothing_else_can_be_said_with_it() {
        for (name, header) in [
            ("local.yaml", "attachment; filename=\"local.yaml\"; filename*=UTF-8''local.yaml"),
            ("Küche 1.yaml", "attachment; filename=\"K_che 1.yaml\"; filename*=UTF-8''K%C3%BCche%201.yaml"),
            (
                "../../a\"; x=\r\ny.yaml",
                "attachment; filename=\"a x=y.yaml\"; filename*=UTF-8''a%20x%3Dy.yaml",
            ),
        ] {
            assert_eq!(attachment(name), header, "{name}");
        }
        let long = attachment(&format!("{}.yaml", "x".repeat(500)));
        assert!(long.len() < 400);
    }
}
