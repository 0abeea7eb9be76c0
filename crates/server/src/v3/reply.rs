//! Replies of `/v3` and of the login: JSON with the headers that clients of these doors look for.

use std::io;

use bytes::Bytes;
use eartag_apiserver::Tree;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use super::error::V3Error;
use super::format::Format;
use crate::listener::Body;

/// What a handler answers, before it is put on the wire.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// The JSON body; `None` for an empty one.
    pub body: Option<Tree>,
    /// Further headers.
    pub headers: HeaderMap,
    /// A member of the body that holds a secret: added when the bytes are made.
    pub once: Option<(&'static str, SecretString)>,
    /// What that member is called as a file, where a browser shall save it and not show it.
    pub file: Option<String>,
}

impl Reply {
    /// 200 with a body.
    #[must_use]
    pub fn ok(body: Tree) -> Reply {
        Reply { status: StatusCode::OK, body: Some(body), headers: HeaderMap::new(), once: None, file: None }
    }

    /// 201 with a body.
    #[must_use]
    pub fn created(body: Tree) -> Reply {
        Reply { status: StatusCode::CREATED, ..Reply::ok(body) }
    }

    /// 200 and nothing.
    #[must_use]
    pub fn empty() -> Reply {
        Reply { status: StatusCode::OK, body: None, headers: HeaderMap::new(), once: None, file: None }
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Reply {
        Reply { status: StatusCode::NO_CONTENT, ..Reply::empty() }
    }

    /// 401 in the shape of the filter before the doors.
    #[must_use]
    pub fn must_authenticate() -> Reply {
        Reply { status: StatusCode::UNAUTHORIZED, ..Reply::ok(super::error::must_authenticate()) }
    }

    /// Puts the reply on the wire. `nosniff`, `no-store` and a date in the past are on all of them: they may hold secrets.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        self.into_response_as(Format::Json)
    }

    /// The same in that format.
    #[must_use]
    pub fn into_response_as(self, format: Format) -> Response<Body> {
        let mut tree = self.body;
        if let (Some(Tree::Object(members)), Some((name, secret))) = (&mut tree, &self.once) {
            members.insert((*name).to_owned(), secret.expose_secret().into());
        }
        let bytes = tree.as_ref().map(|tree| format.write(tree)).unwrap_or_default();
        let shown = self.once.as_ref().and_then(|(name, _)| tree.as_mut()?.get_mut(*name));
        if let Some(Tree::String(secret)) = shown {
            secret.zeroize();
        }
        let mut response = Response::new(body(bytes));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        mark(headers);
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        response
    }
}

impl From<V3Error> for Reply {
    fn from(error: V3Error) -> Reply {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Reply { status, ..Reply::ok(error.to_tree()) };
        if let Some(seconds) = error.retry_after_s {
            reply.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}

/// What every answer says: it is not to be kept, and nothing but what its type says.
pub fn mark(headers: &mut HeaderMap) {
    const PAST: HeaderValue = HeaderValue::from_static("Wed 24 Feb 1982 18:42:00 GMT");
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, private"));
    headers.insert(EXPIRES, PAST);
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
}

/// A body of bytes.
#[must_use]
pub fn body(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| -> io::Error { match never {} }).boxed_unsync()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[tokio::test]
    async fn a_secret_is_in_the_bytes_of_the_one_reply() {
        let reply = Reply {
            once: Some(("token", SecretString::from("token-x:s3cret".to_owned()))),
            ..Reply::created(serde_json::json!({"id": "token-x"}))
        };
        assert!(!format!("{reply:?}").contains("s3cret"));
        let bytes = reply.into_response().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&bytes[..], br#"{"id":"token-x","token":"token-x:s3cret"}"#);
    }

    #[test]
    fn errors_keep_their_status_and_say_when_to_come_back() {
        let mut error = V3Error::new(429, "TooManyRequests", "slow down");
        error.retry_after_s = Some(7);
        let response = Reply::from(error).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert_eq!(response.headers()[EXPIRES], "Wed 24 Feb 1982 18:42:00 GMT");
    }
}
