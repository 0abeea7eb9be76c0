//! Sorting without holding the objects: of each item its place in the order is kept, and where only a page is wanted, only the places of that page.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use eartag_core::time::parse_rfc3339;
use parking_lot::Mutex;

use super::error::V3Error;
use super::resource::FieldType;

/// Most items that are sorted without a limit.
pub const MAX_SORTED: usize = 300_000;
/// Most bytes of sort keys and names.
const MAX_BYTES: usize = 64 << 20;
/// Most items that are sorted at one time by all who do so together; small lists are not counted.
const MAX_AT_ONCE: usize = 1_000_000;
/// Lists below this size are small.
const SMALL: usize = 10_000;

/// A sort key: numbers, booleans and dates compare by value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Absent, or empty.
    Nothing,
    /// A boolean.
    Boolean(bool),
    /// A number, or a date in seconds.
    Number(i64),
    /// Anything else.
    Text(Box<str>),
}

impl Key {
    /// The key of a value of that type, written as a text.
    pub fn of(kind: FieldType, text: &str) -> Key {
        let value = match kind {
            _ if text.is_empty() => Some(Key::Nothing),
            FieldType::Boolean => text.parse().ok().map(Key::Boolean),
            FieldType::Int => text.parse().ok().map(Key::Number),
            FieldType::Date => parse_rfc3339(text).map(Key::Number),
            _ => None,
        };
        value.unwrap_or_else(|| Key::Text(text.into()))
    }

    fn bytes(&self) -> usize {
        match self {
            Key::Text(text) => text.len(),
            _ => 0,
        }
    }
}

/// A place in an order: by key, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The sort key.
    pub key: Key,
    /// The item's name.
    pub id: Box<str>,
}

/// The places nearest to the start of an order.
pub struct Nearest {
    found: Vec<Position>,
    /// How many are wanted; `None` for all.
    most: Option<usize>,
    descending: bool,
    bytes: usize,
    share: Share,
}

impl Nearest {
    /// None yet. `user`: for whom they are looked for.
    pub fn new(most: Option<usize>, descending: bool, user: &str) -> Nearest {
        let share = Share { size: 0, user: user.into() };
        Nearest { found: Vec::new(), most, descending, bytes: 0, share }
    }

    /// Adds a place.
    ///
    /// # Errors
    /// 422 where there are too many to sort, 429 where others sort too many just now, or the same user another long list.
    pub fn add(&mut self, place: Position) -> Result<(), V3Error> {
        self.bytes += place.id.len() + place.key.bytes();
        self.found.push(place);
        if let Some(most) = self.most
            && self.found.len() >= most.saturating_mul(2).max(SMALL)
        {
            self.cut(most);
        }
        if self.found.len() > MAX_SORTED || self.bytes > MAX_BYTES {
            let text = format!(
                "more than {MAX_SORTED} items to sort: set a limit, add a filter, or leave out sort and order"
            );
            return Err(V3Error::new(422, "InvalidOption", text));
        }
        self.share.grow(self.found.len())
    }

    /// The places in their order, at most as many as were wanted; the memory they take stays counted while the share lives.
    pub fn sorted(mut self) -> (Vec<Position>, Share) {
        let descending = self.descending;
        self.found.sort_unstable_by(|a, b| order(a, b, descending));
        self.found.truncate(self.most.unwrap_or(usize::MAX));
        (self.found, self.share)
    }

    fn cut(&mut self, most: usize) {
        let descending = self.descending;
        if most < self.found.len() {
            self.found.select_nth_unstable_by(most, |a, b| order(a, b, descending));
            self.found.truncate(most);
            self.bytes = self.found.iter().map(|place| place.id.len() + place.key.bytes()).sum();
        }
    }
}

/// The order of two places.
pub fn order(a: &Position, b: &Position, descending: bool) -> Ordering {
    if descending { b.cmp(a) } else { a.cmp(b) }
}

static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

/// Those for whom a list that is not small is being sorted or sent: one for each, because whoever reads slowly holds its share for long, and with many such
/// lists one user would keep all others from sorting.
static USERS: Mutex<BTreeSet<Box<str>>> = Mutex::new(BTreeSet::new());

/// What one list takes of [`MAX_AT_ONCE`].
pub struct Share {
    /// Items; beyond [`SMALL`] they are counted, and the user is among [`USERS`].
    size: usize,
    user: Box<str>,
}

