//! What is to become of each object: decided against the store and the objects before it, written nowhere yet.

use std::collections::{BTreeMap, BTreeSet};

use eartag_api::frame::{self, frame};
use eartag_api::meta::{Meta, Uid};
use eartag_api::secret::SecretText;
use eartag_core::collections::{
    CLUSTERS, EXT_TOKENS, GLOBAL_ROLE_BINDINGS, GLOBAL_ROLES, LEGACY_TOKENS, PASSWORDS, USER_ATTRIBUTES,
    USERNAMES, USERS,
};
use eartag_core::import::{ForeignToken, Owner, Taken, Unfit, ext_token, legacy_token, password};
use eartag_core::names::is_subdomain;
use eartag_core::settings::{DELETE_AFTER, DISABLE_AFTER, validate_override};
use eartag_core::time::seconds;
use eartag_core::usage::Stamp;
use eartag_core::{GlobalRoleBindingRecord, PasswordRecord, UserAttributeRecord, UserRecord};
use eartag_storage::{CollectionId, Commit, Condition, Lane, Op, Store, limits};

use super::read::{Attributes, Binding, Common, Foreign, Password, Token, User};
use super::{Report, Skipped, Tally};
use crate::identity::{Random, bytes};

/// Longest login name, in bytes.
const LONGEST_USERNAME: usize = 253;

/// What to write, stage by stage, and what to say about it.
pub(super) struct Plan {
    pub stages: Vec<Vec<Commit>>,
    pub stamps: Vec<Stamped>,
    pub report: Report,
}

/// When a token that is new here was used where it comes from.
pub(super) struct Stamped {
    pub token: Uid,
    pub stamp: Stamp,
}

/// Decides about everything that was read.
pub(super) fn plan(
    store: &Store,
    foreign: Foreign,
    hashed_mark: bool,
    now_ms: u64,
    random: Random<'_>,
) -> Plan {
    let mut planner = Planner {
        store,
        random,
        now_ms,
        hashed_mark,
        report: Report { others: foreign.others, ..Report::default() },
        owners: BTreeMap::new(),
        taken: BTreeSet::new(),
        logins: BTreeSet::new(),
        clusters: BTreeSet::new(),
        stamps: Vec::new(),
    };
    let mut beside = (foreign.passwords, foreign.attributes);
    let users = foreign.users.into_iter().filter_map(|user| planner.user(user, &mut beside)).collect();
    planner.left_over(beside);
    let bindings = foreign.bindings.into_iter().filter_map(|binding| planner.binding(binding)).collect();
    let legacy = foreign.tokens.into_iter().filter_map(|token| planner.legacy_token(token)).collect();
    let ext = foreign.ext_tokens.into_iter().filter_map(|token| planner.ext_token(token)).collect();
    for name in foreign.shown {
        let why = "it is as the API shows it, without its hash: export the secrets of namespace cattle-tokens instead";
        planner.skip(Sort::ExtToken, name, why);
    }
    planner.conclude();
    Plan { stages: vec![users, bindings, legacy, ext], stamps: planner.stamps, report: planner.report }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    User,
    Password,
    Attributes,
    Binding,
    Token,
    ExtToken,
}

/// What became of a user: whose tokens and bindings may follow.
enum Fate {
    Here(Owner),
    /// Left behind, with the reason.
    Skipped(String),
}

struct Planner<'a> {
    store: &'a Store,
    random: Random<'a>,
    now_ms: u64,
    hashed_mark: bool,
    report: Report,
    owners: BTreeMap<String, Fate>,
    /// Names that objects of these files have got.
    taken: BTreeSet<(u8, String)>,
    /// Login names that users of these files have got.
    logins: BTreeSet<String>,
    /// Clusters that tokens are restricted to and that are not here.
    clusters: BTreeSet<String>,
    stamps: Vec<Stamped>,
}

/// What comes beside users, by their names.
type Beside = (BTreeMap<String, Password>, BTreeMap<String, Attributes>);

/// What came beside one user.
struct Extras {
    password: Option<Password>,
    attributes: Option<Attributes>,
}

