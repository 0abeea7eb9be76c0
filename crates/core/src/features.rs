//! Feature flags (ext-token.md §10, DEC1, DEC31).
//!
//! In force is the locked value, else the object's own, else the default, which the command line may have changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use eartag_api::frame;
use eartag_storage::{Change, CollectionId, Entry};
use parking_lot::RwLock;

use crate::collections;
use crate::record::FeatureRecord;

/// A feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureInfo {
    /// Which one it is.
    pub feature: Feature,
    /// Its name, also of the stored object.
    pub name: &'static str,
    /// What it does, for people.
    pub description: &'static str,
    /// Whether it is on where nobody said otherwise.
    pub default: bool,
    /// Takes effect without a restart.
    pub dynamic: bool,
    /// Once on, it stays on for good.
    pub locks_once_on: bool,
}

/// The features there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// The public Tokens API.
    ExtTokens,
    /// The public Kubeconfigs API.
    ExtKubeconfigs,
    /// The mark on legacy tokens that they are hashed.
    TokenHashing,
}

const ALL: [FeatureInfo; 3] = [
    FeatureInfo {
        feature: Feature::ExtKubeconfigs,
        name: "ext-kubeconfigs",
        description: "Kubeconfigs Public API",
        default: true,
        dynamic: true,
        locks_once_on: false,
    },
    FeatureInfo {
        feature: Feature::ExtTokens,
        name: "ext-tokens",
        description: "Tokens Public API",
        default: true,
        dynamic: true,
        locks_once_on: false,
    },
    FeatureInfo {
        feature: Feature::TokenHashing,
        name: "token-hashing",
        description: "Enable one way hashing of tokens. Once enabled token hashing can not be disabled",
        default: false,
        dynamic: true,
        locks_once_on: true,
    },
];

/// All features, ordered by name.
#[must_use]
pub const fn all() -> &'static [FeatureInfo] {
    &ALL
}

/// The feature of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static FeatureInfo> {
    ALL.iter().find(|info| info.name == name)
}

impl Feature {
    /// What the catalogue says of it.
    #[must_use]
    pub fn info(self) -> &'static FeatureInfo {
        let [kubeconfigs, tokens, hashing] = &ALL;
        match self {
            Self::ExtKubeconfigs => kubeconfigs,
            Self::ExtTokens => tokens,
            Self::TokenHashing => hashing,
        }
    }
}

/// Why a feature's value is not changed: 400 `Invalid` at the Kubernetes door, 422 `InvalidBodyContent` at `/v3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("feature flag cannot be changed from current value: {0}")]
pub struct Locked(pub bool);

/// A feature's record after somebody wrote `value`; a feature that locks once on gets its lock here.
///
/// # Errors
/// [`Locked`] if it is locked at another value.
pub fn change(info: &FeatureInfo, old: FeatureRecord, value: Option<bool>) -> Result<FeatureRecord, Locked> {
    if let Some(locked) = old.locked
        && value != old.value
        && value != Some(locked)
    {
        return Err(Locked(locked));
    }
    let locks = info.locks_once_on && value == Some(true);
    Ok(FeatureRecord { value, locked: if locks { Some(true) } else { old.locked } })
}

/// Defaults changed by `--features name=bool,…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureDefaults(BTreeMap<&'static str, bool>);

/// What is wrong with a `--features` argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFeatures {
    /// Not of the form.
    #[error("feature argument [{0}] should be of the form \"features=feature1=bool,feature2=bool\"")]
    Form(String),
    /// No such feature.
    #[error("\"{0}\" is not a valid feature")]
    Unknown(String),
}

impl FeatureDefaults {
    /// Reads `name=bool,…`; empty means none.
    ///
    /// # Errors
    /// [`BadFeatures`].
    pub fn parse(argument: &str) -> Result<Self, BadFeatures> {
        let form = || BadFeatures::Form(argument.to_owned());
        let mut defaults = BTreeMap::new();
        for part in argument.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            let info = find(name).ok_or_else(|| BadFeatures::Unknown(name.to_owned()))?;
            defaults.insert(info.name, value.parse().map_err(|_| form())?);
        }
        Ok(Self(defaults))
    }

    /// The default of a feature.
    #[must_use]
    pub fn get(&self, info: &FeatureInfo) -> bool {
        self.0.get(info.name).copied().unwrap_or(info.default)
    }
}

/// All features, fed by the store's observer; asking is lock-free.
#[derive(Debug)]
pub struct Features {
    defaults: FeatureDefaults,
    records: RwLock<BTreeMap<&'static str, FeatureRecord>>,
    on: AtomicU8,
}

impl Features {
    /// Only defaults so far.
    #[must_use]
    pub fn new(defaults: FeatureDefaults) -> Self {
        let features = Self { defaults, records: RwLock::default(), on: AtomicU8::new(0) };
        features.refresh(&BTreeMap::new());
        features
    }

    /// Takes in an entry while the store is opened; entries of other collections are ignored.
    pub fn load(&self, collection: CollectionId, entry: &Entry) {
        if collection == collections::FEATURES {
            self.put(entry.key(), Some(entry));
        }
    }

