//! `/v3/users` (v3-token.md §6): here `name` is what the object calls `displayName`, and the object's own name is only in `id`.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::field_error::CauseReason;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};
use eartag_core::password::PasswordRefusal;
use eartag_core::secret::PlainSecret;

use super::door::Door;
use super::error::V3Error;
use super::item::{Rights, item, text};
use super::reply::Reply;
use super::resource::{About, Action, Field, FieldType, Made, V3Resource};
use crate::authn::Caller;
use crate::login::password::{ChangeError, Passwords};
use crate::resources::rules::may_overrule;
use crate::state::State;

/// The type.
pub struct Users;

static ABOUT: About = About {
    id: "user",
    plural: "users",
    fields: &[
        Field::writable("description", FieldType::String, "Who or what this user is."),
        Field::writable("enabled", FieldType::Boolean, "Whether the user may log in and use tokens."),
        Field::read_only("me", FieldType::Boolean, "Whether this is the caller."),
        Field::writable(
            "mustChangePassword",
            FieldType::Boolean,
            "Whether a new password is to be chosen at the next login.",
        ),
        Field::writable("name", FieldType::String, "The name for people."),
        Field::create_only("password", FieldType::Password, "The first password."),
        Field::writable(
            "principalIds",
            FieldType::Strings,
            "Who the user is to the authentication providers.",
        ),
        Field::writable("username", FieldType::String, "The name to log in with; it cannot be changed."),
    ],
    collection_methods: &["GET", "POST"],
    resource_methods: &["GET", "PUT", "DELETE"],
    collection_actions: &[
        Action { name: CHANGE, input: "changePasswordInput", output: "" },
        Action { name: REFRESH, input: "", output: "" },
    ],
    resource_actions: &[
        Action { name: REFRESH, input: "", output: "" },
        Action { name: SET, input: "setPasswordInput", output: "user" },
    ],
};

const CHANGE: &str = "changepassword";
const SET: &str = "setpassword";
/// Asks the authentication providers anew who a user is. The one there is, the local one, keeps nothing that could be out of date.
const REFRESH: &str = "refreshauthprovideraccess";

