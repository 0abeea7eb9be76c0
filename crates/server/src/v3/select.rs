//! The items of a list, a few at a time: in the order of their names straight from the store, in any other order by way of their places in it.

use std::collections::HashMap;
use std::sync::Arc;

use eartag_apiserver::kind::Kind;
use eartag_apiserver::ops::{ListOptions, Lister};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use eartag_storage::Scope;

use super::asked::Asked;
use super::door::Door;
use super::error::V3Error;
use super::item::members;
use super::resource::V3Resource;
use super::sorted::{Nearest, Position, Share, order};

/// Objects that are fetched at once by their names.
const CHUNK: usize = 500;

/// A chosen object, and the members of its item.
pub struct Chosen {
    /// The shown object.
    pub object: Tree,
    /// [`members`] of it.
    pub members: Map,
}

/// The items of a list, in order.
pub struct Items {
    door: Arc<Door>,
    resource: &'static dyn V3Resource,
    kind: Arc<dyn Kind>,
    source: Source,
    given: usize,
    /// The marker of the last one given.
    last: String,
    /// Whether there are more behind the limit.
    more: bool,
}

enum Source {
    /// In the order of names: a snapshot that is read on.
    ByName(Box<Lister>, String),
    /// In another order: names, fetched again.
    Placed(std::vec::IntoIter<Position>, #[expect(dead_code, reason = "counts while it lives")] Share),
    /// Without the right to list, a caller still sees what is their own.
    Own(Option<Tree>),
}

impl Items {
    /// Begins to read; sorting is done here.
    ///
    /// # Errors
    /// 403, what the kind says, and those of sorting.
    pub async fn open(
        door: Arc<Door>,
        resource: &'static dyn V3Resource,
        asked: &Asked,
    ) -> Result<Items, V3Error> {
        let kind = resource.kind(&door.state);
        let source = if !door.may(resource, "list", "").await? {
            Source::Own(own(&door, resource).await?)
        } else if asked.by_name() {
            let options = ListOptions {
                within: resource.within(&door).await?,
                after: asked.marker.clone(),
                ..ListOptions::default()
            };
            let lister = list(&door, resource, &*kind, &options).await?;
            Source::ByName(Box::new(lister), asked.marker.clone())
        } else {
            let (places, share) = places(&door, resource, &*kind, asked).await?;
            Source::Placed(places.into_iter(), share)
        };
        Ok(Items { door, resource, kind, source, given: 0, last: String::new(), more: false })
    }

    /// The next few; `None` when all are given. May be empty where filters leave nothing.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn next(&mut self, asked: &Asked) -> Result<Option<Vec<Chosen>>, V3Error> {
        if self.more {
            return Ok(None);
        }
        let Some(objects) = self.objects().await? else { return Ok(None) };
        let mut chosen = Vec::with_capacity(objects.len());
        for object in objects {
            let Some(members) = pick(&self.door, self.resource, asked, &object) else { continue };
            if asked.limit.is_some_and(|limit| self.given >= limit) {
                self.more = true;
                break;
            }
            self.given += 1;
            self.last = asked.marker_of(&members);
            chosen.push(Chosen { object, members });
        }
        Ok(Some(chosen))
    }

    /// How many were given.
    pub fn given(&self) -> usize {
        self.given
    }

    /// The marker of the next page, if there is one.
    pub fn rest(&self) -> Option<&str> {
        self.more.then_some(self.last.as_str())
    }

    /// Whether the caller may still see them.
    pub async fn still_allowed(&mut self) -> bool {
        match &mut self.source {
            Source::ByName(lister, _) => lister.still_allowed(&*self.kind, &self.door.cx).await,
            // Each few of these are a list of their own.
            Source::Placed(..) => self.door.may(self.resource, "list", "").await.unwrap_or(false),
            Source::Own(_) => true,
        }
    }

