//! What a type of `/v3` is: its members, the kind behind it, and how the one translates into the other.
//!
//! `/v3` has no rules of its own: a request is translated into an object (or a merge patch of one), given to the same [`Kind`] as kubectl's requests, and the
//! object that comes back is translated into a `/v3` item.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::ops::Created;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};
use eartag_storage::Scope;
use secrecy::SecretString;

use super::door::Door;
use super::error::V3Error;
use super::item::{Rights, item};
use super::reply::Reply;
use crate::authn::Caller;
use crate::state::State;

/// The type of a member, as schemas write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `string`
    String,
    /// `password`: a string that is written and never read.
    Password,
    /// `dnsLabel`: a string that can be filtered and not sorted by.
    DnsLabel,
    /// `boolean`
    Boolean,
    /// `int`
    Int,
    /// `date`, which also yields a member with `TS` appended.
    Date,
    /// `reference[<type>]`
    Reference(&'static str),
    /// `enum`: one of these strings.
    Enum(&'static [&'static str]),
    /// `array[string]`
    Strings,
    /// `map[string]`
    StringMap,
    /// `array[<type>]`: a list of objects that have a schema of their own.
    Items(&'static str),
    /// An object that has a schema of its own.
    Struct(&'static str),
}

impl FieldType {
    /// The type's name in a schema.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            FieldType::String => "string".to_owned(),
            FieldType::Password => "password".to_owned(),
            FieldType::DnsLabel => "dnsLabel".to_owned(),
            FieldType::Boolean => "boolean".to_owned(),
            FieldType::Int => "int".to_owned(),
            FieldType::Date => "date".to_owned(),
            FieldType::Reference(to) => format!("reference[{to}]"),
            FieldType::Strings => "array[string]".to_owned(),
            FieldType::Enum(_) => "enum".to_owned(),
            FieldType::StringMap => "map[string]".to_owned(),
            FieldType::Items(of) => format!("array[{of}]"),
            FieldType::Struct(of) => of.to_owned(),
        }
    }

    /// Whether lists can be filtered and sorted by it.
    #[must_use]
    pub fn filterable(self) -> bool {
        !matches!(
            self,
            FieldType::Password
                | FieldType::Strings
                | FieldType::StringMap
                | FieldType::Items(_)
                | FieldType::Struct(_)
        )
    }

    /// How lists can be filtered by it.
    #[must_use]
    pub fn modifiers(self) -> &'static [&'static str] {
        match self {
            kind if !kind.filterable() => &[],
            FieldType::Boolean => &["eq", "ne"],
            _ => &["eq", "ne", "in", "notin"],
        }
    }

    fn fits(self, value: &Tree) -> bool {
        match self {
            FieldType::String
            | FieldType::Password
            | FieldType::DnsLabel
            | FieldType::Date
            | FieldType::Reference(_) => value.is_string(),
            FieldType::Enum(options) => value.as_str().is_some_and(|text| options.contains(&text)),
            FieldType::Boolean => value.is_boolean(),
            FieldType::Int => value.is_i64(),
            FieldType::Strings => value.as_array().is_some_and(|all| all.iter().all(Tree::is_string)),
            FieldType::StringMap => value.as_object().is_some_and(|all| all.values().all(Tree::is_string)),
            FieldType::Items(_) => value.as_array().is_some_and(|all| all.iter().all(Tree::is_object)),
            FieldType::Struct(_) => value.is_object(),
        }
    }
}

/// A member of a type.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: FieldType,
    /// Whether clients give it on create.
    pub create: bool,
    /// Whether clients give it on update.
    pub update: bool,
    /// Whether a create without it is refused.
    pub required: bool,
    /// Whether it is never shown, but for the answer that makes it.
    pub write_only: bool,
    /// What holds where a create leaves it out.
    pub default: Preset,
    /// What it is.
    pub description: &'static str,
}

impl Field {
    /// A member that only the server sets.
    #[must_use]
    pub const fn read_only(name: &'static str, kind: FieldType, description: &'static str) -> Field {
        Field::new(name, kind, (false, false), description)
    }

