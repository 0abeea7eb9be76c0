//! Which settings there are.

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingInfo {
    /// Its name, also of the stored object.
    pub name: &'static str,
    /// What holds where nobody said otherwise.
    pub default: &'static str,
    /// What it governs, for people.
    pub description: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Readable without credentials (DEC56).
    pub public: bool,
    /// Cannot be written by clients.
    pub read_only: bool,
    /// Why it should not be used any more; goes into a warning on writing.
    pub deprecated: Option<&'static str>,
}

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Minutes, decimals allowed; 0 means no limit.
    Minutes,
    /// Minutes, decimals allowed, not above the maximum; 0 means as long as the maximum allows.
    KubeconfigMinutes,
    /// Whole minutes; 0 means never.
    SessionMinutes,
    /// Whole minutes, at least one.
    IdleMinutes,
    /// Whole seconds.
    Seconds,
    /// Characters.
    Length,
    /// `true` or `false`.
    Bool,
    /// A Go duration, 0 or empty for off; the number is the least positive one, in ms.
    Duration {
        /// Least positive duration, in ms.
        least_ms: i64,
    },
    /// A cron schedule of five fields; empty for off.
    Cron,
    /// A time as RFC 3339.
    Time,
    /// The URL of a server.
    Url,
    /// Any text.
    Text,
}

/// All settings, ordered by name.
#[must_use]
pub const fn all() -> &'static [SettingInfo] {
    ALL
}

/// The setting of this name, which is case-sensitive.
#[must_use]
pub fn find(name: &str) -> Option<&'static SettingInfo> {
    ALL.binary_search_by(|info| info.name.cmp(name)).ok().and_then(|at| ALL.get(at))
}

/// The right spelling of an unknown name that differs from a known one only in case (DEC42): the reference's documentation itself
/// writes `kubeconfig-default-token-TTL-minutes`.
#[must_use]
pub fn did_you_mean(name: &str) -> Option<&'static str> {
    if find(name).is_some() {
        return None;
    }
    ALL.iter().map(|info| info.name).find(|known| known.eq_ignore_ascii_case(name))
}

/// The environment variable of a setting: `CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES`.
#[must_use]
pub fn env_name(setting: &str) -> String {
    format!("CATTLE_{}", setting.to_ascii_uppercase().replace('-', "_"))
}

