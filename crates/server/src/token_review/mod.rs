//! Is this token good, and whose is it? What other servers ask, at whichever door (kubernetes-api.md §7, kubeconfig-and-cli.md §6.2).
//!
//! ```text
//! POST /apis/authentication.k8s.io/{v1,v1beta1}/tokenreviews ─┐  the asker, allowed to create tokenreviews
//! POST /v1/authenticate ──────────────────────────────────────┼─→ shape ─→ verifier, at the asker's place ─→ audience ─→ DEC44 ─→ Known
//! POST /oauth2/introspect ────────────────────────────────────┘
//! ```
//!
//! The place is the cluster that the asker's own token is restricted to: a cluster asks with a credential of its own, and cannot ask for another. An asker
//! without such a token asks for this server. Why a token is not good is in logs and metrics only; to the asker all refusals look alike, and all but those of
//! texts that can be no token of ours cost the same (DEC52).

pub mod answer;
pub mod authenticate;
pub mod credential;
pub mod short;

use std::sync::Arc;

use eartag_api::frame;
use eartag_apiserver::user::{AUTHENTICATED, Attributes, Authorizer, UserInfo};
use eartag_core::collections::CLUSTERS;
use eartag_core::time::seconds;
use eartag_core::verifier::{Accepted, Place};
use eartag_storage::Store;

use crate::authn::{self, CATTLE_AUTHENTICATED, Caller, NotGood};
use crate::cluster;
use crate::metrics::Metrics;
use crate::observer::Tables;

/// Group of the reviews.
pub const GROUP: &str = "authentication.k8s.io";
/// The resource whose creation is the right to ask.
pub const RESOURCE: &str = "tokenreviews";

/// What the API server of a cluster calls itself, where nobody says otherwise: the issuers that installers set, which are its audiences too.
const USUAL_AUDIENCES: [&str; 3] = [
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local",
    "kubernetes.default.svc",
];
/// The annotation of a cluster object that names its API server's audiences where they are others (`--api-audiences`, else `--service-account-issuer`),
/// separated by commas.
pub const AUDIENCES_ANNOTATION: &str = "eartag.io/api-audiences";

/// The paths at which a token that is restricted to a cluster is good for asking about others at that cluster, and for nothing else.
#[must_use]
pub fn asks_here(path: &str) -> bool {
    matches!(
        path.trim_end_matches('/'),
        "/apis/authentication.k8s.io/v1/tokenreviews"
            | "/apis/authentication.k8s.io/v1beta1/tokenreviews"
            | "/v1/authenticate"
            | "/oauth2/introspect"
    )
}

/// The right that an asker needs.
#[must_use]
pub fn right() -> Attributes {
    Attributes::resource("create", GROUP, RESOURCE, "")
}

/// What is asked.
pub struct Question<'a> {
    /// Who asks; that they may was found out before.
    pub caller: &'a Caller,
    /// The token as somebody presented it to them.
    pub token: &'a str,
    /// What they call themselves. Empty: this is left to them.
    pub audiences: &'a [String],
    /// Effective time, in ms since 1970.
    pub now_ms: u64,
    /// Leaves no trace, not even that the token was used.
    pub dry_run: bool,
}

/// A good token's owner, as the asker may know them.
#[derive(Debug)]
pub struct Known {
    /// The token.
    pub token: Arc<Accepted>,
    /// Those of the asked audiences that it is meant for.
    pub audiences: Vec<String>,
}

/// Why there is no answer that says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The token is not good there.
    NotGood,
    /// It could not be found out just now; asking again in a second helps.
    Busy,
}

/// Answers questions about tokens.
#[derive(Clone)]
pub struct Reviewer {
    tables: Arc<Tables>,
    store: Store,
    metrics: Arc<Metrics>,
}

impl Reviewer {
    /// Over the server's tables.
    #[must_use]
    pub fn new(tables: Arc<Tables>, store: Store, metrics: Arc<Metrics>) -> Reviewer {
        Reviewer { tables, store, metrics }
    }

