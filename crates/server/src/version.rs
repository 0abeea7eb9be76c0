//! `/version`: which Kubernetes API behaviour we follow, and the product's own version for everything else.

use serde::Serialize;

/// The product's version, as `eartag version` and the setting `server-version` show it.
pub const PRODUCT: &str = env!("CARGO_PKG_VERSION");

/// The body of `/version`: clients take it for the version of a cluster, compare `minor` with their own, and parse `gitVersion` as a semantic version.
/// It names the Kubernetes API whose behaviour we follow, never the product's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// `1`.
    pub major: &'static str,
    /// The minor version.
    pub minor: &'static str,
    /// As `major`: we emulate nothing older.
    pub emulation_major: &'static str,
    /// As `minor`.
    pub emulation_minor: &'static str,
    /// The oldest version that could run beside us.
    pub min_compatibility_major: &'static str,
    /// Its minor version.
    pub min_compatibility_minor: &'static str,
    /// `v1.x.y+eartag`.
    pub git_version: &'static str,
    /// The commit this was built from, if the build said so.
    pub git_commit: &'static str,
    /// `clean`, or `unknown` without a commit.
    pub git_tree_state: &'static str,
    /// When this was built (RFC 3339), if the build said so.
    pub build_date: &'static str,
    /// There is no Go in here; the member is mandatory.
    pub go_version: &'static str,
    /// `rustc`.
    pub compiler: &'static str,
    /// Operating system and architecture in Go's names: `linux/amd64`.
    pub platform: String,
}

/// What this server answers.
#[must_use]
pub fn version_info() -> VersionInfo {
    VersionInfo {
        major: "1",
        minor: "33",
        emulation_major: "1",
        emulation_minor: "33",
        min_compatibility_major: "1",
        min_compatibility_minor: "32",
        git_version: "v1.33.0+eartag",
        git_commit: COMMIT.unwrap_or("unknown"),
        git_tree_state: if COMMIT.is_some() { "clean" } else { "unknown" },
        build_date: option_env!("EARTAG_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        go_version: "none",
        compiler: "rustc",
        platform: format!("{}/{}", std::env::consts::OS, go_architecture(std::env::consts::ARCH)),
    }
}

const COMMIT: Option<&str> = option_env!("EARTAG_GIT_COMMIT");

fn go_architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn clients_can_parse_it() {
        let json = serde_json::to_value(version_info()).unwrap();
        assert!(json["minor"].as_str().unwrap().parse::<u32>().is_ok());
        assert!(json["gitVersion"].as_str().unwrap().starts_with("v1.33."));
        assert!(!json["gitVersion"].as_str().unwrap().contains(PRODUCT));
        for member in
            ["emulationMinor", "minCompatibilityMinor", "gitTreeState", "buildDate", "goVersion", "platform"]
        {
            assert!(json[member].is_string(), "{member}");
        }
    }
}
