//! `POST /oauth2/revoke` (RFC 7009).
//!
//! Holding a good token is the right to end it: with it one could do so at any door. Who presents no good token but names one by its id, or presents one that is
//! disabled or expired, needs a credential of their own and the right to delete it. Everything that is no token, or none that the caller may know of, is answered
//! like one that has been revoked.

use std::sync::Arc;

use bytes::Bytes;
use eartag_api::frame;
use eartag_apiserver::kind::{Cx, Kind};
use eartag_apiserver::ops::DeleteOptions;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{AUTHENTICATED, Attributes, UserInfo};
use eartag_core::Face;
use eartag_core::record::Gist;
use eartag_core::verifier::{Accepted, Place, Presented, Reason};
use http::request::Parts;

use super::{Fault, caller, token_of};
use crate::authn::{self, CATTLE_AUTHENTICATED, Caller, CallerCredential, NotGood};
use crate::listener::Peer;
use crate::state::State;

/// Ends the token of the form.
pub(super) async fn answer<B>(
    state: &Arc<State>,
    parts: &Parts,
    incoming: B,
    peer: &Peer,
) -> Result<(), Fault>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text = token_of(parts, incoming).await?;
    let client = authn::client_address(state, &parts.headers, peer);
    let (verifier, gate) = (&state.tables.verifier, &state.gate);
    let checked = authn::check(verifier, gate, &text, Place::Any, client, state.world.now_ms()).await;
    state.metrics.token_check("revoke", checked.as_ref().map_or_else(|why| why.label(), |_| "good"));
    let meant = match checked {
        Ok(token) => return by_its_bearer(state, token, client).await,
        Err(NotGood::Busy) => return Err(Fault::busy()),
        Err(why) => meant(state, &text, why),
    };
    let Some(caller) = caller(state, parts, peer).await? else { return Ok(()) };
    let Some((face, name)) = meant else { return Ok(()) };
    by_caller(state, caller, face, name).await
}

/// The token that a caller may mean who does not hold it: one that is named by its id alone, or whose secret is right and which is not good all the same.
/// A wrong secret names nothing.
fn meant<'a>(state: &State, text: &'a str, why: NotGood) -> Option<(Face, &'a str)> {
    match why {
        NotGood::Bad(Reason::Malformed) if !text.contains(':') => {
            Some(match text.strip_prefix(Face::Ext.prefix()) {
                Some(name) => (Face::Ext, name),
                // Names are unique over both kinds (DEC21).
                None => (state.tables.verifier.token(text).map_or(Face::Legacy, |(face, _)| face), text),
            })
        }
        NotGood::Bad(
            Reason::Disabled
            | Reason::Expired
            | Reason::Idle
            | Reason::OwnerDisabled
            | Reason::ProviderDisabled,
        ) => Presented::parse(text).map(|presented| (presented.face, presented.name)),
        _ => None,
    }
}

/// As its owner, at the kind's own way of deleting it, so that whatever else goes with a token goes.
async fn by_its_bearer(
    state: &Arc<State>,
    token: Arc<Accepted>,
    client: std::net::IpAddr,
) -> Result<(), Fault> {
    let owner = UserInfo {
        name: token.owner.clone(),
        uid: token.owner_uid.to_string(),
        groups: vec![AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()],
        ..UserInfo::default()
    };
    let (face, name, uid) = (token.face, token.name.clone(), token.uid.to_string());
    let caller = Caller {
        user: owner,
        credential: Some(CallerCredential::Token(token)),
        impersonator: None,
        via_cookie: false,
        address: client,
    };
    delete(state, caller, face, &name, DeleteOptions { uid: Some(uid), ..DeleteOptions::default() }).await
}

async fn by_caller(state: &Arc<State>, caller: Caller, face: Face, name: &str) -> Result<(), Fault> {
    // Tokens of the older kind are everybody's own at /v3, without a rule that says so; of both, the kind knows whose one is.
    if face == Face::Ext {
        let info = kind(state, face).info();
        let wants = Attributes {
            version: info.version.to_owned(),
            ..Attributes::resource("delete", info.group, info.plural, name)
        };
        if !state.authorizer_of(&caller).authorize(&caller.user, &wants).await.allowed() {
            // Only whoever's token it is learns from the answer that there is one.
            return if owns(state, &caller, name) { Err(Fault::right()) } else { Ok(()) };
        }
    }
    delete(state, caller, face, name, DeleteOptions::default()).await
}

fn owns(state: &State, caller: &Caller, name: &str) -> bool {
    let token = state.tables.verifier.token(name);
    let body = token.as_ref().and_then(|(_, entry)| frame::split(entry.value()));
    body.and_then(|(body, _)| Gist::decode(body)).is_some_and(|gist| gist.owner == caller.user.name)
}

fn kind(state: &State, face: Face) -> &Arc<dyn Kind> {
    match face {
        Face::Legacy => &state.kinds.legacy_tokens,
        Face::Ext => &state.kinds.tokens,
    }
}

async fn delete(
    state: &Arc<State>,
    caller: Caller,
    face: Face,
    name: &str,
    options: DeleteOptions,
) -> Result<(), Fault> {
    let (user, facts) = (caller.user.clone(), Arc::new(caller));
    let cx = Cx::new(user, facts, Arc::clone(&state.authorizer), Arc::clone(&state.world));
    match state.api.delete(&**kind(state, face), &cx, name, &options).await {
        // Somebody else ended it in the same moment, or it is not for this caller to know of.
        Ok(_) | Err(Refusal::NotFound | Refusal::NotFoundHint(_) | Refusal::Precondition(_)) => Ok(()),
        Err(refusal) => Err(Fault::from_refusal(&refusal)),
    }
}
