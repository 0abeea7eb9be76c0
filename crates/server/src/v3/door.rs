//! One request of `/v3`: who asks, under which address, and the way from there to the kinds.

use std::borrow::Cow;
use std::sync::Arc;

use eartag_apiserver::http::query::Query;
use eartag_apiserver::kind::Cx;
use eartag_apiserver::ops::{Change, DeleteOptions};
use eartag_apiserver::refusal::{Refusal, Subject};
use eartag_apiserver::user::{Attributes, Decision};
use eartag_apiserver::{Map, Tree};
use eartag_core::names::is_of_the_system;
use serde_json::json;

use super::error::V3Error;
use super::item::put;
use super::resource::{About, Made, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// A request that was authenticated.
pub struct Door {
    /// The server.
    pub state: Arc<State>,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The context for the kinds.
    pub cx: Cx,
    /// What all links begin with, e.g. `https://a.example`.
    pub base: String,
    /// The query.
    pub query: Query,
    /// Nobody was let in: the request may read what is public and nothing else.
    pub public: bool,
}

impl Door {
    /// The URL of a collection, or of an item in it.
    #[must_use]
    pub fn url(&self, plural: &str, id: &str) -> String {
        if id.is_empty() {
            format!("{}/v3/{plural}", self.base)
        } else {
            format!("{}/v3/{plural}/{id}", self.base)
        }
    }

    /// Whether the caller may do this to an object of the resource (or, without a name, to all of them). Of an open collection, everybody may; the kind's scope
    /// decides about the objects.
    pub async fn may<R>(&self, resource: &R, verb: &str, name: &str) -> Result<bool, V3Error>
    where
        R: V3Resource + ?Sized,
    {
        // What is public without credentials is so to everybody.
        if verb == "get" && resource.public(name) {
            return Ok(true);
        }
        if self.public {
            return Ok(false);
        }
        if resource.open() {
            return Ok(true);
        }
        let kind = resource.kind(&self.state);
        let info = kind.info();
        let wants = Attributes {
            version: info.version.to_owned(),
            ..Attributes::resource(verb, info.group, info.plural, name)
        };
        match self.cx.authorizer.authorize(&self.cx.user, &wants).await {
            Decision::Allow => Ok(true),
            Decision::Deny(_) => Ok(false),
            Decision::Error(error) => {
                tracing::error!(%error, "the authorizer could not decide");
                Err(V3Error::new(500, "ServerError", "authorization is not available"))
            }
        }
    }

    /// The same as a refusal.
    ///
    /// # Errors
    /// 403 in Kubernetes' words.
    pub async fn require<R>(&self, resource: &R, verb: &str, name: &str) -> Result<(), V3Error>
    where
        R: V3Resource + ?Sized,
    {
        if self.may(resource, verb, name).await? {
            return Ok(());
        }
        let kind = resource.kind(&self.state);
        let info = kind.info();
        let why = format!(
            "User {:?} cannot {verb} resource {:?} in API group {:?} at the cluster scope",
            self.cx.user.name, info.plural, info.group
        );
        Err(V3Error::of(&Refusal::Forbidden(why), &Subject::new(info, name)))
    }

    /// A kind's refusal in the words of this door.
    pub fn error<R: V3Resource + ?Sized>(&self, resource: &R, refusal: &Refusal, name: &str) -> V3Error {
        let kind = resource.kind(&self.state);
        let error = || V3Error::of(refusal, &Subject::new(kind.info(), name));
        let error = resource.error(refusal).unwrap_or_else(error);
        let field = member_of(resource.about(), &error.field).into_owned();
        V3Error { field, ..error }
    }

    /// One object that the caller may get.
    ///
    /// # Errors
    /// 403, 404 and what the kind says.
    pub async fn object<R: V3Resource + ?Sized>(&self, resource: &R, name: &str) -> Result<Tree, V3Error> {
        let kind = resource.kind(&self.state);
        self.require(resource, "get", name).await?;
        let found = self.state.api.get(&*kind, &self.cx, name).await;
        match found.map_err(|refusal| self.error(resource, &refusal, name))? {
            object if resource.hidden(&object) => Err(V3Error::not_found("resource not found")),
            object => Ok(object),
        }
    }

    /// Creates the object that a checked body asks for. The caller's right was asked before.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn create_object<R>(&self, resource: &R, body: &Map) -> Result<Made, V3Error>
    where
        R: V3Resource + ?Sized,
    {
        let kind = resource.kind(&self.state);
        let info = kind.info();
        let mut object = resource.object(body)?;
        object.insert("apiVersion".to_owned(), info.api_version().into());
        object.insert("kind".to_owned(), info.kind.into());
        let mut metadata = json!({"generateName": resource.generate_name()});
        for member in ["labels", "annotations"] {
            if let Some(value) = body.get(member) {
                put(&mut metadata, member, value.clone());
            }
        }
        object.insert("metadata".to_owned(), metadata);
        let created = self.state.api.create(&*kind, &self.cx, Tree::Object(object)).await;
        created.map(Made::from).map_err(|refusal| self.error(resource, &refusal, ""))
    }

    /// Changes an object as a checked body asks. The caller's right was asked before.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn change_object<R>(&self, resource: &R, name: &str, body: &Map) -> Result<Tree, V3Error>
    where
        R: V3Resource + ?Sized,
    {
        let kind = resource.kind(&self.state);
        let refused = |refusal: Refusal| self.error(resource, &refusal, name);
        let mut patch = resource.object(body)?;
        if body.contains_key("labels") || body.contains_key("annotations") {
            let seen = self.state.api.get(&*kind, &self.cx, name).await.map_err(refused)?;
            patch.insert("metadata".to_owned(), marks(&seen, body));
        }
        let change = Change::Merge(Tree::Object(patch));
        self.state.api.update(&*kind, &self.cx, name, &change).await.map_err(refused)
    }

    /// Deletes an object. The caller's right was asked before.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn delete_object<R>(&self, resource: &R, name: &str) -> Result<(), V3Error>
    where
        R: V3Resource + ?Sized,
    {
        let kind = resource.kind(&self.state);
        let deleted = self.state.api.delete(&*kind, &self.cx, name, &DeleteOptions::default()).await;
        deleted.map(drop).map_err(|refusal| self.error(resource, &refusal, name))
    }
}

/// What `/v3` calls a member of an object: references end in `Id` here and in `Name` there, and the name for people is `name`. Clients and forms look for the
/// member that they sent.
fn member_of<'f>(about: &About, field: &'f str) -> Cow<'f, str> {
    let known = |name: &str| about.all_fields().any(|field| field.name == name);
    if known(field) {
        return field.into();
    }
    let reference = field.strip_suffix("Name").map(|stem| format!("{stem}Id"));
    match reference {
        Some(reference) if known(&reference) => reference.into(),
        _ if field == "displayName" && known("name") => "name".into(),
        _ => field.into(),
    }
}

