//! The values in force, kept in step with the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use eartag_api::frame;
use eartag_storage::{Change, CollectionId, Entry};
use parking_lot::RwLock;

use super::{
    Cron, DELETE_AFTER, DISABLE_AFTER, FIRST_LOGIN, IDLE, KUBECONFIG_CLI, KUBECONFIG_DEFAULT,
    KUBECONFIG_GENERATE, LAST_LOGIN_DEFAULT, MAX_TTL, Overrides, PASSWORD_MIN_LENGTH, RETENTION_CRON,
    RETENTION_DRY_RUN, SERVER_URL, SESSION, find, idle_ms, validate,
};
use crate::collections;
use crate::duration::parse_go_duration;
use crate::record::SettingRecord;
use crate::time::parse_rfc3339;
use crate::ttl::Minutes;

/// Where a value comes from. `Display`-ed as the member `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The environment.
    Env,
    /// The store.
    Db,
    /// The catalogue.
    Default,
}

impl Source {
    /// `env`, `db` or `default`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Db => "db",
            Self::Default => "default",
        }
    }
}

/// A value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
    /// Whether somebody chose it.
    pub customized: bool,
}

/// The values in force that rules ask for, parsed. A snapshot: it does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The maximum of tokens' ttl, in ms; `None` where there is none.
    pub max_ttl: Option<u64>,
    /// The ttl of login tokens.
    pub session: Minutes,
    /// The idle timeout of login tokens, in ms.
    pub idle_ms: u64,
    /// The ttl of kubeconfig tokens.
    pub kubeconfig_default: Minutes,
    /// The ttl of tokens that the CLI gets.
    pub kubeconfig_cli: Minutes,
    /// Whether downloaded kubeconfigs hold a token.
    pub kubeconfig_generate_token: bool,
    /// Least length of passwords, in code points.
    pub password_min_length: usize,
    /// When inactive users are disabled, in ms.
    pub disable_inactive_after_ms: Option<u64>,
    /// When inactive users are deleted, in ms.
    pub delete_inactive_after_ms: Option<u64>,
    /// When user retention runs.
    pub retention_cron: Option<Cron>,
    /// Whether it only logs.
    pub retention_dry_run: bool,
    /// The last login of users that have none, in seconds since 1970.
    pub last_login_default_s: Option<i64>,
    /// The address under which clients reach the server, without a slash at the end; empty if nobody said.
    pub server_url: String,
    /// Nobody has done the first administrator's steps yet.
    pub first_login: bool,
}

/// All settings, fed by the store's observer.
#[derive(Debug)]
pub struct SettingsTable {
    overrides: Overrides,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    stored: BTreeMap<String, String>,
    snapshot: Arc<Settings>,
}

impl SettingsTable {
    /// Only overrides and defaults so far.
    #[must_use]
    pub fn new(overrides: Overrides) -> Self {
        let stored = BTreeMap::new();
        let snapshot = Arc::new(parse(&|name| effective(&overrides, &stored, name).value));
        Self { overrides, state: RwLock::new(State { stored, snapshot }) }
    }

    /// Takes in an entry while the store is opened; entries of other collections are ignored.
    pub fn load(&self, collection: CollectionId, entry: &Entry) {
        if collection == collections::SETTINGS {
            self.change(|stored| put(stored, entry));
        }
    }

    /// Takes in a commit.
    pub fn apply(&self, changes: &[Change]) {
        let ours = || changes.iter().filter(|change| change.collection == collections::SETTINGS);
        if ours().next().is_none() {
            return;
        }
        self.change(|stored| {
            for change in ours() {
                match &change.new {
                    Some(new) => put(stored, new),
                    None => {
                        stored.remove(&*String::from_utf8_lossy(change.key()));
                    }
                }
            }
        });
    }

    /// The value in force of a setting; an unknown one is empty.
    #[must_use]
    pub fn effective(&self, name: &str) -> Effective {
        effective(&self.overrides, &self.state.read().stored, name)
    }

    /// All that rules ask for.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Settings> {
        Arc::clone(&self.state.read().snapshot)
    }

    /// What comes from the environment.
    #[must_use]
    pub const fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    fn change(&self, f: impl FnOnce(&mut BTreeMap<String, String>)) {
        let mut state = self.state.write();
        f(&mut state.stored);
        let parsed = parse(&|name| effective(&self.overrides, &state.stored, name).value);
        state.snapshot = Arc::new(parsed);
    }
}

impl Settings {
    /// What holds where nobody said anything.
    #[must_use]
    pub fn defaults() -> Self {
        parse(&|name| default(name).to_owned())
    }
}

fn put(stored: &mut BTreeMap<String, String>, entry: &Entry) {
    let name = String::from_utf8_lossy(entry.key()).into_owned();
    match frame::split(entry.value()).and_then(|(body, _)| SettingRecord::decode(body)) {
        Some(record) => stored.insert(name, record.value),
        None => stored.remove(&name),
    };
}

fn default(name: &str) -> &'static str {
    find(name).map(|info| info.default).unwrap_or_default()
}

