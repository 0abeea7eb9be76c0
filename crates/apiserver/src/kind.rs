//! Resources, and the lens through which a stored one is seen and changed.
//!
//! A stored resource is a lens over its record: [`Kind::show`] makes the object a caller sees, [`Kind::change`] carries back
//! only what the caller changed in it. PUT, every patch and every dry run work on the shown object. The law, tested for every
//! kind: writing back what was shown changes nothing.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::meta::Meta;
use eartag_storage::{CollectionId, Condition, Lane, Op, Revision, Scope};
use http::StatusCode;
use parking_lot::Mutex;
use secrecy::SecretString;

use crate::info::ResourceInfo;
use crate::ops::Validation;
use crate::refusal::Refusal;
use crate::user::{Authorizer, UserInfo};
use crate::{Map, Tree};

/// Time and randomness, given by the wiring.
pub trait World: Send + Sync + 'static {
    /// Milliseconds since 1970, never going back.
    fn now_ms(&self) -> u64;
    /// Fills the slice with bytes fit for secrets.
    fn random(&self, bytes: &mut [u8]);
}

/// What an operation knows about its request.
pub struct Cx {
    /// Who asks (after impersonation).
    pub user: UserInfo,
    /// What authentication found out beyond that; kinds that care downcast it.
    pub facts: Arc<dyn Any + Send + Sync>,
    /// Decides about further rights.
    pub authorizer: Arc<dyn Authorizer>,
    /// Clock and randomness.
    pub world: Arc<dyn World>,
    /// The moment of this request (ms since 1970).
    pub now_ms: u64,
    /// Nothing may be stored, no secret minted.
    pub dry_run: bool,
    /// Who manages the fields that are written.
    pub field_manager: String,
    /// What to do about unknown fields.
    pub validation: Validation,
    /// Whether what authenticated the caller is still good; a watch ends when it is not (spec T17).
    pub alive: Arc<dyn Fn() -> bool + Send + Sync>,
    warnings: Mutex<Vec<String>>,
}

impl Cx {
    /// A context for one request.
    pub fn new(
        user: UserInfo,
        facts: Arc<dyn Any + Send + Sync>,
        authorizer: Arc<dyn Authorizer>,
        world: Arc<dyn World>,
    ) -> Cx {
        let now_ms = world.now_ms();
        Cx {
            user,
            facts,
            authorizer,
            world,
            now_ms,
            dry_run: false,
            field_manager: String::new(),
            validation: Validation::default(),
            alive: Arc::new(|| true),
            warnings: Mutex::default(),
        }
    }

    /// Whole seconds of [`Cx::now_ms`].
    pub fn now_s(&self) -> i64 {
        i64::try_from(self.now_ms / 1000).unwrap_or(i64::MAX)
    }

    /// Tells the client something in a `Warning` header, once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        if warnings.len() < 64 && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// The warnings so far.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }

    /// The facts, if they are of this type.
    pub fn fact<T: Any>(&self) -> Option<&T> {
        self.facts.downcast_ref::<T>()
    }

    /// Fresh random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.world.random(&mut bytes);
        bytes
    }
}

/// The verbs of a stored resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes.
    Watch,
    /// A new object.
    Create,
    /// PUT and every patch.
    Update,
    /// One object.
    Delete,
    /// Many objects.
    DeleteCollection,
}

impl Verb {
    /// The verb under which full access is asked: `update` also for patches, `delete` also for collections (ext-token.md §3.1).
    pub fn access_verb(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete | Verb::DeleteCollection => "delete",
        }
    }
}

/// A stored object, taken apart.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// Its name.
    pub name: &'a str,
    /// The part common to all kinds.
    pub meta: &'a Meta,
    /// The kind's own part.
    pub body: &'a [u8],
    /// The revision of its last change; 0 before it is stored.
    pub revision: Revision,
}

/// The record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt(pub String);

/// Values that leave in one reply and exist nowhere else. No `Debug`, no `Clone`.
pub struct Once {
    /// Paths below the object's root, with their values.
    pub fields: Vec<(&'static [&'static str], SecretString)>,
}

/// What a kind wants to store.
#[derive(Default)]
pub struct Draft {
    /// The kind's own part of the record.
    pub body: Vec<u8>,
    /// Secrets for the reply.
    pub once: Option<Once>,
    /// What must hold besides the object's own absence or revision.
    pub conditions: Vec<Condition>,
    /// Changes of other collections that belong to this one (at most one key of each).
    pub also: Vec<Op>,
    /// Held until it is decided whether a new object is stored, and dropped then.
    pub held: Option<Box<dyn Any + Send + Sync>>,
    /// What of a new object's making takes further commits.
    pub sequel: Option<Box<dyn Sequel>>,
    /// What a dry run shows where the real reply has its secrets. It holds none.
    pub foretold: Option<Once>,
}

impl Draft {
    /// Just a body.
    pub fn of(body: Vec<u8>) -> Draft {
        Draft { body, ..Draft::default() }
    }
}

/// What of the making of an object takes commits of its own, one key of a collection each.
///
/// A create that is cut off leaves the object as the last commit made it, so each commit leaves one that makes sense.
#[async_trait]
pub trait Sequel: Send + Sync {
    /// Runs when the object is stored and before the create is answered, which is with the object as it is afterwards, and with these secrets.
    async fn run(self: Box<Self>, cx: &Cx) -> Result<Option<Once>, Refusal>;
}

