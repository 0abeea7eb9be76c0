//! Update: PUT and every patch share one path over the shown object.

use eartag_api::frame::frame;
use eartag_api::meta::Meta;
use eartag_storage::{Commit, CommitError, Condition, Lane, Op};
use serde_json::Value;

use super::create::Failure;
use super::{ATTEMPTS, Api, Source, commit_refusal, conform, corrupt, record};
use crate::field_error::FieldError;
use crate::info::ResourceInfo;
use crate::kind::{Cx, Draft, Kind, Stored, Verb};
use crate::object::{Record, asked_metadata, check_metadata, fit_type, meta_text, show, take_metadata};
use crate::patch::{self, PatchError};
use crate::refusal::{MODIFIED, Refusal};
use crate::{Tree, managed};

/// How the caller says what shall be different.
pub enum Change {
    /// The whole object.
    Put(Tree),
    /// RFC 6902.
    Json(Tree),
    /// RFC 7386.
    Merge(Tree),
    /// Strategic merge.
    Strategic(Tree),
}

impl Api {
    /// Changes an object, or says what it would become (`cx.dry_run`).
    pub async fn update(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        name: &str,
        change: &Change,
    ) -> Result<Tree, Refusal> {
        let scope = kind.scope(cx, Verb::Update).await?;
        for _ in 0..ATTEMPTS {
            let before = record(self.find(kind, &scope, name)?)?;
            match self.try_update(kind, cx, &before, change).await {
                Ok(object) => return Ok(object),
                Err(Failure::Refused(refusal)) => return Err(refusal),
                // Somebody was faster: the next round sees the newest object, and a stale version in the request is refused there.
                Err(Failure::Raced | Failure::Taken) => tokio::task::yield_now().await,
            }
        }
        Err(Refusal::Conflict(MODIFIED.to_owned()))
    }

    async fn try_update(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        before: &Record,
        change: &Change,
    ) -> Result<Tree, Failure> {
        let info = kind.info();
        let old = before.stored();
        let seen = show(kind, &old, cx).map_err(corrupt)?;
        let (mut asked, source) = apply(info, &seen, change)?;
        fit_type(info, &mut asked)?;
        conform(info, cx, &mut asked, source)?;
        let identity = Identity {
            name: old.name,
            uid: &old.meta.uid.to_string(),
            version: &old.revision.to_string(),
            uid_differs: &|sent, stored| kind.uid_differs(sent, stored),
        };
        identity.check(info, &asked, source)?;

        let mut meta = old.meta.clone();
        take_metadata(&asked, &mut meta, cx);
        let Draft { body, conditions, also, .. } = kind.change(&old, &seen, &asked, &mut meta, cx).await?;
        let errors = check_metadata(&meta, Some(old.meta));
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors).into());
        }
        if let Some(managed) = asked_managed(&asked, cx).filter(|m| *m != old.meta.managed) {
            meta.managed = managed;
        }
        if body == old.body && meta == *old.meta && also.is_empty() {
            return Ok(seen);
        }
        if body != old.body {
            meta.generation += 1;
        }
        meta.managed = self.managed_after(kind, cx, &old, &seen, &meta, &body)?;
        if cx.dry_run {
            self.dry_run_conditions(&conditions)?;
            let shown = Stored { name: old.name, meta: &meta, body: &body, revision: old.revision };
            return Ok(show(kind, &shown, cx).map_err(corrupt)?);
        }
        let collection = kind.collection();
        let key = before.entry.key().to_vec();
        let gone = meta.deleted_s.is_some() && meta.finalizers.is_empty();
        let op = if gone {
            Op::Delete { collection, key: key.clone() }
        } else {
            Op::Put { collection, key: key.clone(), value: frame(&body, &meta) }
        };
        let mut also = also;
        if gone {
            also.extend(kind.removing(&old, cx).await?);
        }
        let own = Condition::ModRevision { collection, key, revision: old.revision };
        let commit = Commit {
            conditions: std::iter::once(own).chain(conditions).collect(),
            ops: std::iter::once(op).chain(also).collect(),
            lane: Lane::Interactive,
        };
        match self.store.commit(commit).await {
            Ok(revision) => {
                let shown = Stored { name: old.name, meta: &meta, body: &body, revision };
                Ok(show(kind, &shown, cx).map_err(corrupt)?)
            }
            Err(CommitError::Conflict { .. }) => Err(Failure::Raced),
            Err(CommitError::Unknown) => {
                // Settled by looking: what is stored now is either just this, or something else.
                let found = self.store.get(collection, before.entry.key());
                let ours = found.filter(|entry| entry.value() == frame(&body, &meta) && !gone);
                ours.map(|entry| crate::object::show_entry(kind, &entry, cx))
                    .ok_or_else(|| commit_refusal(CommitError::Unknown).into())
            }
            Err(error) => Err(commit_refusal(error).into()),
        }
    }

    /// The managed fields after a change: whoever changed a field owns it.
    fn managed_after(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        old: &Stored<'_>,
        seen: &Tree,
        meta: &Meta,
        body: &[u8],
    ) -> Result<Vec<eartag_api::meta::Managed>, Refusal> {
        let info = kind.info();
        let after = show(kind, &Stored { name: old.name, meta, body, revision: old.revision }, cx)
            .map_err(corrupt)?;
        Ok(managed::on_update(
            &meta.managed,
            &info.schema,
            Some(&spec_of(seen)),
            &spec_of(&after),
            &cx.field_manager,
            &info.api_version(),
            cx.now_s(),
            "",
        ))
    }
}

