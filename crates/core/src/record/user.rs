//! Users and their passwords.

use eartag_api::meta::Uid;
use serde::{Deserialize, Serialize};

use crate::password::PasswordHash;

/// A user (v3-token.md §6). The password is a record of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserRecord {
    /// Login name; empty for users without a local login.
    pub username: String,
    /// Name for people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// `None` counts as enabled.
    pub enabled: Option<bool>,
    /// A flag for the UI.
    pub must_change_password: bool,
    /// Such as `local://user-abcde`.
    pub principal_ids: Vec<String>,
}

impl UserRecord {
    /// Whether the user may log in and their tokens are good.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled != Some(false)
    }

    /// Whether this is a user of the system itself, hidden from lists (v3-token.md §6).
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.principal_ids.iter().any(|id| id.starts_with("system://"))
    }
}

/// What is remembered about a user beside the user, under the user's name: a login writes this and leaves the user's object alone (v3-token.md §5.5, §6).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserAttributeRecord {
    /// The very user: a later one of the same name inherits nothing (DEC9).
    pub user_uid: Uid,
    /// The last login, in seconds since 1970; `None`: there was none.
    pub last_login_s: Option<i64>,
    /// Overrides `disable-inactive-user-after`: a duration as somebody wrote it (`240h`), where `0` and `0s` exempt the user; empty overrides nothing.
    pub disable_after: String,
    /// Overrides `delete-inactive-user-after` in the same way.
    pub delete_after: String,
    /// When somebody last enabled the user again, in seconds since 1970: the time away counts anew from there.
    pub enabled_again_s: Option<i64>,
}

/// A local user's password, under the user's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRecord {
    /// The hash.
    pub hash: PasswordHash,
}
