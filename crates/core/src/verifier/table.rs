//! The verifier's table.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use eartag_api::frame;
use eartag_api::meta::Uid;
use eartag_storage::{CollectionId, Entry};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::collections;
use crate::face::Face;
use crate::record::{SettingRecord, UserRecord};
use crate::settings::{self, Overrides};

/// What a check needs to know of a token's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerState {
    /// The user's uid: tokens are good for this very user only (DEC9).
    pub uid: Uid,
    /// Not disabled.
    pub enabled: bool,
    /// Being deleted.
    pub deleted: bool,
    /// Login name.
    pub username: String,
    /// Name for people.
    pub display_name: String,
    /// Principal ids.
    pub principal_ids: Vec<String>,
    /// A user of the system itself.
    pub system: bool,
}

/// Tokens are pointers into the store's entries: nothing of them is kept twice. Each face has a table of its own, which is why an
/// ext token cannot be found without its prefix.
pub(super) struct Table {
    hasher: DefaultHashBuilder,
    ext: HashTable<Entry>,
    legacy: HashTable<Entry>,
    owners: HashMap<Box<str>, Arc<OwnerState>>,
    pub(super) providers: Arc<BTreeSet<String>>,
    pub(super) idle_ms: u64,
    idle_pinned: bool,
}

/// A token with all that decides about it, of one revision.
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) owner: Option<Arc<OwnerState>>,
    pub(super) providers: Arc<BTreeSet<String>>,
    pub(super) idle_ms: u64,
}

impl Table {
    pub(super) fn new(overrides: &Overrides) -> Self {
        let pinned = overrides.get(settings::IDLE);
        Self {
            hasher: DefaultHashBuilder::default(),
            ext: HashTable::new(),
            legacy: HashTable::new(),
            owners: HashMap::new(),
            providers: Arc::new(BTreeSet::from(["local".to_owned()])),
            idle_ms: settings::idle_ms(pinned.unwrap_or_default()),
            idle_pinned: pinned.is_some(),
        }
    }

    pub(super) fn find(&self, face: Face, name: &str) -> Option<Found> {
        let entry = self.entry(face, name)?;
        // The owner's name lies in the entry, found once by the store's index; a damaged record has none.
        let owner = entry
            .owner()
            .and_then(|owner| std::str::from_utf8(owner).ok())
            .and_then(|owner| self.owner(owner));
        Some(Found { entry, owner, providers: Arc::clone(&self.providers), idle_ms: self.idle_ms })
    }

    pub(super) fn entry(&self, face: Face, name: &str) -> Option<Entry> {
        let name = name.as_bytes();
        self.tokens(face).find(self.hasher.hash_one(name), |entry| entry.key() == name).cloned()
    }

    pub(super) fn owner(&self, user: &str) -> Option<Arc<OwnerState>> {
        self.owners.get(user).cloned()
    }

    pub(super) fn len(&self, face: Face) -> usize {
        self.tokens(face).len()
    }

    pub(super) fn put(&mut self, collection: CollectionId, entry: &Entry) {
        if let Some(face) = Face::of(collection) {
            self.put_token(face, entry);
        } else if collection == collections::USERS {
            self.put_owner(entry);
        } else if collection == collections::SETTINGS
            && entry.key() == settings::IDLE.as_bytes()
            && !self.idle_pinned
        {
            let record = frame::split(entry.value()).and_then(|(body, _)| SettingRecord::decode(body));
            self.idle_ms = settings::idle_ms(&record.unwrap_or_default().value);
        }
    }

    pub(super) fn remove(&mut self, collection: CollectionId, key: &[u8]) {
        if let Some(face) = Face::of(collection) {
            let hash = self.hasher.hash_one(key);
            if let Ok(found) = self.tokens_mut(face).find_entry(hash, |entry| entry.key() == key) {
                found.remove();
            }
        } else if collection == collections::USERS {
            if let Ok(user) = std::str::from_utf8(key) {
                self.owners.remove(user);
            }
        } else if collection == collections::SETTINGS && key == settings::IDLE.as_bytes() && !self.idle_pinned
        {
            self.idle_ms = settings::idle_ms("");
        }
    }

    fn put_token(&mut self, face: Face, entry: &Entry) {
        let Self { hasher, ext, legacy, .. } = self;
        let tokens = match face {
            Face::Ext => ext,
            Face::Legacy => legacy,
        };
        let hash = hasher.hash_one(entry.key());
        match tokens.find_mut(hash, |old| old.key() == entry.key()) {
            Some(old) => *old = entry.clone(),
            None => {
                tokens.insert_unique(hash, entry.clone(), |e| hasher.hash_one(e.key()));
            }
        }
    }

    /// A user whose record cannot be read is no user: their tokens are refused.
    fn put_owner(&mut self, entry: &Entry) {
        let Ok(user) = std::str::from_utf8(entry.key()) else { return };
        let record = frame::split(entry.value()).and_then(|(body, _)| UserRecord::decode(body));
        let (Some(record), Some(head)) = (record, frame::head(entry.value())) else {
            self.owners.remove(user);
            return;
        };
        let state = OwnerState {
            uid: head.uid,
            enabled: record.is_enabled(),
            deleted: head.deleted,
            system: record.is_system(),
            username: record.username,
            display_name: record.display_name,
            principal_ids: record.principal_ids,
        };
        self.owners.insert(user.into(), Arc::new(state));
    }

    const fn tokens(&self, face: Face) -> &HashTable<Entry> {
        match face {
            Face::Ext => &self.ext,
            Face::Legacy => &self.legacy,
        }
    }

    const fn tokens_mut(&mut self, face: Face) -> &mut HashTable<Entry> {
        match face {
            Face::Ext => &mut self.ext,
            Face::Legacy => &mut self.legacy,
        }
    }
}
