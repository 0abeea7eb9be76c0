//! Answers that are made while they are sent: lists of any size, and watches.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::{Body, streamed};
use super::packed;
use super::reply::{Form, encode, object, respond};
use super::resource::Wanted;
use super::table::{self, Include};
use crate::Tree;
use crate::kind::{Cx, Kind};
use crate::media::{Encoding, MetaVersion, View};
use crate::ops::{EventKind, Lister, Watcher};
use crate::refusal::Refusal;

/// A list in the wanted view. JSON is streamed page by page; YAML and indented JSON are for people and are bounded.
pub async fn list(
    kind: Arc<dyn Kind>,
    cx: Cx,
    lister: Lister,
    wanted: &Wanted,
    accept_encoding: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let Wanted { view, form, include } = *wanted;
    if form.encoding == Encoding::Yaml || form.pretty {
        return whole(kind.as_ref(), &cx, lister, view, include, form).await;
    }
    let listing = Listing { kind, cx, lister, view, include, stage: Stage::Head, separator: "" };
    let pieces = stream::unfold(listing, |mut listing| async move {
        let piece = listing.next().await?;
        Some((piece, listing))
    });
    packed::answer(pieces.boxed(), Encoding::Json.content_type(), accept_encoding)
        .await
        .map_err(|_| Refusal::Expired { message: COMPACTED.to_owned(), resume: String::new() })
}

const NO_LONGER_ALLOWED: &str = "the caller may no longer see this list";
const COMPACTED: &str = "the history that this list reads was compacted";

/// Lists written whole hold at most this many objects; larger ones are asked for in pages or as plain JSON.
const LARGEST_WHOLE: usize = 10_000;

async fn whole(
    kind: &dyn Kind,
    cx: &Cx,
    mut lister: Lister,
    view: View,
    include: Include,
    form: Form,
) -> Result<Response<Body>, Refusal> {
    let mut items = Vec::new();
    while let Some(page) = lister.page(kind, cx)? {
        tokio::task::yield_now().await;
        items.extend(page.iter().map(|listed| item(kind, cx, &listed.object, view, include)));
        if items.len() > LARGEST_WHOLE {
            return Err(Refusal::TooMuch(format!(
                "more than {LARGEST_WHOLE} objects cannot be listed in this form; use limit and continue, or plain JSON"
            )));
        }
    }
    let (kind_name, api_version, items_key) = list_type(kind, view);
    let mut tree = json!({"kind": kind_name, "apiVersion": api_version, "metadata": metadata(&lister)});
    if let Some(tree) = tree.as_object_mut() {
        tree.insert(items_key.to_owned(), Value::Array(items));
        if matches!(view, View::Table(_)) {
            tree.insert("columnDefinitions".to_owned(), table::columns(kind.info()));
        }
    }
    Ok(object(StatusCode::OK, &tree, form))
}

struct Listing {
    kind: Arc<dyn Kind>,
    cx: Cx,
    lister: Lister,
    view: View,
    include: Include,
    stage: Stage,
    separator: &'static str,
}

#[derive(PartialEq)]
enum Stage {
    Head,
    Items,
    Over,
}

