//! What lately accepted tokens say, decoded: a token in use is checked many times for each time that it changes.

use std::sync::Arc;

use eartag_api::meta::Uid;
use eartag_storage::Entry;
use parking_lot::Mutex;

use super::Accepted;
use super::table::{Found, OwnerState};

/// Tokens that are remembered: about 3 MB when all are.
const SLOTS: usize = 4096;

/// One token a slot; the next one there takes its place. What is remembered holds for the very entry and the very owner that it was made of, both of which
/// never change, so nothing has to be forgotten: after a change it is simply not found.
pub(super) struct Memo {
    slots: Box<[Mutex<Option<Remembered>>]>,
}

struct Remembered {
    entry: Entry,
    owner: Arc<OwnerState>,
    accepted: Arc<Accepted>,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self { slots: std::iter::repeat_with(Mutex::default).take(SLOTS).collect() }
    }

    /// What `decode` makes of the token and its owner, remembered. `None` is not.
    pub(super) fn of(
        &self,
        token: Uid,
        found: &Found,
        decode: impl FnOnce(&OwnerState) -> Option<Accepted>,
    ) -> Option<Arc<Accepted>> {
        let owner = found.owner.as_ref()?;
        let slot = self.slot(token)?;
        if let Some(known) = &*slot.lock()
            && Entry::same(&known.entry, &found.entry)
            && Arc::ptr_eq(&known.owner, owner)
        {
            return Some(Arc::clone(&known.accepted));
        }
        let accepted = Arc::new(decode(owner)?);
        let fresh = Remembered {
            entry: found.entry.clone(),
            owner: Arc::clone(owner),
            accepted: Arc::clone(&accepted),
        };
        let replaced = slot.lock().replace(fresh);
        drop(replaced);
        Some(accepted)
    }

    /// Uids are random.
    fn slot(&self, token: Uid) -> Option<&Mutex<Option<Remembered>>> {
        let [.., a, b] = *token.as_bytes();
        self.slots.get(usize::from(u16::from_be_bytes([a, b])) % SLOTS)
    }
}