fn effective(overrides: &Overrides, stored: &BTreeMap<String, String>, name: &str) -> Effective {
    let stored = stored.get(name).filter(|value| !value.is_empty());
    let (value, source) = match (overrides.get(name), stored) {
        (Some(value), _) => (value, Source::Env),
        (None, Some(value)) => (value.as_str(), Source::Db),
        (None, None) => (default(name), Source::Default),
    };
    Effective { value: value.to_owned(), source, customized: source != Source::Default }
}

/// Values were checked when they were written. One that cannot be read all the same (imported, or of an older version) counts as the
/// default: a bad maximum must not mean that there is none.
fn parse(value: &dyn Fn(&str) -> String) -> Settings {
    let good = |name: &str| {
        let own = value(name);
        // Each value by itself: what holds beside other settings was decided on writing.
        let alone = |_: &str| String::new();
        match find(name) {
            Some(info) if validate(info, &own, &alone).is_ok() => own,
            _ => default(name).to_owned(),
        }
    };
    let minutes = |name| Minutes::parse(&good(name)).unwrap_or_default();
    let whole = |name| good(name).parse::<u64>().unwrap_or(0);
    let duration =
        |name| parse_go_duration(&good(name)).ok().and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0);
    let yes = |name| good(name) == "true";
    Settings {
        max_ttl: minutes(MAX_TTL).limit(),
        session: Minutes::from_millis(whole(SESSION).saturating_mul(60_000)),
        idle_ms: idle_ms(&good(IDLE)),
        kubeconfig_default: minutes(KUBECONFIG_DEFAULT),
        kubeconfig_cli: minutes(KUBECONFIG_CLI),
        kubeconfig_generate_token: yes(KUBECONFIG_GENERATE),
        password_min_length: usize::try_from(whole(PASSWORD_MIN_LENGTH)).unwrap_or(12).max(1),
        disable_inactive_after_ms: duration(DISABLE_AFTER),
        delete_inactive_after_ms: duration(DELETE_AFTER),
        retention_cron: Cron::parse(&good(RETENTION_CRON)).ok(),
        retention_dry_run: yes(RETENTION_DRY_RUN),
        last_login_default_s: parse_rfc3339(&good(LAST_LOGIN_DEFAULT)),
        server_url: good(SERVER_URL).trim_end_matches('/').to_owned(),
        first_login: yes(FIRST_LOGIN),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::testing::{Feed, framed};

    fn table(env: &[(&str, &str)]) -> SettingsTable {
        let mut overrides = Overrides::default();
        for (name, value) in env {
            overrides.insert(name, value).unwrap();
        }
        SettingsTable::new(overrides)
    }

    fn set(table: &SettingsTable, feed: &mut Feed, name: &str, value: &str) {
        let record = SettingRecord { value: value.to_owned(), env: false };
        table.apply(&feed.put(collections::SETTINGS, name, framed(&record.encode())));
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let settings = table(&[]).snapshot();
        assert_eq!(*settings, Settings::defaults());
        assert_eq!(settings.max_ttl, Some(7_776_000_000));
        assert_eq!((settings.session.millis(), settings.idle_ms), (57_600_000, 57_600_000));
        assert_eq!(
            (settings.kubeconfig_default.limit(), settings.kubeconfig_cli.limit()),
            (None, Some(57_600_000))
        );
        assert!(settings.kubeconfig_generate_token && settings.first_login && !settings.retention_dry_run);
        assert_eq!((settings.password_min_length, settings.retention_cron), (12, None));
    }

    #[test]
    fn a_stored_value_holds_until_it_is_empty_or_gone() {
        let (table, mut feed) = (table(&[]), Feed::default());
        set(&table, &mut feed, MAX_TTL, "1.5");
        assert_eq!(table.snapshot().max_ttl, Some(90_000));
        let in_force = Effective { value: "1.5".into(), source: Source::Db, customized: true };
        assert_eq!(table.effective(MAX_TTL), in_force);
        set(&table, &mut feed, MAX_TTL, "0");
        assert_eq!(table.snapshot().max_ttl, None);
        set(&table, &mut feed, MAX_TTL, "");
        assert_eq!(table.effective(MAX_TTL).source, Source::Default);
        set(&table, &mut feed, MAX_TTL, "7");
        table.apply(&feed.delete(collections::SETTINGS, MAX_TTL));
        assert_eq!(table.snapshot().max_ttl, Some(7_776_000_000));
    }

    #[test]
    fn the_environment_wins() {
        let (table, mut feed) = (table(&[(MAX_TTL, "60")]), Feed::default());
        set(&table, &mut feed, MAX_TTL, "5");
        assert_eq!(table.snapshot().max_ttl, Some(3_600_000));
        assert_eq!(table.effective(MAX_TTL).source.as_str(), "env");
    }

    #[test]
    fn a_stored_value_that_cannot_be_read_counts_as_the_default() {
        let (table, mut feed) = (table(&[]), Feed::default());
        for (name, value) in
            [(MAX_TTL, "90d"), (SESSION, "-5"), (IDLE, "0"), (PASSWORD_MIN_LENGTH, "0"), (SERVER_URL, "x y")]
        {
            set(&table, &mut feed, name, value);
        }
        table.apply(&feed.put(collections::SETTINGS, KUBECONFIG_CLI, b"garbage".to_vec()));
        assert_eq!(*table.snapshot(), Settings::defaults());
    }
}