/// The merge patch that makes labels and annotations those of the body. The system's own (`…cattle.io/…`) stay if the body leaves them out,
/// because forms of clients do so.
fn marks(seen: &Tree, body: &Map) -> Tree {
    let mut patch = Map::new();
    for member in ["labels", "annotations"] {
        let Some(wanted) = body.get(member).and_then(Tree::as_object) else { continue };
        let mut changes = wanted.clone();
        let old = seen.get("metadata").and_then(|m| m.get(member)).and_then(Tree::as_object);
        for key in old.into_iter().flat_map(Map::keys) {
            if !is_of_the_system(key) && !changes.contains_key(key) {
                changes.insert(key.clone(), Tree::Null);
            }
        }
        patch.insert(member.to_owned(), Tree::Object(changes));
    }
    Tree::Object(patch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_member_is_called_as_clients_know_it() {
        let of = |plural: &str, field: &'static str| {
            member_of(super::super::dispatch::find(plural).unwrap().about(), field).into_owned()
        };
        assert_eq!(of("globalRoleBindings", "globalRoleName"), "globalRoleId");
        assert_eq!(of("tokens", "clusterName"), "clusterId");
        assert_eq!(of("globalRoles", "displayName"), "name");
        assert_eq!(of("users", "username"), "username");
        assert_eq!(of("tokens", "ttl"), "ttl");
        assert_eq!(of("tokens", "odd"), "odd");
    }

    #[test]
    fn labels_are_replaced_and_those_of_the_system_stay() {
        let seen = json!({"metadata": {"labels": {"a": "1", "b": "2", "x.cattle.io/y": "z", "mycattle.io/x": "1"}, "annotations": {"n": "1"}}});
        let body = json!({"labels": {"a": "3", "c": "4"}});
        assert_eq!(
            marks(&seen, body.as_object().unwrap()),
            json!({"labels": {"a": "3", "b": null, "c": "4", "mycattle.io/x": null}})
        );
    }
}
