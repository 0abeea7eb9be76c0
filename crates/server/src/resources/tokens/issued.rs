//! Legacy tokens that are made on the way to something else: a kubeconfig for one cluster (kubeconfig-and-cli.md §2, §3.1).

use eartag_api::frame;
use eartag_apiserver::kind::Cx;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::USERS;
use eartag_core::token::{KubeconfigToken, TokenRefusal, entitled, kubeconfig_prefix};
use eartag_core::ttl::kubeconfig_default;

use super::super::MANAGEMENT;
use super::{Ground, refusal};
use crate::authn::Caller;
use crate::login::session::{Issued, issue};
use crate::state::State;

/// Makes a token for a kubeconfig that leads to this cluster, by the rules of any token of one's own. Whoever came with a token that is itself restricted to the
/// cluster gets no other.
pub async fn kubeconfig_token(
    state: &State,
    cx: &Cx,
    cluster: &str,
    restricted: bool,
) -> Result<Issued, Refusal> {
    let ground = Ground::new(state.tables.clone(), state.store.clone());
    let (user, principal) = ground
        .as_creator(cx, |creator| entitled(creator).map(|(user, principal)| (user.clone(), principal)))
        .map_err(refusal)?;
    let _places = ground.places(cx, &cx.user.name, MANAGEMENT, 1).await?;
    // Whomever the request acts as: what it came with bounds what it makes.
    let restricted = restricted || cx.fact::<Caller>().is_some_and(Caller::is_restricted);

    let settings = state.tables.settings.snapshot();
    let token = KubeconfigToken {
        owner: &cx.user.name,
        user: &user,
        principal: &principal,
        cluster: if restricted { cluster } else { "" },
        lifetime: kubeconfig_default(settings.kubeconfig_default, settings.max_ttl),
    };
    let very = state.store.get(USERS, cx.user.name.as_bytes());
    let very = very.filter(|entry| frame::head(entry.value()).is_some_and(|head| head.uid == user.uid));
    let owner = very.ok_or_else(|| refusal(TokenRefusal::NotRancherUser(cx.user.name.clone())))?;
    let prefix = kubeconfig_prefix(&cx.user.name, "");
    issue(
        &state.store,
        &state.tables.features,
        &*state.world,
        &owner,
        &prefix,
        false,
        |now_s, hashed, random| token.legacy(hashed, now_s, random),
    )
    .await
}
