//! What follows the store: every table that answers questions without reading it, changed in the same step as the mirror.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eartag_core::collections::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, GLOBAL_ROLE_BINDINGS, GLOBAL_ROLES, USERS,
};
use eartag_core::features::Features;
use eartag_core::rbac::Rbac;
use eartag_core::settings::SettingsTable;
use eartag_core::usage::Usage;
use eartag_core::verifier::Verifier;
use eartag_storage::{Change, CollectionId, Entry, Observer};

use crate::authn::Gate;
use crate::resources::quota::Quotas;

/// Collections whose changes may change who may do what.
const RIGHTS: [CollectionId; 5] =
    [USERS, GLOBAL_ROLES, GLOBAL_ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS];

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
    /// Moves with every change of roles, bindings and users, so that what lasts can ask for its rights again.
    pub rights: AtomicU64,
    /// When tokens were last used.
    pub usage: Arc<Usage>,
    /// What authentication keeps in memory; its index of login names follows the store.
    pub gate: Arc<Gate>,
    /// Places of what is being made, of which nobody may have any number.
    pub quotas: Arc<Quotas>,
}

impl Tables {
    /// Empty tables; settings and features that the operator fixed win over stored ones.
    pub fn new(settings: SettingsTable, features: Features, gate: Arc<Gate>) -> Tables {
        let usage = Arc::new(Usage::new());
        Tables {
            verifier: Verifier::with(usage.clone(), settings.overrides()),
            rbac: Rbac::new(),
            rights: AtomicU64::new(0),
            settings,
            features,
            usage,
            gate,
            quotas: Arc::default(),
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
        if changes.iter().any(|change| RIGHTS.contains(&change.collection)) {
            self.rights.fetch_add(1, Ordering::Release);
        }
    }
}