pub(super) fn apply(info: &ResourceInfo, seen: &Tree, change: &Change) -> Result<(Tree, Source), Refusal> {
    let patched = match change {
        Change::Put(asked) => return Ok((asked.clone(), Source::Body)),
        Change::Json(patch) => patch::json_patch(seen, patch),
        Change::Merge(patch) => Ok(patch::merge_patch(seen, patch)),
        Change::Strategic(patch) => patch::strategic_merge(&info.schema, seen, patch),
    };
    match patched {
        Ok(asked) => Ok((asked, Source::Patch)),
        Err(PatchError::Undecodable(why)) => Err(Refusal::BadRequest(why)),
        Err(PatchError::TooManyOperations) => Err(Refusal::TooMuch(
            "Request entity too large: the allowed maximum operations in a JSON patch is 10000".to_owned(),
        )),
        Err(PatchError::Inapplicable(why)) => Err(Refusal::Inapplicable(why)),
    }
}

/// What an object must be called, if it says so.
pub(super) struct Identity<'a> {
    pub name: &'a str,
    pub uid: &'a str,
    pub version: &'a str,
    pub uid_differs: &'a (dyn Fn(&str, &str) -> Refusal + Sync),
}

impl Identity<'_> {
    /// Name, uid and version in the asked object are those of the stored one, or absent.
    pub(super) fn check(&self, info: &ResourceInfo, asked: &Tree, source: Source) -> Result<(), Refusal> {
        let sent = meta_text(asked, "name");
        if sent != self.name && source == Source::Patch {
            return Err(Refusal::Invalid(vec![FieldError::invalid(
                "metadata.name",
                sent,
                "field is immutable",
            )]));
        }
        if sent.is_empty() {
            return Err(Refusal::BadRequest(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.name
            )));
        }
        if sent != self.name {
            return Err(Refusal::BadRequest(format!(
                "the name of the object ({sent}) does not match the name on the URL ({})",
                self.name
            )));
        }
        let sent = meta_text(asked, "uid");
        if !sent.is_empty() && sent != self.uid {
            return Err((self.uid_differs)(sent, self.uid));
        }
        let version = meta_text(asked, "resourceVersion");
        if version.is_empty() {
            if info.update_needs_version && source == Source::Body {
                return Err(Refusal::Invalid(vec![FieldError::invalid(
                    "metadata.resourceVersion",
                    0,
                    "must be specified for an update",
                )]));
            }
        } else if version != self.version {
            return Err(Refusal::Conflict(MODIFIED.to_owned()));
        }
        Ok(())
    }
}

/// The refusal of an update that names another uid (spec U4).
pub(crate) fn uid_differs(sent: &str, stored: &str) -> Refusal {
    Refusal::Conflict(format!(
        "Precondition failed: UID in precondition: {sent}, UID in object meta: {stored}"
    ))
}

/// Managed fields as the client wants them (kubectl's migration to server-side apply changes them by hand, spec P7, S9).
fn asked_managed(asked: &Tree, cx: &Cx) -> Option<Vec<eartag_api::meta::Managed>> {
    let wanted = asked_metadata(asked).and_then(|m| m.get("managedFields"))?;
    managed::parse(wanted)
        .inspect_err(|why| {
            cx.warn(format!("metadata.managedFields was not understood and stays as it was: {why}"))
        })
        .ok()
}

/// What field managers may own: everything but the status that the server makes.
fn spec_of(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    if let Some(Value::Object(object)) = Some(&mut tree) {
        object.remove("status");
    }
    tree
}