#[async_trait]
impl V3Resource for Users {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.users)
    }

    fn generate_name(&self) -> &'static str {
        "u-"
    }

    fn show(&self, object: &Tree, caller: &Caller, out: &mut Map) {
        let name = object.get("metadata").map(|m| text(m, "name")).unwrap_or_default();
        out.insert("name".to_owned(), text(object, "displayName").into());
        for member in ["username", "description"] {
            out.insert(member.to_owned(), text(object, member).into());
        }
        let enabled = object.get("enabled").and_then(Tree::as_bool).unwrap_or(true);
        out.insert("enabled".to_owned(), enabled.into());
        let must = object.get("mustChangePassword").and_then(Tree::as_bool).unwrap_or(false);
        out.insert("mustChangePassword".to_owned(), must.into());
        out.insert(
            "principalIds".to_owned(),
            object.get("principalIds").cloned().unwrap_or_else(|| Tree::Array(Vec::new())),
        );
        if name == caller.user.name {
            out.insert("me".to_owned(), true.into());
        }
    }

    fn object(&self, body: &Map) -> Result<Map, V3Error> {
        let names = [
            ("name", "displayName"),
            ("username", "username"),
            ("description", "description"),
            ("enabled", "enabled"),
            ("mustChangePassword", "mustChangePassword"),
            ("principalIds", "principalIds"),
        ];
        Ok(names
            .iter()
            .filter_map(|(here, there)| body.get(*here).map(|value| ((*there).to_owned(), value.clone())))
            .collect())
    }

    /// Users of the system itself (v3-token.md §6).
    fn hidden(&self, object: &Tree) -> bool {
        let principals = object.get("principalIds").and_then(Tree::as_array);
        principals.into_iter().flatten().filter_map(Tree::as_str).any(|id| id.starts_with("system://"))
    }

    fn own(&self, caller: &Caller) -> Option<String> {
        Some(caller.user.name.clone())
    }

    fn error(&self, refusal: &Refusal) -> Option<V3Error> {
        let text = match refusal {
            Refusal::BadRequest(text) | Refusal::Forbidden(text) | Refusal::ForbiddenText(text) => {
                text.as_str()
            }
            Refusal::Invalid(errors) => {
                let taken = errors.iter().any(|error| {
                    let duplicate = error.reason == CauseReason::Duplicate;
                    error.field == "username"
                        && (duplicate || error.message.ends_with("username already exists"))
                });
                return taken.then(in_use);
            }
            _ => return None,
        };
        match text {
            "can't deactivate yourself" => {
                Some(V3Error::new(422, "InvalidAction", "You cannot deactivate yourself"))
            }
            "can't delete yourself" => Some(V3Error::new(422, "InvalidAction", "You cannot delete yourself")),
            "username already exists" => Some(in_use()),
            _ => None,
        }
    }

    async fn create(&self, door: &Door, body: &Map) -> Result<Made, V3Error> {
        let Some(plain) = body.get("password").and_then(Tree::as_str).map(PlainSecret::new) else {
            return door.create_object(self, body).await;
        };
        let passwords = Passwords::of(&door.state);
        let username = body.get("username").and_then(Tree::as_str).unwrap_or_default();
        if username.is_empty() {
            return Err(V3Error::missing("username"));
        }
        passwords.check_new(&plain, username).map_err(password_error)?;
        // Hashed first: a user without the password that was asked for must not remain behind a busy pool.
        let refused = |refusal: Refusal| door.error(self, &refusal, "");
        let hash = passwords.hash(Arc::new(plain)).await.map_err(refused)?;
        let made = door.create_object(self, body).await?;
        let name = made.object.get("metadata").map(|m| text(m, "name")).unwrap_or_default();
        if let Err(refusal) = passwords.set(name, hash, None).await {
            // Half a user would keep the login name from a second attempt.
            if let Err(error) = door.delete_object(self, name).await {
                tracing::error!(
                    user = name,
                    ?error,
                    "a user was created, the password could not be stored, and the user could not be removed"
                );
            }
            return Err(refused(refusal));
        }
        Ok(made)
    }

    async fn actions(&self, door: &Door, object: &Tree) -> Vec<&'static str> {
        let name = object.get("metadata").map(|m| text(m, "name")).unwrap_or_default();
        let local = !text(object, "username").is_empty();
        let may_set = local
            && door.may(self, "update", name).await.unwrap_or(false)
            && overrules(door, name).await.is_ok();
        let may_refresh = door.may(self, "create", "").await.unwrap_or(false);
        [(REFRESH, may_refresh), (SET, may_set)]
            .iter()
            .filter(|(_, may)| *may)
            .map(|(name, _)| *name)
            .collect()
    }

    async fn actions_on_all(&self, door: &Door) -> Vec<&'static str> {
        let has_password = Passwords::of(&door.state).stored(&door.caller.user.name).is_some();
        let may_refresh = door.may(self, "create", "").await.unwrap_or(false);
        [(CHANGE, has_password), (REFRESH, may_refresh)]
            .iter()
            .filter(|(_, may)| *may)
            .map(|(name, _)| *name)
            .collect()
    }

    async fn act(&self, door: &Door, name: &str, action: &str, body: &Map) -> Result<Reply, V3Error> {
        if action == REFRESH {
            door.require(self, "create", "").await?;
            return door.object(self, name).await.map(|_| Reply::empty());
        }
        if action != SET {
            return Err(V3Error::invalid_action(action));
        }
        let object = door.object(self, name).await?;
        door.require(self, "update", name).await?;
        overrules(door, name).await.map_err(|refusal| door.error(self, &refusal, name))?;
        let username = text(&object, "username");
        if username.is_empty() {
            return Err(V3Error::new(500, "ServerError", "Cannot set password of non-local user"));
        }
        let plain = member(body, "newPassword").ok_or(PasswordRefusal::NoNew).map_err(password_error)?;
        let passwords = Passwords::of(&door.state);
        passwords.check_new(&plain, username).map_err(password_error)?;
        let refused = |refusal: Refusal| door.error(self, &refusal, name);
        let hash = passwords.hash(Arc::new(plain)).await.map_err(refused)?;
        passwords.set(name, hash, Some(false)).await.map_err(refused)?;
        let object = door.object(self, name).await?;
        Ok(Reply::ok(item(door, self, &object, Rights::default()).await?))
    }

    async fn act_on_all(&self, door: &Door, action: &str, body: &Map) -> Result<Reply, V3Error> {
        if action == REFRESH {
            return door.require(self, "create", "").await.map(|()| Reply::empty());
        }
        if action != CHANGE {
            return Err(V3Error::invalid_action(action));
        }
        let current =
            member(body, "currentPassword").ok_or(PasswordRefusal::NoCurrent).map_err(password_error)?;
        let new = member(body, "newPassword").ok_or(PasswordRefusal::NoNew).map_err(password_error)?;
        let user = &door.caller.user.name;
        match Passwords::of(&door.state).change(user, current, new, door.caller.address).await {
            Ok(()) => Ok(Reply::empty()),
            Err(ChangeError::Password(refusal)) => Err(password_error(refusal)),
            Err(ChangeError::Refused(refusal)) => Err(door.error(self, &refusal, user)),
        }
    }
}

