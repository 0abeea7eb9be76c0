//! `users.management.cattle.io`: the people and machines that own tokens.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::frame::{frame, split};
use eartag_api::management::User;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::{PASSWORDS, USER_ATTRIBUTES, USERNAMES, USERS};
use eartag_core::retention::{
    self, DELETE_AFTER_LABEL, DISABLE_AFTER_LABEL, FIRST_ADMIN, LAST_LOGIN_LABEL, Subject,
};
use eartag_core::{UserAttributeRecord, UserRecord};
use eartag_storage::{CollectionId, Condition, Entry, Op, Store};

use super::{AGE_COLUMN, MANAGEMENT, NAME_COLUMN, age, cell, column, fill, management, rules, schema, typed};
use crate::authn::Found;
use crate::login::last_login::{attributes_of, revise};
use crate::observer::Tables;

/// Collections whose entries under a user's name are deleted with the user.
const BESIDE: [CollectionId; 2] = [PASSWORDS, USER_ATTRIBUTES];

/// Labels that say what is so, whatever anybody writes.
const DERIVED: [&str; 3] = [LAST_LOGIN_LABEL, DISABLE_AFTER_LABEL, DELETE_AFTER_LABEL];

/// Longest login name, in bytes.
const LONGEST_USERNAME: usize = 253;

/// The lens over user records.
pub struct Users {
    info: ResourceInfo,
    tables: Arc<Tables>,
    store: Store,
}

impl Users {
    /// The lens; other users are looked up for the uniqueness of login names.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<Users, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Username", 0, "Name by which the user logs in."),
            column("Display Name", 1, "Name shown to people."),
            column("Enabled", 0, "Whether the user may log in and use tokens."),
            AGE_COLUMN,
        ];
        let info = management(
            "User",
            "users",
            "user",
            "User is a person or a machine that logs in and owns tokens.",
            schema::<User>("io.cattle.management.v3.User")?,
            columns,
        );
        Ok(Users { info, tables, store })
    }

    /// Shows the last login and what follows from it (v3-token.md §5.5).
    fn show_labels(&self, stored: &Stored<'_>, record: &UserRecord, object: &mut Map) {
        let entry = self.store.get(USER_ATTRIBUTES, stored.name.as_bytes());
        let attributes = entry.and_then(|entry| attributes_of(&entry, stored.meta.uid));
        let subject = Subject {
            user: record,
            first_admin: is_first_admin(stored.meta),
            attributes: attributes.as_ref(),
        };
        let derived = retention::labels(&subject, &self.tables.settings.snapshot());
        let Some(metadata) = object.get_mut("metadata").and_then(Tree::as_object_mut) else { return };
        let Tree::Object(mut labels) = metadata.remove("labels").unwrap_or_else(|| Tree::Object(Map::new()))
        else {
            return;
        };
        labels.retain(|label, _| !DERIVED.contains(&label.as_str()));
        labels.extend(derived.into_iter().map(|(label, at)| (label.to_owned(), at.to_string().into())));
        if !labels.is_empty() {
            metadata.insert("labels".to_owned(), Tree::Object(labels));
        }
    }

    /// A login name is a key of the store, and what people type.
    fn check_username(username: &str) -> Result<(), Refusal> {
        let error = if username.len() > LONGEST_USERNAME {
            FieldError::too_long("username", LONGEST_USERNAME)
        } else if username.chars().any(char::is_control) {
            FieldError::invalid("username", username, "must not contain control characters")
        } else {
            return Ok(());
        };
        Err(Refusal::Invalid(vec![error]))
    }

    fn record(name: &str, user: User) -> UserRecord {
        let mut record = UserRecord {
            username: user.username,
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
        record
    }
}

/// Whether this is the user that the first start made.
pub fn is_first_admin(meta: &Meta) -> bool {
    meta.labels.get(FIRST_ADMIN.0).is_some_and(|value| value == FIRST_ADMIN.1)
}

/// The mark of the first administrator keeps user retention away, so it is not for everybody who may write users to give or take.
async fn first_admin_stays(old: &Meta, new: &Meta, cx: &Cx) -> Result<(), Refusal> {
    let (label, _) = FIRST_ADMIN;
    if old.labels.get(label) == new.labels.get(label)
        || cx.authorizer.full_access(&cx.user, "update", MANAGEMENT).await?
    {
        return Ok(());
    }
    Err(Refusal::Forbidden(format!("only administrators change the label {label}")))
}

/// Takes the login name in the same commit; whoever comes second finds it taken.
fn reserve(draft: &mut Draft, user: &str, username: &str, cx: &Cx) {
    if username.is_empty() {
        return;
    }
    let meta = Meta { uid: Uid::from_random(cx.random()), created_s: cx.now_s(), ..Meta::default() };
    let (collection, key) = (USERNAMES, username.as_bytes().to_vec());
    draft.conditions.push(Condition::Absent { collection, key: key.clone() });
    draft.also.push(Op::Put { collection, key, value: frame(user.as_bytes(), &meta) });
}

