//! `/v1/ext.cattle.io.useractivities/<session>`: GET tells when the session idles out, PUT (or POST to the collection) reports activity. The same resource as at the
//! Kubernetes door.

use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::Tree;
use eartag_apiserver::http::denied;
use eartag_apiserver::kind::{Computed, Cx, Resource};
use eartag_apiserver::ops::{Change, computed};
use eartag_apiserver::refusal::{Refusal, Subject};
use eartag_apiserver::user::Attributes;
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

use super::{Stop, object};
use crate::authn::{self, Caller};
use crate::listener::Body;
use crate::resources::EXT;
use crate::state::State;
use crate::v3::error::V3Error;
use crate::v3::item::text;
use crate::v3::reply::Reply;
use crate::v3::request::{Content, MAX_BODY, parse, read_body};

/// The type's name in paths.
pub const COLLECTION: &str = "/v1/ext.cattle.io.useractivities";
const TYPE: &str = "ext.cattle.io.useractivity";

/// Whether a path of this door is about activities.
pub fn serves(path: &str) -> bool {
    path.starts_with(COLLECTION)
}

/// Answers a request that was let in.
pub async fn answer<B>(
    state: &Arc<State>,
    caller: Caller,
    parts: &Parts,
    body: B,
    base: &str,
) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(Resource::Computed(resource)) = state.registry.find(EXT, "v1", "useractivities") else {
        return Err(V3Error::not_found("the server could not find the requested resource").into());
    };
    let resource = resource.as_ref();
    let (authorizer, world) = (Arc::clone(&state.authorizer), Arc::clone(&state.world));
    let caller = Arc::new(caller);
    let mut cx = Cx::new(caller.user.clone(), caller.clone(), authorizer, world);
    cx.field_manager = authn::field_manager(&parts.headers);
    let path = parts.uri.path().trim_end_matches('/');
    let name = path.strip_prefix(COLLECTION).unwrap_or_default().trim_start_matches('/');
    if name.contains(['/', '%']) {
        return Err(V3Error::not_found("the server could not find the requested resource").into());
    }
    let verb = match (&parts.method, name) {
        (&Method::GET | &Method::HEAD, name) if !name.is_empty() => "get",
        (&Method::PUT, name) if !name.is_empty() => "update",
        (&Method::POST, "") => "create",
        _ => return Err(V3Error::method_not_allowed(&parts.method).into()),
    };
    let info = resource.info();
    let refused = |refusal: &Refusal| V3Error::of(refusal, &Subject::new(info, name));
    let wants = Attributes {
        version: info.version.to_owned(),
        ..Attributes::resource(verb, info.group, info.plural, name)
    };
    if !cx.authorizer.authorize(&cx.user, &wants).await.allowed() {
        return Err(refused(&denied(&cx.user, &wants, "")).into());
    }
    let found = if verb == "get" {
        resource.get(name, &cx).await
    } else {
        let bytes = read_body(body, MAX_BODY).await?;
        let content = Content::of(&parts.headers);
        let asked = Tree::Object(object::asked(info, parse(&bytes, content)?));
        // A body may be sent slowly, and the credential revoked meanwhile.
        if !authn::still_good(state, &caller) {
            return Err(Stop::MustAuthenticate);
        }
        match verb {
            "update" => computed::update(resource, &cx, name, &Change::Put(asked)).await,
            _ => computed::create(resource, &cx, asked).await,
        }
    };
    let shown = shown(resource, &cx, found.map_err(|refusal| refused(&refusal))?, base);
    let reply = if verb == "create" { Reply::created(shown) } else { Reply::ok(shown) };
    Ok(reply.into_response())
}

fn shown(resource: &dyn Computed, cx: &Cx, mut activity: Tree, base: &str) -> Tree {
    let fields = resource.row(&activity, cx);
    let name = activity.get("metadata").map(|metadata| text(metadata, "name").to_owned()).unwrap_or_default();
    let info = resource.info();
    let url = format!("{base}{COLLECTION}/{name}");
    let view = format!("{base}/apis/{}/{}/{}/{name}", info.group, info.version, info.plural);
    let links = json!({"self": url, "update": url, "view": view});
    object::dress(&mut activity, TYPE, name, fields, links);
    activity
}
