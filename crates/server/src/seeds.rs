//! Built-in roles and features, which every store has; settings and the cluster `local` are in [`setup`](crate::setup).

use eartag_core::collections::{FEATURES, GLOBAL_ROLES};
use eartag_core::rbac::builtin_global_roles;
use eartag_core::{FeatureRecord, GlobalRoleRecord, features};

use crate::bootstrap::Seed;

/// All of them. Values that administrators chose are left alone; what belongs to the program is brought up to date.
pub fn all() -> Vec<Seed> {
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
            body: Box::new(|stored| stored.is_none().then(|| FeatureRecord::default().encode())),
        });
    }
    seeds
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
    fn a_built_in_role_gets_new_rules_and_keeps_its_default() {
        let (_, role) = builtin_global_roles().into_iter().next().unwrap();
        let old = GlobalRoleRecord { rules: Vec::new(), new_user_default: !role.new_user_default, ..role.clone() };
        let new = GlobalRoleRecord::decode(&builtin_role(&role, Some(&old.encode())).unwrap()).unwrap();
        assert_eq!((new.rules, new.new_user_default), (role.rules, old.new_user_default));
    }
}
