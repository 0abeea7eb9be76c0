//! Who sent this request? (v3-token.md §4, ext-token.md §8, kubernetes-api.md §6.3)
//!
//! ```text
//! Authorization header ── alone decides if there is one ──┐
//! cookie R_SESS ── and the same-origin rule (DEC54) ──────┼─→ verifier ─→ the token's owner
//! client certificate ── CN = user, O = groups ────────────┘            └→ Impersonate-* (DEC57) ─→ Caller
//! nothing ─→ Anonymous: public paths are served, everything else is 401
//! ```
//!
//! What is presented and not good is 401, never anonymous. The reason goes to log and metrics only (DEC52). `X-Remote-*` headers are looked at only in
//! aggregated mode and only on a connection that showed a certificate of the cluster's front proxy: there they come first (see [`crate::aggregation`]).

pub mod address;
mod caller;
mod check;
pub mod cookie;
#[cfg(test)]
mod fuzz_tests;
mod gate;
pub mod impersonation;
mod pool;
pub mod same_origin;
mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod usernames;

use std::net::IpAddr;

use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{AUTHENTICATED, UserInfo};
use eartag_core::verifier::{Accepted, Place};
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;

use self::address::PublicAddress;
pub use self::caller::{
    CATTLE_AUTHENTICATED, Caller, CallerCredential, HOST, Impersonator, PRINCIPAL, TOKEN_ID, USERNAME,
};
pub use self::check::{NotGood, check};
pub use self::gate::Gate;
pub use self::pool::{Busy, SlowPool};
use self::source::Source;
pub use self::usernames::{Found, Usernames};
use crate::aggregation;
use crate::listener::{ClientCertificate, Issuer, Peer};
use crate::metrics::AuthnResult;
use crate::proxy;
use crate::state::State;
use crate::token_review;
use crate::token_review::credential::only_asks;

/// Why there is no caller.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthnFailure {
    /// Nothing was presented: public paths are served, all others answer 401.
    Anonymous,
    /// What was presented is not good: 401 on every path that asks at all.
    Rejected,
    /// The session cookie came with an unsafe request that no page of ours made (DEC54).
    CrossSite,
    /// The caller is known, and may not act as the one asked for; or nothing could be found out just now.
    Refused(Refusal),
}

impl AuthnFailure {
    /// The refusal of the Kubernetes door.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            AuthnFailure::Anonymous | AuthnFailure::Rejected => Refusal::Unauthorized,
            AuthnFailure::CrossSite => Refusal::ForbiddenText(
                "a request with the session cookie must come from this server's own pages, or repeat the CSRF token in X-API-CSRF".to_owned(),
            ),
            AuthnFailure::Refused(refusal) => refusal.clone(),
        }
    }
}

/// Finds out who sent a request. The cluster it is about is taken from the path only (DEC35).
///
/// # Errors
/// [`AuthnFailure`].
pub async fn authenticate(state: &State, parts: &Parts, peer: &Peer) -> Result<Caller, AuthnFailure> {
    let started = state.clock.uptime();
    let identified = identify(state, parts, peer).await;
    let (result, label) = match &identified {
        Ok(_) => (AuthnResult::Success, "good"),
        Err((AuthnFailure::Refused(_), label)) => (AuthnResult::Error, *label),
        Err((_, label)) => (AuthnResult::Failure, *label),
    };
    // Requests without any credential are no attempts.
    if !matches!(identified, Err((AuthnFailure::Anonymous, _))) {
        state.metrics.authentication(result, state.clock.uptime().saturating_sub(started));
        state.metrics.token_check("request", label);
    }
    let caller = identified.map_err(|(failure, _)| failure)?;
    impersonate(state, caller, parts).await.map_err(AuthnFailure::Refused)
}

/// Whether what authenticated the caller would still do so, and the user as whom they act is still there and enabled: asked again when a body has arrived, and
/// while a watch lasts.
#[must_use]
pub fn still_good(state: &State, caller: &Caller) -> bool {
    let verifier = &state.tables.verifier;
    let good = match &caller.credential {
        Some(CallerCredential::Token(accepted)) => verifier.still_good(accepted, state.world.now_ms()),
        Some(CallerCredential::Cluster { owner, token, .. }) => {
            token.as_ref().is_none_or(|token| verifier.still_good(token, state.world.now_ms()))
                && owner.as_ref().is_none_or(|(name, uid)| verifier.owner_enabled(name, *uid))
        }
        Some(CallerCredential::Certificate { common_name, is_user: true, .. }) => {
            verifier.owner(common_name).is_some_and(|owner| owner.enabled && !owner.deleted)
        }
        _ => true,
    };
    let acting_as = caller.impersonator.as_ref().and_then(|impersonator| impersonator.acting_as);
    good && acting_as.is_none_or(|uid| verifier.owner_enabled(&caller.user.name, uid))
}

