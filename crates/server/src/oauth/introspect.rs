//! `POST /oauth2/introspect` (RFC 7662).

use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::Tree;
use http::request::Parts;
use serde_json::json;

use super::{Fault, caller, token_of};
use crate::authn;
use crate::listener::Peer;
use crate::state::State;
use crate::token_review::{Known, Question, Unknown, right};

/// Whose token it is, for callers who may create tokenreviews and at the place that is theirs.
pub(super) async fn answer<B>(
    state: &Arc<State>,
    parts: &Parts,
    incoming: B,
    peer: &Peer,
) -> Result<Tree, Fault>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let caller = caller(state, parts, peer).await?.ok_or_else(Fault::client)?;
    let may = async || state.authorizer_of(&caller).authorize(&caller.user, &right()).await.allowed();
    if !may().await {
        return Err(Fault::right());
    }
    let token = token_of(parts, incoming).await?;
    // A body may be sent slowly, and the credential or the right taken away meanwhile.
    if !authn::still_good(state, &caller) {
        return Err(Fault::rejected());
    }
    if !may().await {
        return Err(Fault::right());
    }
    let question = Question {
        caller: &caller,
        token: &token,
        audiences: &[],
        now_ms: state.world.now_ms(),
        dry_run: false,
    };
    match state.reviewer.review(&question, &*state.authorizer, "introspect").await {
        Ok(known) => Ok(shown(&known)),
        Err(Unknown::NotGood) => Ok(json!({"active": false})),
        Err(Unknown::Busy) => Err(Fault::busy()),
    }
}

/// The members that RFC 7662 §2.2 names: times are seconds since 1970, and what never expires has no `exp`.
fn shown(known: &Known) -> Tree {
    let token = &*known.token;
    let mut tree = json!({
        "active": true,
        "token_type": "Bearer",
        "sub": token.owner,
        "username": token.username,
        "jti": token.name,
    });
    if let Some(members) = tree.as_object_mut() {
        if let Some(ms) = token.expires_ms {
            members.insert("exp".to_owned(), (ms / 1000).into());
        }
        if !token.cluster.is_empty() {
            members.insert("aud".to_owned(), token.cluster.clone().into());
        }
    }
    tree
}
