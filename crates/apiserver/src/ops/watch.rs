//! Watch: first what exists (if asked), then every change once and in order, until something ends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use eartag_storage::{Change, RangeError, Revision, Scope, Watch, WatchEnd};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::{Api, ListOptions, Lister, Selection, in_scope};
use crate::Tree;
use crate::kind::{Cx, Kind, Verb};
use crate::object::show_entry_at;
use crate::refusal::{Refusal, Subject};

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
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if !self.may_go_on() {
                return None;
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
                    if let Some(metadata) = bookmark.object.get_mut("metadata").and_then(Value::as_object_mut) {
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
        let last_bookmark = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(self.end);
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
            () = sleep_until(wake) => {
                let now = Instant::now();
                if self.bookmarks && (now >= self.next_bookmark || now >= last_bookmark) {
                    let due_at_end = now >= last_bookmark;
                    let position = source.position();
                    // The last one comes once: nothing is due any more until the end.
                    self.next_bookmark = if due_at_end { self.end + BOOKMARK_EVERY } else { now + BOOKMARK_EVERY };
                    if due_at_end {
                        self.bookmarks = false;
                    }
                    let bookmark = self.bookmark(position);
                    self.pending.push_back(bookmark);
                }
            }
        }
        Some(())
    }

    /// What a change means to this watcher: selectors and scope may begin or cease to match (spec T8).
    fn change(&mut self, change: &Change) {
        let kind = self.kind.as_ref();
        let seen = |entry: &Option<eartag_storage::Entry>| {
            let entry = entry.as_ref().filter(|entry| in_scope(kind, &self.scope, entry))?;
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
