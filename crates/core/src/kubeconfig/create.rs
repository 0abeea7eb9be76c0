//! What is asked of a new kubeconfig, in the order of the reference; the first failure wins (kubeconfig-and-cli.md §1.2).

use std::collections::HashSet;

use crate::record::Principal;
use crate::token::{ClusterAccess, Creator, TokenRefusal, entitled};
use crate::ttl::{KubeconfigTtlRefusal, Lifetime, Minutes, TtlSeconds, kubeconfig};
use crate::verifier::OwnerState;

/// So many clusters may one kubeconfig lead to: each may need a token of its own.
pub const MOST_CLUSTERS: usize = 500;
/// So many bytes may the ids in `spec.clusters` take together, also those that nobody looks at because `*` stands before them.
pub const MAX_CLUSTERS_BYTES: usize = 32 << 10;

/// Every cluster that the caller may `get`, as the first of `spec.clusters`.
const ALL: &str = "*";

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateKubeconfig {
    /// `spec.clusters`: ids, or `*` and whatever follows it.
    pub clusters: Vec<String>,
    /// `spec.currentContext`: the id of one of them; empty for the first.
    pub current_context: String,
    /// `spec.description`.
    pub description: String,
    /// `spec.ttl` in seconds.
    pub ttl: i64,
    /// `spec.includeDefaultEntry`; absent means true.
    pub include_default_entry: Option<bool>,
}

/// The clusters that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// All that the caller may `get`.
    All,
    /// These, by id.
    These(&'a [String]),
}

impl CreateKubeconfig {
    /// The clusters that are asked for.
    #[must_use]
    pub fn wanted(&self) -> Wanted<'_> {
        match self.clusters.first() {
            Some(first) if first == ALL => Wanted::All,
            _ => Wanted::These(&self.clusters),
        }
    }

    /// Whether the server itself is in the file.
    #[must_use]
    pub fn default_entry(&self) -> bool {
        self.include_default_entry.unwrap_or(true)
    }
}

/// What is decided before any cluster is looked at.
#[derive(Debug)]
pub struct Begun<'a> {
    /// Who asks.
    pub user: &'a OwnerState,
    /// The principal of the tokens.
    pub principal: Principal,
    /// How long they live.
    pub lifetime: Lifetime,
}

/// A cluster that was looked up.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// Its id, as it was asked for.
    pub id: &'a str,
    /// Whether it is there, and the caller's to use.
    pub access: ClusterAccess,
}

/// Who asks, and for how long. `default` and `max` are the settings.
///
/// # Errors
/// The first check that fails.
pub fn begin<'a>(
    asked: &CreateKubeconfig,
    by: &Creator<'a>,
    default: Minutes,
    max: Option<u64>,
) -> Result<Begun<'a>, KubeconfigRefusal> {
    let (user, principal) = entitled(by).map_err(|why| match why {
        TokenRefusal::MissingTokenId => KubeconfigRefusal::MissingTokenId,
        TokenRefusal::UnknownToken(id) => KubeconfigRefusal::UnknownToken(id),
        other => KubeconfigRefusal::Caller(other),
    })?;
    let mut seen = HashSet::new();
    if !asked.clusters.iter().all(|id| seen.insert(id)) {
        return Err(KubeconfigRefusal::NotUnique);
    }
    if asked.clusters.is_empty() && !asked.default_entry() {
        return Err(KubeconfigRefusal::Nothing);
    }
    let lifetime = whole_seconds(kubeconfig(TtlSeconds(asked.ttl), default, max)?);
    Ok(Begun { user, principal, lifetime })
}

/// The ids of the clusters that the kubeconfig leads to, in their order, out of those that were looked up: all that were named, or as many of all as are the caller's.
///
/// # Errors
/// The first check that fails.
pub fn accept<'a>(
    asked: &CreateKubeconfig,
    caller: &str,
    looked: &[Looked<'a>],
) -> Result<Vec<&'a str>, KubeconfigRefusal> {
    if let Wanted::These(_) = asked.wanted() {
        let first =
            |access: ClusterAccess| looked.iter().find(|l| l.access == access).map(|l| l.id.to_owned());
        if let Some(id) = first(ClusterAccess::Absent) {
            return Err(KubeconfigRefusal::ClusterNotFound(id));
        }
        if let Some(cluster) = first(ClusterAccess::Denied) {
            return Err(KubeconfigRefusal::ClusterDenied { user: caller.to_owned(), cluster });
        }
    }
    let granted = looked.iter().filter(|l| l.access == ClusterAccess::Granted);
    let accepted: Vec<&str> = granted.map(|l| l.id).collect();
    if accepted.is_empty() && !asked.default_entry() {
        return Err(KubeconfigRefusal::Nothing);
    }
    let current = asked.current_context.as_str();
    if !current.is_empty() && !accepted.contains(&current) {
        return Err(KubeconfigRefusal::CurrentContext(current.to_owned()));
    }
    Ok(accepted)
}