    /// A member that clients may give at any time.
    #[must_use]
    pub const fn writable(name: &'static str, kind: FieldType, description: &'static str) -> Field {
        Field::new(name, kind, (true, true), description)
    }

    /// A member that clients may give on create only.
    #[must_use]
    pub const fn create_only(name: &'static str, kind: FieldType, description: &'static str) -> Field {
        Field::new(name, kind, (true, false), description)
    }

    /// A member that clients may give on update only.
    #[must_use]
    pub const fn update_only(name: &'static str, kind: FieldType, description: &'static str) -> Field {
        Field::new(name, kind, (false, true), description)
    }

    /// The same member, required on create.
    #[must_use]
    pub const fn required(self) -> Field {
        Field { required: true, ..self }
    }

    /// The same member, never shown but for the answer that makes it.
    #[must_use]
    pub const fn write_only(self) -> Field {
        Field { write_only: true, ..self }
    }

    /// The same member, with what holds where a create leaves it out.
    #[must_use]
    pub const fn preset(self, default: Preset) -> Field {
        Field { default, ..self }
    }

    const fn new(
        name: &'static str,
        kind: FieldType,
        (create, update): (bool, bool),
        description: &'static str,
    ) -> Field {
        let write_only = matches!(kind, FieldType::Password);
        Field { name, kind, create, update, required: false, write_only, default: Preset::None, description }
    }
}

/// What holds where a create leaves a member out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Nothing that a schema could say.
    None,
    /// A boolean.
    Boolean(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(&'static str),
}

/// Members that every type has.
pub const COMMON: &[Field] = &[
    Field::read_only("created", FieldType::Date, "When it was created."),
    Field::read_only("creatorId", FieldType::Reference("user"), "Who created it, if known."),
    Field::read_only("removed", FieldType::Date, "Since when it is being removed."),
    Field::read_only("uuid", FieldType::String, "Unique for all time."),
    Field::writable("annotations", FieldType::StringMap, "Free notes for programs."),
    Field::writable("labels", FieldType::StringMap, "Marks to select by."),
];

/// An action, reached by `POST <url>?action=<name>`.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Its name.
    pub name: &'static str,
    /// The type of its body in schemas, or empty.
    pub input: &'static str,
    /// The type of its answer in schemas, or empty.
    pub output: &'static str,
}

/// A type's description, static.
#[derive(Debug)]
pub struct About {
    /// The type's id, e.g. `user`.
    pub id: &'static str,
    /// The collection's id, e.g. `users`.
    pub plural: &'static str,
    /// The members besides [`COMMON`], `id`, `type`, `baseType`, `links` and `actions`.
    pub fields: &'static [Field],
    /// `GET`, `POST`: what collections do.
    pub collection_methods: &'static [&'static str],
    /// `GET`, `PUT`, `DELETE`: what single items do.
    pub resource_methods: &'static [&'static str],
    /// Actions of the collection.
    pub collection_actions: &'static [Action],
    /// Actions of single items.
    pub resource_actions: &'static [Action],
}

impl About {
    /// A type without a collection: a part of others, or what an action takes.
    #[must_use]
    pub const fn part(id: &'static str, fields: &'static [Field]) -> About {
        About {
            id,
            plural: "",
            fields,
            collection_methods: &[],
            resource_methods: &[],
            collection_actions: &[],
            resource_actions: &[],
        }
    }

    /// All members, the common ones too, which parts of others do not have.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static Field> {
        let common = if self.plural.is_empty() { &[] } else { COMMON };
        self.fields.iter().chain(common)
    }

    /// Checks a body's members against the description: wrong types and missing members. Members that are `null` count as absent, unknown
    /// ones and those that clients cannot set are dropped, as in the reference (DEC61).
    ///
    /// # Errors
    /// 422 about the first member that is wrong.
    pub fn checked(&self, body: &Map, creating: bool) -> Result<Map, V3Error> {
        let mut kept = Map::new();
        for field in self.all_fields() {
            let taken = if creating { field.create } else { field.update };
            match body.get(field.name).filter(|value| !value.is_null()) {
                Some(value) if taken && !field.kind.fits(value) => {
                    return Err(V3Error::format(
                        field.name,
                        format!("{} must be of type {}", field.name, field.kind.name()),
                    ));
                }
                Some(value) if taken => {
                    kept.insert(field.name.to_owned(), value.clone());
                }
                Some(_) => {}
                None if creating && field.required => return Err(V3Error::missing(field.name)),
                None => {}
            }
        }
        Ok(kept)
    }
}

