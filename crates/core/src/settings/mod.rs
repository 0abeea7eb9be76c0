//! Settings: which there are, what they may hold, and their values in force (v3-token.md §7, DEC40 to DEC42, DEC61).
//!
//! A value in force is the environment's, else the stored one if it is not empty, else the default. All are strings; [`Settings`]
//! holds them parsed, so that nothing parses on the path of a request.

mod catalogue;
mod cron;
mod overrides;
mod table;
mod validate;

pub use catalogue::{Kind, SettingInfo, all, did_you_mean, env_name, find};
pub use cron::Cron;
pub use overrides::{BadEnvironment, Overrides};
pub use table::{Effective, Settings, SettingsTable, Source};
pub use validate::{Cause, SettingRefusal, validate, validate_override, validate_write};

/// The maximum of tokens' ttl.
pub const MAX_TTL: &str = "auth-token-max-ttl-minutes";
/// The ttl of login tokens.
pub const SESSION: &str = "auth-user-session-ttl-minutes";
/// The idle timeout of login tokens.
pub const IDLE: &str = "auth-user-session-idle-ttl-minutes";
/// The ttl of kubeconfig tokens.
pub const KUBECONFIG_DEFAULT: &str = "kubeconfig-default-token-ttl-minutes";
/// The ttl of tokens that the CLI gets (deprecated).
pub const KUBECONFIG_CLI: &str = "kubeconfig-token-ttl-minutes";
/// Whether downloaded kubeconfigs hold a token.
pub const KUBECONFIG_GENERATE: &str = "kubeconfig-generate-token";
/// Least length of passwords.
pub const PASSWORD_MIN_LENGTH: &str = "password-min-length";
/// User retention: when inactive users are disabled.
pub const DISABLE_AFTER: &str = "disable-inactive-user-after";
/// User retention: when inactive users are deleted.
pub const DELETE_AFTER: &str = "delete-inactive-user-after";
/// User retention: when it runs.
pub const RETENTION_CRON: &str = "user-retention-cron";
/// User retention: log only.
pub const RETENTION_DRY_RUN: &str = "user-retention-dry-run";
/// User retention: the last login of users that have none.
pub const LAST_LOGIN_DEFAULT: &str = "user-last-login-default";
/// The address under which clients reach the server.
pub const SERVER_URL: &str = "server-url";
/// The authorities that clients should trust, as PEM.
pub const CACERTS: &str = "cacerts";
/// Nobody has done the first administrator's steps yet.
pub const FIRST_LOGIN: &str = "first-login";

/// The idle timeout in ms; the default where the value is empty or cannot be read.
pub(crate) fn idle_ms(value: &str) -> u64 {
    let minutes = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
    minutes(value)
        .or_else(|| find(IDLE).and_then(|info| minutes(info.default)))
        .unwrap_or(960)
        .saturating_mul(60_000)
}