/// A stored kind of object: a lens over its record.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// What clients are told about it.
    fn info(&self) -> &ResourceInfo;

    /// Whether it is switched on; asked on every request.
    fn served(&self) -> bool {
        true
    }

    /// Where its records are.
    fn collection(&self) -> CollectionId;

    /// The objects that exist for this caller and verb, after the authorizer has allowed the verb at all.
    async fn scope(&self, _cx: &Cx, _verb: Verb) -> Result<Scope, Refusal> {
        Ok(Scope::All)
    }

    /// The owner in the sense of [`Scope::Owner`].
    fn owner<'a>(&self, _body: &'a [u8]) -> Option<&'a [u8]> {
        None
    }

    /// Whether the record still counts: one that is as good as deleted is shown to nobody. Watches see it until it really is.
    fn exists(&self, _body: &[u8]) -> bool {
        true
    }

    /// What to add to the 404 for a name that does not exist, such as the name that was probably meant. Everybody who may name objects of this kind may see it.
    fn not_found_hint(&self, _name: &str) -> Option<String> {
        None
    }

    /// What the name of a new object begins with that came with neither name nor generateName; `None` refuses it.
    fn default_base(&self, _asked: &Tree, _cx: &Cx) -> Option<String> {
        None
    }

    /// A label that selectors see on every object although it is not shown.
    fn hidden_label(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Completes the shown object: `apiVersion`, `kind` and `metadata` are there already.
    fn show(&self, stored: &Stored<'_>, cx: &Cx, object: &mut Map) -> Result<(), Corrupt>;

    /// Checks an object that shall be created and makes its record. `meta` holds what the caller asked for and may be corrected.
    async fn admit(&self, name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal>;

    /// Carries what differs between `seen` and `asked` into the record. `meta` likewise holds the asked metadata.
    async fn change(
        &self,
        old: &Stored<'_>,
        seen: &Tree,
        asked: &Tree,
        meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal>;

    /// An update names another uid than the stored object's (spec U4).
    fn uid_differs(&self, sent: &str, stored: &str) -> Refusal {
        crate::ops::uid_differs(sent, stored)
    }

    /// The kind's own part of an object that is still being made ([`Draft::sequel`]), changed so that the making stops at its next commit; `None` if nothing is being made.
    /// A deletion stores it before all else, in a commit of its own: it must not lose against a maker who changes the object again and again.
    fn stopped(&self, _old: &Stored<'_>, _cx: &Cx) -> Option<Vec<u8>> {
        None
    }

    /// What ends with an object and takes commits of its own, before the object itself goes or is marked. The preconditions hold, and it is no dry run. The object may
    /// change meanwhile, and then this is asked again. What it answers is said to a client whose deletion fails afterwards.
    async fn ending(
        &self,
        _old: &Stored<'_>,
        _cx: &Cx,
        _lane: Lane,
    ) -> Result<Option<&'static str>, Refusal> {
        Ok(None)
    }

    /// Asked before an object is deleted; the operations go into the same commit.
    async fn removing(&self, _old: &Stored<'_>, _cx: &Cx) -> Result<Vec<Op>, Refusal> {
        Ok(Vec::new())
    }

    /// The table cells of a shown object, in the order of the columns.
    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree>;
}

/// A resource that answers a create with a computed object and stores nothing of its own under that name (reviews).
#[async_trait]
pub trait Review: Send + Sync + 'static {
    /// What clients are told about it.
    fn info(&self) -> &ResourceInfo;

    /// Whether it is switched on.
    fn served(&self) -> bool {
        true
    }

    /// The status of an answer.
    fn success(&self) -> StatusCode {
        StatusCode::CREATED
    }

    /// The answer to the asked object.
    async fn create(&self, asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal>;
}

/// A resource whose objects are views of something that is stored elsewhere under the same names: each is computed when somebody looks, and what is put takes
/// effect there. There is nothing to list, to watch or to delete.
///
/// The library decodes and validates, applies patches to the object as [`get`](Computed::get) shows it, and compares `uid` and `resourceVersion` with it.
#[async_trait]
pub trait Computed: Send + Sync + 'static {
    /// What clients are told about it.
    fn info(&self) -> &ResourceInfo;

    /// Whether it is switched on.
    fn served(&self) -> bool {
        true
    }

    /// The object of that name as this caller sees it, complete with `apiVersion`, `kind` and `metadata`.
    async fn get(&self, name: &str, cx: &Cx) -> Result<Tree, Refusal>;

    /// Does what the object says, and answers with the object as it is then. POST, PUT and every patch come here. A dry run decides the same and changes nothing.
    async fn put(&self, name: &str, asked: &Tree, cx: &Cx) -> Result<Tree, Refusal>;

    /// The table cells of an object, in the order of the columns.
    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree>;
}

/// A read-only resource whose objects are made up by the server.
pub trait Fixed: Send + Sync + 'static {
    /// What clients are told about it.
    fn info(&self) -> &ResourceInfo;

    /// All objects, ordered by name, complete with metadata.
    fn objects(&self) -> Vec<Tree>;

    /// The table cells after the name.
    fn row(&self, object: &Tree) -> Vec<Tree>;
}

/// A resource of any sort.
#[derive(Clone)]
pub enum Resource {
    /// Stored objects.
    Stored(Arc<dyn Kind>),
    /// Create-only.
    Review(Arc<dyn Review>),
    /// Views of something else.
    Computed(Arc<dyn Computed>),
    /// Read-only.
    Fixed(Arc<dyn Fixed>),
}

impl Resource {
    /// What clients are told about it.
    pub fn info(&self) -> &ResourceInfo {
        match self {
            Resource::Stored(kind) => kind.info(),
            Resource::Review(review) => review.info(),
            Resource::Computed(computed) => computed.info(),
            Resource::Fixed(fixed) => fixed.info(),
        }
    }

    /// Whether it is switched on.
    pub fn served(&self) -> bool {
        match self {
            Resource::Stored(kind) => kind.served(),
            Resource::Review(review) => review.served(),
            Resource::Computed(computed) => computed.served(),
            Resource::Fixed(_) => true,
        }
    }
}
