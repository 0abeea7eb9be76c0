//! The life of a token, as pure functions: who may make one, what it gets, and what may be changed of it.
//!
//! They decide and draw up; names, storing and showing belong to others. Checks come in the order of the reference, the first
//! failure wins (ext-token.md §2.1, §5.2; DEC2 to DEC9, DEC15).

mod activity;
mod create;
mod kubeconfig;
mod system;
mod update;

pub use activity::{Activity, ActivityRefusal, Target, activity_readable, report_activity};
pub use create::{
    ClusterAccess, CreateToken, Created, Creator, Proof, create, create_legacy, entitled, login,
};
pub use kubeconfig::{KubeconfigToken, kubeconfig_prefix};
pub use system::{SystemKind, SystemToken, system_token};
pub use update::{Standing, UpdateToken, Updated, shown_enabled, update};

use crate::ttl::NegativeTtl;

/// Value of `spec.kind` of login tokens.
pub const KIND_SESSION: &str = "session";
/// Value of `spec.kind` of kubeconfig tokens.
pub const KIND_KUBECONFIG: &str = "kubeconfig";

/// Why a token is not made or changed. `Display` is the text, without the generic prefix of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The caller is no user of ours.
    #[error("user {0} is not a Rancher user")]
    NotRancherUser(String),
    /// `spec.userID` names somebody else (DEC2).
    #[error("unable to create token for other user")]
    OtherUser,
    /// The caller is disabled or being deleted.
    #[error("operation references a disabled user")]
    DisabledUser,
    /// The request carries no token of the caller's (DEC15).
    #[error("missing authentication token ID")]
    MissingTokenId,
    /// The request names a token that is no live token of the caller's. Somebody else's and none at all read alike.
    #[error("unable to fetch unknown token {}", crate::duration::quote(.0))]
    UnknownToken(String),
    /// `spec.clusterName` names no cluster.
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
    /// A member that cannot be changed was.
    #[error("{0} is immutable")]
    Immutable(&'static str),
    /// A longer ttl, by somebody without full access.
    #[error("forbidden to extend time-to-live")]
    Extend,
    /// A longer ttl of a token that has expired: that is final.
    #[error("forbidden to extend time-to-live: the token is expired")]
    Expired,
    /// A member holds what it may not.
    #[error("{field}: Invalid value: {}: {message}", crate::duration::quote(.value))]
    Invalid {
        /// Path of the member.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong with that.
        message: &'static str,
    },
    /// A negative ttl at `/v3`.
    #[error(transparent)]
    NegativeTtl(#[from] NegativeTtl),
}

/// What kind of refusal it is: the doors map it to their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// 403, prefixed with `tokens.ext.cattle.io is forbidden: `.
    Forbidden,
    /// 400, the text as it is.
    BadRequest,
    /// 422 `Invalid`.
    Invalid,
    /// 422 `MinLimitExceeded` at `/v3`.
    MinLimitExceeded,
}

impl TokenRefusal {
    /// What kind of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::NotRancherUser(_)
            | Self::OtherUser
            | Self::MissingTokenId
            | Self::UnknownToken(_)
            | Self::ClusterDenied { .. } => RefusalKind::Forbidden,
            Self::DisabledUser
            | Self::ClusterNotFound(_)
            | Self::Immutable(_)
            | Self::Extend
            | Self::Expired => RefusalKind::BadRequest,
            Self::Invalid { .. } => RefusalKind::Invalid,
            Self::NegativeTtl(_) => RefusalKind::MinLimitExceeded,
        }
    }
}
