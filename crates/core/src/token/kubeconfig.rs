//! Tokens of kubeconfigs (kubeconfig-and-cli.md §3.1), for those who are entitled to tokens of their own.

use super::create::mint;
use super::{CreateToken, KIND_KUBECONFIG, SystemKind};
use crate::face::Face;
use crate::record::{LegacyTokenRecord, Principal, TokenRecord};
use crate::secret::{PlainSecret, Random};
use crate::ttl::Lifetime;
use crate::verifier::OwnerState;

/// What such a token is for. Whether the owner may have it, and use the cluster, was decided before.
#[derive(Debug, Clone, Copy)]
pub struct KubeconfigToken<'a> {
    /// Name of the user who owns it.
    pub owner: &'a str,
    /// That user.
    pub user: &'a OwnerState,
    /// Who the owner is to the authentication provider.
    pub principal: &'a Principal,
    /// Id of the cluster that it is restricted to; empty if it is not.
    pub cluster: &'a str,
    /// How long it lives.
    pub lifetime: Lifetime,
}

impl KubeconfigToken<'_> {
    /// Draws up an ext token: of a `Kubeconfig`.
    #[must_use]
    pub fn ext(&self, now_s: i64, random: Random<'_>) -> (TokenRecord, PlainSecret) {
        let (credential, secret) = self.mint(Face::Ext, now_s, random);
        (TokenRecord { credential }, secret)
    }

    /// Draws up a legacy token: of a file for one cluster, or for the CLI.
    #[must_use]
    pub fn legacy(
        &self,
        hashed_mark: bool,
        now_s: i64,
        random: Random<'_>,
    ) -> (LegacyTokenRecord, PlainSecret) {
        let (credential, secret) = self.mint(Face::Legacy, now_s, random);
        let auth_provider = credential.principal.provider.clone();
        (LegacyTokenRecord { credential, derived: true, auth_provider, hashed_mark }, secret)
    }

    fn mint(&self, face: Face, now_s: i64, random: Random<'_>) -> (crate::Credential, PlainSecret) {
        let asked = CreateToken {
            kind: KIND_KUBECONFIG.to_owned(),
            description: SystemKind::Kubeconfig.description().to_owned(),
            cluster: self.cluster.to_owned(),
            ..CreateToken::default()
        };
        mint(face, &asked, self.owner, self.user, self.principal.clone(), self.lifetime, now_s, random)
    }
}

/// What the name of such a legacy token begins with, before its random letters: the user, and for the CLI's the cluster.
#[must_use]
pub fn kubeconfig_prefix(user: &str, cluster: &str) -> String {
    let prefix = SystemKind::Kubeconfig.prefix();
    if cluster.is_empty() { format!("{prefix}{user}") } else { format!("{prefix}{user}.{cluster}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{owner_state, random};

    #[test]
    fn both_faces_say_what_they_are_for() {
        let (user, principal) = (owner_state(), Principal::local("user-1", "ann", "Ann"));
        let token = KubeconfigToken {
            owner: "user-1",
            user: &user,
            principal: &principal,
            cluster: "c-1",
            lifetime: Lifetime::For(5000),
        };
        let (ext, ext_secret) = token.ext(9, &mut random());
        let (legacy, legacy_secret) = token.legacy(true, 9, &mut random());
        for (c, secret) in [(&ext.credential, &ext_secret), (&legacy.credential, &legacy_secret)] {
            assert_eq!((c.kind.as_str(), c.description.as_str()), ("kubeconfig", "Kubeconfig token"));
            assert_eq!((c.cluster.as_str(), c.lifetime, c.session), ("c-1", Lifetime::For(5000), false));
            assert_eq!((c.owner.as_str(), c.owner_uid, c.enabled), ("user-1", user.uid, true));
            assert!(c.hash.verify(secret.expose()) && c.principal == principal);
        }
        assert!(legacy.derived && legacy.hashed_mark && legacy.auth_provider == "local");
    }

    #[test]
    fn names_tell_the_user_and_the_cluster() {
        assert_eq!(kubeconfig_prefix("u-w7drc", ""), "kubeconfig-u-w7drc");
        assert_eq!(kubeconfig_prefix("u-w7drc", "c-1"), "kubeconfig-u-w7drc.c-1");
    }
}
