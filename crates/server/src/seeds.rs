//! The objects that every store has: built-in roles, settings, features, and the cluster `local`.

use eartag_core::collections::{CLUSTERS, FEATURES, GLOBAL_ROLES, SETTINGS};
use eartag_core::features::FeatureDefaults;
use eartag_core::rbac::builtin_global_roles;
use eartag_core::{ClusterRecord, FeatureRecord, GlobalRoleRecord, SettingRecord, features, settings};

use crate::bootstrap::Seed;
use crate::cluster::LOCAL;

/// All of them. Values that administrators chose are left alone; what belongs to the program is brought up to date.
pub fn all(defaults: &FeatureDefaults) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, role) in builtin_global_roles() {
        seeds.push(Seed {
            collection: GLOBAL_ROLES,
            name: name.to_owned(),
            body: Box::new(move |stored| builtin_role(&role, stored)),
        });
    }
    for info in features::all() {
        seeds.push(Seed {
            collection: FEATURES,
            name: info.name.to_owned(),
            body: {
                let locks = info.locks_once_on && defaults.get(info);
                Box::new(move |stored| feature(locks, stored))
            },
        });
    }
    for info in settings::all() {
        seeds.push(Seed {
            collection: SETTINGS,
            name: info.name.to_owned(),
            body: Box::new(|stored| stored.is_none().then(|| SettingRecord::default().encode())),
        });
    }
    seeds.push(Seed {
        collection: CLUSTERS,
        name: LOCAL.to_owned(),
        body: Box::new(|stored| stored.is_none().then(local_cluster)),
    });
    seeds
}

/// A feature that the operator's default switches on for good is locked as if somebody had switched it on (DEC31).
fn feature(locks: bool, stored: Option<&[u8]>) -> Option<Vec<u8>> {
    let before = stored.map(|body| FeatureRecord::decode(body).unwrap_or_default());
    let record = before.unwrap_or_default();
    let locked = if locks && record.value != Some(false) { Some(true) } else { record.locked };
    let wanted = FeatureRecord { locked, ..record };
    (before != Some(wanted)).then(|| wanted.encode())
}

fn local_cluster() -> Vec<u8> {
    ClusterRecord {
        display_name: LOCAL.to_owned(),
        description: "This server itself".to_owned(),
        internal: true,
        ..ClusterRecord::default()
    }
    .encode()
}

/// The rules of a built-in role are the program's; whether new users get it is the administrators'.
fn builtin_role(role: &GlobalRoleRecord, stored: Option<&[u8]>) -> Option<Vec<u8>> {
    let before = stored.and_then(GlobalRoleRecord::decode);
    let new_user_default = before.as_ref().map_or(role.new_user_default, |before| before.new_user_default);
    let wanted = GlobalRoleRecord { new_user_default, ..role.clone() };
    (before.as_ref() != Some(&wanted)).then(|| wanted.encode())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_feature_that_stays_on_is_locked_by_the_operators_default() {
        let read = |body: Option<Vec<u8>>| FeatureRecord::decode(&body.unwrap()).unwrap();
        assert_eq!(read(feature(false, None)), FeatureRecord::default());
        assert_eq!(read(feature(true, None)).locked, Some(true));
        let off = FeatureRecord { value: Some(false), locked: None }.encode();
        assert_eq!(feature(true, Some(&off)), None, "somebody's own choice wins");
        let locked = FeatureRecord { value: None, locked: Some(true) }.encode();
        assert_eq!(feature(false, Some(&locked)), None);
    }

    #[test]
    fn a_built_in_role_gets_new_rules_and_keeps_its_default() {
        let (_, role) = builtin_global_roles().into_iter().next().unwrap();
        let old =
            GlobalRoleRecord { rules: Vec::new(), new_user_default: !role.new_user_default, ..role.clone() };
        let new = GlobalRoleRecord::decode(&builtin_role(&role, Some(&old.encode())).unwrap()).unwrap();
        assert_eq!((new.rules, new.new_user_default), (role.rules, old.new_user_default));
    }
}