impl About {
    /// An error about a member's type, as the decoder of the reference's language words it.
    #[must_use]
    pub fn in_the_decoders_words(&self, error: V3Error, body: &Map) -> V3Error {
        let found = match body.get(&error.field) {
            Some(Tree::String(_)) => "string".to_owned(),
            Some(Tree::Bool(_)) => "bool".to_owned(),
            Some(Tree::Array(_)) => "array".to_owned(),
            Some(Tree::Object(_)) => "object".to_owned(),
            Some(Tree::Number(number)) if self.kind_of(&error.field) == Some(FieldType::Int) => {
                format!("number {number}")
            }
            _ => "number".to_owned(),
        };
        let wanted = match self.kind_of(&error.field) {
            Some(FieldType::Int) => "int64",
            Some(FieldType::Boolean) => "bool",
            Some(FieldType::StringMap) => "map[string]string",
            Some(FieldType::Strings) => "[]string",
            _ => "string",
        };
        let mut name = self.id.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let message = format!(
            "json: cannot unmarshal {found} into Go struct field {name}.{} of type {wanted}",
            error.field
        );
        V3Error { message, ..error }
    }

    fn kind_of(&self, member: &str) -> Option<FieldType> {
        self.all_fields().find(|field| field.name == member).map(|field| field.kind)
    }
}

/// What a create made.
pub struct Made {
    /// The shown object.
    pub object: Tree,
    /// A member of the reply that holds a secret: it is in these bytes and nowhere else, ever.
    pub once: Option<(&'static str, SecretString)>,
}

impl From<Created> for Made {
    fn from(created: Created) -> Made {
        let once = created.once.and_then(|once| once.fields.into_iter().next());
        let once = once.and_then(|(path, secret)| path.last().map(|member| (*member, secret)));
        Made { object: created.object, once }
    }
}

/// A type of `/v3`.
#[async_trait]
pub trait V3Resource: Send + Sync + 'static {
    /// Its description.
    fn about(&self) -> &'static About;

    /// The kind behind it.
    fn kind(&self, state: &State) -> Arc<dyn Kind>;

    /// Adds the type's own members of a shown object to an item.
    fn show(&self, object: &Tree, caller: &Caller, item: &mut Map);

    /// Adds what only the server as it is now can tell: [`V3Resource::show`] comes before.
    fn complete(&self, _door: &Door, _object: &Tree, _item: &mut Map) {}

    /// Whether an item offers a method (`PUT` or `DELETE`) as far as the object itself decides: the caller's right is asked besides.
    fn offers(&self, _door: &Door, _object: &Tree, _method: &str) -> bool {
        true
    }

    /// Whether everybody may read an item of that name, without credentials too (DEC56).
    fn public(&self, _id: &str) -> bool {
        false
    }

    /// The object that a checked body asks for, or the merge patch of one: `apiVersion`, `kind` and metadata are added by the door.
    ///
    /// # Errors
    /// Members that cannot be translated.
    fn object(&self, body: &Map) -> Result<Map, V3Error>;

