//! Users and their passwords.

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

/// A local user's password, under the user's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRecord {
    /// The hash.
    pub hash: PasswordHash,
}
