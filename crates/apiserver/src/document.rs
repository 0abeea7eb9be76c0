//! Documents that describe the server (discovery, OpenAPI): bytes with an entity tag, made once per change of what is served.

use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha512};

/// A finished document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The body; JSON ends with a newline.
    pub body: Bytes,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The SHA-512 of the body in upper-case hex, without quotes (D46, O3, O13).
    pub hash: String,
}

impl Document {
    /// Wraps a body.
    #[must_use]
    pub fn new(body: Vec<u8>, content_type: &'static str) -> Self {
        let hash = Sha512::digest(&body).iter().fold(String::with_capacity(128), |mut hex, byte| {
            // Writing to a String does not fail.
            let _ = write!(hex, "{byte:02X}");
            hex
        });
        Self { body: body.into(), content_type, hash }
    }

    /// The value of `ETag`: the hash in quotes.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }

    /// Whether a request with this `If-None-Match` already has the document and gets 304 without a body. Weak comparison, lists and `*`, as in RFC 9110.
    #[must_use]
    pub fn is_known(&self, if_none_match: Option<&str>) -> bool {
        if_none_match.is_some_and(|header| {
            header.split(',').map(str::trim).any(|tag| {
                let tag = tag.strip_prefix("W/").unwrap_or(tag);
                tag == "*"
                    || tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')) == Some(self.hash.as_str())
            })
        })
    }
}

/// JSON with the newline that ends every body (N10).
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Our own structures and trees have string keys only, so this cannot fail; were it to, an empty document is what clients call broken.
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_sha512_in_upper_case_hex() {
        let document = Document::new(b"abc".to_vec(), "application/json");
        assert_eq!(
            document.etag(),
            "\"DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A\
             2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F\""
        );
    }

    #[test]
    fn a_client_that_has_the_document_is_recognised() {
        let document = Document::new(b"abc".to_vec(), "application/json");
        let etag = document.etag();
        assert!(document.is_known(Some(&etag)));
        assert!(document.is_known(Some(&format!("\"x\", W/{etag}"))));
        assert!(document.is_known(Some("*")));
        assert!(!document.is_known(Some("\"x\"")));
        assert!(!document.is_known(Some(&document.hash)), "a tag has quotes");
        assert!(!document.is_known(None));
    }
}