/// The address under which a request came in.
#[must_use]
pub fn public_address(state: &State, parts: &Parts, peer: &Peer) -> PublicAddress {
    let trusted = &state.options.trusted_proxies;
    PublicAddress::of(&parts.headers, &parts.uri, peer.addr.ip(), trusted, || server_url(state))
}

/// The client's address (DEC55).
#[must_use]
pub fn client_address(state: &State, headers: &HeaderMap, peer: &Peer) -> IpAddr {
    address::client(headers, peer.addr.ip(), &state.options.trusted_proxies)
}

/// The cluster that a path is about: `/k8s/clusters/<id>…` and `/v3/clusters/<id>…`. Where clusters ask about tokens, each comes with a token of its own.
#[must_use]
pub fn place_of(path: &str) -> Place<'_> {
    if token_review::asks_here(path) {
        return Place::Any;
    }
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some("k8s" | "v3"), Some("clusters"), Some(id)) if !id.is_empty() => Place::Cluster(id),
        _ => Place::Global,
    }
}

/// The field manager of requests that name none: the client's name, as Kubernetes takes it from the user agent.
#[must_use]
pub fn field_manager(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name = agent.split('/').next().unwrap_or_default().trim();
    if name.is_empty() { "unknown".to_owned() } else { name.chars().take(128).collect() }
}

/// Whether nothing says that the request comes from a page that is not ours: what acts on a browser without a credential, a login and the end of its cookies,
/// is not for other pages to ask.
#[must_use]
pub fn from_our_pages(state: &State, parts: &Parts, own: &PublicAddress) -> bool {
    same_origin::may_be_ours(&parts.headers, own, &server_url(state))
}

/// Public address of this server as configured: the setting, or the flag.
fn server_url(state: &State) -> String {
    let setting = state.tables.settings.snapshot().server_url.clone();
    match &state.options.server_url {
        Some(flag) if setting.is_empty() => flag.as_str().to_owned(),
        _ => setting,
    }
}

async fn identify(state: &State, parts: &Parts, peer: &Peer) -> Result<Caller, (AuthnFailure, &'static str)> {
    let headers = &parts.headers;
    let client = client_address(state, headers, peer);
    if let Some(identified) = aggregation::by_front_proxy(state, parts, peer, client) {
        return identified;
    }
    let source = Source::of(headers);
    let Some(text) = source.text() else {
        if matches!(source, Source::Unusable) {
            tracing::info!(%client, "an Authorization header holds nothing of ours");
            return Err((AuthnFailure::Rejected, "unusable"));
        }
        return by_certificate(state, parts, peer, client);
    };
    let own = public_address(state, parts, peer);
    let via_cookie = matches!(source, Source::Cookie(_));
    if via_cookie
        && !same_origin::allows(
            &parts.method,
            parts.uri.query().unwrap_or_default(),
            headers,
            &own,
            &server_url(state),
        )
    {
        tracing::info!(%client, method = %parts.method, "a session cookie came with an unsafe request of another origin");
        return Err((AuthnFailure::CrossSite, "cross_site"));
    }
    let now_ms = state.world.now_ms();
    let place = place_of(parts.uri.path());
    match check(&state.tables.verifier, &state.gate, text, place, client, now_ms).await {
        Ok(accepted) if place != Place::Any && only_asks(&state.tables.verifier, &accepted.owner) => {
            tracing::info!(%client, owner = %accepted.owner, "a cluster's credential for asking about tokens was used for something else");
            Err((AuthnFailure::Rejected, "only_asks"))
        }
        Ok(accepted) => {
            let now_s = eartag_core::time::seconds(now_ms);
            state.tables.verifier.usage().touch(accepted.uid, now_s);
            Ok(Caller {
                user: token_user(&accepted, &own.authority),
                credential: Some(CallerCredential::Token(accepted)),
                impersonator: None,
                via_cookie,
                address: client,
            })
        }
        Err(NotGood::Busy) => {
            let busy = Refusal::TooManyRequests {
                message: "too many slow checks at the moment, please try again later".to_owned(),
                retry_after_s: 1,
            };
            Err((AuthnFailure::Refused(busy), NotGood::Busy.label()))
        }
        Err(not_good) => {
            tracing::info!(%client, source = source.label(), reason = not_good.label(), "a token was refused");
            Err((AuthnFailure::Rejected, not_good.label()))
        }
    }
}

