//! What follows the store: every table that answers questions without reading it, changed in the same step as the mirror.

use std::sync::Arc;

use eartag_core::features::Features;
use eartag_core::rbac::Rbac;
use eartag_core::settings::SettingsTable;
use eartag_core::usage::Usage;
use eartag_core::verifier::Verifier;
use eartag_storage::{Change, CollectionId, Entry, Observer};

use crate::authn::Gate;

/// The tables.
pub struct Tables {
    /// Whether a presented secret is good.
    pub verifier: Verifier,
    /// Who may do what.
    pub rbac: Rbac,
    /// Settings in force.
    pub settings: SettingsTable,
    /// Features in force.
    pub features: Features,
    /// When tokens were last used.
    pub usage: Arc<Usage>,
    /// What authentication keeps in memory; its index of login names follows the store.
    pub gate: Arc<Gate>,
}

impl Tables {
    /// Empty tables; settings and features that the operator fixed win over stored ones.
    pub fn new(settings: SettingsTable, features: Features, gate: Arc<Gate>) -> Tables {
        let usage = Arc::new(Usage::new());
        Tables {
            verifier: Verifier::with(usage.clone(), settings.overrides()),
            rbac: Rbac::new(),
            settings,
            features,
            usage,
            gate,
        }
    }
}

impl Observer for Tables {
    fn load(&self, collection: CollectionId, entry: &Entry) {
        self.verifier.load(collection, entry);
        self.rbac.load(collection, entry);
        self.settings.load(collection, entry);
        self.features.load(collection, entry);
        self.gate.usernames.load(collection, entry);
    }

    fn apply(&self, changes: &[Change]) {
        self.verifier.apply(changes);
        self.rbac.apply(changes);
        self.settings.apply(changes);
        self.features.apply(changes);
        self.gate.usernames.apply(changes);
    }
}
