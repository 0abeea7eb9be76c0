//! When users last logged in: noted in the commit that stores the login's token, (v3-token.md §5.5). Only of many logins of one user in the same moment may one
//! leave the note to the others.

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_core::collections::USER_ATTRIBUTES;
use eartag_core::record::UserAttributeRecord;
use eartag_storage::{Commit, Condition, Entry, Op, Store};

/// Adds to a commit that this user logged in at this second. A login that is noted for this second or a later one already is left alone, so that of many logins
/// at the same time only the first finds anything to write, and the others do not get in each other's way.
pub fn note(
    store: &Store,
    user: &Entry,
    user_uid: Uid,
    now_s: i64,
    random: &mut dyn FnMut(&mut [u8]),
    commit: &mut Commit,
) {
    let later = |record: UserAttributeRecord| {
        let noted = record.last_login_s.is_some_and(|at| at >= now_s);
        (!noted).then_some(UserAttributeRecord { last_login_s: Some(now_s), ..record })
    };
    if let Some((condition, op)) = revise(store, user.key(), user_uid, now_s, random, later) {
        commit.conditions.push(condition);
        commit.ops.push(op);
    }
}

/// The write that makes a user's attributes what `change` makes of them, and the condition under which; `None` if it changes nothing.
pub fn revise(
    store: &Store,
    user: &[u8],
    user_uid: Uid,
    now_s: i64,
    random: &mut dyn FnMut(&mut [u8]),
    change: impl FnOnce(UserAttributeRecord) -> Option<UserAttributeRecord>,
) -> Option<(Condition, Op)> {
    let (collection, key) = (USER_ATTRIBUTES, user.to_vec());
    let stored = store.get(collection, &key);
    let condition = match &stored {
        None => Condition::Absent { collection, key: key.clone() },
        Some(entry) => Condition::ModRevision { collection, key: key.clone(), revision: entry.modified() },
    };
    // What a user of the same name left behind, or what cannot be read, is written over.
    let known =
        stored.as_ref().and_then(|entry| frame::meta(entry.value()).zip(attributes_of(entry, user_uid)));
    let (record, meta) = match known {
        Some((meta, record)) => (record, Meta { generation: meta.generation.saturating_add(1), ..meta }),
        None => {
            let mut uid = [0; 16];
            random(&mut uid);
            let meta =
                Meta { uid: Uid::from_random(uid), created_s: now_s, generation: 1, ..Meta::default() };
            (UserAttributeRecord { user_uid, ..UserAttributeRecord::default() }, meta)
        }
    };
    let record = change(record)?;
    Some((condition, Op::Put { collection, key, value: frame::frame(&record.encode(), &meta) }))
}

/// The attributes in an entry, if they are this very user's.
pub fn attributes_of(entry: &Entry, user: Uid) -> Option<UserAttributeRecord> {
    let (body, _) = frame::split(entry.value())?;
    UserAttributeRecord::decode(body).filter(|record| record.user_uid == user)
}