impl Share {
    fn grow(&mut self, to: usize) -> Result<(), V3Error> {
        if to <= SMALL || to <= self.size {
            return Ok(());
        }
        if self.size == 0 {
            if !USERS.lock().insert(self.user.clone()) {
                return Err(busy("another long list of yours is being sorted, please try again later"));
            }
            self.size = SMALL;
        }
        if AT_ONCE.fetch_add(SMALL, Atomic::Relaxed) + SMALL > MAX_AT_ONCE {
            AT_ONCE.fetch_sub(SMALL, Atomic::Relaxed);
            return Err(busy("too many lists are being sorted, please try again later"));
        }
        self.size += SMALL;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.size > 0 {
            AT_ONCE.fetch_sub(self.size - SMALL, Atomic::Relaxed);
            USERS.lock().remove(&self.user);
        }
    }
}

fn busy(text: &str) -> V3Error {
    let mut busy = V3Error::new(429, "TooManyRequests", text);
    busy.retry_after_s = Some(1);
    busy
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn place(key: i64, id: &str) -> Position {
        Position { key: Key::Number(key), id: id.into() }
    }

    #[test]
    fn values_compare_by_value_and_nothing_comes_first() {
        let int = |text: &str| Key::of(FieldType::Int, text);
        assert!(int("9") < int("10") && int("-1") < int("0") && int("") < int("-5"));
        let date = |text: &str| Key::of(FieldType::Date, text);
        assert!(date("2026-03-02T09:15:04+02:00") < date("2026-03-02T08:15:04Z"));
        assert!(Key::of(FieldType::Boolean, "false") < Key::of(FieldType::Boolean, "true"));
        assert!(Key::of(FieldType::String, "10") < Key::of(FieldType::String, "9"));
        assert_eq!(Key::of(FieldType::Int, "many"), Key::Text("many".into()));
    }

    #[test]
    fn of_many_only_the_wanted_are_kept() {
        for descending in [false, true] {
            let mut nearest = Nearest::new(Some(3), descending, "ann");
            for n in 0..50_000_i64 {
                nearest.add(place(n * 7919 % 50_021, &format!("t{n}"))).unwrap();
                assert!(nearest.found.len() <= SMALL);
            }
            let keys: Vec<Key> = nearest.sorted().0.into_iter().map(|place| place.key).collect();
            let mut all: Vec<i64> = (0..50_000).map(|n| n * 7919 % 50_021).collect();
            all.sort_unstable();
            if descending {
                all.reverse();
            }
            assert_eq!(keys, all[..3].iter().map(|n| Key::Number(*n)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn equal_keys_are_ordered_by_name() {
        let mut nearest = Nearest::new(None, true, "ann");
        for id in ["b", "c", "a"] {
            nearest.add(place(1, id)).unwrap();
        }
        let ids: Vec<_> = nearest.sorted().0.into_iter().map(|place| place.id).collect();
        assert_eq!(ids, ["c".into(), "b".into(), "a".into()] as [Box<str>; 3]);
    }

    #[test]
    fn a_user_has_one_long_list_sorted_at_a_time() {
        let sort = |user: &str, many: i64| {
            let mut nearest = Nearest::new(None, false, user);
            (0..many).try_for_each(|n| nearest.add(place(n, "t"))).map(|()| nearest.sorted().1)
        };
        let (long, short) = (SMALL as i64 + 1, SMALL as i64);
        // The share lives as long as the list is being sent.
        let sent = sort("slow", long).unwrap();
        let refused = sort("slow", long).err().unwrap();
        assert_eq!((refused.status, refused.code, refused.retry_after_s), (429, "TooManyRequests", Some(1)));
        assert!(sort("slow", short).is_ok(), "small lists are not counted");
        assert!(sort("other", long).is_ok());
        drop(sent);
        assert!(sort("slow", long).is_ok());
    }

    #[test]
    fn more_than_can_be_held_is_refused() {
        let mut nearest = Nearest::new(None, false, "many");
        let refused = (0..=MAX_SORTED as i64).find_map(|n| nearest.add(place(n, "t")).err()).unwrap();
        assert_eq!((refused.status, refused.code), (422, "InvalidOption"));
        let long = "x".repeat(4096);
        let mut nearest = Nearest::new(None, false, "long");
        let refused = (0..MAX_SORTED).find_map(|_| nearest.add(place(0, &long)).err()).unwrap();
        assert_eq!(refused.status, 422);
        drop(nearest);
    }
}