const fn setting(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> SettingInfo {
    SettingInfo { name, default, description, kind, public: false, read_only: false, deprecated: None }
}

const fn public(info: SettingInfo) -> SettingInfo {
    SettingInfo { public: true, ..info }
}

const fn read_only(info: SettingInfo) -> SettingInfo {
    SettingInfo { read_only: true, ..info }
}

const TWO_WEEKS_MS: i64 = 14 * 24 * 3600 * 1000;

const ALL: &[SettingInfo] = &[
    setting("api-ui-version", "1.1.11", Kind::Text, "Version of the assets of the API view."),
    setting(
        "auth-token-max-ttl-minutes",
        "129600",
        Kind::Minutes,
        "Longest time to live, in minutes, of tokens other than login tokens. 0 means no maximum. Changing it leaves existing tokens alone.",
    ),
    setting(
        "auth-user-info-max-age-seconds",
        "3600",
        Kind::Seconds,
        "Age, in seconds, at which a user's group memberships are refreshed.",
    ),
    setting(
        "auth-user-info-resync-cron",
        "0 0 * * *",
        Kind::Cron,
        "When all users' group memberships are refreshed.",
    ),
    setting(
        "auth-user-session-idle-ttl-minutes",
        "960",
        Kind::IdleMinutes,
        "Minutes without activity after which a login token is refused.",
    ),
    setting(
        "auth-user-session-ttl-minutes",
        "960",
        Kind::SessionMinutes,
        "Time to live, in minutes, of login tokens. 0 means that they never expire. The maximum of other tokens does not apply.",
    ),
    read_only(public(setting(
        "cacerts",
        "",
        Kind::Text,
        "The authorities that clients should trust when they talk to this server, as PEM.",
    ))),
    setting(
        "delete-inactive-user-after",
        "",
        Kind::Duration { least_ms: TWO_WEEKS_MS },
        "Time without a login after which a user is deleted, such as 1440h. Empty or 0 means never.",
    ),
    setting(
        "disable-inactive-user-after",
        "",
        Kind::Duration { least_ms: 0 },
        "Time without a login after which a user is disabled, such as 720h. Empty or 0 means never.",
    ),
    public(setting("first-login", "true", Kind::Bool, "Whether the first administrator has yet to log in.")),
    setting(
        "k8s-version",
        "v1.33.0",
        Kind::Text,
        "The Kubernetes version that this server is compatible with.",
    ),
    setting(
        "kubeconfig-default-token-ttl-minutes",
        "0",
        Kind::KubeconfigMinutes,
        "Time to live, in minutes, of tokens in kubeconfigs. 0 means as long as auth-token-max-ttl-minutes allows.",
    ),
    setting(
        "kubeconfig-generate-token",
        "true",
        Kind::Bool,
        "Whether a downloaded kubeconfig holds a token. If not, it calls the CLI to get one.",
    ),
    SettingInfo {
        deprecated: Some(
            "kubeconfig-token-ttl-minutes is deprecated; use kubeconfig-default-token-ttl-minutes",
        ),
        ..setting(
            "kubeconfig-token-ttl-minutes",
            "960",
            Kind::KubeconfigMinutes,
            "Deprecated. Time to live, in minutes, of tokens that the CLI gets. 0 means as long as auth-token-max-ttl-minutes allows.",
        )
    },
    setting("password-min-length", "12", Kind::Length, "Least number of characters of a password."),
    setting(
        "server-url",
        "",
        Kind::Url,
        "The address under which clients reach this server, such as https://tokens.example.org.",
    ),
    read_only(setting(
        "server-version",
        "v2.15.0",
        Kind::Text,
        "The version of the reference that this server is compatible with.",
    )),
    public(setting("ui-banners", "{}", Kind::Text, "Banners of the user interface, as JSON.")),
    public(setting("ui-brand", "", Kind::Text, "Brand of the user interface.")),
    public(setting("ui-default-landing", "vue", Kind::Text, "Which user interface opens first.")),
    public(setting("ui-issues", "", Kind::Text, "Where people report issues.")),
    public(setting("ui-pl", "eartag", Kind::Text, "Product name that the user interface shows.")),
    setting(
        "user-last-login-default",
        "",
        Kind::Time,
        "The last login, as RFC 3339, that user retention assumes for users who never logged in.",
    ),
    setting("user-retention-cron", "", Kind::Cron, "When user retention runs. Empty means never."),
    setting(
        "user-retention-dry-run",
        "false",
        Kind::Bool,
        "Whether user retention only logs what it would do.",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_catalogue_is_ordered_and_every_setting_is_found() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ALL.iter().all(|info| find(info.name) == Some(info)));
        assert_eq!(find("no-such-setting"), None);
    }

    #[test]
    fn defaults_are_those_of_the_decisions() {
        for (name, default) in [
            ("auth-token-max-ttl-minutes", "129600"),
            ("auth-user-session-ttl-minutes", "960"),
            ("auth-user-session-idle-ttl-minutes", "960"),
            ("kubeconfig-default-token-ttl-minutes", "0"),
            ("kubeconfig-token-ttl-minutes", "960"),
            ("kubeconfig-generate-token", "true"),
            ("password-min-length", "12"),
            ("first-login", "true"),
        ] {
            assert_eq!(find(name).unwrap().default, default, "{name}");
        }
        for name in ["server-version", "server-url", "ui-default-landing", "k8s-version", "cacerts"] {
            assert!(find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_in_the_wrong_case_leads_to_the_right_one() {
        let right = Some("kubeconfig-default-token-ttl-minutes");
        assert_eq!(did_you_mean("kubeconfig-default-token-TTL-minutes"), right);
        assert_eq!(did_you_mean("kubeconfig-default-token-ttl-minutes"), None);
        assert_eq!(did_you_mean("kubeconfig-default-ttl-minutes"), None);
    }

    #[test]
    fn only_the_listed_settings_are_public() {
        let public: Vec<_> = ALL.iter().filter(|info| info.public).map(|info| info.name).collect();
        assert_eq!(
            public,
            ["cacerts", "first-login", "ui-banners", "ui-brand", "ui-default-landing", "ui-issues", "ui-pl"]
        );
    }

    #[test]
    fn environment_names_are_upper_case() {
        assert_eq!(env_name("auth-token-max-ttl-minutes"), "CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES");
    }
}
