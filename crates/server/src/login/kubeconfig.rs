//! Logins that ask for a kubeconfig's token instead of a session: those of the CLI (`responseType` `kubeconfig` or `kubeconfig_<cluster>`,
//! kubeconfig-and-cli.md §3.1; DEC35, DEC41).

use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{AUTHENTICATED, UserInfo};
use eartag_core::Principal;
use eartag_core::token::{KubeconfigToken, TokenRefusal, kubeconfig_prefix};
use eartag_core::ttl::kubeconfig_default;
use eartag_storage::Entry;

use super::may_have_another;
use super::session::{Issued, issue};
use crate::authn::CATTLE_AUTHENTICATED;
use crate::cluster::{Cluster, may_use};
use crate::state::State;
use crate::v3::error::V3Error;

/// The cluster for which such a token is asked, empty for none; `None` if another kind of answer is asked for. As in the reference, the beginning decides.
pub fn asked(response_type: &str) -> Option<&str> {
    response_type.strip_prefix("kubeconfig")?;
    Some(response_type.split_once('_').map(|(_, cluster)| cluster).unwrap_or_default())
}

/// Makes the token for a user whose password was right. It lives as long as the setting for the CLI says, within the maximum.
pub async fn open(state: &State, owner: &Entry, cluster: &str) -> Result<Issued, V3Error> {
    let refused = |refusal: Refusal| V3Error::of(&refusal, &Default::default());
    let name = may_have_another(state, owner)?;
    let gone = || refused(Refusal::Conflict("the user was deleted meanwhile".to_owned()));
    let user = state.tables.verifier.owner(&name).ok_or_else(gone)?;
    if !cluster.is_empty() {
        let groups = vec![AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()];
        let who = UserInfo { name: name.clone(), uid: user.uid.to_string(), groups, ..UserInfo::default() };
        if Cluster::find(&state.store, cluster).is_none() {
            let why = TokenRefusal::ClusterNotFound(cluster.to_owned());
            return Err(refused(Refusal::BadRequest(why.to_string())));
        }
        if !may_use(&*state.authorizer, &who, cluster).await {
            let why = TokenRefusal::ClusterDenied { user: name, cluster: cluster.to_owned() };
            return Err(refused(Refusal::ForbiddenText(why.to_string())));
        }
    }
    let settings = state.tables.settings.snapshot();
    let token = KubeconfigToken {
        owner: &name,
        user: &user,
        principal: &Principal::local(&name, &user.username, &user.display_name),
        cluster,
        lifetime: kubeconfig_default(settings.kubeconfig_cli, settings.max_ttl),
    };
    let prefix = kubeconfig_prefix(&name, cluster);
    issue(
        &state.store,
        &state.tables.features,
        &*state.world,
        owner,
        &prefix,
        true,
        |now_s, hashed, random| token.legacy(hashed, now_s, random),
    )
    .await
    .map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_what_follows_the_first_underscore() {
        assert_eq!(asked("kubeconfig"), Some(""));
        assert_eq!(asked("kubeconfig_local"), Some("local"));
        assert_eq!(asked("kubeconfig_c_1"), Some("c_1"));
        for other in ["", "json", "cookie", "Kubeconfig", "json_kubeconfig"] {
            assert_eq!(asked(other), None);
        }
    }
}
