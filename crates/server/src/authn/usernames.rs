//! Which user a login name belongs to: an index that follows the store.

use std::collections::{BTreeSet, HashMap};

use eartag_api::frame;
use eartag_core::collections::USERS;
use eartag_core::record::UserRecord;
use eartag_storage::{Change, CollectionId, Entry};
use parking_lot::RwLock;

/// Users by login name.
#[derive(Default)]
pub struct Usernames {
    index: RwLock<HashMap<String, BTreeSet<String>>>,
}

/// Who has a login name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody.
    None,
    /// This user (the name of the object).
    One(String),
    /// More than one, which no login can tell apart.
    Several,
}

impl Usernames {
    /// An entry that is live when the store opens.
    pub fn load(&self, collection: CollectionId, entry: &Entry) {
        if collection == USERS {
            self.add(entry);
        }
    }

    /// Changes of one commit.
    pub fn apply(&self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.collection == USERS) {
            if let Some(old) = &change.old {
                self.remove(old);
            }
            if let Some(new) = &change.new {
                self.add(new);
            }
        }
    }

    /// Looks a login name up; it is compared to the letter.
    #[must_use]
    pub fn find(&self, username: &str) -> Found {
        let index = self.index.read();
        let Some(users) = index.get(username) else { return Found::None };
        match (users.first(), users.len()) {
            (Some(user), 1) => Found::One(user.clone()),
            (None, _) => Found::None,
            _ => Found::Several,
        }
    }

    fn add(&self, entry: &Entry) {
        if let Some((username, user)) = names(entry) {
            self.index.write().entry(username).or_default().insert(user);
        }
    }

    fn remove(&self, entry: &Entry) {
        let Some((username, user)) = names(entry) else { return };
        let mut index = self.index.write();
        if let Some(users) = index.get_mut(&username) {
            users.remove(&user);
            if users.is_empty() {
                index.remove(&username);
            }
        }
    }
}

fn names(entry: &Entry) -> Option<(String, String)> {
    let (body, _) = frame::split(entry.value())?;
    let username = UserRecord::decode(body)?.username;
    let user = std::str::from_utf8(entry.key()).ok()?;
    (!username.is_empty()).then(|| (username, user.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::Arc;

    use eartag_api::meta::Meta;
    use eartag_core::collections;
    use eartag_storage::{Commit, Memory, Observer, Op, Options, Store};

    use super::*;

    struct Follows(Arc<Usernames>);

    impl Observer for Follows {
        fn load(&self, collection: CollectionId, entry: &Entry) {
            self.0.load(collection, entry);
        }
        fn apply(&self, changes: &[Change]) {
            self.0.apply(changes);
        }
    }

    fn put(user: &str, username: &str) -> Commit {
        let record = UserRecord { username: username.to_owned(), ..UserRecord::default() };
        let value = frame::frame(&record.encode(), &Meta::default());
        let op = Op::Put { collection: USERS, key: user.as_bytes().to_vec(), value };
        Commit { ops: vec![op], ..Commit::default() }
    }

    #[tokio::test]
    async fn login_names_follow_the_users() {
        let names = Arc::new(Usernames::default());
        let store = Store::open(
            Box::new(Memory::new()),
            collections::all(),
            Arc::new(Follows(Arc::clone(&names))),
            Options::default(),
        )
        .await
        .unwrap();
        assert_eq!(names.find("ann"), Found::None);
        store.commit(put("u-1", "ann")).await.unwrap();
        assert_eq!(names.find("ann"), Found::One("u-1".into()));
        assert_eq!(names.find("Ann"), Found::None);
        store.commit(put("u-2", "ann")).await.unwrap();
        assert_eq!(names.find("ann"), Found::Several);
        store.commit(put("u-2", "bob")).await.unwrap();
        assert_eq!(names.find("ann"), Found::One("u-1".into()));
        let delete = Op::Delete { collection: USERS, key: b"u-1".to_vec() };
        store.commit(Commit { ops: vec![delete], ..Commit::default() }).await.unwrap();
        assert_eq!(names.find("ann"), Found::None);
        assert_eq!(names.find(""), Found::None);
        store.commit(put("u-3", "")).await.unwrap();
        assert_eq!(names.find(""), Found::None);
    }
}
