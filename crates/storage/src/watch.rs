//! Watches: cursors into the history.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::mirror::{Mirror, Reached};
use crate::{Change, CollectionId, RangeError, Revision, Scope};

/// Changes taken from the history under one hold of the lock.
const BATCH: usize = 64;

/// Delivers every change of a scope after a revision, once and in order, or says that it cannot (promise G6).
///
/// Woken only by changes of its scope. Dropping it unregisters it.
pub struct Watch {
    mirror: Arc<Mirror>,
    collection: CollectionId,
    scope: Scope,
    notify: Arc<Notify>,
    /// Everything of the scope up to here has been delivered or is in `ready`.
    position: u64,
    ready: VecDeque<Change>,
}

/// Why a watch delivers nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// Changes have left the history before this watch took them: list again, then watch from there.
    #[error("the watch was too slow, or started too far back, for the history that is kept")]
    Lagged,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl Watch {
    pub(crate) fn new(
        mirror: Arc<Mirror>,
        collection: CollectionId,
        scope: Scope,
        from: Revision,
    ) -> Result<Self, RangeError> {
        let position = from.get();
        let entered = mirror.write(|state| {
            if position > state.revision {
                return Err(RangeError::Future { current: Revision::new(state.revision) });
            }
            if position < state.oldest {
                return Err(RangeError::Compacted { oldest: Revision::new(state.oldest) });
            }
            Ok(state.enter(collection, &scope))
        })?;
        let notify = entered.unwrap_or_default();
        Ok(Self { mirror, collection, scope, notify, position, ready: VecDeque::new() })
    }

    /// The next change. Cancel-safe: a change is either returned or still there. [`Scope::Owner`]: a change whose old or new version has that owner.
    ///
    /// # Errors
    /// [`WatchEnd`]; what was there before a close is delivered first.
    pub async fn next(&mut self) -> Result<Change, WatchEnd> {
        loop {
            if let Some(change) = self.try_next()? {
                return Ok(change);
            }
            let notify = Arc::clone(&self.notify);
            let mut told = std::pin::pin!(notify.notified());
            told.as_mut().enable();
            // What came between the look above and the registration is seen here; what comes after wakes us.
            if let Some(change) = self.try_next()? {
                return Ok(change);
            }
            told.await;
        }
    }

    /// The next change, if there is one now.
    ///
    /// # Errors
    /// [`WatchEnd`]
    pub fn try_next(&mut self) -> Result<Option<Change>, WatchEnd> {
        if let Some(change) = self.ready.pop_front() {
            return Ok(Some(change));
        }
        let closed = self.fill()?;
        match self.ready.pop_front() {
            Some(change) => Ok(Some(change)),
            None if closed => Err(WatchEnd::Closed),
            None => Ok(None),
        }
    }

    /// Everything of this scope up to here was delivered. Moves along with the store while nothing of the scope happens: for bookmarks.
    pub fn position(&mut self) -> Revision {
        if self.ready.is_empty() {
            // A watch that lagged stays where it is; `next` says so.
            let _ = self.fill();
        }
        match self.ready.front() {
            Some(next) => Revision::new(next.revision.get().saturating_sub(1)),
            None => Revision::new(self.position),
        }
    }

    /// Takes changes from the history until there are some or the newest revision is reached. True: the store is closed.
    fn fill(&mut self) -> Result<bool, WatchEnd> {
        loop {
            let (reached, newest, closed) = self.mirror.read(|state| {
                let (position, ready) = (self.position, &mut self.ready);
                let reached = state.changes_after(self.collection, &self.scope, position, BATCH, ready);
                (reached, state.revision, state.closed)
            });
            match reached {
                Reached::Lagged => return Err(WatchEnd::Lagged),
                Reached::Upto(revision) => self.position = self.position.max(revision),
            }
            if !self.ready.is_empty() || self.position >= newest {
                return Ok(closed);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.mirror.write(|state| state.leave(self.collection, &self.scope));
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("collection", &self.collection).finish_non_exhaustive()
    }
}
