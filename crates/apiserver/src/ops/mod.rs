//! The verbs, free of HTTP: both doors call these. The caller's right to the verb was asked before; what remains is the scope.

pub mod computed;
mod create;
mod delete;
mod list;
mod selection;
mod update;
mod watch;

use eartag_storage::{CommitError, Entry, Scope, Store};

pub use create::Created;
pub use delete::{DeleteOptions, Deleted, DeletedMany};
pub use list::{ListOptions, Lister, Match};
pub use selection::Selection;
pub use update::Change;
pub(crate) use update::uid_differs;
pub use watch::{Event, EventKind, WatchOptions, Watcher};

use crate::field_error::FieldError;
use crate::info::ResourceInfo;
use crate::kind::{Cx, Kind, Verb};
use crate::object::{Record, show_entry};
use crate::refusal::Refusal;
use crate::{Tree, decode};

/// What to do about fields that the schema does not know (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// Say nothing.
    Ignore,
    /// Tell in a `Warning` header.
    #[default]
    Warn,
    /// Refuse.
    Strict,
}

/// The verbs over one store.
#[derive(Clone)]
pub struct Api {
    /// Where objects are.
    pub store: Store,
}

impl Api {
    /// The verbs over this store.
    pub fn new(store: Store) -> Api {
        Api { store }
    }

    /// One object, if it exists for this caller.
    pub async fn get(&self, kind: &dyn Kind, cx: &Cx, name: &str) -> Result<Tree, Refusal> {
        let scope = kind.scope(cx, Verb::Get).await?;
        let entry = self.find(kind, &scope, name)?;
        Ok(show_entry(kind, &entry, cx))
    }

    /// The entry of that name within the scope. Nothing of the object is looked at before (DEC12).
    fn find(&self, kind: &dyn Kind, scope: &Scope, name: &str) -> Result<Entry, Refusal> {
        let entry = self.store.get(kind.collection(), name.as_bytes()).ok_or_else(|| {
            match kind.not_found_hint(name) {
                Some(hint) => Refusal::NotFoundHint(hint),
                None => Refusal::NotFound,
            }
        })?;
        if in_scope(kind, scope, &entry) && exists(kind, &entry) { Ok(entry) } else { Err(Refusal::NotFound) }
    }
}

/// Whether the entry exists for a caller with this scope.
pub(crate) fn in_scope(kind: &dyn Kind, scope: &Scope, entry: &Entry) -> bool {
    match scope {
        Scope::All => true,
        Scope::None => false,
        Scope::Name(name) => entry.key() == name.as_slice(),
        Scope::Names(names) => names.binary_search_by(|name| name.as_slice().cmp(entry.key())).is_ok(),
        Scope::Owner(owner) => {
            let body = eartag_api::frame::split(entry.value()).map(|(body, _)| body).unwrap_or_default();
            kind.owner(body) == Some(owner.as_slice())
        }
    }
}

/// Whether the entry is more than what a sweep has not reached yet.
pub(crate) fn exists(kind: &dyn Kind, entry: &Entry) -> bool {
    eartag_api::frame::split(entry.value()).is_none_or(|(body, _)| kind.exists(body))
}

/// Where an asked object came from, for the texts of strict validation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Body,
    Patch,
}

/// Types and unknown fields by the schema, then drops what the schema does not know.
pub(crate) fn conform(info: &ResourceInfo, cx: &Cx, asked: &mut Tree, source: Source) -> Result<(), Refusal> {
    let checked = decode::check(&info.schema, asked, info.kind);
    if let Some(error) = checked.errors.first() {
        let text = format!(
            "{} in version \"{}\" cannot be handled as a {}: {error}",
            info.kind, info.version, info.kind
        );
        return Err(match source {
            Source::Body => Refusal::BadRequest(text),
            Source::Patch => Refusal::Invalid(vec![FieldError::invalid("patch", "", error)]),
        });
    }
    if !checked.unknown.is_empty() {
        let texts: Vec<String> =
            checked.unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        match (cx.validation, source) {
            (Validation::Ignore, _) => {}
            (Validation::Warn, _) => texts.into_iter().for_each(|text| cx.warn(text)),
            (Validation::Strict, Source::Body) => return Err(Refusal::BadRequest(strict(info, &texts))),
            (Validation::Strict, Source::Patch) => {
                let why = format!("strict decoding error: {}", texts.join(", "));
                return Err(Refusal::Invalid(vec![FieldError::invalid("patch", "", why)]));
            }
        }
    }
    decode::prune(&info.schema, asked);
    Ok(())
}

/// The text of a body refused under strict validation.
pub(crate) fn strict(info: &ResourceInfo, texts: &[String]) -> String {
    format!(
        "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
        info.kind,
        info.version,
        info.kind,
        texts.join(", ")
    )
}

/// What a failed commit means to the caller. `Conflict` is handled where the meaning of each condition is known.
pub fn commit_refusal(error: CommitError) -> Refusal {
    match error {
        CommitError::Conflict { .. } => Refusal::Conflict(crate::refusal::MODIFIED.to_owned()),
        CommitError::TooLarge(why) => Refusal::TooMuch(format!("Request entity too large: {why}")),
        CommitError::Unavailable(why) => {
            tracing::error!(%why, "the store takes no writes");
            Refusal::Unavailable("the store takes no writes at the moment, please try again later".to_owned())
        }
        CommitError::Unknown => Refusal::Timeout(
            "the store did not confirm the write; look whether it took effect before trying again".to_owned(),
        ),
    }
}

fn record(entry: Entry) -> Result<Record, Refusal> {
    Record::of(entry).map_err(corrupt)
}

fn corrupt(why: crate::kind::Corrupt) -> Refusal {
    tracing::error!(why = %why.0, "corrupt record");
    Refusal::Internal("the stored record is corrupt; an administrator can delete it".to_owned())
}

/// How often a write that lost a race is tried anew on the newest object.
const ATTEMPTS: usize = 8;
