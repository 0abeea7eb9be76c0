//! Delete: preconditions, finalizers, one commit; and the same for many objects.

use eartag_api::frame::frame;
use eartag_storage::{CollectionId, Commit, CommitError, Condition, Entry, Lane, Op};

use super::list::{ListOptions, Lister};
use super::{ATTEMPTS, Api, commit_refusal, in_scope};
use crate::Tree;
use crate::kind::{Cx, Kind, Verb};
use crate::object::{Record, name_of, show_entry};
use crate::refusal::{MODIFIED, Refusal};

/// What a DELETE asks for beyond the name (`dryRun` is in the context).
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// The object must have this uid.
    pub uid: Option<String>,
    /// The object must be at this version.
    pub resource_version: Option<String>,
}

/// What became of it.
pub struct Deleted {
    /// The last state, as the caller sees it.
    pub object: Tree,
    /// Whether it is gone; finalizers may hold it.
    pub gone: bool,
    /// Its uid, empty if the record was corrupt.
    pub uid: String,
}

/// What became of many.
pub struct DeletedMany {
    /// The first [`SHOWN`] objects that were deleted.
    pub objects: Vec<Tree>,
    /// How many there were.
    pub count: usize,
    /// The revision of the listing.
    pub revision: u64,
}

/// A reply shows at most this many deleted objects, so that it stays bounded.
pub const SHOWN: usize = 10_000;

/// How often it is tried to stop the making of an object: more often than any making changes it.
const STOP_ATTEMPTS: usize = 1000;