/// `spec.ttl` is in whole seconds and the tokens live exactly that long, so what a setting says beyond that is cut off; less than a second stays what it is.
fn whole_seconds(lifetime: Lifetime) -> Lifetime {
    match lifetime {
        Lifetime::For(ms) if ms >= 1000 => Lifetime::For(ms - ms % 1000),
        other => other,
    }
}

/// Why a kubeconfig is not made or changed. `Display` is the text, without the generic prefix of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigRefusal {
    /// The caller is no user of ours, or may have no token.
    #[error(transparent)]
    Caller(TokenRefusal),
    /// The request carries no token of the caller's (DEC15).
    #[error("missing request token ID")]
    MissingTokenId,
    /// The request names a token that is no live token of the caller's.
    #[error("error getting request token {0}: not found")]
    UnknownToken(String),
    /// A cluster is named twice.
    #[error("spec.clusters must be unique")]
    NotUnique,
    /// There would be nothing in the file.
    #[error("at least one cluster is required when includeDefaultEntry is false")]
    Nothing,
    /// The ttl.
    #[error(transparent)]
    Ttl(#[from] KubeconfigTtlRefusal),
    /// No cluster of this id.
    #[error("cluster {0} not found")]
    ClusterNotFound(String),
    /// The caller may not `get` that cluster.
    #[error("user {user} is not allowed to access cluster {cluster}")]
    ClusterDenied {
        /// The caller.
        user: String,
        /// The cluster.
        cluster: String,
    },
    /// `spec.currentContext` is not among the clusters.
    #[error("invalid currentContext {0}")]
    CurrentContext(String),
    /// A member that cannot be changed was.
    #[error("{0} is immutable")]
    Immutable(&'static str),
}

/// What kind of refusal it is: the doors map it to their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeconfigRefusalKind {
    /// 403.
    Forbidden,
    /// 400.
    BadRequest,
}

impl KubeconfigRefusal {
    /// What kind of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> KubeconfigRefusalKind {
        match self {
            Self::Caller(TokenRefusal::NotRancherUser(_))
            | Self::MissingTokenId
            | Self::UnknownToken(_)
            | Self::ClusterDenied { .. } => KubeconfigRefusalKind::Forbidden,
            _ => KubeconfigRefusalKind::BadRequest,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::testing::owner_state;
    use crate::token::Proof;

    const DAY_MS: u64 = 86_400_000;

    fn asking(clusters: &[&str]) -> CreateKubeconfig {
        CreateKubeconfig {
            clusters: clusters.iter().map(|id| (*id).to_owned()).collect(),
            ..CreateKubeconfig::default()
        }
    }

    fn begun(asked: &CreateKubeconfig) -> Result<Lifetime, String> {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Certificate };
        begin(asked, &by, Minutes::default(), Some(30 * DAY_MS))
            .map(|begun| begun.lifetime)
            .map_err(|why| why.to_string())
    }