impl Listing {
    /// The next piece, after others had their turn; pages of which the selectors leave nothing are skipped.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            tokio::task::yield_now().await;
            if !self.lister.still_allowed(self.kind.as_ref(), &self.cx).await {
                return Some(Err(io::Error::other(NO_LONGER_ALLOWED)));
            }
            match self.chunk() {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                chunk => return chunk,
            }
        }
    }

    /// The next piece of the body. An error here cuts the connection, so that nobody takes half a list for a whole one.
    fn chunk(&mut self) -> Option<io::Result<Bytes>> {
        let kind = self.kind.clone();
        let mut out = Vec::new();
        if self.stage == Stage::Head {
            let (name, api_version, items) = list_type(kind.as_ref(), self.view);
            out.extend_from_slice(
                format!("{{\"kind\":\"{name}\",\"apiVersion\":\"{api_version}\",").as_bytes(),
            );
            if matches!(self.view, View::Table(_)) {
                out.extend_from_slice(
                    format!("\"columnDefinitions\":{},", table::columns(kind.info())).as_bytes(),
                );
            }
            out.extend_from_slice(format!("\"{items}\":[").as_bytes());
            self.stage = Stage::Items;
        }
        if self.stage == Stage::Over {
            return None;
        }
        match self.lister.page(kind.as_ref(), &self.cx) {
            Ok(Some(page)) => {
                for listed in page {
                    out.extend_from_slice(self.separator.as_bytes());
                    self.separator = ",";
                    let written = match self.view {
                        View::Object => serde_json::to_writer(&mut out, &listed.object),
                        view => {
                            let item = item(kind.as_ref(), &self.cx, &listed.object, view, self.include);
                            serde_json::to_writer(&mut out, &item)
                        }
                    };
                    if let Err(error) = written {
                        return Some(Err(io::Error::other(error)));
                    }
                }
            }
            Ok(None) => {
                out.extend_from_slice(format!("],\"metadata\":{}}}\n", metadata(&self.lister)).as_bytes());
                self.stage = Stage::Over;
            }
            Err(_) => return Some(Err(io::Error::other(COMPACTED))),
        }
        Some(Ok(out.into()))
    }
}

fn list_type(kind: &dyn Kind, view: View) -> (String, String, &'static str) {
    match view {
        View::Object => (kind.info().list_kind(), kind.info().api_version(), "items"),
        View::Table(version) => ("Table".to_owned(), version.api_version().to_owned(), "rows"),
        View::Metadata(version) => {
            ("PartialObjectMetadataList".to_owned(), version.api_version().to_owned(), "items")
        }
    }
}

fn item(kind: &dyn Kind, cx: &Cx, object: &Tree, view: View, include: Include) -> Tree {
    match view {
        View::Object => object.clone(),
        View::Table(version) => table::row(kind, object, cx, include, version),
        View::Metadata(version) => table::partial(object, version),
    }
}

fn metadata(lister: &Lister) -> Tree {
    let mut metadata = json!({"resourceVersion": lister.revision().to_string()});
    let resume = lister.resume();
    if let Some(object) = metadata.as_object_mut().filter(|_| !resume.is_empty()) {
        object.insert("continue".to_owned(), resume.into());
        if let Some(remaining) = lister.remaining() {
            object.insert("remainingItemCount".to_owned(), remaining.into());
        }
    }
    metadata
}

/// A watch: one event a line, flushed as it happens.
pub fn watch(watcher: Watcher, view: View, include: Include) -> Response<Body> {
    let state = Watching { watcher, view, include, columns_told: false };
    let body = stream::unfold(state, |mut state| async move {
        let line = state.line().await?;
        Some((Ok(line), state))
    });
    respond(StatusCode::OK, Encoding::Json.content_type(), streamed(body))
}

struct Watching {
    watcher: Watcher,
    view: View,
    include: Include,
    columns_told: bool,
}

impl Watching {
    async fn line(&mut self) -> Option<Bytes> {
        let event = self.watcher.next().await?;
        let kind = self.watcher.kind();
        let object = match (self.view, event.kind) {
            (_, EventKind::Error) | (View::Object, _) => event.object,
            (View::Metadata(version), _) => table::partial(&event.object, version),
            (View::Table(version), kind_of) => {
                let row = match kind_of {
                    EventKind::Bookmark => table::bookmark_row(kind.info(), &event.object, version),
                    _ => table::row(kind.as_ref(), &event.object, self.watcher.cx(), self.include, version),
                };
                self.table(vec![row], &event.object, version)
            }
        };
        // The type first, as readers by eye and by stream expect it.
        let mut line = format!("{{\"type\":\"{}\",\"object\":", event.kind.as_str()).into_bytes();
        line.extend(encode(&object, Form::JSON).strip_suffix(b"\n").unwrap_or_default());
        line.extend_from_slice(b"}\n");
        Some(line.into())
    }

    /// Columns are told once, in the first event (spec T11).
    fn table(&mut self, rows: Vec<Tree>, object: &Tree, version: MetaVersion) -> Tree {
        let columns = (!self.columns_told).then(|| table::columns(self.watcher.kind().info()));
        self.columns_told = true;
        let revision = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        table::table(columns, rows, json!({"resourceVersion": revision}), version)
    }
}
