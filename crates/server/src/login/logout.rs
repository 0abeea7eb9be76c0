//! Logout: `POST /v3/tokens?action=logout|logoutAll` and `POST /v1/logout` (v3-token.md §3.6, DEC36).
//!
//! Both forms delete the one token that the call came with, an API key too, and take the cookies away. `logoutAll` means single log-out at an identity
//! provider, which local users have none of.

use std::sync::Arc;

use eartag_apiserver::kind::Cx;
use eartag_apiserver::ops::DeleteOptions;
use eartag_apiserver::refusal::Refusal;
use eartag_core::Face;
use http::request::Parts;

use crate::authn::address::PublicAddress;
use crate::authn::{self, AuthnFailure, Caller, cookie};
use crate::listener::Peer;
use crate::state::State;
use crate::v3::error::V3Error;
use crate::v3::reply::Reply;

const NO_CREDENTIAL: &str = "No valid token cookie or auth header";

/// Deletes the presented token.
pub async fn logout(state: &Arc<State>, parts: &Parts, peer: &Peer, address: &PublicAddress) -> Reply {
    let mut reply = match authn::authenticate(state, parts, peer).await {
        Ok(caller) => match end(state, &caller).await {
            Ok(()) => Reply::empty(),
            Err(refusal) => V3Error::of(&refusal, &Default::default()).into(),
        },
        Err(AuthnFailure::CrossSite) => return V3Error::csrf().into(),
        Err(AuthnFailure::Refused(refusal)) => return V3Error::of(&refusal, &Default::default()).into(),
        // A session that is over is no reason to keep its cookie.
        Err(AuthnFailure::Anonymous | AuthnFailure::Rejected) => {
            V3Error::new(401, "Unauthorized", NO_CREDENTIAL).into()
        }
    };
    // A page elsewhere, whose requests come without the cookie, must not have it taken away.
    if !reply.status.is_server_error() && authn::from_our_pages(state, parts, address) {
        cookie::clear(&mut reply.headers);
    }
    reply
}

async fn end(state: &Arc<State>, caller: &Caller) -> Result<(), Refusal> {
    let Some(token) = caller.token() else { return Err(Refusal::BadRequest(NO_CREDENTIAL.to_owned())) };
    let kind = match token.face {
        Face::Legacy => &state.kinds.legacy_tokens,
        Face::Ext => &state.kinds.tokens,
    };
    // The kind asks who the owner is, and that is whom the token belongs to, whoever the request acts as.
    let real = Caller { user: caller.real().clone(), impersonator: None, ..caller.clone() };
    let (user, facts) = (real.user.clone(), Arc::new(real));
    let cx = Cx::new(user, facts, Arc::clone(&state.authorizer), Arc::clone(&state.world));
    let options = DeleteOptions { uid: Some(token.uid.to_string()), ..DeleteOptions::default() };
    let gone = state.api.delete(&**kind, &cx, &token.name, &options).await.map(drop);
    match gone {
        // Somebody else ended it in the same moment.
        Err(Refusal::NotFound | Refusal::Precondition(_)) => Ok(()),
        other => other,
    }
}
