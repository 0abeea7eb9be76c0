//! Usage stamps: when a token last authenticated, and when activity on it was last reported (DEC11).
//!
//! They live beside the objects: they move no revision and make no event. They are gathered in memory and merged by maximum; dirty
//! pages are drained every few seconds and saved by the caller, never on the path of a check.
//!
//! Stamps are kept by the token's *uid*, not its name, so that a token that is made again under an old name inherits nothing.
//! The uid's first bytes choose the page; a page is a sorted array of 24-byte stamps, on disk as in memory.

use eartag_api::meta::Uid;
use parking_lot::Mutex;

/// Number of pages. Part of the format: with a million used tokens a page holds about 122 of them.
pub const PAGES: u64 = 8192;
const SHARDS: usize = 64;
const VERSION: u8 = 1;
const WIDTH: usize = 24;

/// When a token was last used. Seconds since 1970, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Last successful authentication (`lastUsedAt`).
    pub last_used_s: Option<i64>,
    /// Last reported activity (`lastActivitySeen`).
    pub last_activity_s: Option<i64>,
}

/// The stamps of all tokens.
pub struct Usage {
    shards: Box<[Mutex<Vec<Page>>]>,
}

#[derive(Default)]
struct Page {
    rows: Vec<Row>,
    dirty: bool,
}

/// Seconds since 1970 in 32 bits (until 2106, then it saturates); 0 means never.
#[derive(Clone, Copy)]
struct Row {
    uid: [u8; 16],
    used: u32,
    activity: u32,
}

impl Default for Usage {
    fn default() -> Self {
        Self::new()
    }
}

impl Usage {
    /// No stamps.
    #[must_use]
    pub fn new() -> Self {
        let pages_each = usize::try_from(PAGES).unwrap_or(SHARDS) / SHARDS;
        let shard = || Mutex::new(std::iter::repeat_with(Page::default).take(pages_each).collect());
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect() }
    }

    /// Takes in pages as they were saved: (page number, body). Damaged pages and rows are skipped: a lost stamp is no loss of safety.
    pub fn load(&self, pages: &[(u64, Vec<u8>)]) {
        for (_, body) in pages {
            let Some((&VERSION, rows)) = body.split_first() else { continue };
            let (rows, _) = rows.as_chunks::<WIDTH>();
            for row in rows {
                let row = Row::from_bytes(row);
                self.merge(row.uid, row.used, row.activity, false);
            }
        }
    }

    /// Notes that the token authenticated at this second. Whether that was news.
    pub fn touch(&self, token: Uid, at_s: i64) -> bool {
        self.merge(*token.as_bytes(), narrow(at_s), 0, true)
    }

    /// Notes that activity was reported for the token. An older time than the one recorded changes nothing. Whether it was news.
    pub fn report_activity(&self, token: Uid, at_s: i64) -> bool {
        self.merge(*token.as_bytes(), 0, narrow(at_s), true)
    }

    /// The token's stamps.
    #[must_use]
    pub fn get(&self, token: Uid) -> Stamp {
        self.page(token.as_bytes(), |page| {
            page.find(token.as_bytes()).ok().and_then(|at| page.rows.get(at)).map_or_else(
                Stamp::default,
                |row| Stamp { last_used_s: widen(row.used), last_activity_s: widen(row.activity) },
            )
        })
        .unwrap_or_default()
    }

    /// Drops the stamps of a deleted token.
    pub fn forget(&self, token: Uid) {
        self.page(token.as_bytes(), |page| {
            if let Ok(at) = page.find(token.as_bytes()) {
                page.rows.remove(at);
                page.dirty = true;
            }
        });
    }

    /// Drops the stamps of tokens that are no more: for a sweep, as a check that is under way while its token is deleted may leave
    /// one behind.
    pub fn retain(&self, exists: impl Fn(Uid) -> bool) {
        for shard in &self.shards {
            for page in shard.lock().iter_mut() {
                let before = page.rows.len();
                page.rows.retain(|row| exists(Uid::from_bytes(row.uid)));
                page.dirty |= page.rows.len() != before;
            }
        }
    }

    /// The pages that changed since the last call, as (page number, body), for saving. If saving fails, hand their numbers to
    /// [`mark_dirty`](Self::mark_dirty).
    #[must_use]
    pub fn drain(&self) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        for (s, shard) in self.shards.iter().enumerate() {
            for (p, page) in shard.lock().iter_mut().enumerate() {
                if std::mem::take(&mut page.dirty) {
                    out.push((u64::try_from(p * SHARDS + s).unwrap_or(0), page.body()));
                }
            }
        }
        out
    }

    /// Marks pages to be drained again.
    pub fn mark_dirty(&self, pages: impl IntoIterator<Item = u64>) {
        for number in pages {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let shard = self.shards.get(number % SHARDS);
            if let Some(page) =
                shard.map(Mutex::lock).as_mut().and_then(|pages| pages.get_mut(number / SHARDS))
            {
                page.dirty = true;
            }
        }
    }

    fn merge(&self, uid: [u8; 16], used: u32, activity: u32, live: bool) -> bool {
        self.page(&uid, |page| {
            let at = match page.find(&uid) {
                Ok(at) => at,
                Err(at) => {
                    page.rows.insert(at, Row { uid, used: 0, activity: 0 });
                    at
                }
            };
            let Some(row) = page.rows.get_mut(at) else { return false };
            let news = used > row.used || activity > row.activity;
            row.used = row.used.max(used);
            row.activity = row.activity.max(activity);
            page.dirty |= news && live;
            news
        })
        .unwrap_or(false)
    }

    fn page<T>(&self, uid: &[u8; 16], f: impl FnOnce(&mut Page) -> T) -> Option<T> {
        let [a, b, ..] = *uid;
        let number = usize::from(u16::from_le_bytes([a, b])) % usize::try_from(PAGES).unwrap_or(1);
        let mut shard = self.shards.get(number % SHARDS)?.lock();
        shard.get_mut(number / SHARDS).map(f)
    }
}

