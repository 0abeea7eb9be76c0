//! Watch: first what exists (if asked), then every change once and in order, until something ends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use eartag_storage::{Change, Entry, RangeError, Revision, Scope, Watch, WatchEnd};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::{Api, ListOptions, Lister, Selection, exists, in_scope};
use crate::Tree;
use crate::kind::{Cx, Kind, Verb};
use crate::object::show_entry_at;
use crate::refusal::{Refusal, Subject};
use crate::user::Attributes;

/// What a watch asks for.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// Which objects.
    pub selection: Selection,
    /// `resourceVersion`: `None` if absent, `Some(0)` for "any".
    pub version: Option<u64>,
    /// `sendInitialEvents`.
    pub initial: Option<bool>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// How long it may last.
    pub timeout: Duration,
    /// What the caller was authorized for; asked again when rights change.
    pub wants: Attributes,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is there now, or is selected now.
    Added,
    /// It is different.
    Modified,
    /// It is gone, or is not selected any more.
    Deleted,
    /// Nothing, up to this revision.
    Bookmark,
    /// The watch cannot go on.
    Error,
}

impl EventKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
            EventKind::Bookmark => "BOOKMARK",
            EventKind::Error => "ERROR",
        }
    }
}

/// One event; for [`EventKind::Error`] the object is a `Status`.
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To what.
    pub object: Tree,
}

/// A bookmark about once a minute.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// And one shortly before the end, so that the next watch starts there.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// How soon a watch notices that its credential or its resource is gone, when nothing happens on it.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The annotation of the bookmark that ends the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

impl Api {
    /// Starts a watch for this caller; the caller's right was asked before and is asked again by `cx.alive` while it lasts.
    pub async fn watch(
        &self,
        kind: Arc<dyn Kind>,
        cx: Cx,
        options: WatchOptions,
        ending: Receiver<bool>,
    ) -> Result<Watcher, Refusal> {
        if let Some(asked) = options.version {
            self.await_revision(asked).await?;
        }
        let scope = kind.scope(&cx, Verb::Watch).await?;
        let from_start = match options.initial {
            Some(wanted) => wanted,
            None => options.version.unwrap_or(0) == 0,
        };
        let mut lister = None;
        let from = if from_start {
            let list = ListOptions { selection: options.selection.clone(), ..ListOptions::default() };
            let started = Lister::start(&self.store, scope.clone(), &list)?;
            let revision = started.revision();
            lister = Some(started);
            revision
        } else {
            match options.version {
                Some(version) if version > 0 => Revision::new(version),
                _ => self.store.revision(),
            }
        };
        let source = match self.store.watch(kind.collection(), scope.clone(), from) {
            Ok(watch) => Some(watch),
            Err(RangeError::Compacted { .. }) => None,
            Err(RangeError::Future { current }) => {
                return Err(Refusal::FutureRevision { asked: from.get(), current: current.get() });
            }
        };
        let mut pending = VecDeque::new();
        if source.is_none() {
            lister = None;
            pending.push_back(too_old(kind.as_ref(), from, self.store.oldest()));
        }
        let now = Instant::now();
        Ok(Watcher {
            rights: cx.authorizer.generation(),
            wants: options.wants,
            kind,
            cx,
            scope,
            selection: options.selection,
            lister,
            announce_end: options.initial == Some(true) && options.bookmarks,
            source,
            pending,
            bookmarks: options.bookmarks,
            next_bookmark: now + BOOKMARK_EVERY,
            end: now + options.timeout,
            ending,
            from,
        })
    }
}

/// A watch in progress.
pub struct Watcher {
    kind: Arc<dyn Kind>,
    cx: Cx,
    scope: Scope,
    selection: Selection,
    lister: Option<Lister>,
    announce_end: bool,
    source: Option<Watch>,
    pending: VecDeque<Event>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    ending: Receiver<bool>,
    from: Revision,
    rights: u64,
    wants: Attributes,
}

impl Watcher {
    /// The kind that is watched.
    pub fn kind(&self) -> &Arc<dyn Kind> {
        &self.kind
    }

    /// The context under which objects are shown.
    pub fn cx(&self) -> &Cx {
        &self.cx
    }

