//! What the two faces of a credential differ in (DESIGN §1, DEC22): one place for all of it.

use eartag_storage::CollectionId;

use crate::collections;
use crate::hash::{Salt, SecretHash};
use crate::secret::PlainSecret;
use crate::ttl::{Clamped, Lifetime, NegativeTtl, clamp, clamp_legacy};

/// How a credential is shown and presented; fixed at its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// `ext.cattle.io/v1` Token, presented as `ext/<name>:<secret>`.
    Ext,
    /// `/v3/tokens` and `tokens.management.cattle.io`, presented as `<name>:<secret>`.
    Legacy,
}

impl Face {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ext, Self::Legacy];

    /// What a bearer value begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Ext => "ext/",
            Self::Legacy => "",
        }
    }

    /// The whole bearer value, as it goes into an `Authorization` header. It contains the secret.
    #[must_use]
    pub fn bearer(self, name: &str, secret: &PlainSecret) -> PlainSecret {
        PlainSecret::new(format!("{}{name}:{}", self.prefix(), secret.expose()))
    }

    /// Where its records are.
    #[must_use]
    pub const fn collection(self) -> CollectionId {
        match self {
            Self::Ext => collections::EXT_TOKENS,
            Self::Legacy => collections::LEGACY_TOKENS,
        }
    }

    /// Whose records these are, if they are tokens at all.
    #[must_use]
    pub fn of(collection: CollectionId) -> Option<Self> {
        Self::ALL.into_iter().find(|face| face.collection() == collection)
    }

    /// Hashes a new token's secret in the format of this face (DEC30).
    #[must_use]
    pub fn hash(self, secret: &PlainSecret, salt: Salt) -> SecretHash {
        match self {
            Self::Ext => SecretHash::sha3(secret, salt),
            Self::Legacy => SecretHash::sha256(secret, salt),
        }
    }

    /// `ttl` as shown, in milliseconds: never is `-1` here and `0` there (DEC5). Saturates.
    #[must_use]
    pub fn shown_ttl(self, lifetime: Lifetime) -> i64 {
        match (lifetime, self) {
            (Lifetime::For(ms), _) => i64::try_from(ms).unwrap_or(i64::MAX),
            (Lifetime::Forever, Self::Ext) => -1,
            (Lifetime::Forever, Self::Legacy) => 0,
        }
    }

    /// The lifetime of a new token, from what was asked for (ms) and the maximum (ms).
    ///
    /// # Errors
    /// [`NegativeTtl`], of the legacy face only.
    pub fn clamp(self, asked: Option<i64>, max: Option<u64>) -> Result<Clamped, NegativeTtl> {
        match self {
            Self::Ext => Ok(clamp(asked, max)),
            Self::Legacy => clamp_legacy(asked, max),
        }
    }

    /// The label that names the owner.
    #[must_use]
    pub const fn owner_label(self) -> &'static str {
        match self {
            Self::Ext => "cattle.io/user-id",
            Self::Legacy => "authn.management.cattle.io/token-userId",
        }
    }

    /// The label that names the kind. Ext tokens carry it even where the kind is empty, legacy ones do not (ext-token.md §7.3).
    #[must_use]
    pub const fn kind_label(self) -> &'static str {
        "authn.management.cattle.io/kind"
    }

    /// Whether the kind label is there for an empty kind.
    #[must_use]
    pub const fn labels_empty_kind(self) -> bool {
        matches!(self, Self::Ext)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn secret() -> PlainSecret {
        PlainSecret::new("s")
    }

    #[test]
    fn only_ext_tokens_are_presented_with_a_prefix() {
        assert_eq!(Face::Ext.bearer("token-a", &secret()).expose(), "ext/token-a:s");
        assert_eq!(Face::Legacy.bearer("token-a", &secret()).expose(), "token-a:s");
    }

    #[test]
    fn never_is_minus_one_on_ext_and_zero_on_legacy_tokens() {
        assert_eq!(Face::Ext.shown_ttl(Lifetime::Forever), -1);
        assert_eq!(Face::Legacy.shown_ttl(Lifetime::Forever), 0);
        assert_eq!(Face::Ext.shown_ttl(Lifetime::For(u64::MAX)), i64::MAX);
    }

    #[test]
    fn each_face_has_its_hash_format() {
        assert!(Face::Ext.hash(&secret(), [0; 8]).to_text().starts_with("$3:1:"));
        assert!(Face::Legacy.hash(&secret(), [0; 8]).to_text().starts_with("$2:"));
    }

    #[test]
    fn a_negative_ttl_means_never_on_ext_and_nothing_on_legacy_tokens() {
        assert_eq!(Face::Ext.clamp(Some(-1), None).unwrap().lifetime, Lifetime::Forever);
        assert_eq!(Face::Legacy.clamp(Some(-1), None), Err(NegativeTtl));
    }

    #[test]
    fn each_face_has_its_collection_and_labels() {
        for face in Face::ALL {
            assert_eq!(Face::of(face.collection()), Some(face));
        }
        assert_eq!(Face::of(collections::USERS), None);
        assert_eq!(Face::Ext.owner_label(), "cattle.io/user-id");
        assert_eq!(Face::Legacy.owner_label(), "authn.management.cattle.io/token-userId");
        assert!(Face::Ext.labels_empty_kind() && !Face::Legacy.labels_empty_kind());
    }
}
