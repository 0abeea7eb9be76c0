//! Create: a name, metadata, the kind's own rules, one commit.

use eartag_api::frame::frame;
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Revision};

use super::{ATTEMPTS, Api, Source, commit_refusal, conform, corrupt};
use crate::field_error::FieldError;
use crate::info::Naming;
use crate::kind::{Cx, Draft, Kind, Once, Stored};
use crate::metadata::{name_faults, path_segment_faults};
use crate::object::{check_metadata, fit_type, meta_text, new_meta, show, take_metadata};
use crate::refusal::{MODIFIED, Refusal};
use crate::{Tree, managed};

/// A new object, and the secrets of its reply.
pub struct Created {
    /// As the caller sees it.
    pub object: Tree,
    /// Left out of everything but this reply.
    pub once: Option<Once>,
}

impl Api {
    /// Creates an object, or says what would be created (`cx.dry_run`).
    pub async fn create(&self, kind: &dyn Kind, cx: &Cx, mut asked: Tree) -> Result<Created, Refusal> {
        let info = kind.info();
        fit_type(info, &mut asked)?;
        conform(info, cx, &mut asked, Source::Body)?;
        if !meta_text(&asked, "resourceVersion").is_empty() {
            return Err(Refusal::BadRequest(
                "resourceVersion should not be set on objects to be created".to_owned(),
            ));
        }
        let mut races = 0;
        for _ in 0..ATTEMPTS {
            let name = choose_name(kind, &asked, cx)?;
            match self.try_create(kind, cx, &asked, &name.text).await {
                Err(Failure::Taken) if name.generated => {}
                Err(Failure::Taken) => return Err(Refusal::AlreadyExists),
                Err(Failure::Raced) => {
                    races += 1;
                    tokio::task::yield_now().await;
                }
                Err(Failure::Refused(refusal)) => return Err(refusal),
                Ok(created) => return Ok(created),
            }
        }
        Err(if races > 0 { Refusal::Conflict(MODIFIED.to_owned()) } else { Refusal::NoFreeName })
    }

    async fn try_create(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        asked: &Tree,
        name: &str,
    ) -> Result<Created, Failure> {
        let collection = kind.collection();
        let mut meta = new_meta(cx);
        take_metadata(asked, &mut meta, cx);
        if kind.info().naming.by_client() && meta_text(asked, "name").is_empty() {
            meta.generate_name = meta_text(asked, "generateName").to_owned();
        }
        let draft = kind.admit(name, asked, &mut meta, cx).await?;
        let errors = check_metadata(&meta, None);
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors).into());
        }
        if let Some(entry) = self.store.get(collection, name.as_bytes()) {
            let leaving = eartag_api::frame::head(entry.value()).is_some_and(|head| head.deleted);
            return Err(if leaving { Refusal::AlreadyExistsLeaving.into() } else { Failure::Taken });
        }
        let Draft { body, once, conditions, also, held, sequel, foretold } = draft;
        let info = kind.info();
        let taken = Stored { name, meta: &meta, body: &body, revision: Revision::default() };
        let taken = show(kind, &taken, cx).map_err(corrupt)?;
        meta.managed = managed::on_update(
            &[],
            &info.schema,
            None,
            &writable(asked, &taken),
            &cx.field_manager,
            &info.api_version(),
            cx.now_s(),
            "",
        );
        let absent = Condition::Absent { collection, key: name.as_bytes().to_vec() };
        let value = frame(&body, &meta);
        if value.len() > eartag_storage::limits::MAX_VALUE {
            // Said here, so that a dry run says it too.
            return Err(Refusal::TooMuch(
                "Request entity too large: the object is too large to be stored".to_owned(),
            )
            .into());
        }
        let put = Op::Put { collection, key: name.as_bytes().to_vec(), value };
        let shown_at = |revision: Revision| {
            show(kind, &Stored { name, meta: &meta, body: &body, revision }, cx).map_err(corrupt)
        };
        if cx.dry_run {
            self.dry_run_conditions(&conditions)?;
            return Ok(Created { object: shown_at(Revision::default())?, once: foretold });
        }
        let commit = Commit {
            conditions: std::iter::once(absent).chain(conditions).collect(),
            ops: std::iter::once(put).chain(also).collect(),
            lane: Lane::Interactive,
        };
        // Where the server chooses names, a sister collection may share them: an `Absent` on the same key there means "taken" too.
        let generated = matches!(info.naming, Naming::Generated { .. });
        let means_taken: Vec<bool> = commit
            .conditions
            .iter()
            .enumerate()
            .map(|(at, c)| {
                let same = matches!(c, Condition::Absent { key, .. } if key == name.as_bytes());
                at == 0 || (generated && same)
            })
            .collect();
        let created = match self.store.commit(commit).await {
            Ok(revision) => Ok(Created { object: shown_at(revision)?, once }),
            Err(CommitError::Conflict { condition })
                if means_taken.get(condition).copied().unwrap_or(true) =>
            {
                Err(Failure::Taken)
            }
            Err(CommitError::Conflict { .. }) => Err(Failure::Raced),
            Err(CommitError::Unknown) => self.settle(kind, cx, name, &meta, once),
            Err(error) => Err(commit_refusal(error).into()),
        }?;
        drop(held);
        let Some(sequel) = sequel else { return Ok(created) };
        let once = sequel.run(cx).await?;
        match self.own_entry(kind, name, &meta) {
            Some(entry) => Ok(Created { object: crate::object::show_entry(kind, &entry, cx), once }),
            None => Err(Refusal::Conflict(GONE.to_owned()).into()),
        }
    }

    /// What is stored under the name, if it is this very object.
    fn own_entry(&self, kind: &dyn Kind, name: &str, meta: &eartag_api::meta::Meta) -> Option<Entry> {
        let found = self.store.get(kind.collection(), name.as_bytes())?;
        eartag_api::frame::head(found.value()).is_some_and(|head| head.uid == meta.uid).then_some(found)
    }

    /// An unknown outcome is settled by looking for our own uid under the name.
    fn settle(
        &self,
        kind: &dyn Kind,
        cx: &Cx,
        name: &str,
        meta: &eartag_api::meta::Meta,
        once: Option<Once>,
    ) -> Result<Created, Failure> {
        match self.own_entry(kind, name, meta) {
            Some(entry) => Ok(Created { object: crate::object::show_entry(kind, &entry, cx), once }),
            None => Err(commit_refusal(CommitError::Unknown).into()),
        }
    }

    /// A dry run predicts what the conditions would say.
    pub(super) fn dry_run_conditions(&self, conditions: &[Condition]) -> Result<(), Failure> {
        for condition in conditions {
            let holds = match condition {
                Condition::Absent { collection, key } => self.store.get(*collection, key).is_none(),
                Condition::ModRevision { collection, key, revision } => {
                    self.store.get(*collection, key).is_some_and(|e| e.modified() == *revision)
                }
                Condition::CreateRevision { collection, key, revision } => {
                    self.store.get(*collection, key).is_some_and(|e| e.created() == *revision)
                }
            };
            if !holds {
                return Err(match condition {
                    Condition::Absent { .. } => Failure::Taken,
                    _ => Failure::Raced,
                });
            }
        }
        Ok(())
    }
}