/// A token's record and creation time, by the rules of its face.
type Take<'a> = &'a dyn Fn(ForeignToken<'_>, &Owner) -> Result<(Vec<u8>, i64), Unfit>;

/// How an object's name stands to the store and to the files before.
enum Standing {
    New,
    Present,
    Taken(&'static str),
}

impl Planner<'_> {
    fn user(&mut self, user: User, beside: &mut Beside) -> Option<Commit> {
        let name = user.common.name.clone();
        let extras = Extras { password: beside.0.remove(&name), attributes: beside.1.remove(&name) };
        let why = match self.standing(USERS, &user.common) {
            _ if !is_subdomain(&name) => Unfit::Name.to_string(),
            _ if user.common.deleting => "it is being deleted".to_owned(),
            Standing::New => return Some(self.new_user(user, extras)),
            Standing::Present => {
                self.tally(Sort::User).present += 1;
                let owner = self.stored_owner(&name)?;
                let added = self.present_user(&user, &owner, extras);
                self.owners.insert(name, Fate::Here(owner));
                return Some(added).filter(|commit| !commit.ops.is_empty());
            }
            Standing::Taken(why) => why.to_owned(),
        };
        let left = "its user is left behind";
        if extras.password.is_some() {
            self.skip(Sort::Password, name.clone(), left);
        }
        if extras.attributes.is_some() {
            self.skip(Sort::Attributes, name.clone(), left);
        }
        // What the first object of this name became is what counts for tokens.
        self.owners.entry(name.clone()).or_insert_with(|| Fate::Skipped(why.clone()));
        self.skip(Sort::User, name, &why);
        None
    }

    fn new_user(&mut self, user: User, extras: Extras) -> Commit {
        let name = user.common.name.clone();
        let meta = self.meta(&user.common, self.created(&user.common));
        let owner = Owner {
            name: name.clone(),
            uid: meta.uid,
            username: self.login_name(&name, &user.username),
            display_name: user.display_name.clone(),
        };
        let bcrypt = user.bcrypt.as_ref().map(SecretText::expose);
        let password = self.password(&owner, extras.password, bcrypt);
        let attributes = extras.attributes.and_then(|attributes| self.attributes(&owner, attributes));
        let mut record = UserRecord {
            username: owner.username.clone(),
            display_name: user.display_name,
            description: user.description,
            enabled: user.enabled,
            must_change_password: user.must_change_password,
            principal_ids: user.principal_ids,
        };
        let own = format!("local://{name}");
        if !record.is_system() && !record.principal_ids.contains(&own) {
            record.principal_ids.push(own);
        }
        let mut commit = self.create(USERS, &name, frame(&record.encode(), &meta));
        if !record.username.is_empty() {
            self.add(&mut commit, USERNAMES, &record.username, frame(name.as_bytes(), &self.plain_meta()));
        }
        for (collection, body) in [(PASSWORDS, password), (USER_ATTRIBUTES, attributes)] {
            if let Some(body) = body {
                self.add(&mut commit, collection, &name, frame(&body, &self.plain_meta()));
            }
        }
        self.tally(Sort::User).new += 1;
        self.owners.insert(name, Fate::Here(owner));
        commit
    }

    /// What did not come with a user in an earlier run may come in a later one; what is here is never replaced.
    fn present_user(&mut self, user: &User, owner: &Owner, extras: Extras) -> Commit {
        let mut commit = Commit::default();
        let closed = |planner: &Self, collection| {
            user.common.uid.is_none() || planner.store.get(collection, owner.name.as_bytes()).is_some()
        };
        let bcrypt = user.bcrypt.as_ref().map(SecretText::expose);
        if extras.password.is_some() || bcrypt.is_some() {
            if closed(self, PASSWORDS) {
                self.tally(Sort::Password).present += 1;
            } else if let Some(body) = self.password(owner, extras.password, bcrypt) {
                self.add(&mut commit, PASSWORDS, &owner.name, frame(&body, &self.plain_meta()));
            }
        }
        if let Some(attributes) = extras.attributes {
            if closed(self, USER_ATTRIBUTES) {
                self.tally(Sort::Attributes).present += 1;
            } else if let Some(body) = self.attributes(owner, attributes) {
                self.add(&mut commit, USER_ATTRIBUTES, &owner.name, frame(&body, &self.plain_meta()));
            }
        }
        commit
    }

    /// The last login and the exceptions from retention, or neither: who comes without their exceptions must not be judged by their last login.
    fn attributes(&mut self, owner: &Owner, attributes: Attributes) -> Option<Vec<u8>> {
        let overrides =
            [(DISABLE_AFTER, &attributes.disable_after), (DELETE_AFTER, &attributes.delete_after)];
        if overrides.into_iter().any(|(setting, value)| validate_override(setting, value).is_err()) {
            let why = "its exceptions from user retention are not ones that can be kept";
            self.skip(Sort::Attributes, owner.name.clone(), why);
            return None;
        }
        self.tally(Sort::Attributes).new += 1;
        let record = UserAttributeRecord {
            user_uid: owner.uid,
            last_login_s: attributes.last_login_s,
            disable_after: attributes.disable_after,
            delete_after: attributes.delete_after,
            enabled_again_s: None,
        };
        Some(record.encode())
    }

    /// A login name that somebody has here already stays theirs. The user's tokens are good without one.
    fn login_name(&mut self, user: &str, wanted: &str) -> String {
        if wanted.is_empty() {
            return String::new();
        }
        let why = if wanted.len() > LONGEST_USERNAME || wanted.chars().any(char::is_control) {
            "which is not one that anybody can have".to_owned()
        } else if let Some(entry) = self.store.get(USERNAMES, wanted.as_bytes()) {
            let holder =
                frame::split(entry.value()).map(|(holder, _)| String::from_utf8_lossy(holder).into_owned());
            format!("which {} has here", holder.unwrap_or_else(|| "somebody else".to_owned()))
        } else if !self.logins.insert(wanted.to_owned()) {
            "which another user in these files has".to_owned()
        } else {
            return wanted.to_owned();
        };
        self.report.notes.push(format!(
            "User {user} comes without the login name {wanted:?}, {why}: the tokens work, logging in by password does not."
        ));
        String::new()
    }

    fn password(&mut self, owner: &Owner, given: Option<Password>, bcrypt: Option<&str>) -> Option<Vec<u8>> {
        let taken = match (given, bcrypt) {
            (Some(given), _) => password(&given.scheme, &given.hash, &given.salt),
            (None, Some(text)) => password("bcrypt", text.as_bytes(), b""),
            (None, None) => return None,
        };
        let user = owner.name.clone();
        match taken {
            Ok(_) if owner.username.is_empty() => {
                self.skip(Sort::Password, user, "its user has no login name here");
            }
            Ok(hash) => {
                self.tally(Sort::Password).new += 1;
                return Some(PasswordRecord { hash }.encode());
            }
            Err(why) => self.skip(Sort::Password, user, &why.to_string()),
        }
        None
    }

    fn left_over(&mut self, (passwords, attributes): Beside) {
        let passwords = passwords.into_keys().map(|user| (Sort::Password, user));
        let attributes = attributes.into_keys().map(|user| (Sort::Attributes, user));
        for (sort, user) in passwords.chain(attributes) {
            self.skip(sort, user, "its user is not in these files");
        }
    }

    fn binding(&mut self, binding: Binding) -> Option<Commit> {
        let name = binding.common.name.clone();
        let role = self.store.get(GLOBAL_ROLES, binding.role.as_bytes());
        let role_uid = role.as_ref().and_then(|entry| frame::head(entry.value())).map(|head| head.uid);
        let why = match self.standing(GLOBAL_ROLE_BINDINGS, &binding.common) {
            _ if !is_subdomain(&name) => Unfit::Name.to_string(),
            _ if binding.common.deleting => "it is being deleted".to_owned(),
            Standing::Present => {
                self.tally(Sort::Binding).present += 1;
                return None;
            }
            Standing::Taken(why) => why.to_owned(),
            Standing::New if role_uid.is_none() => format!("there is no global role {:?} here", binding.role),
            Standing::New if !binding.group.is_empty() => {
                "it is for a group, and groups are not known here".to_owned()
            }
            Standing::New => match self.owner(&binding.user) {
                Ok(owner) => {
                    let record = GlobalRoleBindingRecord {
                        role: binding.role,
                        user: owner.name,
                        user_uid: Some(owner.uid),
                        role_uid,
                        ..GlobalRoleBindingRecord::default()
                    };
                    let meta = self.meta(&binding.common, self.created(&binding.common));
                    self.tally(Sort::Binding).new += 1;
                    return Some(self.create(GLOBAL_ROLE_BINDINGS, &name, frame(&record.encode(), &meta)));
                }
                Err(why) => why,
            },
        };
        self.skip(Sort::Binding, name, &why);
        None
    }

    fn legacy_token(&mut self, token: Token) -> Option<Commit> {
        let salt = bytes(self.random);
        let (mark, now_ms) = (self.hashed_mark, self.now_ms);
        self.token(Sort::Token, token, &|from, owner| {
            let Taken { record, created_s } = legacy_token(from, owner, mark, now_ms, salt)?;
            Ok((record.encode(), created_s))
        })
    }

    fn ext_token(&mut self, token: Token) -> Option<Commit> {
        let now_ms = self.now_ms;
        self.token(Sort::ExtToken, token, &|from, owner| {
            let Taken { record, created_s } = ext_token(from, owner, now_ms)?;
            Ok((record.encode(), created_s))
        })
    }

    fn token(&mut self, sort: Sort, token: Token, take: Take<'_>) -> Option<Commit> {
        let (mine, other) =
            if sort == Sort::Token { (LEGACY_TOKENS, EXT_TOKENS) } else { (EXT_TOKENS, LEGACY_TOKENS) };
        let name = token.common.name.clone();
        let cluster = token.cluster.clone();
        let past = |at: Option<i64>| at.map(|at| at.min(seconds(self.now_ms)));
        let stamp =
            Stamp { last_used_s: past(token.last_used_s), last_activity_s: past(token.last_activity_s) };
        match self.judge(mine, other, token, take) {
            Ok(Some(value)) => {
                if let Some(head) = frame::head(&value).filter(|_| stamp != Stamp::default()) {
                    self.stamps.push(Stamped { token: head.uid, stamp });
                }
                if !cluster.is_empty() && self.store.get(CLUSTERS, cluster.as_bytes()).is_none() {
                    self.clusters.insert(cluster);
                }
                self.tally(sort).new += 1;
                let mut commit = self.create(mine, &name, value);
                commit.conditions.push(Condition::Absent { collection: other, key: name.into_bytes() });
                Some(commit)
            }
            Ok(None) => {
                self.tally(sort).present += 1;
                None
            }
            Err(why) => {
                self.skip(sort, name, &why);
                None
            }
        }
    }

    /// The value to store; `None` when the very token is here.
    fn judge(
        &mut self,
        mine: CollectionId,
        other: CollectionId,
        token: Token,
        take: Take<'_>,
    ) -> Result<Option<Vec<u8>>, String> {
        if !is_subdomain(&token.common.name) {
            return Err(Unfit::Name.to_string());
        }
        if token.common.deleting {
            return Err("it is being deleted".to_owned());
        }
        // A name is unique over both kinds of token (DEC21).
        match (self.standing(mine, &token.common), self.standing(other, &token.common)) {
            (Standing::Present, _) => return Ok(None),
            (Standing::Taken(why), _) => return Err(why.to_owned()),
            (Standing::New, Standing::Present | Standing::Taken(_)) => {
                return Err("a token of the other kind has this name here".to_owned());
            }
            (Standing::New, Standing::New) => {}
        }
        let owner = self.owner(&token.owner)?;
        let from = ForeignToken {
            name: &token.common.name,
            secret: &token.secret,
            hashed: token.hashed,
            created_s: token.common.created_s,
            ttl: token.ttl,
            enabled: token.enabled,
            cluster: &token.cluster,
            description: &token.description,
            kind: &token.kind,
            derived: token.derived,
            auth_provider: &token.auth_provider,
            principal: token.principal,
        };
        let (body, created_s) = take(from, &owner).map_err(|why| why.to_string())?;
        let value = frame(&body, &self.meta(&token.common, created_s));
        if value.len() > limits::MAX_VALUE / 2 {
            return Err("it is larger than a token can be".to_owned());
        }
        Ok(Some(value))
    }

    /// The user of this name, of these files or here before.
    fn owner(&self, name: &str) -> Result<Owner, String> {
        match self.owners.get(name) {
            Some(Fate::Here(owner)) => Ok(owner.clone()),
            Some(Fate::Skipped(why)) => Err(format!("its user {name:?} is left behind: {why}")),
            None => self
                .stored_owner(name)
                .ok_or_else(|| format!("its user {name:?} is neither in these files nor here")),
        }
    }

    fn stored_owner(&self, name: &str) -> Option<Owner> {
        let entry = self.store.get(USERS, name.as_bytes())?;
        let head = frame::head(entry.value()).filter(|head| !head.deleted)?;
        let record = UserRecord::decode(frame::split(entry.value())?.0)?;
        Some(Owner {
            name: name.to_owned(),
            uid: head.uid,
            username: record.username,
            display_name: record.display_name,
        })
    }

    /// The same name and the same uid are the same object, brought over before.
    fn standing(&self, collection: CollectionId, common: &Common) -> Standing {
        if self.taken.contains(&(collection.0, common.name.clone())) {
            return Standing::Taken("another object of this name comes before it in these files");
        }
        let Some(entry) = self.store.get(collection, common.name.as_bytes()) else { return Standing::New };
        match (common.uid, frame::head(entry.value())) {
            (None, Some(_)) => Standing::Present,
            (Some(uid), Some(head)) if head.uid == uid => Standing::Present,
            _ => Standing::Taken("another object has this name here"),
        }
    }

    /// A commit that makes an object, and only makes it.
    fn create(&mut self, collection: CollectionId, name: &str, value: Vec<u8>) -> Commit {
        self.taken.insert((collection.0, name.to_owned()));
        let mut commit = Commit { lane: Lane::Interactive, ..Commit::default() };
        self.add(&mut commit, collection, name, value);
        commit
    }

    fn add(&self, commit: &mut Commit, collection: CollectionId, name: &str, value: Vec<u8>) {
        let key = name.as_bytes().to_vec();
        commit.conditions.push(Condition::Absent { collection, key: key.clone() });
        commit.ops.push(Op::Put { collection, key, value });
    }

    fn created(&self, common: &Common) -> i64 {
        common.created_s.unwrap_or_else(|| seconds(self.now_ms))
    }

    fn meta(&self, common: &Common, created_s: i64) -> Meta {
        Meta {
            uid: common.uid.unwrap_or_else(|| Uid::from_random(bytes(self.random))),
            created_s,
            generation: 1,
            labels: common.own_labels(),
            ..Meta::default()
        }
    }

    fn plain_meta(&self) -> Meta {
        let uid = Uid::from_random(bytes(self.random));
        Meta { uid, created_s: seconds(self.now_ms), generation: 1, ..Meta::default() }
    }

    fn tally(&mut self, sort: Sort) -> &mut Tally {
        match sort {
            Sort::User => &mut self.report.users,
            Sort::Password => &mut self.report.passwords,
            Sort::Attributes => &mut self.report.attributes,
            Sort::Binding => &mut self.report.bindings,
            Sort::Token => &mut self.report.tokens,
            Sort::ExtToken => &mut self.report.ext_tokens,
        }
    }

    fn skip(&mut self, sort: Sort, name: String, why: &str) {
        self.tally(sort).skipped += 1;
        let what = match sort {
            Sort::User => "user",
            Sort::Password => "password of",
            Sort::Attributes => "attributes of",
            Sort::Binding => "global role binding",
            Sort::Token => "token",
            Sort::ExtToken => "ext token",
        };
        self.report.skipped.push(Skipped { what, name, why: why.to_owned() });
    }

    fn conclude(&mut self) {
        if !self.clusters.is_empty() {
            let clusters: Vec<&str> = self.clusters.iter().map(String::as_str).collect();
            self.report.notes.push(format!(
                "Tokens are restricted to clusters that are not here, and good for nothing until these are: {}.",
                clusters.join(", ")
            ));
        }
        if self.report.users.new > 0 && self.report.bindings.new == 0 {
            self.report.notes.push(
                "The users have no roles yet: import their globalrolebindings.management.cattle.io too, or give them roles here."
                    .to_owned(),
            );
        }
    }
}
