//! Kubeconfigs: what was asked for and which tokens were made. The file itself is never stored.

use eartag_api::meta::Uid;
use serde::{Deserialize, Serialize};

use super::decode;
use crate::ttl::Lifetime;

/// `kubeconfigs.ext.cattle.io`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigRecord {
    /// Name of the user who owns it.
    pub owner: String,
    /// Uid of that user: a re-created user of the same name inherits nothing (DEC9).
    pub owner_uid: Uid,
    /// `spec.clusters`, as given.
    pub clusters: Vec<String>,
    /// `spec.currentContext`: the id of a cluster, or empty if there is none.
    pub current_context: String,
    /// `spec.description`.
    pub description: String,
    /// How long its tokens live.
    pub lifetime: Lifetime,
    /// `spec.includeDefaultEntry`, as given.
    pub include_default_entry: Option<bool>,
    /// `status.summary`.
    pub summary: KubeconfigSummary,
    /// The tokens that were made for it, the shared one first. Each was stored in one commit with its mention here, so that none is ever forgotten.
    pub tokens: Vec<KubeconfigToken>,
    /// What went wrong.
    pub failure: Option<KubeconfigFailure>,
    /// Last update through the API, in seconds since 1970.
    pub updated_s: Option<i64>,
}

/// How far the making of a kubeconfig got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KubeconfigSummary {
    /// Its tokens are being made.
    Pending,
    /// It was handed out.
    Complete,
    /// It never was.
    Error,
}

/// A token of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigToken {
    /// Its name.
    pub name: String,
    /// Its uid: a later token of the same name is somebody else's.
    pub uid: Uid,
    /// When it was made, in seconds since 1970.
    pub made_s: i64,
}

/// Why a kubeconfig is in [`KubeconfigSummary::Error`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigFailure {
    /// What failed.
    pub step: KubeconfigStep,
    /// Why, for people.
    pub message: String,
    /// When, in seconds since 1970.
    pub at_s: i64,
}

/// A step of the making of a kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KubeconfigStep {
    /// Making a token.
    Token,
    /// Handing out the file.
    Generate,
}

impl KubeconfigSummary {
    /// The word that clients see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Complete => "Complete",
            Self::Error => "Error",
        }
    }
}

impl KubeconfigStep {
    /// Type and reason of its condition.
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Token => "FailedToCreateToken",
            Self::Generate => "FailedToGenerate",
        }
    }
}

impl KubeconfigRecord {
    /// `spec.ttl`: seconds, rounded up, 0 for ever.
    #[must_use]
    pub fn shown_ttl(&self) -> i64 {
        self.lifetime.millis().map_or(0, |ms| i64::try_from(ms.div_ceil(1000)).unwrap_or(i64::MAX))
    }

    /// The owner, borrowed from a record's bytes: nothing behind it is decoded.
    #[must_use]
    pub fn owner_of(body: &[u8]) -> Option<(&str, Uid)> {
        decode(body)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    pub(crate) fn sample() -> KubeconfigRecord {
        KubeconfigRecord {
            owner: "user-abcde".into(),
            owner_uid: Uid::from_random([3; 16]),
            clusters: vec!["local".into(), "c-1".into()],
            current_context: "local".into(),
            description: "for work".into(),
            lifetime: Lifetime::For(60_000),
            include_default_entry: None,
            summary: KubeconfigSummary::Complete,
            tokens: vec![KubeconfigToken {
                name: "token-abcde".into(),
                uid: Uid::from_random([4; 16]),
                made_s: 1_780_000_000,
            }],
            failure: None,
            updated_s: None,
        }
    }

    #[test]
    fn the_owner_is_read_from_the_front() {
        let body = sample().encode();
        assert_eq!(KubeconfigRecord::owner_of(&body), Some(("user-abcde", Uid::from_random([3; 16]))));
        assert_eq!(KubeconfigRecord::owner_of(&body[..10]), None);
        assert!(body.len() < 120, "{} bytes", body.len());
    }

    #[test]
    fn a_ttl_is_shown_in_seconds_and_never_as_none_by_rounding() {
        let shown = |lifetime| KubeconfigRecord { lifetime, ..sample() }.shown_ttl();
        assert_eq!(shown(Lifetime::Forever), 0);
        assert_eq!(shown(Lifetime::For(60_000)), 60);
        assert_eq!(shown(Lifetime::For(1)), 1);
        assert_eq!(shown(Lifetime::For(u64::MAX)), 18_446_744_073_709_552);
    }
}
