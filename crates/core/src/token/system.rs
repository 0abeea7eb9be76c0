//! Tokens that the system makes for itself (v3-token.md §10, DEC34): the only ones that may be given a ttl of 0 while there is a
//! maximum.

use super::create::mint;
use super::{CreateToken, TokenRefusal};
use crate::face::Face;
use crate::names::random_name;
use crate::record::{LegacyTokenRecord, Principal};
use crate::secret::{PlainSecret, Random};
use crate::ttl::{Clamped, Lifetime, clamp_legacy};
use crate::verifier::OwnerState;

/// The seven kinds of the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemKind {
    /// Kubeconfigs.
    Kubeconfig,
    /// The shell in the browser.
    KubectlShell,
    /// Deploying an agent.
    Agent,
    /// Compose.
    Compose,
    /// Deploying Helm charts.
    Helm,
    /// Telemetry.
    Telemetry,
    /// Draining nodes.
    DrainNode,
}

impl SystemKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Kubeconfig,
        Self::KubectlShell,
        Self::Agent,
        Self::Compose,
        Self::Helm,
        Self::Telemetry,
        Self::DrainNode,
    ];

    /// The kind's name: value of `--kind` and of the kind label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubeconfig => "kubeconfig",
            Self::KubectlShell => "kubectl-shell",
            Self::Agent => "agent",
            Self::Compose => "compose",
            Self::Helm => "helm",
            Self::Telemetry => "telemetry",
            Self::DrainNode => "drain-node",
        }
    }

    /// What the names of its tokens begin with, as the seed lists them.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Kubeconfig => "kubeconfig-",
            Self::KubectlShell => "kubectl-shell-",
            Self::Agent => "agent-",
            Self::Compose => "compose-token-",
            Self::Helm => "helm-token-",
            Self::Telemetry => "telemetry-",
            Self::DrainNode => "drain-node-",
        }
    }

    /// `description` of its tokens.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Kubeconfig => "Kubeconfig token",
            Self::KubectlShell => "Access to kubectl shell in the browser",
            Self::Agent => "token for agent deployment",
            Self::Compose => "token for compose",
            Self::Helm => "token for helm chart deployment",
            Self::Telemetry => "token for telemetry",
            Self::DrainNode => "token for drain",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A new name: prefix, user and five random letters, as Kubernetes' generated names. Those never begin with `token-`.
    #[must_use]
    pub fn random_name(self, user: &str, random: Random<'_>) -> String {
        random_name(&format!("{}{user}", self.prefix()), random)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct SystemToken<'a> {
    /// Its kind.
    pub kind: SystemKind,
    /// Name of the user who is to own it.
    pub owner: &'a str,
    /// `description`; empty means the kind's.
    pub description: &'a str,
    /// `ttl` in ms; absent and 0 mean never, whatever the maximum.
    pub ttl: Option<i64>,
    /// The cluster it is restricted to, or empty; looked up by the caller.
    pub cluster: &'a str,
}

/// Draws up a system token. Who may is for the caller to decide.
///
/// # Errors
/// A negative ttl, or an owner who is disabled or being deleted.
pub fn system_token(
    asked: &SystemToken<'_>,
    user: &OwnerState,
    max: Option<u64>,
    hashed_mark: bool,
    now_s: i64,
    random: Random<'_>,
) -> Result<(LegacyTokenRecord, PlainSecret, Vec<String>), TokenRefusal> {
    if !user.enabled || user.deleted {
        return Err(TokenRefusal::DisabledUser);
    }
    let Clamped { lifetime, warning } = match asked.ttl.unwrap_or(0) {
        0 => Clamped { lifetime: Lifetime::Forever, warning: None },
        ttl => clamp_legacy(Some(ttl), max)?,
    };
    let description = if asked.description.is_empty() { asked.kind.description() } else { asked.description };
    let wanted = CreateToken {
        kind: asked.kind.name().to_owned(),
        description: description.to_owned(),
        cluster: asked.cluster.to_owned(),
        ..CreateToken::default()
    };
    let principal = Principal::local(asked.owner, &user.username, &user.display_name);
    let (credential, secret) =
        mint(Face::Legacy, &wanted, asked.owner, user, principal, lifetime, now_s, random);
    let record =
        LegacyTokenRecord { credential, derived: true, auth_provider: "local".to_owned(), hashed_mark };
    Ok((record, secret, warning.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::testing::{owner_state, random};

    #[test]
    fn a_system_token_may_live_for_ever_despite_a_maximum() {
        let asked = SystemToken {
            kind: SystemKind::Compose,
            owner: "user-1",
            description: "",
            ttl: None,
            cluster: "",
        };
        let make = |ttl| {
            system_token(&SystemToken { ttl, ..asked }, &owner_state(), Some(1000), false, 5, &mut random())
        };
        let (record, secret, warnings) = make(Some(0)).unwrap();
        assert_eq!((record.credential.lifetime, warnings.len()), (Lifetime::Forever, 0));
        assert_eq!(
            (record.credential.kind.as_str(), record.credential.description.as_str()),
            ("compose", "token for compose")
        );
        assert!(record.derived && record.credential.hash.verify(secret.expose()));
        let (record, _, warnings) = make(Some(5000)).unwrap();
        assert_eq!((record.credential.lifetime, warnings.len()), (Lifetime::For(1000), 1));
        assert!(make(Some(-1)).is_err());
    }

    #[test]
    fn names_begin_as_the_seed_lists_them_and_never_like_api_keys() {
        let prefixes: Vec<_> = SystemKind::ALL.iter().map(|kind| kind.prefix()).collect();
        let seed = [
            "kubeconfig-",
            "kubectl-shell-",
            "agent-",
            "compose-token-",
            "helm-token-",
            "telemetry-",
            "drain-node-",
        ];
        assert_eq!(prefixes, seed);
        for kind in SystemKind::ALL {
            let name = kind.random_name("user-vqkqt", &mut random());
            assert!(name.starts_with(&format!("{}user-vqkqt", kind.prefix())) && !name.starts_with("token-"));
            assert_eq!(SystemKind::parse(kind.name()), Some(kind));
        }
        assert_eq!(SystemKind::parse("token"), None);
    }
}
