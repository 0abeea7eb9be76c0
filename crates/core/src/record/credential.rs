//! A credential and its two faces (DESIGN §1, DEC22).

use eartag_api::meta::Uid;
use serde::{Deserialize, Serialize};

use super::{Principal, decode};
use crate::hash::SecretHash;
use crate::ttl::Lifetime;

/// What the verifier sees of a token, whichever face it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Name of the user who owns it.
    pub owner: String,
    /// Uid of that user: a re-created user of the same name inherits nothing (DEC9).
    pub owner_uid: Uid,
    /// The secret's hash.
    pub hash: SecretHash,
    /// How long it lives, from the creation time on.
    pub lifetime: Lifetime,
    /// The token's own switch; what is shown may differ while the owner is disabled (DEC8).
    pub enabled: bool,
    /// Name of the cluster it is restricted to; empty if it is not.
    pub cluster: String,
    /// A login token: reported activity may idle it out.
    pub session: bool,
    /// The principal that logged in, handed from token to token.
    pub principal: Principal,
    /// `spec.kind`, free-form; `session` for a login token.
    pub kind: String,
    /// For people.
    pub description: String,
    /// Last create or update through the API, in seconds since 1970.
    pub last_update_s: i64,
}

impl Credential {
    /// Whether two credentials differ in nothing but the time of the last update: then a write is none (DEC11).
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let Self {
            owner,
            owner_uid,
            hash,
            lifetime,
            enabled,
            cluster,
            session,
            principal,
            kind,
            description,
            last_update_s: _,
        } = self;
        *owner == other.owner
            && *owner_uid == other.owner_uid
            && *hash == other.hash
            && *lifetime == other.lifetime
            && *enabled == other.enabled
            && *cluster == other.cluster
            && *session == other.session
            && *principal == other.principal
            && *kind == other.kind
            && *description == other.description
    }
}

/// The part of a [`Credential`] that a check needs, borrowed from the record's bytes. Its fields are the first ones of both
/// records, in the same order, so that nothing behind them is decoded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gist<'a> {
    /// See [`Credential::owner`].
    pub owner: &'a str,
    /// See [`Credential::owner_uid`].
    pub owner_uid: Uid,
    /// See [`Credential::hash`].
    pub hash: SecretHash,
    /// See [`Credential::lifetime`].
    pub lifetime: Lifetime,
    /// See [`Credential::enabled`].
    pub enabled: bool,
    /// See [`Credential::cluster`].
    pub cluster: &'a str,
    /// See [`Credential::session`].
    pub session: bool,
}

impl<'a> Gist<'a> {
    /// Reads the first fields of a body of either face; `None` if it is damaged there.
    #[must_use]
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        decode(body)
    }
}

/// An ext token's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// All there is to it.
    pub credential: Credential,
}

/// A legacy token's record: logins, `/v3/tokens`, system tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyTokenRecord {
    /// The credential.
    pub credential: Credential,
    /// Not made by a login (`isDerived`).
    pub derived: bool,
    /// `authProvider`, such as `local`.
    pub auth_provider: String,
    /// Whether the annotation `authn.management.cattle.io/token-hashed: "true"` is shown (DEC31). The hash is one either way.
    pub hashed_mark: bool,
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    pub(crate) fn sample_ext() -> TokenRecord {
        TokenRecord { credential: crate::testing::credential("user-abcde") }
    }

    #[test]
    fn a_typical_token_takes_less_than_220_bytes() {
        let mut token = sample_ext();
        let plain = token.encode().len();
        token.credential.kind = "kubeconfig".into();
        token.credential.description = "Kubeconfig token".into();
        token.credential.cluster = "c-m-p66cdvlj".into();
        let scoped = token.encode().len();
        assert!(plain < 200 && scoped < 220, "{plain} and {scoped} bytes");
    }

    #[test]
    fn the_gist_is_the_beginning_of_both_records() {
        let ext = sample_ext();
        let legacy = LegacyTokenRecord {
            credential: ext.credential.clone(),
            derived: false,
            auth_provider: "local".into(),
            hashed_mark: false,
        };
        for body in [ext.encode(), legacy.encode()] {
            let gist = Gist::decode(&body).unwrap();
            assert_eq!((gist.owner, gist.owner_uid), ("user-abcde", ext.credential.owner_uid));
            assert_eq!(
                (gist.lifetime, gist.enabled, gist.cluster, gist.session),
                (ext.credential.lifetime, true, "", false)
            );
            assert_eq!(gist.hash, ext.credential.hash);
        }
    }

    #[test]
    fn a_later_update_alone_is_no_change() {
        let old = sample_ext().credential;
        let touched = Credential { last_update_s: 9, ..old.clone() };
        assert!(old.same_as(&touched));
        assert!(!old.same_as(&Credential { enabled: false, ..old.clone() }));
    }
}
