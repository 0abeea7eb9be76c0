//! What a request of `/v3` says: its path, the method it means, its body.

use std::time::Duration;

use bytes::Bytes;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::{Map, Tree, decode};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::V3Error;

/// Largest body, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// How long a client may take to send one.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Path<'p> {
    /// `/v3`
    Root,
    /// `/v3/<plural>`
    Collection(&'p str),
    /// `/v3/<plural>/<id>`
    Item(&'p str, &'p str),
    /// Nowhere.
    Nothing,
}

impl<'p> Path<'p> {
    /// Reads a path; a slash at the end does not matter.
    #[must_use]
    pub fn parse(path: &'p str) -> Path<'p> {
        let mut segments = path.trim_end_matches('/').split('/').skip(1);
        match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some("v3"), None, ..) => Path::Root,
            (Some("v3"), Some(plural), None, _) if !plural.is_empty() => Path::Collection(plural),
            (Some("v3"), Some(plural), Some(id), None)
                if !plural.is_empty() && !id.is_empty() && !id.contains('%') =>
            {
                Path::Item(plural, id)
            }
            _ => Path::Nothing,
        }
    }
}

/// The method that is meant: `_method` overrides POST only (DEC54), and `?action=remove` means DELETE.
///
/// # Errors
/// 422 for a method that nobody may mean.
pub fn effective_method(method: &Method, query: &Query) -> Result<Method, V3Error> {
    match *method {
        Method::HEAD => Ok(Method::GET),
        Method::POST if query.get("action") == "remove" => Ok(Method::DELETE),
        Method::POST if query.has("_method") => {
            let asked = query.get("_method").to_ascii_uppercase();
            match asked.as_str() {
                "GET" | "POST" | "PUT" | "DELETE" => {
                    Method::from_bytes(asked.as_bytes()).map_err(|_| V3Error::method_not_allowed(method))
                }
                _ => Err(V3Error::new(422, "InvalidOption", "_method must be GET, POST, PUT or DELETE")),
            }
        }
        _ => Ok(method.clone()),
    }
}

/// Reads a whole body.
///
/// # Errors
/// 413, 408 or 400.
pub async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, V3Error>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(V3Error::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )),
        Ok(Err(_)) => Err(V3Error::new(400, "BadRequest", "the body could not be read")),
        Err(_) => Err(V3Error::new(408, "RequestTimeout", "the body took too long")),
    }
}

/// How bytes are to be read.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// JSON. As in the reference whatever the content type says, because `curl -d` says that it sends a form.
    Json,
    /// YAML.
    Yaml,
}

impl Content {
    /// What the headers say. (Forms of the API view arrive here as JSON already.)
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Content {
        let sent = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let essence = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/yaml" | "application/x-yaml" | "text/yaml" => Content::Yaml,
            _ => Content::Json,
        }
    }
}

/// The body of a request that may have one; `None` if nothing was sent.
///
/// # Errors
/// 422 for anything that is no object, and those of [`read_body`].
pub async fn body_of<B>(method: &Method, content: Content, body: B) -> Result<Option<Map>, V3Error>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !matches!(*method, Method::POST | Method::PUT) {
        return Ok(None);
    }
    let bytes = read_body(body, MAX_BODY).await?;
    if bytes.trim_ascii().is_empty() { Ok(None) } else { parse(&bytes, content).map(Some) }
}

/// The object that these bytes are.
///
/// # Errors
/// 422 for anything that is no object.
pub fn parse(bytes: &[u8], content: Content) -> Result<Map, V3Error> {
    let decoded = match content {
        Content::Json => decode::from_json(bytes, decode::Limits::default()),
        Content::Yaml => decode::from_yaml(bytes, decode::Limits::default()),
    };
    match decoded.map(|decoded| decoded.tree) {
        Ok(Tree::Object(members)) => Ok(members),
        Ok(_) => Err(V3Error::body("the body must be an object")),
        Err(error) => Err(V3Error::body(format!("Failed to parse body: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn paths_are_read_with_and_without_a_slash_at_the_end() {
        assert_eq!(Path::parse("/v3"), Path::Root);
        assert_eq!(Path::parse("/v3/"), Path::Root);
        assert_eq!(Path::parse("/v3/users"), Path::Collection("users"));
        assert_eq!(Path::parse("/v3/users/u-1/"), Path::Item("users", "u-1"));
        for odd in ["/v3/users/u-1/more", "/v3//u-1", "/v3/users/a%2fb", "/v4", "/"] {
            assert_eq!(Path::parse(odd), Path::Nothing, "{odd}");
        }
    }

    #[test]
    fn only_post_can_be_overridden() {
        let method =
            |method: Method, query: &str| effective_method(&method, &Query::parse(query)).map_err(|e| e.code);
        assert_eq!(method(Method::POST, "_method=delete"), Ok(Method::DELETE));
        assert_eq!(method(Method::POST, "action=remove"), Ok(Method::DELETE));
        assert_eq!(method(Method::GET, "_method=DELETE"), Ok(Method::GET));
        assert_eq!(method(Method::GET, "action=remove"), Ok(Method::GET));
        assert_eq!(method(Method::HEAD, ""), Ok(Method::GET));
        assert_eq!(method(Method::POST, "_method=CONNECT"), Err("InvalidOption"));
    }

    #[tokio::test]
    async fn a_body_is_an_object_of_bounded_size_and_depth() {
        let read = |content: Content, bytes: Vec<u8>| {
            body_of(&Method::POST, content, http_body_util::Full::new(Bytes::from(bytes)))
        };
        let json = |bytes: Vec<u8>| read(Content::Json, bytes);
        assert_eq!(json(b"{\"a\":1}".to_vec()).await.unwrap().unwrap()["a"], 1);
        assert!(json(b" ".to_vec()).await.unwrap().is_none());
        for bad in ["[]", "{", "1", "null", "{\"a\":1} x", "a: 1"] {
            assert_eq!(json(bad.into()).await.unwrap_err().code, "InvalidBodyContent", "{bad}");
        }
        assert_eq!(json(vec![b' '; MAX_BODY + 1]).await.unwrap_err().status, 413);
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        for content in [Content::Json, Content::Yaml] {
            assert_eq!(read(content, deep.clone().into()).await.unwrap_err().code, "InvalidBodyContent");
        }
        assert_eq!(read(Content::Yaml, b"a: 1\nb:\n- x\n".to_vec()).await.unwrap().unwrap()["b"][0], "x");
        assert_eq!(read(Content::Yaml, b"- a".to_vec()).await.unwrap_err().code, "InvalidBodyContent");
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
        assert_eq!(read(Content::Yaml, bomb.into()).await.unwrap_err().code, "InvalidBodyContent");
    }

    #[test]
    fn the_content_type_says_yaml_and_all_else_is_json() {
        let content = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            format!("{:?}", Content::of(&headers))
        };
        assert_eq!(content("application/yaml; charset=utf-8"), "Yaml");
        assert_eq!(content("application/x-www-form-urlencoded"), "Json");
        assert_eq!(content("image/png"), "Json");
    }
}
