//! One version of one object, in one allocation.

use std::fmt;

use triomphe::ThinArc;

use crate::{Collection, Revision};

/// One version of one object: key, value, and the revisions that made it. Cheap to clone (one pointer wide, counted); immutable.
///
/// Key, value and what the indexes need lie in one allocation, so that a million of them cost little more than their bytes.
#[derive(Clone)]
pub struct Entry(ThinArc<Head, u8>);

/// The fixed part. The slice after it is key, value and, only if it was not found inside those two, the owner.
struct Head {
    created: u64,
    modified: u64,
    expires_ms: u64,
    /// Where the owner starts in the slice; with [`OWNER_APPENDED`] it is also where the value ends.
    owner_at: u32,
    owner_len: u16,
    key_len: u16,
}

const OWNER_APPENDED: u32 = 1 << 31;
const NO_OWNER: u32 = u32::MAX;
const NEVER: u64 = u64::MAX;

impl Entry {
    /// Whether both are one: the same version of the same object, in the same place.
    #[must_use]
    pub fn same(a: &Self, b: &Self) -> bool {
        std::ptr::eq(&raw const a.0.header, &raw const b.0.header)
    }

    /// Builds an entry and indexes it. `scratch` is reused from call to call. Keys are at most
    /// [`MAX_KEY`](crate::limits::MAX_KEY) bytes and values at most [`MAX_VALUE`](crate::limits::MAX_VALUE), which
    /// keeps every offset within its type.
    pub(crate) fn build(
        collection: &Collection,
        created: Revision,
        modified: Revision,
        key: &[u8],
        value: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Self {
        scratch.clear();
        scratch.extend_from_slice(key);
        scratch.extend_from_slice(value);
        let (key_part, value_part) = scratch.split_at(key.len());
        let indexed = (collection.index)(key_part, value_part);
        let expires_ms = indexed.expires_ms.unwrap_or(NEVER);
        let (owner_at, owner_len, appended) = match indexed.owner {
            None => (NO_OWNER, 0, None),
            Some(owner) => {
                let owner = owner.get(..usize::from(u16::MAX)).unwrap_or(owner);
                let len = u16::try_from(owner.len()).unwrap_or(u16::MAX);
                match offset_within(scratch, owner).and_then(|at| u32::try_from(at).ok()) {
                    Some(at) => (at, len, None),
                    None => {
                        let at = u32::try_from(scratch.len()).unwrap_or(0);
                        (at | OWNER_APPENDED, len, Some(owner.to_vec()))
                    }
                }
            }
        };
        if let Some(owner) = appended {
            scratch.extend_from_slice(&owner);
        }
        let key_len = u16::try_from(key.len()).unwrap_or(u16::MAX);
        let head = Head {
            created: created.get(),
            modified: modified.get(),
            expires_ms,
            owner_at,
            owner_len,
            key_len,
        };
        Self(ThinArc::from_header_and_slice(head, scratch))
    }

    /// Its key within its collection.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.0.slice.get(..usize::from(self.head().key_len)).unwrap_or_default()
    }

    /// Its bytes.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        let head = self.head();
        let end = if head.owner_at != NO_OWNER && head.owner_at & OWNER_APPENDED != 0 {
            (head.owner_at & !OWNER_APPENDED) as usize
        } else {
            self.0.slice.len()
        };
        self.0.slice.get(usize::from(head.key_len)..end).unwrap_or_default()
    }

    /// The revision that made the object.
    #[must_use]
    pub fn created(&self) -> Revision {
        Revision::new(self.head().created)
    }

    /// The revision that made this version of it.
    #[must_use]
    pub fn modified(&self) -> Revision {
        Revision::new(self.head().modified)
    }

    /// Whose it is, as its collection's index function said.
    #[must_use]
    pub fn owner(&self) -> Option<&[u8]> {
        let head = self.head();
        if head.owner_at == NO_OWNER {
            return None;
        }
        let at = (head.owner_at & !OWNER_APPENDED) as usize;
        self.0.slice.get(at..at.saturating_add(usize::from(head.owner_len)))
    }

    /// When it expires, in ms since 1970, as its collection's index function said.
    #[must_use]
    pub fn expires_ms(&self) -> Option<u64> {
        Some(self.head().expires_ms).filter(|at| *at != NEVER)
    }

    /// About what it takes in memory, in bytes: the allocation with its counters.
    pub(crate) fn footprint(&self) -> usize {
        self.0.slice.len().saturating_add(size_of::<Head>()).saturating_add(2 * size_of::<usize>())
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }
}

impl fmt::Debug for Entry {
    /// Key and revisions; never the value, which may hold what must not be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("created", &self.created().get())
            .field("modified", &self.modified().get())
            .finish_non_exhaustive()
    }
}

/// Where `part` lies inside `whole`, if it is borrowed from it. Compares addresses only.
fn offset_within(whole: &[u8], part: &[u8]) -> Option<usize> {
    let at = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (at.checked_add(part.len())? <= whole.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{CollectionId, Indexed};

    fn build(index: for<'a> fn(&'a [u8], &'a [u8]) -> Indexed<'a>) -> Entry {
        let collection = Collection { id: CollectionId(1), name: "things", index };
        let mut scratch = Vec::new();
        Entry::build(&collection, Revision::new(3), Revision::new(9), b"key", b"alice:secret", &mut scratch)
    }

    fn check(entry: &Entry, owner: Option<&[u8]>) {
        assert_eq!(entry.key(), b"key");
        assert_eq!(entry.value(), b"alice:secret");
        assert_eq!(entry.owner(), owner);
        assert_eq!((entry.created(), entry.modified()), (Revision::new(3), Revision::new(9)));
    }

    #[test]
    fn an_owner_inside_the_value_is_borrowed_from_it() {
        let entry = build(|_, value| Indexed { owner: value.get(..5), expires_ms: Some(7) });
        check(&entry, Some(b"alice"));
        assert_eq!(entry.expires_ms(), Some(7));
        assert_eq!(entry.0.slice.len(), 15, "no copy of the owner");
    }

    #[test]
    fn an_owner_from_elsewhere_is_kept_beside_the_value() {
        check(&build(|_, _| Indexed { owner: Some(b"system"), expires_ms: None }), Some(b"system"));
        check(&build(|key, _| Indexed { owner: Some(key), expires_ms: None }), Some(b"key"));
        check(&build(|_, _| Indexed { owner: Some(b""), expires_ms: None }), Some(b""));
        check(&build(|_, _| Indexed::default()), None);
    }

    #[test]
    fn debug_shows_key_and_revisions_and_never_the_value() {
        let text = format!("{:?}", build(|_, _| Indexed::default()));
        assert!(text.contains("key") && text.contains('3') && text.contains('9'), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn an_entry_is_one_pointer_wide() {
        assert_eq!(size_of::<Option<Entry>>(), size_of::<usize>());
    }
}