/// What is deleted in the same commit as the user: password, attributes, and the login name.
pub fn belongings(store: &Store, user: &str, record: &UserRecord) -> Vec<Op> {
    let key = user.as_bytes();
    let there = BESIDE.into_iter().filter(|collection| store.get(*collection, key).is_some());
    let mut also: Vec<Op> = there.map(|collection| Op::Delete { collection, key: key.to_vec() }).collect();
    let username = record.username.as_bytes();
    // Only this user's own reservation: an imported namesake may hold it.
    let own = |entry: &Entry| split(entry.value()).is_some_and(|(holder, _)| holder == key);
    if store.get(USERNAMES, username).filter(own).is_some() {
        also.push(Op::Delete { collection: USERNAMES, key: username.to_vec() });
    }
    also
}

/// Labels that are derived are never stored, whoever sends them.
fn strip_derived(meta: &mut Meta) {
    meta.labels.retain(|label, _| !DERIVED.contains(&label.as_str()));
}

#[async_trait]
impl Kind for Users {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        USERS
    }

    /// The labels of user retention are derived: they say what is true when somebody looks, and move no revision.
    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = UserRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the user cannot be decoded".to_owned()))?;
        self.show_labels(stored, &record, object);
        let user = User {
            username: record.username,
            display_name: record.display_name,
            description: record.description,
            enabled: record.enabled,
            must_change_password: record.must_change_password,
            principal_ids: record.principal_ids,
        };
        fill(object, &user);
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        strip_derived(meta);
        first_admin_stays(&Meta::default(), meta, cx).await?;
        let record = Users::record(name, typed(asked)?);
        Users::check_username(&record.username)?;
        if !record.username.is_empty() && self.tables.gate.usernames.find(&record.username) != Found::None {
            return Err(Refusal::Invalid(vec![FieldError::invalid(
                "username",
                record.username,
                "username already exists",
            )]));
        }
        let mut draft = Draft::of(record.encode());
        reserve(&mut draft, name, &record.username, cx);
        for collection in BESIDE {
            if self.store.get(collection, name.as_bytes()).is_some() {
                // A password left from a deleted user of this name must not open the new one.
                draft.also.push(Op::Delete { collection, key: name.as_bytes().to_vec() });
            }
        }
        Ok(draft)
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        strip_derived(meta);
        first_admin_stays(old.meta, meta, cx).await?;
        let before = UserRecord::decode(old.body).unwrap_or_default();
        let record = Users::record(old.name, typed(asked)?);
        if before.username != record.username {
            Users::check_username(&record.username)?;
        }
        let mut errors = Vec::new();
        if before.username != record.username && !before.username.is_empty() {
            errors.push(FieldError::invalid("username", record.username.clone(), "field is immutable"));
        }
        if before.principal_ids != record.principal_ids && !before.principal_ids.is_empty() {
            errors.push(FieldError::invalid(
                "principalIds",
                record.principal_ids.clone(),
                "field is immutable",
            ));
        }
        let taken = before.username.is_empty()
            && !record.username.is_empty()
            && self.tables.gate.usernames.find(&record.username) != Found::None;
        if taken {
            errors.push(FieldError::invalid("username", record.username.clone(), "username already exists"));
        }
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        if old.name == cx.user.name && before.is_enabled() && !record.is_enabled() {
            return Err(Refusal::BadRequest("can't deactivate yourself".to_owned()));
        }
        if before.is_enabled() != record.is_enabled() {
            rules::may_overrule(&self.tables, cx, old.name).await?;
        }
        let mut draft = Draft::of(record.encode());
        if !before.is_enabled() && record.is_enabled() {
            // User retention counts anew, or its next run would disable them again.
            let now_s = cx.now_s();
            let again = |own| Some(UserAttributeRecord { enabled_again_s: Some(now_s), ..own });
            let random = &mut |bytes: &mut [u8]| cx.world.random(bytes);
            let noted = revise(&self.store, old.name.as_bytes(), old.meta.uid, now_s, random, again);
            if let Some((condition, op)) = noted {
                draft.conditions.push(condition);
                draft.also.push(op);
            }
        }
        if before.username != record.username {
            reserve(&mut draft, old.name, &record.username, cx);
        }
        Ok(draft)
    }

    /// What [`belongings`] are goes with the user, in the same commit. The tokens are dead at once, because the verifier wants their owner alive; the sweeper removes
    /// them (DESIGN §3).
    async fn removing(&self, old: &Stored<'_>, cx: &Cx) -> Result<Vec<Op>, Refusal> {
        if old.name == cx.user.name {
            return Err(Refusal::BadRequest("can't delete yourself".to_owned()));
        }
        rules::may_overrule(&self.tables, cx, old.name).await?;
        let record = UserRecord::decode(old.body).unwrap_or_default();
        Ok(belongings(&self.store, old.name, &record))
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let enabled = object.get("enabled").and_then(Tree::as_bool).unwrap_or(true);
        vec![
            cell(object, "/metadata/name"),
            cell(object, "/username"),
            cell(object, "/displayName"),
            enabled.to_string().into(),
            age(object, cx),
        ]
    }
}