    async fn objects(&mut self) -> Result<Option<Vec<Tree>>, V3Error> {
        let (door, resource, kind) = (&*self.door, self.resource, &*self.kind);
        match &mut self.source {
            Source::Own(object) => Ok(object.take().map(|object| vec![object])),
            Source::ByName(lister, after) => {
                let page = match lister.page(kind, &door.cx) {
                    // A slow reader's snapshot is gone: the rest is read as it is now, which still shows each name once.
                    Err(Refusal::Expired { .. }) => {
                        let within = resource.within(door).await?;
                        let options = ListOptions { within, after: after.clone(), ..ListOptions::default() };
                        **lister = list(door, resource, kind, &options).await?;
                        lister.page(kind, &door.cx)
                    }
                    page => page,
                };
                let page = page.map_err(|refusal| door.error(resource, &refusal, ""))?;
                Ok(page.map(|page| {
                    if let Some(last) = page.last() {
                        *after = String::from_utf8_lossy(last.key()).into_owned();
                    }
                    page.into_iter().map(|listed| listed.object).collect()
                }))
            }
            Source::Placed(places, _) => {
                let ids: Vec<Box<str>> = places.by_ref().take(CHUNK).map(|place| place.id).collect();
                if ids.is_empty() {
                    return Ok(None);
                }
                let names = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
                let options = ListOptions { within: Some(Scope::names(names)), ..ListOptions::default() };
                let mut lister = list(door, resource, kind, &options).await?;
                let mut found: HashMap<Vec<u8>, Tree> = HashMap::with_capacity(ids.len());
                while let Some(page) =
                    lister.page(kind, &door.cx).map_err(|refusal| door.error(resource, &refusal, ""))?
                {
                    found.extend(page.into_iter().map(|listed| (listed.key().to_vec(), listed.object)));
                }
                // What was deleted meanwhile is left out.
                Ok(Some(ids.iter().filter_map(|id| found.remove(id.as_bytes())).collect()))
            }
        }
    }
}

async fn list(
    door: &Door,
    resource: &dyn V3Resource,
    kind: &dyn Kind,
    options: &ListOptions,
) -> Result<Lister, V3Error> {
    let info = kind.info();
    let wants = (!resource.open()).then(|| Attributes::resource("list", info.group, info.plural, ""));
    let options = ListOptions { wants, ..options.clone() };
    let started = door.state.api.list(kind, &door.cx, &options).await;
    started.map_err(|refusal| door.error(resource, &refusal, ""))
}

/// The members of an object that the list shows.
fn pick(door: &Door, resource: &dyn V3Resource, asked: &Asked, object: &Tree) -> Option<Map> {
    if resource.hidden(object) {
        return None;
    }
    let members = members(door, resource, object);
    asked.matches(&members).then_some(members)
}

/// The places of what the list shows, behind the marker; one more than the limit, to know whether there are more.
async fn places(
    door: &Door,
    resource: &dyn V3Resource,
    kind: &dyn Kind,
    asked: &Asked,
) -> Result<(Vec<Position>, Share), V3Error> {
    let behind = if asked.marker.is_empty() { None } else { Some(marked(door, resource, asked).await?) };
    let mut nearest = Nearest::new(asked.limit.map(|limit| limit + 1), asked.descending);
    let options = ListOptions { within: resource.within(door).await?, ..ListOptions::default() };
    let mut lister = list(door, resource, kind, &options).await?;
    while let Some(page) = lister.page(kind, &door.cx).map_err(|r| door.error(resource, &r, ""))? {
        for listed in page {
            let Some(members) = pick(door, resource, asked, &listed.object) else { continue };
            let place = asked.position(&members);
            if behind.as_ref().is_none_or(|behind| order(&place, behind, asked.descending).is_gt()) {
                nearest.add(place)?;
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(nearest.sorted())
}

/// The place of the marker: what it says itself, or that of the object that it names.
async fn marked(door: &Door, resource: &dyn V3Resource, asked: &Asked) -> Result<Position, V3Error> {
    if let Some(place) = asked.marked() {
        return Ok(place);
    }
    let object = door
        .object(resource, &asked.marker)
        .await
        .map_err(|_| V3Error::new(422, "InvalidOption", "marker is not among the items").field("marker"))?;
    Ok(asked.position(&members(door, resource, &object)))
}

async fn own(door: &Door, resource: &dyn V3Resource) -> Result<Option<Tree>, V3Error> {
    let denied = door.require(resource, "list", "").await;
    let Some(name) = resource.own(&door.caller) else { return denied.map(|()| None) };
    match door.object(resource, &name).await {
        Ok(object) => Ok(Some(object)),
        Err(_) => denied.map(|()| None),
    }
}
