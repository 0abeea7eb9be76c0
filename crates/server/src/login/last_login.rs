//! When users last logged in: noted in the commit that stores the login's token, so that there is never one without the other (v3-token.md §5.5).

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
    let (collection, key) = (USER_ATTRIBUTES, user.key().to_vec());
    let stored = store.get(collection, &key);
    let (condition, revised) = match &stored {
        None => (Condition::Absent { collection, key: key.clone() }, None),
        Some(entry) => {
            let condition =
                Condition::ModRevision { collection, key: key.clone(), revision: entry.modified() };
            // What a user of the same name left behind, or what cannot be read, is written over.
            let known = frame::meta(entry.value()).zip(attributes_of(entry, user_uid));
            (condition, known)
        }
    };
    let (record, meta) = match revised {
        Some((_, record)) if record.last_login_s.is_some_and(|at| at >= now_s) => return,
        Some((meta, record)) => (record, Meta { generation: meta.generation.saturating_add(1), ..meta }),
        None => {
            let mut uid = [0; 16];
            random(&mut uid);
            let meta =
                Meta { uid: Uid::from_random(uid), created_s: now_s, generation: 1, ..Meta::default() };
            (UserAttributeRecord { user_uid, ..UserAttributeRecord::default() }, meta)
        }
    };
    let record = UserAttributeRecord { last_login_s: Some(now_s), ..record };
    commit.conditions.push(condition);
    commit.ops.push(Op::Put { collection, key, value: frame::frame(&record.encode(), &meta) });
}

/// The attributes in an entry, if they are this very user's.
pub fn attributes_of(entry: &Entry, user: Uid) -> Option<UserAttributeRecord> {
    let (body, _) = frame::split(entry.value())?;
    UserAttributeRecord::decode(body).filter(|record| record.user_uid == user)
}
