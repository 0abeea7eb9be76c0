//! Record bodies: what the store holds of each kind, as compact postcard bytes.
//!
//! **Field order is the format.** Fields are only ever appended, at the end of a *top-level* record; a reader leaves bytes behind
//! the fields it knows alone. Metadata is not in here ([`eartag_api::meta::Meta`]), nor is the object's name (the storage key).

mod cluster;
mod credential;
pub(crate) mod kubeconfig;
mod principal;
mod role;
mod settings;
mod user;

use serde::Serialize;
use serde::de::Deserialize;

pub use cluster::{AuthEndpoint, ClusterCredentialRecord, ClusterRecord, EndpointNode, IdentityRecord};
pub use credential::{Credential, Gist, LegacyTokenRecord, TokenRecord};
pub use kubeconfig::{
    KubeconfigFailure, KubeconfigRecord, KubeconfigStep, KubeconfigSummary, KubeconfigToken,
};
pub use principal::Principal;
pub use role::{
    Aggregation, ClusterRoleBindingRecord, ClusterRoleRecord, GlobalRoleBindingRecord, GlobalRoleRecord,
    Requirement, RoleRef, Subject,
};
pub use settings::{FeatureRecord, SettingRecord};
pub use user::{PasswordRecord, UserAttributeRecord, UserRecord};

/// Encodes a record's body. Growing a vector cannot fail, and no record holds a sequence of unknown length, which are postcard's
/// two errors.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    postcard::to_stdvec(record).unwrap_or_default()
}

/// Decodes a record's body or a prefix of it; `None` if it is cut or damaged.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().map(|(record, _)| record)
}

macro_rules! records {
    ($($name:ident),* $(,)?) => {$(
        impl $name {
            /// The body's bytes.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                encode(self)
            }

            /// Reads a body; `None` if it is cut or damaged.
            #[must_use]
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                decode(bytes)
            }
        }
    )*};
}

records!(
    TokenRecord,
    LegacyTokenRecord,
    UserRecord,
    UserAttributeRecord,
    PasswordRecord,
    GlobalRoleRecord,
    SettingRecord,
    FeatureRecord,
    ClusterCredentialRecord,
    KubeconfigRecord,
    ClusterRoleRecord,
    ClusterRoleBindingRecord,
    IdentityRecord,
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_api::meta::Uid;
    use proptest::prelude::*;

    use super::*;
    use crate::rbac::Rule;

    #[test]
    fn a_binding_from_before_uids_is_bound_by_name() {
        let old = encode(&("admin", "user-1", ""));
        let read = GlobalRoleBindingRecord::decode(&old).unwrap();
        assert_eq!((read.role.as_str(), read.user.as_str()), ("admin", "user-1"));
        assert_eq!((read.user_uid, read.role_uid), (None, None));
        let uid = Some(Uid::from_random([3; 16]));
        let new = GlobalRoleBindingRecord { user_uid: uid, role_uid: uid, ..read }.encode();
        for cut in old.len() + 1..new.len() {
            assert_eq!(
                GlobalRoleBindingRecord::decode(&new[..cut]),
                None,
                "a cut record is not taken for an old one"
            );
        }
    }

    #[test]
    fn every_record_comes_back_and_survives_appended_fields() {
        let rule = Rule {
            verbs: vec!["get".into()],
            api_groups: vec![String::new()],
            resources: vec!["tokens".into()],
            resource_names: vec!["x".into()],
            non_resource_urls: vec![],
        };
        macro_rules! check {
            ($record:expr, $kind:ident) => {
                let record: $kind = $record;
                let mut bytes = record.encode();
                assert_eq!($kind::decode(&bytes).as_ref(), Some(&record));
                bytes.extend([1, 2, 3]);
                assert_eq!(
                    $kind::decode(&bytes).as_ref(),
                    Some(&record),
                    "bytes of a newer version are left alone"
                );
            };
        }
        check!(credential::tests::sample_ext(), TokenRecord);
        check!(
            LegacyTokenRecord {
                credential: credential::tests::sample_ext().credential,
                derived: true,
                auth_provider: "local".into(),
                hashed_mark: true
            },
            LegacyTokenRecord
        );
        check!(
            UserRecord { username: "ann".into(), enabled: Some(false), ..UserRecord::default() },
            UserRecord
        );
        check!(
            UserAttributeRecord {
                user_uid: Uid::from_random([3; 16]),
                last_login_s: Some(5),
                disable_after: "240h".into(),
                delete_after: String::new(),
                enabled_again_s: Some(9),
            },
            UserAttributeRecord
        );
        check!(
            GlobalRoleRecord { rules: vec![rule.clone()], builtin: true, ..GlobalRoleRecord::default() },
            GlobalRoleRecord
        );
        check!(
            GlobalRoleBindingRecord {
                role: "admin".into(),
                user: "user-1".into(),
                group_principal: String::new(),
                user_uid: Some(Uid::from_random([3; 16])),
                role_uid: None,
            },
            GlobalRoleBindingRecord
        );
        check!(SettingRecord { value: "1".into(), env: true }, SettingRecord);
        check!(FeatureRecord { value: Some(true), locked: Some(true) }, FeatureRecord);
        check!(ClusterRecord { display_name: "local".into(), ..ClusterRecord::default() }, ClusterRecord);
        check!(kubeconfig::tests::sample(), KubeconfigRecord);
        check!(ClusterRoleRecord { rules: vec![rule], aggregation: None }, ClusterRoleRecord);
        check!(ClusterRoleBindingRecord::default(), ClusterRoleBindingRecord);
        check!(IdentityRecord(vec![1, 2]), IdentityRecord);
    }

    proptest! {
        #[test]
        fn decoding_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = TokenRecord::decode(&bytes);
            let _ = LegacyTokenRecord::decode(&bytes);
            let _ = UserRecord::decode(&bytes);
            let _ = UserAttributeRecord::decode(&bytes);
            let _ = PasswordRecord::decode(&bytes);
            let _ = GlobalRoleRecord::decode(&bytes);
            let _ = GlobalRoleBindingRecord::decode(&bytes);
            let _ = SettingRecord::decode(&bytes);
            let _ = FeatureRecord::decode(&bytes);
            let _ = ClusterRecord::decode(&bytes);
            let _ = KubeconfigRecord::decode(&bytes);
            let _ = KubeconfigRecord::owner_of(&bytes);
            let _ = ClusterRoleRecord::decode(&bytes);
            let _ = ClusterRoleBindingRecord::decode(&bytes);
            let _ = Gist::decode(&bytes);
        }
    }

    #[test]
    fn every_cut_of_a_token_is_refused() {
        let whole = credential::tests::sample_ext().encode();
        for cut in 0..whole.len() {
            assert_eq!(TokenRecord::decode(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