/// Whether the caller holds what the user does, and so may act in their place.
async fn overrules(door: &Door, name: &str) -> Result<(), Refusal> {
    if name == door.caller.user.name {
        return Ok(());
    }
    may_overrule(&door.state.tables, &door.cx, name).await
}

/// A refused password in the words of this door.
fn password_error(refusal: PasswordRefusal) -> V3Error {
    V3Error::body(refusal.to_string())
}

fn member(body: &Map, name: &str) -> Option<PlainSecret> {
    body.get(name).and_then(Tree::as_str).filter(|text| !text.is_empty()).map(PlainSecret::new)
}

fn in_use() -> V3Error {
    V3Error::new(422, "NotUnique", "Username is already in use.").field("username")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_apiserver::field_error::FieldError;
    use serde_json::json;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::test(name)
    }

    #[test]
    fn the_name_for_people_is_called_name() {
        let object =
            json!({"metadata": {"name": "u-ann"}, "displayName": "Ann", "username": "ann", "enabled": false});
        let mut item = Map::new();
        Users.show(&object, &caller("u-ann"), &mut item);
        assert_eq!(
            Tree::Object(item),
            json!({
                "name": "Ann", "username": "ann", "description": "", "enabled": false, "mustChangePassword": false,
                "principalIds": [], "me": true,
            })
        );
        let mut item = Map::new();
        Users.show(&object, &caller("u-bob"), &mut item);
        assert!(!item.contains_key("me"));
    }

    #[test]
    fn enabled_is_shown_as_true_where_it_is_not_set() {
        let mut item = Map::new();
        Users.show(&json!({"metadata": {"name": "u-ann"}}), &caller("u-bob"), &mut item);
        assert_eq!(item["enabled"], true);
    }

    #[test]
    fn users_of_the_system_are_hidden() {
        assert!(Users.hidden(&json!({"principalIds": ["local://u-1", "system://provisioning"]})));
        assert!(!Users.hidden(&json!({"principalIds": ["local://u-1"]})));
        assert!(!Users.hidden(&json!({})));
    }

    #[test]
    fn a_password_is_never_part_of_the_object() {
        let body = json!({"name": "Ann", "username": "ann", "password": "secret", "enabled": true});
        let object = Users.object(body.as_object().unwrap()).unwrap();
        assert_eq!(Tree::Object(object), json!({"displayName": "Ann", "username": "ann", "enabled": true}));
    }

    #[test]
    fn what_the_kind_refuses_is_said_in_the_words_of_v3() {
        let said = |refusal: Refusal| Users.error(&refusal).map(|e| (e.status, e.code, e.message));
        let fine = |status, code, message: &str| Some((status, code, message.to_owned()));
        assert_eq!(
            said(Refusal::BadRequest("can't delete yourself".into())),
            fine(422, "InvalidAction", "You cannot delete yourself")
        );
        assert_eq!(
            said(Refusal::BadRequest("can't deactivate yourself".into())),
            fine(422, "InvalidAction", "You cannot deactivate yourself")
        );
        let taken = fine(422, "NotUnique", "Username is already in use.");
        assert_eq!(said(Refusal::BadRequest("username already exists".into())), taken);
        assert_eq!(said(Refusal::Invalid(vec![FieldError::duplicate("username", "ann")])), taken);
        let by_kind = FieldError::invalid("username", "ann", "username already exists");
        assert_eq!(said(Refusal::Invalid(vec![by_kind])), taken);
        let other = FieldError::invalid("username", "ann", "field is immutable");
        assert_eq!(said(Refusal::Invalid(vec![other])), None);
        assert_eq!(said(Refusal::NotFound), None);
    }
}