    /// `metadata.generateName` of new objects; of no use where nothing is created.
    fn generate_name(&self) -> &'static str {
        ""
    }

    /// Every authenticated user may use the collection: what exists for whom is the kind's own scope (tokens, v3-token.md §2). [`Door::may`] says yes.
    fn open(&self) -> bool {
        false
    }

    /// Whether that action of the collection ends the session by which it is asked for: [`logout`](crate::login::logout) answers it, to those
    /// whose session is over already too.
    fn ends_session(&self, _action: &str) -> bool {
        false
    }

    /// Whether the reference hands bodies of creates straight to its language's decoder, whose codes and words clients then know (tokens, v3-token.md §2). All others
    /// go through its parser of `/v3`, to which no body is an empty object.
    fn decoded_by_the_language(&self) -> bool {
        false
    }

    /// Narrows a list, within what exists for the caller. An error refuses it.
    async fn within(&self, _door: &Door) -> Result<Option<Scope>, V3Error> {
        Ok(None)
    }

    /// Whether an object is kept from this door altogether.
    fn hidden(&self, _object: &Tree) -> bool {
        false
    }

    /// The name of the one object that a caller may see without the right to list, if any.
    fn own(&self, _caller: &Caller) -> Option<String> {
        None
    }

    /// Words for a refusal that differ from the kubectl door's.
    fn error(&self, _refusal: &Refusal) -> Option<V3Error> {
        None
    }

    /// Creates an object from a checked body. Mostly just [`Door::create_object`].
    async fn create(&self, door: &Door, body: &Map) -> Result<Made, V3Error> {
        door.create_object(self, body).await
    }

    /// Changes an object as a checked body asks. The caller's right was asked before.
    async fn change(&self, door: &Door, id: &str, body: &Map) -> Result<Tree, V3Error> {
        door.change_object(self, id, body).await
    }

    /// Deletes an object and answers with it, as it was. The caller's right was asked before.
    async fn delete(&self, door: &Door, id: &str) -> Result<Reply, V3Error> {
        let object = door.object(self, id).await.ok();
        door.delete_object(self, id).await?;
        Ok(match object {
            Some(object) => Reply::ok(item(door, self, &object, Rights::default()).await?),
            None => Reply::empty(),
        })
    }

    /// The actions of an item that this caller may use now.
    async fn actions(&self, _door: &Door, _object: &Tree) -> Vec<&'static str> {
        Vec::new()
    }

    /// The actions of the collection that this caller may use now.
    async fn actions_on_all(&self, _door: &Door) -> Vec<&'static str> {
        Vec::new()
    }

    /// Runs an action of one item.
    async fn act(&self, _door: &Door, _name: &str, action: &str, _body: &Map) -> Result<Reply, V3Error> {
        Err(V3Error::action_not_available(action))
    }

    /// Runs an action of the collection.
    async fn act_on_all(&self, _door: &Door, action: &str, _body: &Map) -> Result<Reply, V3Error> {
        Err(V3Error::action_not_available(action))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    static THING: About = About {
        id: "thing",
        plural: "things",
        fields: &[
            Field::writable("name", FieldType::String, "").required(),
            Field::create_only("size", FieldType::Int, ""),
            Field::read_only("seen", FieldType::Boolean, ""),
        ],
        collection_methods: &["GET"],
        resource_methods: &["GET"],
        collection_actions: &[],
        resource_actions: &[],
    };

    fn checked(body: &Tree, creating: bool) -> Result<Tree, V3Error> {
        THING.checked(body.as_object().unwrap(), creating).map(Tree::Object)
    }

    #[test]
    fn unknown_and_read_only_members_and_nulls_are_dropped() {
        let body =
            json!({"name": "a", "seen": true, "links": null, "actions": null, "userId": "x", "labels": null});
        assert_eq!(checked(&body, true), Ok(json!({"name": "a"})));
    }

    #[test]
    fn a_member_of_create_is_not_taken_on_update() {
        let body = json!({"name": "a", "size": 3});
        assert_eq!(checked(&body, true), Ok(body.clone()));
        assert_eq!(checked(&body, false), Ok(json!({"name": "a"})));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(checked(&json!({}), true).unwrap_err(), V3Error::missing("name"));
        assert_eq!(checked(&json!({}), false), Ok(json!({})));
        for (body, field) in [
            (json!({"name": 1}), "name"),
            (json!({"name": "a", "size": 1.5}), "size"),
            (json!({"name": "a", "size": 9_223_372_036_854_775_808_u64}), "size"),
            (json!({"name": "a", "labels": {"a": 1}}), "labels"),
        ] {
            let error = checked(&body, true).unwrap_err();
            assert_eq!((error.code, error.field.as_str()), ("InvalidFormat", field));
        }
    }
}
