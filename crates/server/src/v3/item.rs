//! From a shown object to a `/v3` item: common members, links, actions (v3-token.md §1.2, §1.3).

use eartag_api::meta::Uid;
use eartag_apiserver::{Map, Tree};
use eartag_core::time::{millis, parse_rfc3339};
use serde_json::json;

use super::door::Door;
use super::error::V3Error;
use super::resource::{About, FieldType, V3Resource};

/// Which links items get, as far as it is the same for all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rights {
    update: bool,
    remove: bool,
}

impl Rights {
    /// What the caller may do to every object of the resource.
    ///
    /// # Errors
    /// The authorizer cannot say.
    pub async fn to_all<R: V3Resource + ?Sized>(door: &Door, resource: &R) -> Result<Rights, V3Error> {
        Rights::to(door, resource, "", Rights::default()).await
    }

    async fn to<R>(door: &Door, resource: &R, name: &str, all: Rights) -> Result<Rights, V3Error>
    where
        R: V3Resource + ?Sized,
    {
        let methods = resource.about().resource_methods;
        let update = methods.contains(&"PUT") && (all.update || door.may(resource, "update", name).await?);
        let remove =
            methods.contains(&"DELETE") && (all.remove || door.may(resource, "delete", name).await?);
        Ok(Rights { update, remove })
    }
}

/// The item of a shown object.
///
/// # Errors
/// The authorizer cannot say which links there are.
pub async fn item<R>(door: &Door, resource: &R, object: &Tree, all: Rights) -> Result<Tree, V3Error>
where
    R: V3Resource + ?Sized,
{
    linked(door, resource, object, members(door, resource, object), all).await
}

/// All members of an item but `links` and `actions`: what lists are filtered and sorted by.
pub fn members<R: V3Resource + ?Sized>(door: &Door, resource: &R, object: &Tree) -> Map {
    const NONE: &Tree = &Tree::Null;
    let about = resource.about();
    let metadata = object.get("metadata").unwrap_or(NONE);
    let mut item = Map::new();
    common(metadata, &mut item);
    item.insert("id".to_owned(), text(metadata, "name").into());
    item.insert("type".to_owned(), about.id.into());
    item.insert("baseType".to_owned(), about.id.into());
    resource.show(object, &door.caller, &mut item);
    resource.complete(door, object, &mut item);
    add_timestamps(about, &mut item);
    item
}

/// The members with `links` and `actions`.
///
/// # Errors
/// The authorizer cannot say which links there are.
pub async fn linked<R>(
    door: &Door,
    resource: &R,
    object: &Tree,
    mut item: Map,
    all: Rights,
) -> Result<Tree, V3Error>
where
    R: V3Resource + ?Sized,
{
    let name = item.get("id").and_then(Tree::as_str).unwrap_or_default().to_owned();
    let url = door.url(resource.about().plural, &name);
    let rights = Rights::to(door, resource, &name, all).await?;
    let mut links = json!({"self": url});
    for (link, method, granted) in [("update", "PUT", rights.update), ("remove", "DELETE", rights.remove)] {
        if granted && resource.offers(door, object, method) {
            put(&mut links, link, url.clone());
        }
    }
    item.insert("links".to_owned(), links);
    let actions: Map = resource
        .actions(door, object)
        .await
        .into_iter()
        .map(|action| (action.to_owned(), format!("{url}?action={action}").into()))
        .collect();
    if !actions.is_empty() {
        item.insert("actions".to_owned(), Tree::Object(actions));
    }
    Ok(Tree::Object(item))
}

/// The string at a member, or empty.
#[must_use]
pub fn text<'t>(tree: &'t Tree, member: &str) -> &'t str {
    tree.get(member).and_then(Tree::as_str).unwrap_or_default()
}

/// Sets a member of an object; anything else is left alone.
pub fn put(tree: &mut Tree, member: &str, value: impl Into<Tree>) {
    if let Some(members) = tree.as_object_mut() {
        members.insert(member.to_owned(), value.into());
    }
}

fn common(metadata: &Tree, item: &mut Map) {
    item.insert("created".to_owned(), text(metadata, "creationTimestamp").into());
    let creator = metadata.pointer("/annotations/field.cattle.io~1creatorId").cloned().unwrap_or_default();
    item.insert("creatorId".to_owned(), creator);
    let uid = text(metadata, "uid");
    if uid.parse::<Uid>().is_ok() {
        item.insert("uuid".to_owned(), uid.into());
    }
    let removed = text(metadata, "deletionTimestamp");
    if !removed.is_empty() {
        item.insert("removed".to_owned(), removed.into());
    }
    for member in ["labels", "annotations", "ownerReferences"] {
        if let Some(value) = metadata.get(member).filter(|v| !v.is_null()) {
            item.insert(member.to_owned(), value.clone());
        }
    }
}

/// Every date has a twin in milliseconds.
fn add_timestamps(about: &About, item: &mut Map) {
    for field in about.all_fields().filter(|field| field.kind == FieldType::Date) {
        let ms = item.get(field.name).and_then(Tree::as_str).and_then(parse_rfc3339).map(millis);
        if let Some(ms) = ms {
            item.insert(format!("{}TS", field.name), ms.into());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn metadata_becomes_the_common_members() {
        let metadata = json!({
            "name": "u-ann", "uid": "5f0c7d4e-0000-4000-8000-000000000001", "creationTimestamp": "2026-03-02T09:15:04Z",
            "labels": {"a": "b"}, "resourceVersion": "7", "annotations": {"field.cattle.io/creatorId": "u-bob"},
        });
        let mut item = Map::new();
        common(&metadata, &mut item);
        assert_eq!(
            Tree::Object(item),
            json!({
                "created": "2026-03-02T09:15:04Z", "creatorId": "u-bob", "uuid": "5f0c7d4e-0000-4000-8000-000000000001",
                "labels": {"a": "b"}, "annotations": {"field.cattle.io/creatorId": "u-bob"},
            })
        );
    }

    #[test]
    fn an_unknown_creator_is_null() {
        let mut item = Map::new();
        common(&json!({"deletionTimestamp": "2026-03-02T09:15:04Z"}), &mut item);
        assert_eq!(item["creatorId"], Tree::Null);
        assert_eq!(item["removed"], "2026-03-02T09:15:04Z");
        assert!(!item.contains_key("uuid"));
    }
}
