//! What a schema of `/v3/schemas` says about a type.

use serde_json::Value;

use crate::link::split_base;

/// A schema.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a>(&'a Value);

/// A member of a type.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type as schemas write it, e.g. `reference[user]`.
    pub kind: &'a str,
    /// Whether clients give it on create.
    pub create: bool,
    /// Whether clients give it on update.
    pub update: bool,
    /// Whether a create without it is refused.
    pub required: bool,
    /// What it is, in English.
    pub description: &'a str,
    /// What it may be, if that is a choice of few.
    pub options: Vec<&'a str>,
}

impl<'a> Schema<'a> {
    /// The schema in a document.
    #[must_use]
    pub fn new(document: &'a Value) -> Schema<'a> {
        Schema(document)
    }

    /// The type's id, e.g. `token`.
    #[must_use]
    pub fn id(&self) -> &'a str {
        text(self.0, "id")
    }

    /// The collection's id, e.g. `tokens`.
    #[must_use]
    pub fn plural(&self) -> &'a str {
        text(self.0, "pluralName")
    }

    /// Whether collections take this method.
    #[must_use]
    pub fn collection_takes(&self, method: &str) -> bool {
        strings(self.0.get("collectionMethods")).any(|m| m == method)
    }

    /// A member by name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.0
            .get("resourceFields")?
            .as_object()?
            .get_key_value(name)
            .map(|(name, shape)| Field::of(name, shape))
    }

    /// All members, by name.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        self.0
            .get("resourceFields")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(n, s)| Field::of(n, s))
    }

    /// The actions of the collection (`true`) or of an item, with the types of their input.
    pub fn actions(&self, of_collection: bool) -> impl Iterator<Item = (&'a str, &'a str)> {
        let member = if of_collection { "collectionActions" } else { "resourceActions" };
        self.0
            .get(member)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, shape)| (name.as_str(), text(shape, "input")))
    }
}

impl<'a> Field<'a> {
    fn of(name: &'a str, shape: &'a Value) -> Field<'a> {
        let is = |member: &str| shape.get(member).and_then(Value::as_bool).unwrap_or(false);
        Field {
            name,
            kind: text(shape, "type"),
            create: is("create"),
            update: is("update"),
            required: is("required"),
            description: text(shape, "description"),
            options: strings(shape.get("options")).collect(),
        }
    }

    /// The page of the item that a value of type `reference[…]` names. `base` is what the server's own links begin with.
    #[must_use]
    pub fn refers_to(&self, id: &str, base: &str) -> Option<String> {
        let kind = self.kind.strip_prefix("reference[")?.strip_suffix(']')?;
        let clean = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        // Names of dots only are paths to somewhere else.
        let leads = clean(kind) && clean(id) && id.bytes().any(|b| b != b'.');
        // Principals are no collection of this API.
        (leads && kind != "principal").then(|| format!("{}/v3/{kind}s/{id}", split_base(base).1))
    }
}

/// The string at a member, or empty.
#[must_use]
pub fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_leads_only_to_a_clean_name() {
        let document =
            json!({"resourceFields": {"userId": {"type": "reference[user]"}, "name": {"type": "string"}}});
        let schema = Schema::new(&document);
        let user = schema.field("userId").unwrap();
        assert_eq!(user.refers_to("u-ann", "https://h").as_deref(), Some("/v3/users/u-ann"));
        for odd in ["", "..", ".", "a/b", "a?b", "a b", "é"] {
            assert_eq!(user.refers_to(odd, "https://h"), None, "{odd}");
        }
        assert_eq!(schema.field("name").unwrap().refers_to("u-ann", "https://h"), None);
    }

    #[test]
    fn an_odd_schema_has_no_fields_and_no_actions() {
        for document in [json!(null), json!([]), json!({"resourceFields": 3, "collectionActions": "x"})] {
            let schema = Schema::new(&document);
            assert_eq!((schema.fields().count(), schema.actions(true).count()), (0, 0));
            assert!(!schema.collection_takes("POST"));
        }
    }
}
