//! Small JSON documents and watches.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::UpstreamError;
use crate::upstream::{Body, Upstream};

/// The largest document, and the longest line of a watch, in bytes: a Kubernetes object has at most 1.5 MiB in etcd, and its JSON is little longer.
const LARGEST: usize = 4 << 20;
/// A server's own words are shown up to this many characters.
const LONGEST_MESSAGE: usize = 500;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// There was no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The server refuses.
    #[error("it answers {code}: {message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// `reason` of the Status; may be empty.
        reason: String,
        /// `message` of the Status; may be empty.
        message: String,
    },
    /// The document is larger than 4 MiB.
    #[error("its answer is too large")]
    TooLarge,
    /// It is no document of the kind that was asked for.
    #[error("its answer is not what was asked for")]
    Foreign,
}

impl Upstream {
    /// Sends a document, or nothing, and reads one: `wait` for the head, and once more for the rest.
    ///
    /// # Errors
    /// [`JsonError`].
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&impl Serialize>,
        wait: Duration,
    ) -> Result<T, JsonError> {
        let answer = self.send(request(method, path_and_query, body)?, wait).await?;
        read(answer, wait).await
    }

    /// Begins a watch: lines of JSON, one event each.
    ///
    /// # Errors
    /// [`JsonError`].
    pub async fn lines(&self, path_and_query: &str, wait: Duration) -> Result<Lines, JsonError> {
        let answer = self.send(request(Method::GET, path_and_query, None::<&()>)?, wait).await?;
        if !answer.status().is_success() {
            read::<serde::de::IgnoredAny>(answer, wait).await?;
            return Err(JsonError::Foreign);
        }
        Ok(Lines { body: answer.into_body(), pending: BytesMut::new() })
    }
}

/// The lines of a watch.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    pending: BytesMut,
}

impl Lines {
    /// The next line's document; `None` when the server ended the watch. Cancel-safe; it waits as long as the server is silent.
    ///
    /// # Errors
    /// [`JsonError`], after which there is nothing more to come.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, JsonError> {
        let mut searched = 0;
        loop {
            let unsearched = self.pending.get(searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.pending.split_to(searched + end + 1);
                if line.trim_ascii().is_empty() {
                    searched = 0;
                    continue;
                }
                return serde_json::from_slice(&line).map(Some).map_err(|_| JsonError::Foreign);
            }
            searched = self.pending.len();
            match self.body.frame().await {
                None if self.pending.trim_ascii().is_empty() => return Ok(None),
                None | Some(Err(_)) => return Err(UpstreamError::Closed.into()),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if self.pending.len() + data.len() > LARGEST {
                        return Err(JsonError::TooLarge);
                    }
                    self.pending.extend_from_slice(&data);
                }
            }
        }
    }
}

fn request(
    method: Method,
    path_and_query: &str,
    body: Option<&impl Serialize>,
) -> Result<Request<Body>, UpstreamError> {
    let bytes = match body {
        Some(body) => serde_json::to_vec(body).map_err(|_| UpstreamError::Request)?,
        None => Vec::new(),
    };
    let uri: Uri = path_and_query.parse().map_err(|_| UpstreamError::Request)?;
    let body_of = Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body_of);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(ACCEPT, JSON);
    if body.is_some() {
        request.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    Ok(request)
}

async fn read<T: DeserializeOwned>(answer: Response<Incoming>, wait: Duration) -> Result<T, JsonError> {
    let status = answer.status();
    let collect = Limited::new(answer.into_body(), LARGEST).collect();
    let whole = tokio::time::timeout(wait, collect).await.map_err(|_| UpstreamError::Timeout)?;
    let bytes = match whole {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(JsonError::TooLarge),
        Err(_) => return Err(UpstreamError::Closed.into()),
    };
    if !status.is_success() {
        let said: Said = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = said.message.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect();
        return Err(JsonError::Refused { code: status.as_u16(), reason: said.reason, message });
    }
    serde_json::from_slice(&bytes).map_err(|_| JsonError::Foreign)
}

/// What of a Kubernetes Status is looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    reason: String,
    message: String,
}
