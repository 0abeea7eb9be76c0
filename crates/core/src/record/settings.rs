//! Settings and features as they are stored.

use serde::{Deserialize, Serialize};

/// A setting's own value (v3-token.md §7.1).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettingRecord {
    /// Empty means the default.
    pub value: String,
    /// Shown as `source: env`: the value was copied from the environment at start.
    pub env: bool,
}

/// A feature's own state (ext-token.md §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeatureRecord {
    /// `spec.value`; `None` means the default.
    pub value: Option<bool>,
    /// `status.lockedValue`.
    pub locked: Option<bool>,
}
