//! Who logged in, and the two shapes in which the APIs show it.

use std::collections::BTreeMap;

use eartag_api::ext::TokenPrincipal;
use eartag_api::management::{self, PrincipalMetadata};
use serde::{Deserialize, Serialize};

/// Who logged in, as an authentication provider knows them (ext-token.md §1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Principal {
    /// Such as `local://user-abcde`.
    pub name: String,
    /// Name for people.
    pub display_name: String,
    /// Login name.
    pub login_name: String,
    /// URL of a picture.
    pub profile_picture: String,
    /// URL of a profile; not used by the system.
    pub profile_url: String,
    /// `user` or `group`.
    pub principal_type: String,
    /// Whether this is the caller.
    pub me: bool,
    /// Whether the caller is a member.
    pub member_of: bool,
    /// Name of the provider, such as `local`.
    pub provider: String,
    /// What else the provider said.
    pub extra_info: BTreeMap<String, String>,
}

impl Principal {
    /// The principal of a local user: of logins by password, and of client certificates (DEC15).
    #[must_use]
    pub fn local(user: &str, username: &str, display_name: &str) -> Self {
        Self {
            name: format!("local://{user}"),
            display_name: display_name.to_owned(),
            login_name: username.to_owned(),
            principal_type: "user".to_owned(),
            me: true,
            provider: "local".to_owned(),
            ..Self::default()
        }
    }
}

impl From<Principal> for TokenPrincipal {
    fn from(p: Principal) -> Self {
        Self {
            display_name: p.display_name,
            extra_info: p.extra_info,
            login_name: p.login_name,
            me: p.me,
            member_of: p.member_of,
            name: p.name,
            principal_type: p.principal_type,
            profile_picture: p.profile_picture,
            profile_url: p.profile_url,
            provider: p.provider,
        }
    }
}

impl From<TokenPrincipal> for Principal {
    fn from(p: TokenPrincipal) -> Self {
        Self {
            name: p.name,
            display_name: p.display_name,
            login_name: p.login_name,
            profile_picture: p.profile_picture,
            profile_url: p.profile_url,
            principal_type: p.principal_type,
            me: p.me,
            member_of: p.member_of,
            provider: p.provider,
            extra_info: p.extra_info,
        }
    }
}

impl From<Principal> for management::Principal {
    fn from(p: Principal) -> Self {
        Self {
            display_name: p.display_name,
            extra_info: p.extra_info,
            login_name: p.login_name,
            me: p.me,
            member_of: p.member_of,
            metadata: PrincipalMetadata { name: p.name },
            principal_type: p.principal_type,
            profile_picture: p.profile_picture,
            profile_url: p.profile_url,
            provider: p.provider,
        }
    }
}

impl From<management::Principal> for Principal {
    fn from(p: management::Principal) -> Self {
        Self {
            name: p.metadata.name,
            display_name: p.display_name,
            login_name: p.login_name,
            profile_picture: p.profile_picture,
            profile_url: p.profile_url,
            principal_type: p.principal_type,
            me: p.me,
            member_of: p.member_of,
            provider: p.provider,
            extra_info: p.extra_info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_hold_all_there_is_to_a_principal() {
        let whole = Principal {
            profile_picture: "https://p.example/1".into(),
            profile_url: "https://p.example/ann".into(),
            member_of: true,
            extra_info: [("a".to_owned(), "b".to_owned())].into(),
            ..Principal::local("user-ann", "ann", "Ann")
        };
        assert_eq!(Principal::from(TokenPrincipal::from(whole.clone())), whole);
        assert_eq!(Principal::from(management::Principal::from(whole.clone())), whole);
    }
}
