//! Lists, written while they are read.

use std::io;

use bytes::Bytes;
use eartag_apiserver::http::packed;
use eartag_apiserver::ops::{ListOptions, Lister};
use eartag_apiserver::{Map, Tree};
use futures_util::{StreamExt, stream};
use http::Response;
use serde_json::json;

use super::object::{Shape, TYPE};
use super::{Asked, COLLECTION};
use crate::authn;
use crate::listener::Body;
use crate::v3::asked::encoded;
use crate::v3::error::V3Error;
use crate::v3::item::put;
use crate::v3::reply;

/// The answer to a list.
///
/// # Errors
/// What the kind says before anything is sent. Later the connection is cut, and so it is when the credential is no longer good.
pub async fn answer(
    asked: Asked,
    options: ListOptions,
    accept_encoding: Option<&str>,
) -> Result<Response<Body>, V3Error> {
    let started = asked.state.api.list(&*asked.kind, &asked.cx, &options).await;
    let lister = started.map_err(|refusal| asked.refused(&refusal, ""))?;
    let shape = Shape::of(&asked).await?;
    let writing = Writing { asked, lister, shape, stage: Stage::Head, written: 0 };
    let pieces = stream::unfold(writing, |mut writing| async move {
        let piece = writing.next().await?;
        Some((piece.map(Bytes::from), writing))
    });
    let answered = packed::answer(pieces.boxed(), "application/json", accept_encoding).await;
    let mut response = answered.map_err(|error| match error.downcast::<V3Error>() {
        Ok(error) => error,
        Err(error) => V3Error::new(500, "ServerError", error.to_string()),
    })?;
    reply::mark(response.headers_mut());
    Ok(response)
}

struct Writing {
    asked: Asked,
    lister: Lister,
    shape: Shape,
    stage: Stage,
    written: u64,
}

#[derive(PartialEq)]
enum Stage {
    Head,
    Items,
    Over,
}

impl Writing {
    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        match self.stage {
            Stage::Head => {
                self.stage = Stage::Items;
                Some(Ok(self.head()))
            }
            Stage::Items => Some(self.items().await.map_err(|error| {
                self.stage = Stage::Over;
                io::Error::other(error)
            })),
            Stage::Over => None,
        }
    }

    fn head(&self) -> Vec<u8> {
        let url = format!("{}{COLLECTION}", self.asked.base);
        let head = json!({"actions": {}, "createTypes": {TYPE: url}}).to_string();
        format!("{},\"data\":[", head.strip_suffix('}').unwrap_or(&head)).into_bytes()
    }

    /// The next few objects, or the end.
    async fn items(&mut self) -> Result<Vec<u8>, V3Error> {
        let mut out = Vec::new();
        loop {
            // Others have their turn.
            tokio::task::yield_now().await;
            let asked = &self.asked;
            let good = authn::still_good(&asked.state, &asked.caller);
            if !good || !self.lister.still_allowed(&*asked.kind, &asked.cx).await {
                return Err(V3Error::new(401, "Unauthorized", "the caller may no longer see this list"));
            }
            let page =
                self.lister.page(&*asked.kind, &asked.cx).map_err(|refusal| asked.refused(&refusal, ""))?;
            let Some(page) = page else {
                self.stage = Stage::Over;
                out.extend_from_slice(b"],");
                let tail = Tree::Object(self.tail()).to_string();
                out.extend_from_slice(tail.strip_prefix('{').unwrap_or(&tail).as_bytes());
                return Ok(out);
            };
            for listed in page {
                out.extend_from_slice(if self.written == 0 { b"" } else { b"," });
                self.written += 1;
                let object = self.shape.one(asked, listed.object).await?;
                serde_json::to_writer(&mut out, &object)
                    .map_err(|error| V3Error::new(500, "ServerError", error.to_string()))?;
            }
            if !out.is_empty() {
                return Ok(out);
            }
        }
    }

    fn tail(&self) -> Map {
        let url = format!("{}{COLLECTION}", self.asked.base);
        let mut tail = json!({
            "type": "collection", "resourceType": TYPE, "links": {"self": url},
            "revision": self.lister.revision().to_string(),
            "count": self.written + self.lister.remaining().unwrap_or(0),
        });
        let resume = self.lister.resume();
        if !resume.is_empty() {
            let limit = self.asked.query.get("limit");
            let mut next = format!("{url}?limit={limit}&continue={resume}");
            for selector in ["labelSelector", "fieldSelector"] {
                let value = self.asked.query.get(selector);
                if !value.is_empty() {
                    next.push_str(&format!("&{selector}={}", encoded(value)));
                }
            }
            put(&mut tail, "links", json!({"self": url, "next": next}));
            put(&mut tail, "continue", resume);
        }
        tail.as_object().cloned().unwrap_or_default()
    }
}
