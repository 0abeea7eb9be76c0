//! Collections: `GET /v3/<plural>`, written while they are read (v3-token.md §1.4, DEC32).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::http::packed;
use eartag_apiserver::{Map, Tree};
use futures_util::{StreamExt, stream};
use http::Response;
use serde_json::json;

use super::asked::Asked;
use super::door::Door;
use super::error::V3Error;
use super::format::Format;
use super::item::{Rights, linked};
use super::reply;
use super::resource::V3Resource;
use super::select::Items;
use crate::authn;
use crate::listener::Body;

/// A list in progress.
pub struct Collection {
    door: Arc<Door>,
    resource: &'static dyn V3Resource,
    asked: Asked,
    items: Items,
    rights: Rights,
    /// Whether the caller may add to it.
    creates: bool,
    actions: Map,
}

impl Collection {
    /// Begins a list; what can be refused is refused here. `page`: it will be shown as a page.
    ///
    /// # Errors
    /// 403, 422 for what cannot be sorted, and what the kind says.
    pub async fn open(
        door: Arc<Door>,
        resource: &'static dyn V3Resource,
        page: bool,
    ) -> Result<Collection, V3Error> {
        let asked = Asked::parse(resource.about(), &door.query, page)?;
        let items = Items::open(Arc::clone(&door), resource, &asked).await?;
        let rights = Rights::to_all(&door, resource).await?;
        let takes = resource.about().collection_methods.contains(&"POST");
        let creates = takes && door.may(resource, "create", "").await?;
        let url = door.url(resource.about().plural, "");
        let actions = resource.actions_on_all(&door).await;
        let actions =
            actions.into_iter().map(|a| (a.to_owned(), format!("{url}?action={a}").into())).collect();
        Ok(Collection { door, resource, asked, items, rights, creates, actions })
    }

    /// The whole answer at once, for lists that are known to be short.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn whole(mut self) -> Result<Tree, V3Error> {
        let mut data = Vec::new();
        while let Some(items) = self.next().await? {
            data.extend(items);
        }
        let mut answer = self.before();
        answer.insert("data".to_owned(), data.into());
        answer.extend(self.after());
        Ok(Tree::Object(answer))
    }

    /// The answer as it is read. `rename` calls `actions` `actionLinks`.
    ///
    /// # Errors
    /// What the kind says before anything is sent. Later the connection is cut, and so it is when the credential is no longer good.
    pub async fn stream(
        self,
        format: Format,
        rename: bool,
        accept_encoding: Option<&str>,
    ) -> Result<Response<Body>, V3Error> {
        let writing = Writing { collection: self, format, rename, stage: Stage::Head, written: false };
        let pieces = stream::unfold(writing, |mut writing| async move {
            let piece = writing.next().await?;
            Some((piece, writing))
        });
        let answered = packed::answer(pieces.boxed(), format.content_type(), accept_encoding).await;
        let mut response = answered.map_err(|error| match error.downcast::<V3Error>() {
            Ok(error) => error,
            Err(error) => V3Error::new(500, "ServerError", error.to_string()),
        })?;
        reply::mark(response.headers_mut());
        Ok(response)
    }

    /// The next few items; `None` when all are given. May be empty.
    async fn next(&mut self) -> Result<Option<Vec<Tree>>, V3Error> {
        let Some(chosen) = self.items.next(&self.asked).await? else { return Ok(None) };
        let mut items = Vec::with_capacity(chosen.len());
        for one in chosen {
            items.push(linked(&self.door, self.resource, &one.object, one.members, self.rights).await?);
        }
        Ok(Some(items))
    }

    /// The members before `data`, in the order of their names.
    fn before(&self) -> Map {
        let about = self.resource.about();
        let mut members = Map::new();
        members.insert("actions".to_owned(), Tree::Object(self.actions.clone()));
        if self.creates {
            members.insert("createTypes".to_owned(), json!({about.id: self.url()}));
        }
        members
    }

    /// Those behind it, when all items are given.
    fn after(&self) -> Map {
        let url = self.url();
        let pagination = self.asked.pagination(&url, self.items.rest(), Some(self.items.given()));
        let members = [
            ("filters", self.asked.filters()),
            ("links", json!({"self": url})),
            ("pagination", pagination),
            ("resourceType", self.resource.about().id.into()),
            ("sort", self.asked.sorting(&url)),
            ("type", "collection".into()),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn url(&self) -> String {
        self.door.url(self.resource.about().plural, "")
    }
}

/// A list on its way to the client.
struct Writing {
    collection: Collection,
    format: Format,
    rename: bool,
    stage: Stage,
    /// Whether an item was written.
    written: bool,
}

#[derive(PartialEq)]
enum Stage {
    Head,
    Items,
    Over,
}

impl Writing {
    /// The next piece of the body, after others had their turn.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let mut out = Vec::new();
        match self.stage {
            Stage::Head => {
                self.head(&mut out);
                self.stage = Stage::Items;
                return Some(Ok(out.into()));
            }
            Stage::Over => return None,
            Stage::Items => {}
        }
        loop {
            tokio::task::yield_now().await;
            let door = &self.collection.door;
            if !authn::still_good(&door.state, &door.caller) || !self.collection.items.still_allowed().await {
                self.stage = Stage::Over;
                return Some(Err(io::Error::other("the caller may no longer see this list")));
            }
            match self.collection.next().await {
                Ok(Some(items)) if items.is_empty() => {}
                Ok(Some(items)) => {
                    items.into_iter().for_each(|item| self.item(item, &mut out));
                    return Some(Ok(out.into()));
                }
                Ok(None) => {
                    self.tail(&mut out);
                    self.stage = Stage::Over;
                    return Some(Ok(out.into()));
                }
                Err(error) => {
                    self.stage = Stage::Over;
                    return Some(Err(io::Error::other(error)));
                }
            }
        }
    }

    fn head(&self, out: &mut Vec<u8>) {
        let mut before = self.collection.before();
        if self.rename {
            super::rename_member(&mut before);
        }
        let bytes = self.format.write(&Tree::Object(before));
        match self.format {
            Format::Json => {
                out.extend_from_slice(bytes.strip_suffix(b"}").unwrap_or(&bytes));
                out.extend_from_slice(b",\"data\":[");
            }
            Format::Yaml => out.extend_from_slice(&bytes),
        }
    }

    fn item(&mut self, mut item: Tree, out: &mut Vec<u8>) {
        if self.rename
            && let Some(members) = item.as_object_mut()
        {
            super::rename_member(members);
        }
        let first = !std::mem::replace(&mut self.written, true);
        let bytes = self.format.write(&item);
        match self.format {
            Format::Json => {
                out.extend_from_slice(if first { b"" } else { b"," });
                out.extend_from_slice(&bytes);
            }
            Format::Yaml => {
                out.extend_from_slice(if first { b"data:\n" } else { b"" });
                for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
                    let indent: &[u8] = match line {
                        _ if at == 0 => b"- ",
                        b"\n" => b"",
                        _ => b"  ",
                    };
                    out.extend_from_slice(indent);
                    out.extend_from_slice(line);
                }
            }
        }
    }

    fn tail(&self, out: &mut Vec<u8>) {
        let bytes = self.format.write(&Tree::Object(self.collection.after()));
        match self.format {
            Format::Json => {
                out.extend_from_slice(b"],");
                out.extend_from_slice(bytes.strip_prefix(b"{").unwrap_or(&bytes));
            }
            Format::Yaml => {
                out.extend_from_slice(if self.written { b"" } else { b"data: []\n" });
                out.extend_from_slice(&bytes);
            }
        }
    }
}