    /// Takes in a commit.
    pub fn apply(&self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.collection == collections::FEATURES) {
            self.put(change.key(), change.new.as_ref());
        }
    }

    /// Whether the feature is on.
    #[must_use]
    pub fn enabled(&self, feature: Feature) -> bool {
        self.on.load(Ordering::Acquire) & bit(feature) != 0
    }

    /// Whether a record means on: for showing and for judging a write.
    #[must_use]
    pub fn effective(&self, info: &FeatureInfo, record: FeatureRecord) -> bool {
        record.locked.or(record.value).unwrap_or_else(|| self.defaults.get(info))
    }

    /// The feature's default in this process (`status.default`).
    #[must_use]
    pub fn default_of(&self, info: &FeatureInfo) -> bool {
        self.defaults.get(info)
    }

    /// A record that cannot be read counts as none, but a lock is never lost by it: the last record that could be read stays.
    fn put(&self, key: &[u8], entry: Option<&Entry>) {
        let Some(info) = std::str::from_utf8(key).ok().and_then(find) else { return };
        let mut records = self.records.write();
        match entry.map(|entry| frame::split(entry.value()).and_then(|(body, _)| FeatureRecord::decode(body)))
        {
            None => drop(records.remove(info.name)),
            Some(Some(record)) => drop(records.insert(info.name, record)),
            Some(None) => {}
        }
        self.refresh(&records);
    }

    fn refresh(&self, records: &BTreeMap<&'static str, FeatureRecord>) {
        let on =
            |info: &&FeatureInfo| self.effective(info, records.get(info.name).copied().unwrap_or_default());
        self.on
            .store(ALL.iter().filter(on).fold(0, |bits, info| bits | bit(info.feature)), Ordering::Release);
    }
}

const fn bit(feature: Feature) -> u8 {
    match feature {
        Feature::ExtTokens => 1,
        Feature::ExtKubeconfigs => 2,
        Feature::TokenHashing => 4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::testing::{Feed, framed};

    fn record(value: Option<bool>, locked: Option<bool>) -> FeatureRecord {
        FeatureRecord { value, locked }
    }

    fn put(features: &Features, feed: &mut Feed, name: &str, record: FeatureRecord) {
        features.apply(&feed.put(collections::FEATURES, name, framed(&record.encode())));
    }

    #[test]
    fn the_apis_are_on_and_hashing_is_off_by_default() {
        let features = Features::new(FeatureDefaults::default());
        assert!(features.enabled(Feature::ExtTokens) && features.enabled(Feature::ExtKubeconfigs));
        assert!(!features.enabled(Feature::TokenHashing));
        assert!(ALL.iter().all(|info| info.dynamic && info.feature.info() == info));
    }

    #[test]
    fn a_patched_value_holds_at_once_and_null_brings_the_default_back() {
        let (features, mut feed) = (Features::new(FeatureDefaults::default()), Feed::default());
        put(&features, &mut feed, "ext-tokens", record(Some(false), None));
        assert!(!features.enabled(Feature::ExtTokens) && features.enabled(Feature::ExtKubeconfigs));
        put(&features, &mut feed, "ext-tokens", record(None, None));
        assert!(features.enabled(Feature::ExtTokens));
        put(&features, &mut feed, "ext-tokens", record(Some(false), None));
        features.apply(&feed.delete(collections::FEATURES, "ext-tokens"));
        assert!(features.enabled(Feature::ExtTokens));
    }

    #[test]
    fn token_hashing_once_on_is_on_for_good() {
        let info = Feature::TokenHashing.info();
        let on = change(info, FeatureRecord::default(), Some(true)).unwrap();
        assert_eq!(on, record(Some(true), Some(true)));
        for off in [Some(false), None] {
            let refusal = change(info, on, off).unwrap_err();
            assert_eq!(refusal.to_string(), "feature flag cannot be changed from current value: true");
        }
        assert_eq!(change(info, on, Some(true)), Ok(on));
        let forced = record(Some(false), Some(true));
        assert!(Features::new(FeatureDefaults::default()).effective(info, forced), "the lock wins");
        assert_eq!(change(info, forced, Some(false)), Ok(forced), "as it is");
    }

    #[test]
    fn other_features_do_not_lock() {
        let info = Feature::ExtTokens.info();
        let off = change(info, record(Some(true), None), Some(false)).unwrap();
        assert_eq!(change(info, off, Some(true)).unwrap().locked, None);
    }

    #[test]
    fn the_command_line_changes_defaults_only() {
        let defaults = FeatureDefaults::parse("ext-tokens=false, token-hashing=true").unwrap();
        let (features, mut feed) = (Features::new(defaults), Feed::default());
        assert!(!features.enabled(Feature::ExtTokens) && features.enabled(Feature::TokenHashing));
        put(&features, &mut feed, "ext-tokens", record(Some(true), None));
        assert!(features.enabled(Feature::ExtTokens));
    }

    #[test]
    fn bad_arguments_are_refused_in_the_references_words() {
        assert_eq!(
            FeatureDefaults::parse("ext-tokens").unwrap_err().to_string(),
            "feature argument [ext-tokens] should be of the form \"features=feature1=bool,feature2=bool\""
        );
        assert_eq!(FeatureDefaults::parse("x=true").unwrap_err().to_string(), "\"x\" is not a valid feature");
        assert_eq!(FeatureDefaults::parse("").unwrap(), FeatureDefaults::default());
    }

    #[test]
    fn a_damaged_record_loses_no_lock() {
        let (features, mut feed) = (Features::new(FeatureDefaults::default()), Feed::default());
        put(&features, &mut feed, "token-hashing", record(Some(true), Some(true)));
        features.apply(&feed.put(collections::FEATURES, "token-hashing", b"x".to_vec()));
        assert!(features.enabled(Feature::TokenHashing));
    }
}