/// The text of a create whose object was deleted before it was answered.
const GONE: &str = "the object was deleted while it was being made";

/// Why one attempt failed.
pub(super) enum Failure {
    /// The name exists.
    Taken,
    /// Something that the kind relied on changed meanwhile.
    Raced,
    /// For good.
    Refused(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

struct Name {
    text: String,
    generated: bool,
}

/// Letters and digits of generated names: no vowels, nothing that looks like something else.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A generated name leaves room for its five random characters within 63.
const LONGEST_BASE: usize = 58;

fn choose_name(kind: &dyn Kind, asked: &Tree, cx: &Cx) -> Result<Name, Refusal> {
    let naming = kind.info().naming;
    let name = meta_text(asked, "name");
    let mut base = meta_text(asked, "generateName");
    let default = if name.is_empty() && base.is_empty() { kind.default_base(asked, cx) } else { None };
    if let Some(default) = &default {
        base = default;
    }
    match naming {
        Naming::Generated { prefix } => {
            if !name.is_empty() {
                cx.warn(format!(
                    "metadata.name is ignored: the name of a new object is always generated with the prefix \"{prefix}\""
                ));
            }
            Ok(Name { text: format!("{prefix}{}", suffix(cx)), generated: true })
        }
        Naming::ClientPath if !name.is_empty() => {
            check_path_segment("metadata.name", name)?;
            Ok(Name { text: name.to_owned(), generated: false })
        }
        Naming::Client if !name.is_empty() => {
            check_name("metadata.name", name)?;
            Ok(Name { text: name.to_owned(), generated: false })
        }
        Naming::Client | Naming::ClientPath if !base.is_empty() => {
            let cut: String = base.chars().take(LONGEST_BASE).collect();
            let text = format!("{cut}{}", suffix(cx));
            match naming {
                Naming::ClientPath => check_path_segment("metadata.generateName", &text)?,
                _ => check_name("metadata.generateName", &text)?,
            }
            Ok(Name { text, generated: true })
        }
        Naming::Client | Naming::ClientPath => Err(Refusal::Invalid(vec![FieldError::required(
            "metadata.name",
            "name or generateName is required",
        )])),
    }
}

fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    let errors: Vec<FieldError> =
        name_faults(name, false).into_iter().map(|why| FieldError::invalid(field, name, why)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}

fn check_path_segment(field: &str, name: &str) -> Result<(), Refusal> {
    let errors: Vec<FieldError> =
        path_segment_faults(name).into_iter().map(|why| FieldError::invalid(field, name, why)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}

/// Five characters, uniform over the alphabet.
fn suffix(cx: &Cx) -> String {
    let mut text = String::with_capacity(5);
    while text.len() < 5 {
        // 243 = 9 × 27: larger bytes would favour the first letters.
        let bytes: [u8; 16] = cx.random();
        let fair = bytes.iter().filter(|b| **b < 243).filter_map(|b| ALPHABET.get(usize::from(*b) % 27));
        text.extend(fair.take(5 - text.len()).map(|b| char::from(*b)));
    }
    text
}

/// What of the asked object a manager owns: what the kind took over, but for the status that the server makes.
fn writable(asked: &Tree, taken: &Tree) -> Tree {
    fn common(asked: &Tree, taken: &Tree) -> Tree {
        match (asked, taken) {
            (Tree::Object(asked), Tree::Object(taken)) => Tree::Object(
                asked
                    .iter()
                    .filter_map(|(key, a)| taken.get(key).map(|t| (key.clone(), common(a, t))))
                    .collect(),
            ),
            _ => asked.clone(),
        }
    }
    let mut owned = common(asked, taken);
    if let Some(object) = owned.as_object_mut() {
        object.remove("status");
    }
    owned
}