fn by_certificate(
    state: &State,
    parts: &Parts,
    peer: &Peer,
    client: IpAddr,
) -> Result<Caller, (AuthnFailure, &'static str)> {
    if let Some(certificate) = &peer.certificate {
        match certificate.issuer {
            Issuer::Ours => {}
            Issuer::Cluster => {
                let ClientCertificate { common_name, organizations, .. } = &**certificate;
                return aggregation::by_cluster_certificate(state, parts, common_name, organizations, client);
            }
            Issuer::FrontProxy => {
                tracing::info!(%client, "the front proxy speaks for nobody");
                return Err((AuthnFailure::Rejected, "front_proxy"));
            }
        }
        let owner = state.tables.verifier.owner(&certificate.common_name);
        let owner = owner.map(|owner| Owner {
            uid: owner.uid.to_string(),
            username: owner.username.clone(),
            good: owner.enabled && !owner.deleted,
        });
        let Some(mut user) = certificate_user(certificate, owner.as_ref()) else {
            tracing::info!(%client, user = %certificate.common_name, "a client certificate names a user who is gone or disabled");
            return Err((AuthnFailure::Rejected, "certificate_user"));
        };
        let now_s = eartag_core::time::seconds(state.world.now_ms());
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
        state.metrics.client_certificate(certificate.not_after_s.saturating_sub(now_s) as f64);
        let host = public_address(state, parts, peer).authority;
        user.extra.insert(HOST.to_owned(), vec![host]);
        return Ok(Caller {
            user,
            credential: Some(CallerCredential::Certificate {
                common_name: certificate.common_name.clone(),
                fingerprint: certificate.fingerprint.clone(),
                is_user: owner.is_some(),
            }),
            impersonator: None,
            via_cookie: false,
            address: client,
        });
    }
    if let Some(why) = &peer.certificate_rejected {
        tracing::info!(%client, %why, "a client certificate was refused");
        return Err((AuthnFailure::Rejected, "certificate"));
    }
    Err((AuthnFailure::Anonymous, "none"))
}

/// A user of ours as far as a certificate login needs it.
struct Owner {
    uid: String,
    username: String,
    good: bool,
}

/// The identity of a certificate; `None` if it names a user who may not log in.
fn certificate_user(certificate: &ClientCertificate, owner: Option<&Owner>) -> Option<UserInfo> {
    let name = &certificate.common_name;
    if name.is_empty() || owner.is_some_and(|owner| !owner.good) || (owner.is_none() && looks_like_user(name))
    {
        return None;
    }
    let mut user =
        UserInfo { name: name.clone(), groups: certificate.organizations.clone(), ..UserInfo::default() };
    add_group(&mut user.groups, AUTHENTICATED);
    if let Some(owner) = owner {
        add_group(&mut user.groups, CATTLE_AUTHENTICATED);
        user.uid.clone_from(&owner.uid);
        user.extra.insert(PRINCIPAL.to_owned(), vec![format!("local://{name}")]);
        user.extra.insert(USERNAME.to_owned(), vec![owner.username.clone()]);
    }
    Some(user)
}

/// Whether a name is one that we give to users: one who was deleted must not live on as a plain name in somebody's certificate.
pub(crate) fn looks_like_user(name: &str) -> bool {
    name.starts_with("user-") || name.starts_with("u-")
}

/// The identity of a token: its owner (v3-token.md §4.5).
fn token_user(accepted: &Accepted, host: &str) -> UserInfo {
    let extra = [
        (TOKEN_ID, accepted.name.as_str()),
        (HOST, host),
        (PRINCIPAL, accepted.principal.name.as_str()),
        (USERNAME, accepted.username.as_str()),
    ];
    UserInfo {
        name: accepted.owner.clone(),
        uid: accepted.owner_uid.to_string(),
        groups: vec![AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()],
        extra: extra
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]))
            .collect(),
    }
}

fn add_group(groups: &mut Vec<String>, group: &str) {
    if !groups.iter().any(|g| g == group) {
        groups.push(group.to_owned());
    }
}

async fn impersonate(state: &State, caller: Caller, parts: &Parts) -> Result<Caller, Refusal> {
    let Some(asked) = impersonation::Asked::parse(&parts.headers)? else { return Ok(caller) };
    // Within its cluster such a token may do what its owner may; here it must not become somebody whose rights end at no cluster.
    let restricted = caller.is_restricted();
    if restricted && !proxy::serves(parts.uri.path()) {
        let why = "a token that is restricted to a cluster impersonates nobody outside of it";
        return Err(Refusal::ForbiddenText(why.to_owned()));
    }
    let user = asked.authorize(&caller.user, state.authorizer_of(&caller)).await?;
    // The cluster may hand the request on to us, with that as proof of a token without restriction.
    if restricted && user.extra.contains_key(TOKEN_ID) {
        return Err(Refusal::ForbiddenText(
            "a token that is restricted to a cluster names no other".to_owned(),
        ));
    }
    // Whoever may do nothing does nothing by way of others either (DEC8).
    let acting_as = match state.tables.verifier.owner(&user.name) {
        Some(found) if found.enabled && !found.deleted => Some(found.uid),
        Some(_) => {
            let why = format!("users {:?} is forbidden: the user is disabled or being deleted", user.name);
            return Err(Refusal::ForbiddenText(why));
        }
        None => None,
    };
    tracing::info!(real = %caller.user.name, acts_as = %user.name, "impersonation");
    Ok(Caller { impersonator: Some(Impersonator { user: caller.user, acting_as }), user, ..caller })
}
