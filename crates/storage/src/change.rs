//! What a commit did, as watchers and the observer see it.

use crate::{CollectionId, Entry, Revision};

/// What a commit did to one object. `old` and `new` tell a creation, a change and a deletion apart.
#[derive(Clone, Debug)]
pub struct Change {
    /// When. Unique within a collection.
    pub revision: Revision,
    /// Where.
    pub collection: CollectionId,
    /// What was there.
    pub old: Option<Entry>,
    /// What is there now.
    pub new: Option<Entry>,
}

impl Change {
    /// The key of the object.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.new.as_ref().or(self.old.as_ref()).map(Entry::key).unwrap_or_default()
    }
}

/// What is kept in step with the mirror, such as the verifier's table.
///
/// It is called by one thread at a time. It must not call back into the store and must not block for long: nothing is answered meanwhile.
pub trait Observer: Send + Sync + 'static {
    /// Called at open with everything live, before anybody can read.
    fn load(&self, collection: CollectionId, entry: &Entry);
    /// Called per applied commit, in revision order, before the commit is answered. A reader that sees the mirror at a
    /// revision finds the observer there or later.
    fn apply(&self, changes: &[Change]);
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn load(&self, _: CollectionId, _: &Entry) {}
    fn apply(&self, _: &[Change]) {}
}