    /// Whose token it is. `door` is the word for metrics.
    ///
    /// # Errors
    /// [`Unknown`].
    pub async fn review(
        &self,
        asked: &Question<'_>,
        authorizer: &dyn Authorizer,
        door: &'static str,
    ) -> Result<Known, Unknown> {
        let place = place_of(asked.caller);
        let found = self.look(asked, place, authorizer).await;
        let label = match &found {
            Ok(_) => "good",
            Err(why) => why.label(),
        };
        self.metrics.token_check(door, label);
        match found {
            Ok(known) => {
                if !asked.dry_run {
                    self.tables.usage.touch(known.token.uid, seconds(asked.now_ms));
                }
                Ok(known)
            }
            Err(Why::Token(NotGood::Busy)) => Err(Unknown::Busy),
            Err(why) => {
                tracing::info!(asker = %asked.caller.user.name, ?place, reason = why.label(), "a token that another server asked about was refused");
                Err(Unknown::NotGood)
            }
        }
    }

    async fn look(
        &self,
        asked: &Question<'_>,
        place: Place<'_>,
        authorizer: &dyn Authorizer,
    ) -> Result<Known, Why> {
        let Question { caller, token, now_ms, .. } = *asked;
        let (verifier, gate) = (&self.tables.verifier, &self.tables.gate);
        let token =
            authn::check(verifier, gate, token, place, caller.address, now_ms).await.map_err(Why::Token)?;
        let id = match place {
            Place::Cluster(id) => id,
            _ => cluster::LOCAL,
        };
        let audiences = self.audiences(id, asked.audiences)?;
        if let Place::Cluster(id) = place {
            // A cluster that is gone asks no more, and whoever has no right to it has none there (DEC44).
            if !self.is_there(id) {
                return Err(Why::NoCluster);
            }
            let owner = as_logged_in(&token);
            if credential::only_asks(verifier, &token.owner)
                || !cluster::may_use(authorizer, &owner, id).await
            {
                return Err(Why::NoRight);
            }
        }
        Ok(Known { token, audiences })
    }

    fn is_there(&self, id: &str) -> bool {
        let entry = self.store.get(CLUSTERS, id.as_bytes());
        entry.and_then(|entry| frame::head(entry.value())).is_some_and(|head| !head.deleted)
    }

    /// Our tokens are meant for API servers, by whatever name those go: a token that somebody else asks about is not good for them.
    fn audiences(&self, id: &str, asked: &[String]) -> Result<Vec<String>, Why> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let usual: Vec<String> =
            asked.iter().filter(|a| USUAL_AUDIENCES.contains(&a.as_str()) || *a == id).cloned().collect();
        if !usual.is_empty() {
            return Ok(usual);
        }
        let entry = self.store.get(CLUSTERS, id.as_bytes());
        let annotations = entry.and_then(|entry| frame::meta(entry.value())).map(|meta| meta.annotations);
        let named = annotations.and_then(|mut all| all.remove(AUDIENCES_ANNOTATION)).unwrap_or_default();
        let named: Vec<&str> = named.split(',').map(str::trim).filter(|a| !a.is_empty()).collect();
        let ours: Vec<String> = asked.iter().filter(|a| named.contains(&a.as_str())).cloned().collect();
        if ours.is_empty() { Err(Why::Audience) } else { Ok(ours) }
    }
}

impl Known {
    /// The groups that other servers may know. Those of `system:` are each server's own to give (DEC45, kubernetes-api.md K5), and local users are in no others.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &[]
    }
}

/// For whom an asker asks.
fn place_of(caller: &Caller) -> Place<'_> {
    match caller.token() {
        Some(token) if !token.cluster.is_empty() => Place::Cluster(&token.cluster),
        _ => Place::Global,
    }
}

/// The owner as a login by this token would be.
fn as_logged_in(token: &Accepted) -> UserInfo {
    UserInfo {
        name: token.owner.clone(),
        uid: token.owner_uid.to_string(),
        groups: vec![AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()],
        ..UserInfo::default()
    }
}

/// Why a token is not good for the asker.
enum Why {
    Token(NotGood),
    Audience,
    NoCluster,
    NoRight,
}

impl Why {
    fn label(&self) -> &'static str {
        match self {
            Why::Token(why) => why.label(),
            Why::Audience => "audience",
            Why::NoCluster => "no_cluster",
            Why::NoRight => "no_right",
        }
    }
}

#[cfg(test)]
mod tests;