impl Api {
    /// Deletes an object, or marks it for deletion while finalizers hold it.
    pub async fn delete(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Refusal> {
        let scope = kind.scope(cx, Verb::Delete).await?;
        let mut ended = None;
        for _ in 0..ATTEMPTS {
            let entry = self.find(kind, &scope, name)?;
            let tried = self.try_delete(kind, cx, entry, options, Lane::Interactive, &mut ended).await;
            if let Some(deleted) = tried.map_err(|why| with_note(why, ended))? {
                return Ok(deleted);
            }
            tokio::task::yield_now().await;
        }
        Err(with_note(Refusal::Conflict(MODIFIED.to_owned()), ended))
    }

    /// Deletes what the options select; `limit` bounds one call to one page, otherwise all of it goes.
    pub async fn delete_collection(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<DeletedMany, Refusal> {
        let scope = kind.scope(cx, Verb::DeleteCollection).await?;
        let mut lister = Lister::start(&self.store, scope.clone(), list)?;
        let mut many = DeletedMany { objects: Vec::new(), count: 0, revision: lister.revision().get() };
        while let Some(page) = lister.page(kind, cx)? {
            tokio::task::yield_now().await;
            for listed in page {
                for _ in 0..ATTEMPTS {
                    if !(cx.alive)() {
                        return Err(Refusal::Unauthorized);
                    }
                    // Read anew: it may be gone by now, or somebody else's.
                    let newest = self.store.get(kind.collection(), listed.key());
                    let Some(entry) = newest.filter(|entry| in_scope(kind, &scope, entry)) else { break };
                    let tried = self.try_delete(kind, cx, entry, options, Lane::Bulk, &mut None).await?;
                    if let Some(deleted) = tried {
                        many.count += 1;
                        if many.objects.len() < SHOWN {
                            many.objects.push(deleted.object);
                        }
                        break;
                    }
                }
            }
        }
        Ok(many)
    }

    fn holds(&self, collection: CollectionId, key: &[u8], uid: &str) -> bool {
        let found = self.store.get(collection, key);
        found.is_some_and(|entry| {
            eartag_api::frame::head(entry.value()).is_none_or(|head| head.uid.to_string() == uid)
        })
    }

    /// Checks the preconditions and, unless it is a dry run, stops the making of an object that is not complete. Nothing else of a deletion comes before that, so
    /// each try is as short as one of the maker's. `None`: it is another object now, or none.
    async fn stop_making(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        mut record: Record,
        options: &DeleteOptions,
    ) -> Result<Option<Record>, Refusal> {
        let collection = kind.collection();
        for _ in 0..STOP_ATTEMPTS {
            let revision = record.entry.modified();
            check_preconditions(options, &record.meta.uid.to_string(), &revision.to_string())?;
            let stopped = if cx.dry_run { None } else { kind.stopped(&record.stored(), cx) };
            let Some(body) = stopped else { return Ok(Some(record)) };
            let key = record.entry.key().to_vec();
            let value = frame(&body, &record.meta);
            let commit = Commit {
                conditions: vec![Condition::ModRevision { collection, key: key.clone(), revision }],
                ops: vec![Op::Put { collection, key: key.clone(), value }],
                lane: Lane::Interactive,
            };
            let put = match self.store.commit(commit).await {
                Ok(put) => Some(put),
                Err(CommitError::Conflict { .. } | CommitError::Unknown) => None,
                Err(error) => return Err(commit_refusal(error)),
            };
            let newest = self.store.get(collection, &key).and_then(|entry| Record::of(entry).ok());
            let Some(newest) = newest.filter(|newest| newest.meta.uid == record.meta.uid) else {
                return Ok(None);
            };
            if put == Some(newest.entry.modified()) {
                // The preconditions held when it was stopped.
                return Ok(Some(newest));
            }
            record = newest;
            tokio::task::yield_now().await;
        }
        Err(Refusal::Conflict(MODIFIED.to_owned()))
    }

    /// `None`: lost a race, try again on the newest.
    async fn try_delete(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        entry: Entry,
        options: &DeleteOptions,
        lane: Lane,
        ended: &mut Option<&'static str>,
    ) -> Result<Option<Deleted>, Refusal> {
        let collection = kind.collection();
        let key = entry.key().to_vec();
        let mut revision = entry.modified();
        let mut op = Op::Delete { collection, key: key.clone() };
        let mut also = Vec::new();
        let mut gone = true;
        let mut uid = String::new();
        let mut object = show_entry(kind, &entry, cx);
        // A corrupt record has no metadata to obey, and must be deletable (DEC23).
        if let Ok(record) = Record::of(entry.clone()) {
            uid = record.meta.uid.to_string();
            let Some(record) = self.stop_making(kind, cx, record, options).await? else { return Ok(None) };
            if record.entry.modified() != revision {
                revision = record.entry.modified();
                object = show_entry(kind, &record.entry, cx);
            }
            if !cx.dry_run {
                *ended = kind.ending(&record.stored(), cx, lane).await?.or(*ended);
            }
            also = kind.removing(&record.stored(), cx).await?;
            if !record.meta.finalizers.is_empty() {
                gone = false;
                also.clear();
                if record.meta.deleted_s.is_some() {
                    return Ok(Some(Deleted { object, gone, uid }));
                }
                let mut meta = record.meta.clone();
                meta.deleted_s = Some(cx.now_s());
                meta.generation += 1;
                let value = frame(record.stored().body, &meta);
                op = Op::Put { collection, key: key.clone(), value };
            }
        } else {
            check_preconditions(options, "", &revision.to_string())?;
        }
        if cx.dry_run {
            return Ok(Some(Deleted { object, gone, uid }));
        }
        let commit = Commit {
            conditions: vec![Condition::ModRevision { collection, key: key.clone(), revision }],
            ops: std::iter::once(op).chain(also).collect(),
            lane,
        };
        match self.store.commit(commit).await {
            Ok(_) => {
                if !gone && let Some(marked) = self.store.get(collection, &key) {
                    object = show_entry(kind, &marked, cx);
                }
                tracing::debug!(kind = kind.info().kind, name = name_of(&entry), gone, "deleted");
                Ok(Some(Deleted { object, gone, uid }))
            }
            // What ended before it may have taken it along: the object lives by that.
            Err(CommitError::Conflict { .. }) if ended.is_some() && !self.holds(collection, &key, &uid) => {
                Ok(Some(Deleted { object, gone: true, uid }))
            }
            Err(CommitError::Conflict { .. }) => Ok(None),
            // An unknown outcome is settled by looking whether this very object is still there.
            Err(CommitError::Unknown) if !self.holds(collection, &key, &uid) => {
                Ok(Some(Deleted { object, gone, uid }))
            }
            Err(error) => Err(commit_refusal(error)),
        }
    }
}

/// What a client must know whose deletion failed after it had an effect.
fn with_note(why: Refusal, note: Option<&'static str>) -> Refusal {
    let Some(note) = note else { return why };
    match why {
        Refusal::Conflict(text) => Refusal::Conflict(format!("{text}; {note}")),
        Refusal::Precondition(text) => Refusal::Precondition(format!("{text}; {note}")),
        Refusal::Unavailable(text) => Refusal::Unavailable(format!("{text}; {note}")),
        other => other,
    }
}

fn check_preconditions(options: &DeleteOptions, uid: &str, revision: &str) -> Result<(), Refusal> {
    let differs =
        |wanted: &Option<String>, is: &str| wanted.as_deref().filter(|w| *w != is).map(str::to_owned);
    if let Some(wanted) = differs(&options.uid, uid) {
        return Err(Refusal::Precondition(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        )));
    }
    if let Some(wanted) = differs(&options.resource_version, revision) {
        return Err(Refusal::Precondition(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
        )));
    }
    Ok(())
}
