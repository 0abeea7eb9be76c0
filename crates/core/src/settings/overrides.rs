//! Settings from the environment.

use std::collections::BTreeMap;

use super::{all, env_name, find, validate};

/// Values from `CATTLE_*` variables, checked. They win over stored ones and make their settings read-only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<&'static str, String>);

/// A variable holds what its setting may not: the server does not start (DEC42).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {variable}: {message}")]
pub struct BadEnvironment {
    /// The variable's name.
    pub variable: String,
    /// What is wrong with its value.
    pub message: String,
}

impl Overrides {
    /// Picks the settings out of the environment's variables; empty ones count as absent, others are ignored.
    ///
    /// # Errors
    /// The first variable, by name of its setting, with a value that the setting may not hold.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadEnvironment> {
        let variables: BTreeMap<String, String> =
            variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let of_setting =
            |name: &'static str| variables.get(&env_name(name)).map(|value| (name, value.clone()));
        let overrides = Self(all().iter().filter_map(|info| of_setting(info.name)).collect());
        for (name, value) in &overrides.0 {
            overrides.check(name, value)?;
        }
        Ok(overrides)
    }

    /// Adds one, such as `server-url` from the command line.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env); unknown settings too.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), BadEnvironment> {
        let unknown =
            || BadEnvironment { variable: env_name(name), message: format!("no such setting: {name}") };
        let info = find(name).ok_or_else(unknown)?;
        self.check(info.name, value)?;
        self.0.insert(info.name, value.to_owned());
        Ok(())
    }

    /// The value of a setting, if it is overridden.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn check(&self, name: &str, value: &str) -> Result<(), BadEnvironment> {
        let Some(info) = find(name) else { return Ok(()) };
        let default = |name: &str| find(name).map(|info| info.default).unwrap_or_default();
        let other = |name: &str| self.get(name).unwrap_or_else(|| default(name)).to_owned();
        validate(info, value, &other)
            .map_err(|refusal| BadEnvironment { variable: env_name(name), message: refusal.message })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::super::MAX_TTL;
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Overrides, String> {
        let owned = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Overrides::from_env(owned).map_err(|e| e.to_string())
    }

    #[test]
    fn settings_come_from_the_environment() {
        let overrides = read(&[
            ("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "60"),
            ("CATTLE_BOOTSTRAP_PASSWORD", "x"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(overrides.iter().collect::<Vec<_>>(), [(MAX_TTL, "60")]);
        assert_eq!(read(&[("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "")]).unwrap(), Overrides::default());
    }

    #[test]
    fn a_bad_value_says_which_variable_it_is() {
        let error = read(&[("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "90d")]).unwrap_err();
        assert!(
            error.starts_with(
                "environment variable CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES: value: Invalid value: \"90d\""
            ),
            "{error}"
        );
    }

    #[test]
    fn values_are_checked_against_each_other() {
        let pair = [
            ("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "60"),
            ("CATTLE_KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES", "61"),
        ];
        assert_eq!(
            read(&pair).unwrap_err(),
            "environment variable CATTLE_KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES: max ttl for tokens is [60]"
        );
    }

    #[test]
    fn one_more_can_be_added() {
        let mut overrides = Overrides::default();
        assert!(overrides.insert("server-url", "nonsense").is_err());
        assert!(overrides.insert("no-such", "x").is_err());
        overrides.insert("server-url", "https://a.example").unwrap();
        assert_eq!(overrides.get("server-url"), Some("https://a.example"));
    }
}