    /// The next event; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            // Asked before each event: what happens after a revocation is not told any more.
            if !self.may_go_on() || !self.still_allowed().await {
                return None;
            }
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            self.bookmark_if_due();
            if !self.pending.is_empty() {
                continue;
            }
            self.cx.now_ms = self.cx.world.now_ms();
            if self.lister.is_some() {
                self.initial();
                continue;
            }
            self.step().await?;
        }
    }

    fn may_go_on(&self) -> bool {
        !*self.ending.borrow() && self.kind.served() && (self.cx.alive)() && Instant::now() < self.end
    }

    /// Rights may be taken away while a watch lasts: then it ends, and the next one sees what is left (spec T17).
    async fn still_allowed(&mut self) -> bool {
        let rights = self.cx.authorizer.generation();
        if rights == self.rights {
            return true;
        }
        let allowed = self.cx.authorizer.authorize(&self.cx.user, &self.wants).await.allowed();
        let same = self.kind.scope(&self.cx, Verb::Watch).await.is_ok_and(|scope| scope == self.scope);
        self.rights = rights;
        allowed && same
    }

    /// A bookmark about once a minute and one before the end, also while changes pour in that this watch does not show.
    fn bookmark_if_due(&mut self) {
        if !self.bookmarks || self.lister.is_some() {
            return;
        }
        let now = Instant::now();
        let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(self.end);
        if now < self.next_bookmark && now < last {
            return;
        }
        let Some(source) = &mut self.source else { return };
        let position = source.position();
        self.next_bookmark = now + BOOKMARK_EVERY;
        // The last one comes once.
        self.bookmarks = now < last;
        let bookmark = self.bookmark(position);
        self.pending.push_back(bookmark);
    }

    /// One page of what existed when the watch began.
    fn initial(&mut self) {
        let Some(lister) = &mut self.lister else { return };
        match lister.page(self.kind.as_ref(), &self.cx) {
            Ok(Some(page)) => self
                .pending
                .extend(page.into_iter().map(|l| Event { kind: EventKind::Added, object: l.object })),
            Ok(None) => {
                self.lister = None;
                if self.announce_end {
                    let mut bookmark = self.bookmark(self.from);
                    if let Some(metadata) = bookmark.object.get_mut("metadata").and_then(Value::as_object_mut)
                    {
                        metadata.insert("annotations".to_owned(), json!({ INITIAL_END: "true" }));
                    }
                    self.pending.push_back(bookmark);
                }
            }
            Err(refusal) => self.fail(&refusal),
        }
    }

    /// Waits for a change, a bookmark's time, or the end.
    async fn step(&mut self) -> Option<()> {
        let source = self.source.as_mut()?;
        let wake = (Instant::now() + HEARTBEAT).min(self.end);
        tokio::select! {
            biased;
            change = source.next() => match change {
                Ok(change) => self.change(&change),
                Err(WatchEnd::Lagged) => {
                    let refusal = Refusal::Expired {
                        message: "the watch fell behind the history that is kept; list again".to_owned(),
                        resume: String::new(),
                    };
                    self.fail(&refusal);
                }
                Err(WatchEnd::Closed) => return None,
            },
            _ = self.ending.changed() => return None,
            () = sleep_until(wake) => {}
        }
        Some(())
    }

    /// What a change means to this watcher: selectors and scope may begin or cease to match (spec T8).
    fn change(&mut self, change: &Change) {
        let kind = self.kind.as_ref();
        // An owner's scope goes by name, and a new owner of the name must not see what the old one left (DEC9). Who sees everything sees the deletion too.
        let counts = |entry: &Entry| matches!(self.scope, Scope::All) || exists(kind, entry);
        let seen = |entry: &Option<Entry>| {
            let entry = entry.as_ref().filter(|entry| in_scope(kind, &self.scope, entry) && counts(entry))?;
            let object = show_entry_at(kind, entry, entry.modified(), &self.cx);
            self.selection.matches(kind, &object).then_some((entry.clone(), object))
        };
        let event = match (seen(&change.old), seen(&change.new)) {
            (None, None) => return,
            (None, Some((_, object))) => Event { kind: EventKind::Added, object },
            (Some(_), Some((_, object))) => Event { kind: EventKind::Modified, object },
            (Some((old, _)), None) => Event {
                kind: EventKind::Deleted,
                object: show_entry_at(kind, &old, change.revision, &self.cx),
            },
        };
        self.pending.push_back(event);
    }

    fn bookmark(&self, at: Revision) -> Event {
        let info = self.kind.info();
        Event {
            kind: EventKind::Bookmark,
            object: json!({
                "apiVersion": info.api_version(), "kind": info.kind,
                "metadata": { "resourceVersion": at.to_string(), "creationTimestamp": null },
            }),
        }
    }

    fn fail(&mut self, refusal: &Refusal) {
        self.lister = None;
        self.source = None;
        self.pending.push_back(error_event(self.kind.as_ref(), refusal));
    }
}

fn too_old(kind: &dyn Kind, asked: Revision, oldest: Revision) -> Event {
    let message = format!("too old resource version: {asked} ({oldest})");
    error_event(kind, &Refusal::Expired { message, resume: String::new() })
}

fn error_event(kind: &dyn Kind, refusal: &Refusal) -> Event {
    Event { kind: EventKind::Error, object: refusal.status(&Subject::new(kind.info(), "")).to_tree() }
}