impl std::fmt::Debug for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Usage")
    }
}

impl Page {
    fn find(&self, uid: &[u8; 16]) -> Result<usize, usize> {
        self.rows.binary_search_by(|row| row.uid.cmp(uid))
    }

    fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.rows.len() * WIDTH);
        out.push(VERSION);
        for row in &self.rows {
            out.extend_from_slice(&row.uid);
            out.extend_from_slice(&row.used.to_le_bytes());
            out.extend_from_slice(&row.activity.to_le_bytes());
        }
        out
    }
}

impl Row {
    fn from_bytes(bytes: &[u8; WIDTH]) -> Self {
        let (uid, rest) = bytes.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let number = |bytes: Option<&[u8; 4]>| bytes.map_or(0, |b| u32::from_le_bytes(*b));
        Self { uid: *uid, used: number(rest.first_chunk()), activity: number(rest.last_chunk()) }
    }
}

fn narrow(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

fn widen(seconds: u32) -> Option<i64> {
    (seconds != 0).then_some(i64::from(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn uid(n: u8) -> Uid {
        Uid::from_random([n; 16])
    }

    #[test]
    fn stamps_only_move_forward() {
        let usage = Usage::new();
        assert_eq!(usage.get(uid(1)), Stamp::default());
        assert!(usage.touch(uid(1), 100));
        assert!(!usage.touch(uid(1), 100), "once a second is enough");
        assert!(!usage.touch(uid(1), 99));
        assert!(usage.report_activity(uid(1), 50));
        assert_eq!(usage.get(uid(1)), Stamp { last_used_s: Some(100), last_activity_s: Some(50) });
    }

    #[test]
    fn saved_pages_come_back() {
        let usage = Usage::new();
        for n in 0..200 {
            usage.touch(uid(n), 1_780_000_000 + i64::from(n));
        }
        let pages = usage.drain();
        assert!(usage.drain().is_empty(), "nothing changed since");
        assert!(pages.iter().all(|(n, _)| *n < PAGES));
        let again = Usage::new();
        again.load(&pages);
        assert!((0..200).all(|n| again.get(uid(n)) == usage.get(uid(n))));
        assert!(again.drain().is_empty(), "what was read need not be written");
    }

    #[test]
    fn a_failed_save_is_made_up_for() {
        let usage = Usage::new();
        usage.touch(uid(1), 5);
        let pages = usage.drain();
        usage.mark_dirty(pages.iter().map(|(n, _)| *n).chain([u64::MAX]));
        assert_eq!(usage.drain(), pages);
    }

    #[test]
    fn a_deleted_token_leaves_no_stamp() {
        let usage = Usage::new();
        usage.touch(uid(1), 5);
        let before = usage.drain();
        usage.forget(uid(1));
        let after = usage.drain();
        assert_eq!(usage.get(uid(1)), Stamp::default());
        assert_eq!((before.len(), after.len(), after[0].0), (1, 1, before[0].0));
        let again = Usage::new();
        again.load(&after);
        assert_eq!(again.get(uid(1)), Stamp::default());
        usage.touch(uid(2), 5);
        usage.retain(|_| false);
        assert_eq!(usage.get(uid(2)), Stamp::default());
    }

    proptest! {
        #[test]
        fn damaged_pages_do_no_harm(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            Usage::new().load(&[(7, body)]);
        }
    }
}
