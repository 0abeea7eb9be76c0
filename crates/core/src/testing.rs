//! Fixtures that several tests share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_storage::{Change, CollectionId, Commit, Entry, Memory, Observer, Op, Options, Store};
use parking_lot::Mutex;

use crate::collections;
use crate::record::{Credential, Principal};
use crate::verifier::OwnerState;
use crate::{Lifetime, PlainSecret, SecretHash};

/// The secret of [`credential`].
pub(crate) const SECRET: &str = "bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789";

/// A typical token of this user: 90 days, enabled.
pub(crate) fn credential(owner: &str) -> Credential {
    Credential {
        owner: owner.to_owned(),
        owner_uid: Uid::from_random([3; 16]),
        hash: SecretHash::sha3(&PlainSecret::new(SECRET), [1; 8]),
        lifetime: Lifetime::For(7_776_000_000),
        enabled: true,
        cluster: String::new(),
        session: false,
        principal: Principal::local(owner, "ann", "Ann Smith"),
        kind: String::new(),
        description: "nightly backup".to_owned(),
        last_update_s: 1_780_000_000,
    }
}

/// A record's body with plain metadata.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    frame::frame(body, &Meta { uid: Uid::from_random([9; 16]), created_s: CREATED_S, ..Meta::default() })
}

/// When [`framed`] objects were made.
pub(crate) const CREATED_S: i64 = 1_780_000_000;

/// A store without a log, and the changes that it tells its observer.
pub(crate) struct Feed {
    runtime: tokio::runtime::Runtime,
    store: Store,
    seen: Arc<Mutex<Vec<Change>>>,
}

struct Seen(Arc<Mutex<Vec<Change>>>);

impl Observer for Seen {
    fn load(&self, _: CollectionId, _: &Entry) {}
    fn apply(&self, changes: &[Change]) {
        self.0.lock().extend_from_slice(changes);
    }
}

impl Default for Feed {
    fn default() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen = Arc::default();
        let observer = Arc::new(Seen(Arc::clone(&seen)));
        let opening = Store::open(Box::new(Memory::new()), collections::all(), observer, Options::default());
        let store = runtime.block_on(opening).unwrap();
        Self { runtime, store, seen }
    }
}

impl Feed {
    /// Writes an object.
    pub(crate) fn put(&mut self, collection: CollectionId, key: &str, value: Vec<u8>) -> Vec<Change> {
        self.commit(Op::Put { collection, key: key.into(), value })
    }

    /// Deletes an object.
    pub(crate) fn delete(&mut self, collection: CollectionId, key: &str) -> Vec<Change> {
        self.commit(Op::Delete { collection, key: key.into() })
    }

    fn commit(&mut self, op: Op) -> Vec<Change> {
        self.runtime.block_on(self.store.commit(Commit { ops: vec![op], ..Commit::default() })).unwrap();
        std::mem::take(&mut *self.seen.lock())
    }
}

/// An enabled user.
pub(crate) fn owner_state() -> OwnerState {
    OwnerState {
        uid: Uid::from_random([3; 16]),
        enabled: true,
        deleted: false,
        username: "ann".to_owned(),
        display_name: "Ann Smith".to_owned(),
        principal_ids: Vec::new(),
        system: false,
    }
}

/// Bytes that vary and repeat from run to run.
pub(crate) fn random() -> impl FnMut(&mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |out: &mut [u8]| {
        for byte in out {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_be_bytes()[0];
        }
    }
}
