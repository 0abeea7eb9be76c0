//! The collections of the store: their numbers, given once and for ever, and what their entries are indexed by.

use eartag_api::frame;
use eartag_storage::{Collection, CollectionId, Indexed};

use crate::record::{self, Gist, KubeconfigRecord};

/// Ext tokens, under their names.
pub const EXT_TOKENS: CollectionId = CollectionId(1);
/// Legacy tokens, under their names.
pub const LEGACY_TOKENS: CollectionId = CollectionId(2);
/// Users, under their names (`user-abcde`).
pub const USERS: CollectionId = CollectionId(3);
/// Passwords, under the names of their users.
pub const PASSWORDS: CollectionId = CollectionId(4);
/// Global roles, under their names.
pub const GLOBAL_ROLES: CollectionId = CollectionId(5);
/// Global role bindings, under their names.
pub const GLOBAL_ROLE_BINDINGS: CollectionId = CollectionId(6);
/// Settings, under their names.
pub const SETTINGS: CollectionId = CollectionId(7);
/// Features, under their names.
pub const FEATURES: CollectionId = CollectionId(8);
/// Clusters, under their ids.
pub const CLUSTERS: CollectionId = CollectionId(9);
/// Cluster roles, under their names.
pub const CLUSTER_ROLES: CollectionId = CollectionId(10);
/// Cluster role bindings, under their names.
pub const CLUSTER_ROLE_BINDINGS: CollectionId = CollectionId(11);
/// The store's identity, one entry.
pub const IDENTITY: CollectionId = CollectionId(12);

/// Login names that are taken, each holding the name of its user: two users cannot be made with one login name at the same time.
pub const USERNAMES: CollectionId = CollectionId(13);

/// What is remembered about users beside them, such as the last login, under the users' names.
pub const USER_ATTRIBUTES: CollectionId = CollectionId(14);

/// What opens clusters, under the clusters' ids. It is apart from them, so that nothing which shows a cluster can show it.
pub const CLUSTER_CREDENTIALS: CollectionId = CollectionId(15);

/// Kubeconfigs, under their names.
pub const KUBECONFIGS: CollectionId = CollectionId(16);

/// All collections, for opening a store.
#[must_use]
pub fn all() -> Vec<Collection> {
    let plain = |id, name| Collection { id, name, index: nothing };
    let token = |id, name| Collection { id, name, index: owner_and_expiry };
    vec![
        token(EXT_TOKENS, "ext_tokens"),
        token(LEGACY_TOKENS, "legacy_tokens"),
        plain(USERS, "users"),
        plain(PASSWORDS, "passwords"),
        plain(GLOBAL_ROLES, "global_roles"),
        Collection { id: GLOBAL_ROLE_BINDINGS, name: "global_role_bindings", index: bound_user },
        plain(SETTINGS, "settings"),
        plain(FEATURES, "features"),
        plain(CLUSTERS, "clusters"),
        plain(CLUSTER_ROLES, "cluster_roles"),
        plain(CLUSTER_ROLE_BINDINGS, "cluster_role_bindings"),
        plain(IDENTITY, "identity"),
        plain(USERNAMES, "usernames"),
        plain(USER_ATTRIBUTES, "userattributes"),
        plain(CLUSTER_CREDENTIALS, "cluster_credentials"),
        Collection { id: KUBECONFIGS, name: "kubeconfigs", index: kubeconfig_owner },
    ]
}

fn nothing<'a>(_: &'a [u8], _: &'a [u8]) -> Indexed<'a> {
    Indexed::default()
}

/// Tokens: by their owner's name and by the time at which they expire. A damaged record has neither (DEC23).
fn owner_and_expiry<'a>(_: &'a [u8], value: &'a [u8]) -> Indexed<'a> {
    let gist = || {
        let (body, _) = frame::split(value)?;
        Some((Gist::decode(body)?, frame::head(value)?))
    };
    gist().map_or_else(Indexed::default, |(gist, head)| Indexed {
        owner: Some(gist.owner.as_bytes()),
        expires_ms: gist.lifetime.expires_ms(head.created_s),
    })
}

/// Global role bindings: by the user they name, so that the sweeper finds those of deleted users.
fn bound_user<'a>(_: &'a [u8], value: &'a [u8]) -> Indexed<'a> {
    let user =
        frame::split(value).and_then(|(body, _)| record::decode::<(&str, &str)>(body)).map(|(_, user)| user);
    Indexed { owner: user.filter(|user| !user.is_empty()).map(str::as_bytes), expires_ms: None }
}

/// Kubeconfigs: by their owner's name.
fn kubeconfig_owner<'a>(_: &'a [u8], value: &'a [u8]) -> Indexed<'a> {
    let owner = frame::split(value).and_then(|(body, _)| KubeconfigRecord::owner_of(body));
    Indexed { owner: owner.map(|(name, _)| name.as_bytes()), expires_ms: None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_api::meta::Meta;

    use super::*;
    use crate::record::{GlobalRoleBindingRecord, LegacyTokenRecord};

    fn index<'a>(id: CollectionId, value: &'a [u8]) -> Indexed<'a> {
        let collection = all().into_iter().find(|c| c.id == id).unwrap();
        (collection.index)(b"key", value)
    }

    #[test]
    fn tokens_are_found_by_owner_and_expiry() {
        let credential = crate::testing::credential("user-abcde");
        let body = LegacyTokenRecord {
            credential,
            derived: true,
            auth_provider: "local".into(),
            hashed_mark: false,
        };
        let value = frame::frame(&body.encode(), &Meta { created_s: 1000, ..Meta::default() });
        let expected = Indexed { owner: Some(b"user-abcde"), expires_ms: Some(1_000_000 + 7_776_000_000) };
        assert_eq!(index(LEGACY_TOKENS, &value), expected);
        assert_eq!(index(EXT_TOKENS, &value), expected);
    }

    #[test]
    fn damaged_records_are_indexed_by_nothing() {
        for value in [&b""[..], b"\x01", b"garbage of some length", &[1, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(index(EXT_TOKENS, value), Indexed::default());
            assert_eq!(index(GLOBAL_ROLE_BINDINGS, value), Indexed::default());
            assert_eq!(index(KUBECONFIGS, value), Indexed::default());
        }
    }

    #[test]
    fn bindings_are_found_by_their_user() {
        let body = GlobalRoleBindingRecord {
            role: "admin".into(),
            user: "user-1".into(),
            ..GlobalRoleBindingRecord::default()
        };
        let value = frame::frame(&body.encode(), &Meta::default());
        assert_eq!(index(GLOBAL_ROLE_BINDINGS, &value).owner, Some(&b"user-1"[..]));
    }

    #[test]
    fn kubeconfigs_are_found_by_their_owner() {
        let value = frame::frame(&crate::record::kubeconfig::tests::sample().encode(), &Meta::default());
        assert_eq!(index(KUBECONFIGS, &value), Indexed { owner: Some(b"user-abcde"), expires_ms: None });
    }

    #[test]
    fn collection_numbers_are_unique() {
        let mut ids: Vec<_> = all().iter().map(|c| c.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all().len());
    }
}
