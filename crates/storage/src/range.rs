//! Ranges: pages of objects by key, now or at an older revision.

use crate::mirror::{Mirror, Walk};
use crate::{CollectionId, Entry, RangeError, Revision};

/// Which objects of a collection are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those of one owner, as [`Indexed::owner`](crate::Indexed::owner) says.
    Owner(Vec<u8>),
    /// The one of this key.
    Name(Vec<u8>),
    /// Those of these keys, which must be ascending and without repetition ([`Scope::names`] sees to it). Meant for tens of keys, not for thousands: each
    /// one is looked up, and a watch of them wakes for every change of the collection.
    Names(Vec<Vec<u8>>),
    /// None of them: for a caller who may see nothing.
    None,
}

impl Scope {
    /// The objects of these keys.
    #[must_use]
    pub fn names(mut keys: Vec<Vec<u8>>) -> Scope {
        keys.sort_unstable();
        keys.dedup();
        match (keys.len(), keys.pop()) {
            (_, None) => Scope::None,
            (1, Some(only)) => Scope::Name(only),
            (_, Some(last)) => {
                keys.push(last);
                Scope::Names(keys)
            }
        }
    }
}

/// A question for a page of objects, ordered by key bytes.
#[derive(Clone, Debug)]
pub struct Range {
    /// Of which collection.
    pub collection: CollectionId,
    /// Which of them.
    pub scope: Scope,
    /// Only keys after this one.
    pub after: Option<Vec<u8>>,
    /// At most so many entries; 0 asks only for the counts, `usize::MAX` for everything.
    pub limit: usize,
    /// As of when; `None`: the newest revision.
    pub at: Option<Revision>,
}

/// A page of objects, all of one revision.
#[derive(Clone, Debug)]
pub struct Page {
    /// Ordered by key.
    pub entries: Vec<Entry>,
    /// There are more after the last one.
    pub more: bool,
    /// The revision that all of it was read at.
    pub revision: Revision,
    /// How many there are after this page; known at the newest revision only.
    pub remaining: Option<u64>,
}

impl Mirror {
    /// Answers a range. Holds the lock for [`SLICE`](crate::limits::SLICE) steps at a time; what a long page reads after its first slice, it
    /// reads at the first one's revision.
    pub(crate) fn range(&self, range: &Range) -> Result<Page, RangeError> {
        if let Some(at) = range.at {
            let newest = self.read(|state| state.revision);
            if at.get() > newest {
                return Err(RangeError::Future { current: Revision::new(newest) });
            }
            if at.get() < newest {
                return self.range_at(range, at);
            }
        }
        let slice = range.limit.min(crate::limits::SLICE);
        let (mut entries, total, revision) = self.read(|state| state.newest(range, slice));
        if range.at.is_some_and(|at| at != revision) {
            return self.range_at(range, range.at.unwrap_or(revision));
        }
        let wanted = range.limit.min(total);
        if entries.len() < wanted {
            let mut walk = Walk::new(range.after.clone());
            walk.skip(&entries);
            match self.walk(range, revision, &mut walk, wanted, &mut entries) {
                Ok(()) => {}
                // A history this short cannot carry a long page: read it in one go instead.
                Err(_) => {
                    let (entries, total, revision) = self.read(|state| state.newest(range, range.limit));
                    return Ok(page(entries, total, revision));
                }
            }
        }
        Ok(page(entries, total, revision))
    }

    fn range_at(&self, range: &Range, at: Revision) -> Result<Page, RangeError> {
        let mut entries = Vec::new();
        let wanted = range.limit.saturating_add(1);
        self.walk(range, at, &mut Walk::new(range.after.clone()), wanted, &mut entries)?;
        let more = entries.len() > range.limit;
        entries.truncate(range.limit);
        Ok(Page { entries, more, revision: at, remaining: None })
    }

    fn walk(
        &self,
        range: &Range,
        at: Revision,
        walk: &mut Walk,
        wanted: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<(), RangeError> {
        while entries.len() < wanted {
            if self.read(|state| state.walk(range, at.get(), walk, wanted, entries))? {
                break;
            }
        }
        Ok(())
    }
}

fn page(entries: Vec<Entry>, total: usize, revision: Revision) -> Page {
    let remaining = total.saturating_sub(entries.len());
    Page { more: remaining > 0, entries, revision, remaining: Some(remaining as u64) }
}
