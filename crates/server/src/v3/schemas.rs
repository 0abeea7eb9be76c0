//! `/v3/schemas`: what clients learn about the types, made from their descriptions.

use eartag_apiserver::{Map, Tree};
use serde_json::json;

use super::item::put;
use super::resource::{About, Action, FieldType};

/// The schema of a type. `base` is what all links begin with.
#[must_use]
pub fn schema(base: &str, about: &About) -> Tree {
    json!({
        "id": about.id, "type": "schema", "baseType": "schema", "pluralName": about.plural,
        "version": version(),
        "links": {
            "self": format!("{base}/v3/schemas/{}", about.id),
            "collection": format!("{base}/v3/{}", about.plural),
        },
        "collectionMethods": about.collection_methods,
        "resourceMethods": about.resource_methods,
        "collectionActions": actions(about.collection_actions),
        "resourceActions": actions(about.resource_actions),
        "resourceFields": fields(about),
        "collectionFilters": filters(about),
    })
}

/// The collection of all schemas.
#[must_use]
pub fn schemas<'a>(base: &str, all: impl Iterator<Item = &'a About>) -> Tree {
    let data: Vec<Tree> = all.map(|about| schema(base, about)).collect();
    json!({
        "type": "collection", "resourceType": "schema", "actions": {},
        "links": {"self": format!("{base}/v3/schemas")},
        "pagination": {"limit": data.len()},
        "data": data,
    })
}

/// What `GET /v3` answers: where everything is.
#[must_use]
pub fn root<'a>(base: &str, all: impl Iterator<Item = &'a About>) -> Tree {
    let mut links: Map =
        all.map(|about| (about.plural.to_owned(), format!("{base}/v3/{}", about.plural).into())).collect();
    links.insert("self".to_owned(), format!("{base}/v3").into());
    links.insert("schemas".to_owned(), format!("{base}/v3/schemas").into());
    json!({"type": "apiRoot", "baseType": "apiRoot", "apiVersion": version(), "links": links})
}

fn version() -> Tree {
    json!({"group": "management.cattle.io", "path": "/v3", "version": "v3"})
}

fn actions(actions: &[Action]) -> Map {
    actions
        .iter()
        .map(|action| {
            let mut shape = Map::new();
            for (key, value) in [("input", action.input), ("output", action.output)] {
                if !value.is_empty() {
                    shape.insert(key.to_owned(), value.into());
                }
            }
            (action.name.to_owned(), Tree::Object(shape))
        })
        .collect()
}

fn fields(about: &About) -> Map {
    let mut fields: Map = about
        .all_fields()
        .map(|field| {
            let mut shape = json!({
                "type": field.kind.name(), "create": field.create, "update": field.update,
                "description": field.description,
            });
            if field.required {
                put(&mut shape, "required", true);
            } else {
                put(&mut shape, "nullable", true);
            }
            if field.kind == FieldType::Password {
                put(&mut shape, "writeOnly", true);
            }
            (field.name.to_owned(), shape)
        })
        .collect();
    let id = json!({"type": "string", "create": false, "update": false, "description": "The name in URLs."});
    fields.insert("id".to_owned(), id);
    fields
}

fn filters(about: &About) -> Map {
    about
        .all_fields()
        .filter(|field| field.kind.filterable())
        .map(|field| (field.name.to_owned(), json!({"modifiers": field.kind.modifiers()})))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::super::resource::Field;
    use super::*;

    static THING: About = About {
        id: "thing",
        plural: "things",
        fields: &[
            Field::writable("name", FieldType::DnsLabel, "A name.").required(),
            Field::create_only("secret", FieldType::Password, "A secret."),
        ],
        collection_methods: &["GET", "POST"],
        resource_methods: &["GET", "DELETE"],
        collection_actions: &[Action { name: "wake", input: "wakeInput", output: "" }],
        resource_actions: &[],
    };

    #[test]
    fn a_schema_has_what_the_terraform_provider_reads() {
        let schemas = schemas("https://h", [&THING].into_iter());
        let schema = &schemas["data"][0];
        assert_eq!(schema["id"], "thing");
        assert_eq!(schema["links"]["collection"], "https://h/v3/things");
        assert_eq!(schema["collectionMethods"], json!(["GET", "POST"]));
        assert_eq!(schema["resourceMethods"], json!(["GET", "DELETE"]));
        assert_eq!(schema["collectionActions"], json!({"wake": {"input": "wakeInput"}}));
    }

    #[test]
    fn members_say_what_may_be_done_with_them() {
        let schema = schema("https://h", &THING);
        assert_eq!(schema["resourceFields"]["name"]["required"], true);
        let secret = &schema["resourceFields"]["secret"];
        assert_eq!(
            (&secret["writeOnly"], &secret["create"], &secret["update"]),
            (&json!(true), &json!(true), &json!(false))
        );
        assert!(schema["collectionFilters"].get("secret").is_none());
        assert!(schema["resourceFields"].get("labels").is_some());
    }

    #[test]
    fn the_root_links_to_every_collection() {
        let root = root("https://h", [&THING].into_iter());
        assert_eq!(
            root["links"],
            json!({
                "self": "https://h/v3", "schemas": "https://h/v3/schemas", "things": "https://h/v3/things",
            })
        );
    }
}