    fn accepted(
        asked: &CreateKubeconfig,
        looked: &[(&'static str, ClusterAccess)],
    ) -> Result<Vec<&'static str>, String> {
        let looked: Vec<Looked> = looked.iter().map(|(id, access)| Looked { id, access: *access }).collect();
        accept(asked, "user-1", &looked).map_err(|why| why.to_string())
    }

    #[test]
    fn the_checks_before_the_clusters_come_in_the_order_of_the_reference() {
        let user = owner_state();
        let everything_wrong = CreateKubeconfig { ttl: -1, ..asking(&["a", "a"]) };
        let said = |by: &Creator<'_>| {
            let why = begin(&everything_wrong, by, Minutes::default(), None).unwrap_err();
            (why.to_string(), why.kind())
        };
        let forbidden = |text: &str| (text.to_owned(), KubeconfigRefusalKind::Forbidden);
        let bad = |text: &str| (text.to_owned(), KubeconfigRefusalKind::BadRequest);
        let nobody = Creator { name: "system:admin", user: None, proof: Proof::Missing };
        assert_eq!(said(&nobody), forbidden("user system:admin is not a Rancher user"));
        let disabled = OwnerState { enabled: false, ..owner_state() };
        let by = |user, proof| Creator { name: "user-1", user: Some(user), proof };
        assert_eq!(said(&by(&disabled, Proof::Missing)), bad("operation references a disabled user"));
        assert_eq!(said(&by(&user, Proof::Missing)), forbidden("missing request token ID"));
        assert_eq!(
            said(&by(&user, Proof::Unknown("token-x"))),
            forbidden("error getting request token token-x: not found")
        );
        assert_eq!(said(&by(&user, Proof::Certificate)), bad("spec.clusters must be unique"));
        let asked = CreateKubeconfig { include_default_entry: Some(false), ttl: -1, ..asking(&[]) };
        assert_eq!(
            begun(&asked),
            Err("at least one cluster is required when includeDefaultEntry is false".into())
        );
        assert_eq!(
            begun(&CreateKubeconfig { ttl: -1, ..asking(&[]) }),
            Err("spec.ttl can't be negative".into())
        );
        assert_eq!(
            begun(&CreateKubeconfig { ttl: 2_592_001, ..asking(&[]) }),
            Err("spec.ttl 2592001 exceeds max ttl 2592000".into())
        );
        assert_eq!(begun(&asking(&[])), Ok(Lifetime::For(30 * DAY_MS)));
        assert_eq!(begun(&CreateKubeconfig { ttl: 60, ..asking(&[]) }), Ok(Lifetime::For(60_000)));
    }

    #[test]
    fn tokens_live_whole_seconds_and_never_for_ever_by_rounding() {
        assert_eq!(whole_seconds(Lifetime::For(90_500)), Lifetime::For(90_000));
        assert_eq!(whole_seconds(Lifetime::For(1)), Lifetime::For(1));
        assert_eq!(whole_seconds(Lifetime::Forever), Lifetime::Forever);
    }

    #[test]
    fn all_named_clusters_must_be_there_and_theirs() {
        use ClusterAccess::{Absent, Denied, Granted};
        let asked = asking(&["a", "b", "c"]);
        assert_eq!(
            accepted(&asked, &[("a", Denied), ("b", Granted), ("c", Absent)]),
            Err("cluster c not found".into()),
            "whether they are there comes first"
        );
        assert_eq!(
            accepted(&asked, &[("a", Granted), ("b", Denied), ("c", Granted)]),
            Err("user user-1 is not allowed to access cluster b".into())
        );
        assert_eq!(accepted(&asked, &[("c", Granted), ("a", Granted)]), Ok(vec!["c", "a"]));
    }

    #[test]
    fn of_all_clusters_those_are_left_out_that_are_not_theirs() {
        use ClusterAccess::{Denied, Granted};
        let looked = [("a", Denied), ("b", Granted)];
        assert_eq!(accepted(&asking(&["*", "whatever"]), &looked), Ok(vec!["b"]));
        assert_eq!(accepted(&asking(&["*"]), &looked[..1]), Ok(vec![]));
        let bare = CreateKubeconfig { include_default_entry: Some(false), ..asking(&["*"]) };
        assert_eq!(
            accepted(&bare, &looked[..1]),
            Err("at least one cluster is required when includeDefaultEntry is false".into()),
            "a file with nothing in it helps nobody"
        );
    }

    #[test]
    fn the_current_context_is_the_id_of_an_accepted_cluster() {
        use ClusterAccess::{Denied, Granted};
        let looked = [("a", Denied), ("b", Granted)];
        let with = |current: &str| CreateKubeconfig { current_context: current.to_owned(), ..asking(&["*"]) };
        assert_eq!(accepted(&with("b"), &looked), Ok(vec!["b"]));
        assert_eq!(accepted(&with("a"), &looked), Err("invalid currentContext a".into()));
        assert_eq!(accepted(&with("rancher"), &looked), Err("invalid currentContext rancher".into()));
    }
}
