//! Who sent a request, where the cluster vouches for it: by its front proxy, or by a certificate of its own authority (kubernetes-api.md §6.3, DEC15).
//!
//! The cluster says who somebody is; whether they are a user of ours is decided by the name alone. It cannot say more: a user of ours who is disabled or gone
//! is refused, and a token that the cluster names must be a good one of that user, however long the cluster remembers it as one.

use std::net::IpAddr;

use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{AUTHENTICATED, UserInfo};
use http::request::Parts;

use crate::authn::{AuthnFailure, Caller, CallerCredential, TOKEN_ID, looks_like_user};
use crate::listener::{Issuer, Peer};
use crate::resources::EXT;
use crate::state::State;

/// A caller, or why not and the word for metrics.
type Identified = Result<Caller, (AuthnFailure, &'static str)>;

/// What of us the cluster's callers can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Discovery and OpenAPI: they hold nothing of anybody's, and a failure there would be one of the whole cluster.
    Documents,
    /// Objects of `ext.cattle.io`.
    Objects,
}

/// Whom the front proxy speaks for, if this is the front proxy and it speaks for somebody. From anybody else the headers are never looked at.
pub fn by_front_proxy(state: &State, parts: &Parts, peer: &Peer, client: IpAddr) -> Option<Identified> {
    let aggregation = state.aggregation.as_deref()?;
    peer.certificate.as_ref().filter(|certificate| certificate.issuer == Issuer::FrontProxy)?;
    match aggregation.known.headers().identity(&parts.headers) {
        Ok(user) => Some(admit(state, user?, parts.uri.path(), client)),
        Err(why) => {
            tracing::warn!(%client, %why, "headers of the front proxy were refused");
            Some(Err((AuthnFailure::Rejected, "front_proxy_headers")))
        }
    }
}

/// Whom a certificate of the cluster's own authority names.
pub fn by_cluster_certificate(
    state: &State,
    parts: &Parts,
    common_name: &str,
    organizations: &[String],
    client: IpAddr,
) -> Identified {
    let mut user =
        UserInfo { name: common_name.to_owned(), groups: organizations.to_vec(), ..UserInfo::default() };
    if !user.in_group(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    admit(state, user, parts.uri.path(), client)
}

fn admit(state: &State, user: UserInfo, path: &str, client: IpAddr) -> Identified {
    let refused = |reason: &'static str| {
        tracing::info!(%client, user = %user.name, reason, "whom the cluster vouches for was refused");
        Err((AuthnFailure::Rejected, reason))
    };
    let Some(part) = part(path) else {
        let text = format!("the cluster hands on only /apis, /openapi and what is in the group {EXT}");
        return Err((AuthnFailure::Refused(Refusal::ForbiddenText(text)), "not_aggregated"));
    };
    let (mut owner, mut token) = (None, None);
    if part == Part::Objects {
        let verifier = &state.tables.verifier;
        match verifier.owner(&user.name) {
            Some(found) if found.enabled && !found.deleted => owner = Some((user.name.clone(), found.uid)),
            Some(_) => return refused("cluster_user_disabled"),
            None if looks_like_user(&user.name) => return refused("cluster_user_gone"),
            None => {}
        }
        // Several ids count as none.
        if let (Some(_), Some([id])) = (&owner, user.extra.get(TOKEN_ID).map(Vec::as_slice)) {
            match verifier.resolve(id, state.world.now_ms()) {
                // What is good in one cluster only is not good here, whoever passed it on.
                Ok(found) if found.owner == user.name && found.cluster.is_empty() => token = Some(found),
                _ => return refused("cluster_token"),
            }
        }
    }
    Ok(Caller {
        user,
        credential: Some(CallerCredential::Cluster { owner, token }),
        impersonator: None,
        via_cookie: false,
        address: client,
    })
}

fn part(path: &str) -> Option<Part> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [] | ["api" | "apis"] | ["api", _] | ["apis", EXT] | ["apis", EXT, _] | ["openapi", ..] => {
            Some(Part::Documents)
        }
        ["apis", EXT, ..] => Some(Part::Objects),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clusters_callers_reach_documents_and_one_group_only() {
        for path in [
            "/",
            "/apis",
            "/apis/",
            "/apis/ext.cattle.io/v1",
            "/openapi/v2",
            "/openapi/v3/apis/ext.cattle.io/v1",
            "/api/v1",
        ] {
            assert_eq!(part(path), Some(Part::Documents), "{path}");
        }
        for path in [
            "/apis/ext.cattle.io/v1/tokens",
            "//apis/ext.cattle.io/v1/tokens/a/",
            "/apis/ext.cattle.io/v1/tokens/a/b/c",
        ] {
            assert_eq!(part(path), Some(Part::Objects), "{path}");
        }
        for path in [
            "/apis/management.cattle.io/v3/users",
            "/apis/management.cattle.io",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            "/apis/ext%2ecattle.io/v1/tokens",
            "/api/v1/namespaces",
            "/v3/tokens",
            "/k8s/clusters/local/apis/ext.cattle.io/v1/tokens",
            "/metrics",
            "/openapiv2",
        ] {
            assert_eq!(part(path), None, "{path}");
        }
    }
}
