//! Answers: objects, Statuses, headers, in the form that was negotiated.

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use http::{Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use zeroize::Zeroize;

use super::body::{Body, full};
use crate::Tree;
use crate::document::Document;
use crate::gzip::{self, Candidate};
use crate::kind::Once;
use crate::media::Encoding;
use crate::refusal::Status;

/// How one answer is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// JSON or YAML.
    pub encoding: Encoding,
    /// Indented.
    pub pretty: bool,
}

impl Form {
    /// What errors are written in before anything was negotiated.
    pub const JSON: Form = Form { encoding: Encoding::Json, pretty: false };
}

/// The `Audit-ID` header.
pub const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const WARNING: HeaderName = HeaderName::from_static("warning");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// An object.
pub fn object(code: StatusCode, tree: &Tree, form: Form) -> Response<Body> {
    let bytes = encode(tree, form);
    respond(code, form.encoding.content_type(), full(bytes))
}

/// An object with values that exist in these bytes only.
pub fn object_once(code: StatusCode, mut tree: Tree, once: Once, form: Form) -> Response<Body> {
    for (path, secret) in &once.fields {
        put(&mut tree, path, secret.expose_secret());
    }
    let mut response = object(code, &tree, form);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (path, _) in &once.fields {
        wipe(&mut tree, path);
    }
    response
}

fn put(tree: &mut Tree, path: &[&str], text: &str) {
    let mut at = tree;
    for step in path {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        let Some(object) = at.as_object_mut() else { return };
        at = object.entry((*step).to_owned()).or_insert(Value::Null);
    }
    *at = Value::String(text.to_owned());
}

fn wipe(tree: &mut Tree, path: &[&str]) {
    let found = path.iter().try_fold(tree, |at, step| at.get_mut(*step));
    if let Some(Value::String(text)) = found {
        text.zeroize();
    }
}

/// A failure.
pub fn status(status: &Status, form: Form) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = object(code, &status.to_tree(), form);
    let headers = response.headers_mut();
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    if let Some(seconds) = status.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Any body with the default headers.
pub fn respond(code: StatusCode, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A plain text.
pub fn text(code: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = respond(code, "text/plain; charset=utf-8", full(text));
    response.headers_mut().insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    response
}

/// A document with an ETag: 304 if the client has it; compressed if it is large and the client wants that.
pub fn document(
    document: &Document,
    if_none_match: Option<&str>,
    accept_encoding: Option<&str>,
) -> Response<Body> {
    let mut response = if document.is_known(if_none_match) {
        let mut response = respond(StatusCode::NOT_MODIFIED, document.content_type, full(""));
        response.headers_mut().remove(CONTENT_TYPE);
        response
    } else {
        let mut response = respond(StatusCode::OK, document.content_type, full(document.body.clone()));
        let candidate = Candidate { read: true, length: Some(document.body.len()), secret: false };
        if gzip::applies(accept_encoding, candidate)
            && let Ok(packed) = gzip::compress(&document.body)
        {
            *response.body_mut() = full(packed);
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&document.etag()) {
        headers.insert(ETAG, etag);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

/// Adds `Warning` headers (spec R5): quoted, without control characters, bounded in number and length.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    const MOST: usize = 4096;
    const CUT: usize = 256;
    let total: usize = warnings.iter().map(|w| w.chars().count()).sum();
    let mut spent = 0;
    for warning in warnings {
        let text: String = warning.chars().take(if total > MOST { CUT } else { MOST }).collect();
        spent += text.chars().count();
        if spent > MOST {
            break;
        }
        let mut quoted = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c.is_control() => quoted.push(' '),
                c => quoted.push(c),
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// The bytes of a tree, ending in a newline.
pub fn encode(tree: &Tree, form: Form) -> Vec<u8> {
    let written = match (form.encoding, form.pretty) {
        (Encoding::Json, false) => serde_json::to_vec(tree).ok(),
        (Encoding::Json, true) => serde_json::to_vec_pretty(tree).ok(),
        (Encoding::Yaml, _) => serde_saphyr::to_string(tree).ok().map(String::into_bytes),
    };
    let mut bytes = written.unwrap_or_default();
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_warning_is_quoted_and_keeps_its_quotes() {
        let mut response = respond(StatusCode::OK, "application/json", full(""));
        warn(&mut response, &["unknown field \"spec.foo\"\n".to_owned()]);
        assert_eq!(response.headers()["warning"], "299 - \"unknown field \\\"spec.foo\\\" \"");
    }

    #[test]
    fn yaml_reads_back_as_the_same_tree() {
        let tree =
            serde_json::json!({"a": ["x: y", "1", 1, true, "true", null, "multi\nline"], "b": {"c": "no"}});
        let form = Form { encoding: Encoding::Yaml, pretty: false };
        let back = crate::decode::from_yaml(&encode(&tree, form), crate::decode::Limits::default()).unwrap();
        assert_eq!(back.tree, tree);
    }
}
